"""The public database: batches are loaded, checked, merged and published."""
