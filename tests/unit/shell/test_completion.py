"""Completion is a pure function of the text and of what names there are."""

from __future__ import annotations

import pytest

from dvo.shell.completion import Known, candidates

KNOWN = Known(
    words={"avextract": "objects", "avmatch": "match", "echo": "print"},
    dots={".mode": "form", ".maxrows": "rows"},
    choices={".mode": ("table", "csv")},
    tables={"average": {"ra": "", "nmeasure": ""}, "measure": {"ra": "", "mag": "", "mjd": ""}},
    fields={"avextract": ["RA", "nmeas"]},
    photcodes=["g", "GPC1.r.XY33"],
    parts=["ave", "err", "aper"],
    functions=["AVG", "ABS"],
    vectors=["ra", "colour"],
    variables=["Ro", "Do"],
)


def texts(text, after=""):
    return [found.text for found in candidates(text, KNOWN, after)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("av", ["avextract", "avmatch"]),
        ("echo a; ec", ["echo"]),
        ("SEL", ["SELECT"]),
        (".m", [".mode", ".maxrows"]),
        (".mode c", ["csv"]),
        ("SELECT ra FROM ", ["average", "measure"]),
        ("SELECT ra FROM m", ["measure"]),
        ("SELECT m.m", []),
        ("SELECT ra FROM measure AS m WHERE m.m", ["mag", "mjd"]),
        ("SELECT ra FROM measure WHERE mj", ["mjd"]),
        ("SELECT A", ["AVG", "ABS", "AS", "AND", "ASC"]),
        ('SELECT "', ["mag", "flux", "g", "GPC1.r.XY33"]),
        ('SELECT "g:', ["ave", "err", "aper"]),
        ("avextract n", ["nmeas"]),
        ("avextract ra,g:a", ["ave", "aper"]),
        ("avextract ra,g:ave:a", ["aper"]),
        ("avextract ra where (g:e", ["err"]),
        ("vstat c", ["colour"]),
        ("echo $R", ["$Ro"]),
        ("# av", []),
        ("", ["avextract", "avmatch", "echo", "SELECT", "WITH", "EXPLAIN"]),
    ],
)
def test_candidates(text, wanted):
    assert texts(text) == wanted


def test_tables_behind_the_cursor_count():
    assert texts("SELECT m.m", " FROM measure AS m") == ["mag", "mjd"]
    assert texts("SELECT mj", " FROM measure") == ["mjd"]


def test_what_was_begun_is_replaced():
    (found,) = candidates("avextract ra,nme", KNOWN)
    assert (found.text, found.start) == ("nmeas", -3)
    found = candidates("avextract g:av", KNOWN)[0]
    assert (found.text, found.start) == ("ave", -2)
