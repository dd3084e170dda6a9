"""Results know their units as far as they follow from the columns that they are made of."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from astropy import units as u

import dvo
from dvo.cli.text_forms import write_table
from tests.synth import filled_database

UPLOAD = pa.table({"id": [1], "mag": [12.5]})


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with dvo.open(filled_database(tmp_path_factory.mktemp("meanings") / "sky")) as found:
        yield found


def fact(db, sql, which=b"unit"):
    table = db.sql(sql, uploads={"mine": UPLOAD})
    return [(f.metadata or {}).get(which, b"").decode() for f in table.schema]


@pytest.mark.parametrize(
    ("results", "units"),
    [
        ("AVG(mag), MIN(mag), MAX(mag), MEDIAN(mag), STDDEV(mag)", ["mag"] * 5),
        ("VARIANCE(mag), VAR_POP(flux_psf), SUM(flux_psf)", ["mag**2", "ct**2/s**2", "ct/s"]),
        ("MAX(mag) - MIN(mag), AVG(mag + 0.5), AVG(mag) * 2", ["mag", "mag", ""]),
        ("AVG(mag - m_kron), AVG(mag - ra), AVG(mag / m_kron)", ["mag", "", ""]),
        ("COUNT(mag), COUNT(*), COUNT(DISTINCT mag), AVG(mag) > 3", [""] * 4),
        ("QUANTILE_CONT(mag, 0.9), ANY_VALUE(dec), ABS(AVG(dec))", ["mag", "deg", "deg"]),
        ("AVG(mag) FILTER (WHERE mag < 20), COALESCE(AVG(mag), 99)", ["mag", "mag"]),
        ("AVG(DISTANCE(ra, dec, 10, 20)), AVG(mjd), AVG(airmass)", ["deg", "d", ""]),
        ('AVG("mag:rel"), STDDEV("mag:rel")', ["mag", "mag"]),
    ],
)
def test_what_is_made_of_columns_keeps_their_unit(db, results, units):
    assert fact(db, f"SELECT {results} FROM measure") == units
    # the same where rows are put together afterwards
    inside = f'SELECT {results} FROM (SELECT *, mjd, "mag:rel" FROM measure) AS q'
    assert fact(db, inside) == units


@pytest.mark.parametrize(
    ("sql", "units"),
    [
        ("SELECT mag FROM measure UNION SELECT m_kron FROM measure", ["mag"]),
        ("SELECT mag FROM measure UNION SELECT ra FROM measure", [""]),
        (("WITH q AS (SELECT obj_id AS o, AVG(mag) AS m FROM measure GROUP BY obj_id) "
         "SELECT o, m, MAX(m) OVER () AS x FROM q"), ["", "mag", "mag"]),
        ("SELECT u.mag, a.ra, DISTANCE(1, 2, a.ra, a.dec) FROM upload.mine u, average a",
         ["", "deg", "deg"]),
        ("SELECT q.y FROM (SELECT ra, dec FROM average) AS q (x, y)", ["deg"]),
        ("SELECT (SELECT MAX(mag) FROM measure) AS m, 5 AS five", ["", ""]),
        ("SELECT a.ra, m.mag FROM average a JOIN measure m ON a.obj_id = m.det_id",
         ["deg", "mag"]),
        ("SELECT g_mag - r_mag AS colour, g_mag + 1 FROM object", ["mag", "mag"]),
    ],
)  # fmt: skip
def test_units_go_through_queries_in_queries(db, sql, units):
    assert fact(db, sql) == units


def test_ucds_and_meanings_say_what_was_done(db):
    sql = "SELECT AVG(ra_err) AS a, MAX(ra) AS b, ra FROM measure GROUP BY ra"
    ucds, meanings = fact(db, sql, b"ucd"), fact(db, sql, b"description")
    assert ucds == ["stat.error;pos.eq.ra;stat.mean", "pos.eq.ra;stat.max", "pos.eq.ra"]
    assert meanings[0] == "mean of: error of ra, times cos(dec)"
    assert meanings[1] == f"greatest of: {meanings[2]}"


def test_a_table_for_people_has_the_digits_that_the_columns_have(db):
    found = db.sql(
        "SELECT AVG(mag) AS m, AVG(flux_psf) AS f, AVG(ra) AS ra, AVG(ra_err) AS e, AVG(n_det) AS n"
        " FROM (SELECT *, det_id AS n_det FROM measure) AS q"
    )
    made = io.BytesIO()
    write_table(found, (), made)
    names, units, row = made.getvalue().decode().splitlines()
    assert names.split() == ["m", "f", "ra", "e", "n"]
    assert units.split() == ["[mag]", "[ct/s]", "[deg]", "[arcsec]"]
    mag, flux, ra, _, _ = row.split()
    assert len(mag.partition(".")[2]) == 4
    assert flux == "-" or len(flux.replace(".", "").lstrip("0")) <= 6
    assert len(ra.partition(".")[2]) == 8


def test_astropy_understands_the_units(db):
    found = dvo.to_astropy(db.sql("SELECT VARIANCE(mag) AS v, VAR_POP(flux_psf) AS w, "
                                  "AVG(x_ccd) AS x FROM measure"))  # fmt: skip
    assert [found[n].unit for n in ("v", "w", "x")] == [u.mag**2, u.ct**2 / u.s**2, u.pix]
