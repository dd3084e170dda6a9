"""Database: a catdir opened for asking.

Results are `pyarrow.Table`: lower-case FITS names, units and meanings in the field
metadata, NaN and other nulls as null. `to_pandas()` is Arrow's own; `to_astropy` and
`to_duckdb` are here.
"""

from dvo.database.convert import to_astropy, to_duckdb
from dvo.database.database import Database

__all__ = ["Database", "to_astropy", "to_duckdb"]
