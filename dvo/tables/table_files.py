"""Columns of any table file: FITS (compressed too), Parquet, VOTable and CSV.

The kind of file is told by its first bytes, not by its name; gzip and bzip2 are unpacked.
Missing values are NaN, those of text are empty. Lines of a CSV file before its line of names
may be comments, with # in front, as in ECSV.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, CorruptTableError, StorageError
from dvo.tables.fits.hdu import FitsFile
from dvo.tables.fits.reader import TableFile
from dvo.tables.packed_files import unpacked

__all__ = ["Choice", "RawTable", "first_bytes", "read_chosen", "read_table"]

Array = NDArray[Any]

Choice = Callable[[Sequence[str]], Sequence[str]]
"""Picks the columns wanted from those that a file has."""

_FIRST_BYTES = 4096
# A constant column packs well, positions do not: beyond this a Parquet file is a bomb.
_MAX_ROWS_PER_BYTE = 100
_MAX_CSV_BLOCK = 1 << 24
_NUMBER = re.compile(r"[+-]?\d+\.?\d*([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns as a file has them.

    Parameters
    ----------
    columns : dict of str to ndarray
        Columns by the names asked for; missing values are NaN, which makes integers float64.
    units : dict of str to str
        Units that the file gives.
    n_rows : int
        Number of rows.
    """

    columns: dict[str, Array]
    units: dict[str, str]
    n_rows: int


def read_table(path: Path | str, names: Sequence[str], *, hdu: int | str | None = None) -> RawTable:
    """Read columns of a table file.

    Parameters
    ----------
    path : Path or str
        The file.
    names : sequence of str
        Columns wanted; case counts only where two names differ by nothing else.
    hdu : int, str or None
        HDU of a FITS file; None takes its first table.

    Returns
    -------
    RawTable
        The columns.

    Raises
    ------
    BadCatalogError
        If the file cannot be read, or lacks a column.
    """
    return read_chosen(path, lambda _: names, hdu=hdu)


def read_chosen(path: Path | str, choose: Choice, *, hdu: int | str | None = None) -> RawTable:
    """Read columns of a table file that are chosen when its columns are known.

    Parameters
    ----------
    path : Path or str
        The file.
    choose : callable
        Given the names of the columns that the file has, says which are wanted.
    hdu : int, str or None
        HDU of a FITS file; None takes its first table.

    Returns
    -------
    RawTable
        The columns.

    Raises
    ------
    BadCatalogError
        If the file cannot be read, or lacks a column.
    """
    path = Path(path)
    with unpacked(path) as file:
        start = first_bytes(file)
        if start.startswith(b"SIMPLE"):
            return _read_fits(file, path, choose, hdu)
        if start.startswith(b"PAR1"):
            return _read_parquet(file, path, choose)
        if start.lstrip().startswith((b"<?xml", b"<VOTABLE", b"<!DOCTYPE")):
            return _read_votable(file, path, choose)
        if b"\0" in start or not start.strip():
            raise BadCatalogError(
                f"{path}: {'no table' if start else 'the file is empty'}; FITS, Parquet, VOTable "
                "and CSV files are read, packed by gzip or bzip2 too"
            )
        return _read_csv(file, path, choose)


def first_bytes(path: Path) -> bytes:
    """Read the beginning of a file.

    Parameters
    ----------
    path : Path
        The file, unpacked.

    Returns
    -------
    bytes
        Up to 4096 of them.

    Raises
    ------
    BadCatalogError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_FIRST_BYTES)
    except OSError as error:
        raise BadCatalogError(f"{path}: cannot be read ({error.strerror or error})") from error


def _resolve(
    path: Path, wanted: Sequence[str], present: Sequence[str], hint: str = ""
) -> dict[str, str]:
    """Find the columns asked for: by their exact name, else by the only one of any case."""
    folded: dict[str, list[str]] = {}
    for name in present:
        folded.setdefault(name.lower(), []).append(name)
    found: dict[str, str] = {}
    for name in wanted:
        same = [name] if name in present else folded.get(name.lower(), [])
        if len(same) != 1:
            what = "no column" if not same else f"more than one column ({', '.join(same)}) like"
            raise BadCatalogError(
                f"{path}: {what} {name!r}; it has {', '.join(list(present)[:60])}; "
                f"{hint or 'mend the column map (--map)'}"
            )
        found[name] = same[0]
    return found


def _read_fits(file: Path, path: Path, choose: Choice, hdu: int | str | None) -> RawTable:
    try:
        with TableFile(file, _first_table(file) if hdu is None else hdu) as table:
            found = _resolve(path, choose(table.names), table.names)
            fields = {f.name: f for f in reversed(table.fields)}
            columns = table.read(list(dict.fromkeys(found.values())))
            units = {name: fields[real].unit for name, real in found.items()}
            out: dict[str, Array] = {}
            for name, real in found.items():
                null = fields[real].null
                values = columns[real]
                if null is not None and values.dtype.kind in "iu":
                    zero = fields[real].zero
                    is_null = values == null + (int(zero) if zero else 0)
                    if is_null.any():
                        values = np.where(is_null, np.nan, values.astype(np.float64))
                out[name] = values
            return RawTable(out, units, table.n_rows)
    except (CorruptTableError, StorageError) as error:
        raise BadCatalogError(str(error)) from error


def _first_table(path: Path) -> int:
    with FitsFile(path) as file:
        for index in range(10_000):
            hdu = file.find(index)
            if hdu is None:
                break
            if hdu.is_table:
                return index
    raise BadCatalogError(f"{path}: the FITS file holds no binary table")


def _to_numpy(column: pa.ChunkedArray[Any]) -> Array:
    if pa.types.is_null(column.type):  # all cells are empty, or there are none
        return np.full(len(column), np.nan)
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    values = np.asarray(column.to_numpy())
    # Kernels are compiled for writeable arrays; Arrow's buffers are read-only.
    return values if values.flags.writeable else values.copy()


def _read_parquet(file: Path, path: Path, choose: Choice) -> RawTable:
    try:
        with pa.parquet.ParquetFile(file, memory_map=True) as reader:
            n_rows = reader.metadata.num_rows
            if n_rows > _MAX_ROWS_PER_BYTE * file.stat().st_size:
                raise BadCatalogError(f"{path}: claims {n_rows} rows, far too many for its size")
            schema = reader.schema_arrow
            found = _resolve(path, choose(schema.names), schema.names)
            table = reader.read(columns=list(dict.fromkeys(found.values())), use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:  # names may be no UTF-8
        raise BadCatalogError(f"{path}: damaged Parquet file: {error}") from error
    units = {}
    for name, real in found.items():
        unit = (schema.field(real).metadata or {}).get(b"unit", b"")
        units[name] = unit.decode("utf-8", "replace")
    return RawTable({n: _to_numpy(table[real]) for n, real in found.items()}, units, len(table))


def _read_csv(file: Path, path: Path, choose: Choice) -> RawTable:
    n_comments = _count_comments(file)
    block = pa.csv.ReadOptions(use_threads=False, block_size=_MAX_CSV_BLOCK, skip_rows=n_comments)
    try:
        with pa.csv.open_csv(file, read_options=block) as reader:
            present = reader.schema.names
            found = _resolve(path, choose(present), present, _csv_hint(present))
        columns = list(dict.fromkeys(found.values()))
        # An empty cell is a missing number; float columns that begin with whole numbers must
        # not be taken for integers, so the type is settled over the whole file.
        table = pa.csv.read_csv(
            file,
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=_csv_block(file), skip_rows=n_comments
            ),
            convert_options=pa.csv.ConvertOptions(include_columns=columns),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadCatalogError(
            f"{path}: not a table as CSV, a line of names and one line a row: {error}"
        ) from error
    return RawTable({n: _to_numpy(table[real]) for n, real in found.items()}, {}, len(table))


def _count_comments(file: Path) -> int:
    """Lines with # in front before the line of names."""
    n = 0
    with file.open("rb") as lines:
        while lines.readline(_MAX_CSV_BLOCK).startswith(b"#"):
            n += 1
    return n


def _csv_hint(present: Sequence[str]) -> str:
    """What is the matter with a header line that lacks columns, if it can be seen."""
    if len(present) == 1:
        return "the words of each line must be split by commas"
    if any(_NUMBER.fullmatch(name.strip()) for name in present):
        return "the first line must hold the names of the columns"
    return ""


def _csv_block(path: Path) -> int:
    return min(max(path.stat().st_size + 1, 1 << 16), 2**31 - 1)


def _read_votable(file: Path, path: Path, choose: Choice) -> RawTable:
    from astropy.io import votable  # noqa: PLC0415  # slow to import, and few catalogs need it
    from astropy.io.votable.exceptions import VOWarning  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VOWarning)
            table = votable.parse_single_table(str(file))
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError, VOWarning) as error:
        raise BadCatalogError(f"{path}: damaged VOTable: {error}") from error
    # Columns are known by their name; the ID is often made up by the writer.
    by_name = {field.name: field for field in reversed(table.fields)}
    present = list(by_name)
    found = _resolve(path, choose(present), present)
    columns: dict[str, Array] = {}
    for name, real in found.items():
        values = table.array[by_name[real].ID]
        if values.dtype.kind in "OSU":
            values = np.ma.filled(values, "")
        elif np.ma.is_masked(values):
            values = values.astype(np.float64).filled(np.nan)
        columns[name] = np.ascontiguousarray(values)  # a column of a record array has gaps
    units = {name: str(by_name[real].unit or "") for name, real in found.items()}
    return RawTable(columns, units, len(table.array))
