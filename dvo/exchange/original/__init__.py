"""The layout and formats of the original DVO (Ohana), for its programs and its readers.

Facts of the format are those of its table definitions, version PS1_V6: names, types and
units of columns, widths of rows, keywords. See docs/exchange.md for what it cannot hold.
"""
