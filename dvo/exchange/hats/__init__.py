"""HATS: a catalog as Parquet files, one a HEALPix pixel, with margins (IVOA Note, 2025).

A collection is a folder with the catalog, its margin cache and a file that names both; it
opens in LSDB, and any reader of Parquet can take the files by themselves.
"""
