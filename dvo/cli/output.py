"""How results are printed or written: table, csv, json, FITS, VOTable, Parquet."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMATS", "format_option", "output_option", "progress_line", "write_result"]

FORMATS = ("table", "csv", "json", "fits", "votable", "parquet")

format_option = click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Form of the output; by the ending of -o if not given, else table.",
)
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write; - or none for stdout."
)

_ENDINGS = {".csv": "csv", ".json": "json", ".fits": "fits", ".fit": "fits", ".vot": "votable",
            ".xml": "votable", ".parquet": "parquet"}  # fmt: skip
_BINARY = ("fits", "votable", "parquet")


def write_result(table: pa.Table, form: str | None, output: Path | None) -> None:
    """Write a result where and how the user wants it.

    Parameters
    ----------
    table : pyarrow.Table
        The result.
    form : str or None
        One of `FORMATS`; None takes the ending of the file, or a table.
    output : Path or None
        File to write; None or ``-`` for stdout.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    if output is not None and str(output) == "-":
        output = None
    chosen = form or (_ENDINGS.get(output.suffix.lower(), "table") if output else "table")
    if output is None:
        if chosen in _BINARY and sys.stdout.isatty():
            raise click.UsageError(f"{chosen} is not for a terminal; give a file with -o")
        _write_to(table, chosen, sys.stdout.buffer)
        return
    # Written beside and renamed: a file that is there is whole.
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            _write_to(table, chosen, file)
        beside.replace(output)
    except OSError as err:
        beside.unlink(missing_ok=True)
        raise StorageError(f"{output}: cannot be written ({err.strerror or err})") from err


def _write_to(table: pa.Table, form: str, file: Any) -> None:
    writers: dict[str, Callable[[Any, Any], None]] = {
        "table": _write_text,
        "csv": _write_csv,
        "json": _write_json,
        "fits": _write_fits,
        "votable": _write_votable,
        "parquet": _write_parquet,
    }
    writers[form](table, file)
    file.flush()


def _write_text(table: pa.Table, file: Any) -> None:
    """Columns under their names and units, right-aligned."""
    names = table.column_names
    units = [(f.metadata or {}).get(b"unit", b"").decode() for f in table.schema]
    rows = [[_text(v) for v in row.values()] for row in table.to_pylist()]
    lines = [names, *([[f"[{u}]" if u else "" for u in units]] if any(units) else []), *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(names))]
    for line in lines:
        text = "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        file.write(text.encode() + b"\n")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return ",".join(_text(v) for v in value)
    return str(value)


def _write_csv(table: pa.Table, file: Any) -> None:
    import pyarrow as pa  # noqa: PLC0415 - keeps `dvo --help` quick
    import pyarrow.csv  # noqa: PLC0415

    flat = [
        pa.array([_text(v) for v in column.to_pylist()])
        if pa.types.is_fixed_size_list(column.type)
        else column
        for column in table.columns
    ]
    pyarrow.csv.write_csv(pa.Table.from_arrays(flat, names=table.column_names), file)


def _write_json(table: pa.Table, file: Any) -> None:
    rows = [{k: _plain(v) for k, v in row.items()} for row in table.to_pylist()]
    file.write(json.dumps(rows).encode() + b"\n")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_fits(table: pa.Table, file: Any) -> None:
    from dvo.database import to_astropy  # noqa: PLC0415

    to_astropy(table).write(file, format="fits")


def _write_votable(table: pa.Table, file: Any) -> None:
    from dvo.database import to_astropy  # noqa: PLC0415

    signed = _without_unsigned(table)
    to_astropy(signed).write(file, format="votable", tabledata_format="binary2")


def _without_unsigned(table: pa.Table) -> pa.Table:
    """Unsigned integers in wider signed ones: VOTable has none but bytes."""
    import pyarrow as pa  # noqa: PLC0415

    wider = {pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64()}
    fields = [f.with_type(wider.get(f.type, f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def _write_parquet(table: pa.Table, file: Any) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    pq.write_table(table, file, compression="zstd")


def progress_line() -> Callable[[str], None]:
    """A line on stderr that is written over and over; nothing if that is no terminal."""
    if not sys.stderr.isatty():
        return lambda _text: None

    def show(text: str) -> None:
        click.echo(f"\r\033[K{text}", err=True, nl=not text)

    return show
