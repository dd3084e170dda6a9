"""Write docs/reference/faults.md from the table of faults.

Usage: python tools/docs_faults.py [--check]

With --check nothing is written; the exit code is 1 when the page is not up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dvo.partition.faults import MENDS, Mend

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "faults.md"
INTRODUCTION = """\
# Faults

<!-- Made by tools/docs_faults.py (make fmt) from dvo/partition/faults.py; do not edit. -->

What `dvo check --deep` can find, by the `kind` of its JSON, and what `dvo repair` does about it.
"Records" are those of commits, in `log/`; they count where the manifest says otherwise, as long as
none of them is lost. "Rows" are those of the database that tell what the wrong ones have to be.
"""
_FROM = {Mend.RECORDS: "records", Mend.ROWS: "rows"}


def page() -> str:
    """Text of the whole page."""
    mended = [
        "## Mended",
        "",
        "| kind | what is wrong | from | what is done |",
        "|---|---|---|---|",
    ]
    left = ["## Not mended", "", "| kind | what is wrong | what to do |", "|---|---|---|"]
    for kind, rule in MENDS.items():
        if rule.mends == (Mend.NEVER,):
            left.append(f"| `{kind.value}` | {rule.meaning} | {rule.done} |")
        else:
            source = ", else ".join(_FROM[mend] for mend in rule.mends)
            mended.append(f"| `{kind.value}` | {rule.meaning} | {source} | {rule.done} |")
    return "\n".join([INTRODUCTION, *mended, "", *left, ""])


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
