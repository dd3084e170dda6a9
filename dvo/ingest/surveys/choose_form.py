"""Which form of a survey a table is, by the columns that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvo.errors import BadCatalogError
from dvo.ingest.surveys.forms import Field, Form, Survey

__all__ = ["FormColumn", "choose_form", "columns_of"]


@dataclass(frozen=True, slots=True)
class FormColumn:
    """A column of a file that is wanted.

    Parameters
    ----------
    name : str
        Its name in the file.
    field : Field
        What it is.
    band : int or None
        Number of the band that it is of.
    """

    name: str
    field: Field
    band: int | None


def columns_of(form: Form, bands: Sequence[int], present: Sequence[str] | None) -> list[FormColumn]:
    """List the columns of a form that are to be read.

    Parameters
    ----------
    form : Form
        The form.
    bands : sequence of int
        Numbers of the bands wanted.
    present : sequence of str or None
        Columns that the file has, in any case of letters; None for all of the form.

    Returns
    -------
    list of FormColumn
        The columns.
    """
    there = None if present is None else {name.lower() for name in present}
    out = []
    for field in form.fields:
        if not field.is_of_band:
            out.append(FormColumn(field.name, field, None))
            continue
        words = [(k, form.words[k]) for k in bands if k < len(form.words) and form.words[k]]
        out += [FormColumn(field.name.format(word), field, k) for k, word in words]
    return [c for c in out if there is None or c.name.lower() in there]


def choose_form(survey: Survey, bands: Sequence[int], present: Sequence[str], path: Path) -> Form:
    """Find the form of a table.

    Parameters
    ----------
    survey : Survey
        The survey.
    bands : sequence of int
        Numbers of the bands wanted.
    present : sequence of str
        The columns that the table has.
    path : Path
        The file, for the message.

    Returns
    -------
    Form
        The first whose needed columns are there: those of the entries, and those of at least
        one band.

    Raises
    ------
    BadCatalogError
        If it is none of them.
    """
    lacking = []
    for form in (f for f in survey.forms if f.is_table):
        missing = _missing(form, bands, present)
        if not missing:
            return form
        lacking.append(f"{form.name}: {', '.join(missing)}")
    raise BadCatalogError(
        f"{path}: no form of {survey.title} that is known; columns missing for "
        f"{'; for '.join(lacking) or 'any'}. It has {', '.join(list(present)[:60])}. Any table can "
        "be added with --ref and --map"
    )


def _missing(form: Form, bands: Sequence[int], present: Sequence[str]) -> list[str]:
    """Needed columns that are not there; of the bands, those of the nearest one."""
    found = {c.name.lower() for c in columns_of(form, bands, present)}
    missing = [
        f.name
        for f in form.fields
        if f.is_needed and not f.is_of_band and f.name.lower() not in found
    ]
    of_bands = [f for f in form.fields if f.is_needed and f.is_of_band]
    words = [form.words[k] for k in bands if k < len(form.words) and form.words[k]]
    each = [[f.name.format(w) for f in of_bands] for w in words]
    short = [[n for n in names if n.lower() not in found] for names in each]
    return missing + (min(short, key=len) if short else [])
