"""What a table is, in memory and as FITS."""
