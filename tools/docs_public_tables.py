"""Write docs/reference/public_tables.md from the public schema.

Usage: python tools/docs_public_tables.py [--check]

With --check nothing is written; the exit code is 1 when the page is not up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dvo.psps.schema.batches import BATCH_TABLES
from dvo.psps.schema.table import PublicColumn, PublicTable, SqlType

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "public_tables.md"
INTRODUCTION = """\
# Public tables

<!-- Made by tools/docs_public_tables.py (make fmt) from dvo/psps/schema; do not edit. -->

Tables of the public database (PSPS), as batches and the database have them. Names, types and
defaults are those of Pan-STARRS DR2. *Default* is the value that stands for "unknown".
"""


def _row(column: PublicColumn) -> str:
    kind = column.sql_type.name
    if column.sql_type is SqlType.VARCHAR:
        kind = f"{kind}({column.length})"
    default = "empty" if column.default == "" else column.default
    cells = (
        f"`{column.name}`",
        kind,
        column.unit,
        f"`{column.ucd}`" if column.ucd else "",
        "" if default is None else str(default),
        column.meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section(table: PublicTable, batch: str) -> str:
    """Describe one table: what a row is, the batches it comes in, its columns."""
    about = f"{table.meaning[:1].upper()}{table.meaning[1:]}"
    place = f"Batches {batch}, {len(table.columns)} columns; unique: {', '.join(table.key)}."
    head = [
        f"## {table.name}",
        "",
        f"{about}. {place}",
        "",
        "| Column | Type | Unit | UCD | Default | Meaning |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(column) for column in table.columns)]) + "\n"


def page() -> str:
    """Text of the whole page."""
    sections = [section(t, kind.value) for kind, tables in BATCH_TABLES.items() for t in tables]
    return "\n".join([INTRODUCTION, *sections])


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    text = page()
    if "--check" in arguments:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"docs/reference/{PAGE.name} is not up to date: run make fmt", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
