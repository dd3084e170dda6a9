"""The interactive shell: SQL and the words of the original DVO shell side by side."""
