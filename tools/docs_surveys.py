"""Write docs/surveys.md from the registry of surveys.

Usage: python tools/docs_surveys.py [--check]

With --check nothing is written; the exit code is 1 when the page is not up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from dvo.ingest.surveys.forms import Effect, Field, Form, Rule, Survey
from dvo.ingest.surveys.registry import SURVEYS
from dvo.tables.flags import PhotFlag

PAGE = Path(__file__).resolve().parents[1] / "docs" / "surveys.md"
INTRODUCTION = """\
# Surveys

<!-- Made by tools/docs_surveys.py (make fmt) from dvo/ingest/surveys; do not edit. -->

`addstar` reads these surveys as they are published:

```text
addstar CATDIR [FILE…] --survey NAME [--bands B,…] [--epoch YEAR] [--match-epoch YEAR] [--name NAME]
```

| `--survey` | what | photcodes | without FILE |
|---|---|---|---|
"""
RULES = """
## What all of them have in common

- **Files.** A file is known by its content, not by its name: FITS (compressed too), VOTable, CSV
  (also ECSV) and Parquet tables by the columns that they name, in any case of letters; others by
  how they begin. gzip and bzip2 are unpacked. Columns that are not listed here are not read, and
  listed ones that are not needed may be absent. Units of the file win over those listed.
- **Measures.** An entry gives one measure in each band in which it was measured, all of one
  object. Its position counts once: measures after the first have `SKIP_ASTROM` in `db_flags`. An
  entry that was measured in no band still gives its position, in the first band. `--bands` takes
  some bands, and entries that were measured in them.
- **Photcodes.** The survey brings its own, of class ref; one of the same name that is in the
  database stays as it is. Their magnitudes are taken as published, and enter no mean.
- **Missing values** are NaN, empty cells, `null`, the null of a FITS column, and the marks listed
  below.
- **Flags.** What a survey says of the quality of a measure becomes bits of `phot_flags`, with the
  same meaning as for our own images, so that `--exclude-flags` and the masks of photcodes apply
  to all. Only what is marked "left out" is not taken; it is counted in the report.
- **Epochs and motions.** Positions and proper motions are stored as published, at their own
  epochs. To be matched, entries of known motion are brought to the epoch of the catalogue, or to
  `--match-epoch`; the error of the motion over that time counts in the weight of the position.
  Objects take the motion and parallax of the first survey that gives one.
- **Numbers.** `det_id` is the row of the file, from 0, unless said otherwise; designations are
  not kept.
- **Again.** Each file is a catalogue, known by its name (or `--name`) and photcodes. Given again
  it is skipped; other content under the same name is refused.

Whatever is not here comes by `--ref` and `--map`, one photcode at a time: see [For
operators](operators.md#addstar). Large surveys are best made databases of their own, and taken in
with [dvomerge](merging.md). `make demo-surveys` does that with four of them.
"""


def _epoch(survey: Survey) -> str:
    said = []
    for form in survey.forms:
        own = next((f for f in form.fields if f.key in ("epoch", "mjd_mean")), None)
        name = own.name.format("w?" if own.key == "mjd_mean" else "") if own else ""
        default = f"{form.epoch:g}" if form.epoch is not None else "`--epoch`"
        said.append(f"`{name}` of the row, else {default}" if own else default)
    if len(set(said)) == 1:
        return said[0]
    return "; ".join(f"{f.name}: {text}" for f, text in zip(survey.forms, said, strict=True))


def _null(field: Field) -> str:
    return ", ".join(f"{value:g}" for value in field.nulls)


def _column(field: Field, form: Form) -> str:
    if not field.is_of_band:
        return f"`{field.name}`"
    words = [w for w in form.words if w]
    return ", ".join(f"`{field.name.format(w)}`" for w in words)


def _form(form: Form) -> Iterator[str]:
    yield f"### {form.name}"
    yield ""
    yield f"{form.about}."
    yield ""
    yield "| column | is | unit | missing | needed |"
    yield "|---|---|---|---|---|"
    for field in form.fields:
        unit = "of the file" if field.unit == "?" else field.unit
        needed = "" if not field.is_needed else ("in a band" if field.is_of_band else "yes")
        yield f"| {_column(field, form)} | {field.key} | {unit} | {_null(field)} | {needed} |"
    yield ""


def _effect(rule: Rule) -> str:
    if isinstance(rule.effect, PhotFlag):
        return f"`{rule.effect.name}`"
    return {Effect.LEFT_OUT: "left out", Effect.NOT_MEASURED: "no measure"}[rule.effect]


def _error(survey: Survey) -> str:
    said = []
    if survey.pos_err_arcsec:
        said.append(f"positions without an error are taken to be good to {survey.pos_err_arcsec:g} "
                    "arcsec")  # fmt: skip
    if survey.pos_sys_arcsec:
        said.append(f"the photcodes have a systematic position error of {survey.pos_sys_arcsec:g} "
                    "arcsec")  # fmt: skip
    if survey.mag_sys:
        said.append(f"and one of magnitudes of {survey.mag_sys:g} mag")
    return ", ".join(said) or "as published"


def section(survey: Survey) -> str:
    """Describe one survey."""
    lines = [f"## {survey.title}", "", f"`--survey {survey.name}`", ""]
    lines += ["| band | photcode | what |", "|---|---|---|"]
    lines += [f"| {b.name} | `{b.photcode}` | {b.meaning} |" for b in survey.bands]
    lines += ["", f"**Epoch [yr]:** {_epoch(survey)}.", "", f"**Errors:** {_error(survey)}.", ""]
    if survey.default_says:
        lines += [f"**Without FILE:** {survey.default_says}.", ""]
    if survey.rules:
        lines += ["| flag | becomes |", "|---|---|"]
        lines += [f"| {r.says} | {_effect(r)} |" for r in survey.rules]
        lines += [""]
    lines += [*(f"- {note}" for note in survey.notes), ""]
    for form in survey.forms:
        lines += _form(form)
    lines += ["**Source:** " + "; ".join(survey.source) + ".", ""]
    return "\n".join(lines)


def page() -> str:
    """Text of the whole page."""
    rows = [
        f"| `{s.name}` | {s.title} | {', '.join(f'`{b.photcode}`' for b in s.bands)} | "
        f"{s.default_says} |"
        for s in SURVEYS.values()
    ]
    head = INTRODUCTION + "\n".join(rows) + "\n" + RULES
    return head + "\n" + "\n".join(section(s) for s in SURVEYS.values())


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    text = page()
    if "--check" in arguments:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"docs/{PAGE.name} is not up to date: run make fmt", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
