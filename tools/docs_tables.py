"""Write docs/reference/tables.md from the schemas of the tables.

Usage: python tools/docs_tables.py [--check]

With --check nothing is written; the exit code is 1 when the page is not up to date.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import dvo.tables
from dvo.tables.schema import Column, TableSchema

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "tables.md"
INTRODUCTION = """\
# Tables

<!-- Made by tools/docs_tables.py (make fmt) from the schemas in dvo/tables; do not edit. -->

Every table is a FITS binary table. Column names are given as on disk; in Python and on the
command line they are written in lower case. *Null* is the value that stands for "unknown".
"""

# The tables people meet first; all others follow by name.
FIRST = ("Average", "SecFilt", "Measure", "Image", "Photcode")

_TYPES = {
    "f8": "float64",
    "f4": "float32",
    "i8": "int64",
    "i4": "int32",
    "i2": "int16",
    "i1": "int8",
    "u8": "uint64",
    "u4": "uint32",
    "u2": "uint16",
    "u1": "uint8",
    "b1": "boolean",
}


def _type(column: Column) -> str:
    kind = _TYPES.get(column.dtype) or f"{column.dtype[1:]} characters"
    return kind if column.shape == 1 else f"{column.shape} x {kind}"


def _null(column: Column) -> str:
    if column.null is None:
        return ""
    if isinstance(column.null, float):
        return "NaN" if column.null != column.null else repr(column.null)
    return "empty" if column.null == b"" else str(column.null)


def _row(column: Column) -> str:
    cells = (
        f"`{column.fits_name}`",
        _type(column),
        column.unit,
        f"`{column.ucd}`" if column.ucd else "",
        _null(column),
        column.codec.value if column.codec else "",
        column.meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section(schema: TableSchema) -> str:
    """Describe one table: what a row is, its files, its columns."""
    files = f", files `.{schema.suffix}`" if schema.suffix else ""
    place = f"Extension `{schema.extname}`{files}, {len(schema.columns)} columns."
    head = [
        f"## {schema.name}",
        "",
        f"{schema.meaning[:1].upper()}{schema.meaning[1:].rstrip('.')}. {place}",
        "",
        "| Column | Type | Unit | UCD | Null | Codec | Meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(column) for column in schema.columns)]) + "\n"


def schemas() -> list[TableSchema]:
    """Every schema that a module of dvo.tables holds."""
    found: dict[str, TableSchema] = {}
    for info in pkgutil.iter_modules(dvo.tables.__path__):
        if not info.ispkg:
            module = importlib.import_module(f"dvo.tables.{info.name}")
            values = (v for v in vars(module).values() if isinstance(v, TableSchema))
            found.update((schema.name, schema) for schema in values)
    return sorted(
        found.values(),
        key=lambda s: (FIRST.index(s.name) if s.name in FIRST else len(FIRST), s.name),
    )


def page() -> str:
    """Text of the whole page."""
    return "\n".join([INTRODUCTION, *(section(schema) for schema in schemas())])


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    text = page()
    if "--check" in arguments:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"docs/reference/{PAGE.name} is not up to date: run make fmt", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
