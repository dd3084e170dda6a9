"""Numbers with units, places and times of astropy: the same answers as plain numbers give."""

from __future__ import annotations

import math

import astropy.units as u
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import AltAz, SkyCoord
from astropy.time import Time

import dvo
from dvo.errors import QueryError
from tests.synth import filled_database


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with dvo.open(filled_database(tmp_path_factory.mktemp("units") / "sky", n_stars=300)) as found:
        yield found


@pytest.fixture(scope="module")
def star(db):
    """A place that has objects within an arcminute."""
    (row,) = db.sql("SELECT TOP 1 ra, dec FROM average ORDER BY ra").to_pylist()
    return row["ra"], row["dec"]


def rows(batches):
    return pa.Table.from_batches(list(batches)).to_pylist()


@pytest.mark.parametrize("columns", [["ra", "dec", "distance"], ["ext_id"]])
def test_cones_of_places_and_quantities(db, star, columns):
    ra, dec = star
    expected = db.cone(ra, dec, 600, columns=columns)
    assert len(expected) > 1
    place = SkyCoord(ra, dec, unit="deg")
    for given in (
        (ra * u.deg, dec * u.deg, 10 * u.arcmin),
        (math.radians(ra) * u.rad, dec, 600 * u.arcsec),
        (place, 10 * u.arcmin),
        (place, 600),
        (place.galactic, 10 * u.arcmin),
        (place.frame, 600),
    ):
        found = db.cone(*given, columns=columns)
        assert found.num_rows == len(expected)
        ids = (c for c in columns if c == "ext_id")
        assert all(found[c].equals(expected[c]) for c in ids)
    assert db.cone(place, radius_arcsec=600, columns=columns).num_rows == len(expected)


def test_other_questions_about_places(db, star):
    ra, dec = star
    place = SkyCoord(ra, dec, unit="deg")
    names = ["image_id", "name", "ra_center"]
    assert len(db.images(place, columns=names)) > 1
    for one, two in (
        (db.images(place, columns=names), db.images(ra, dec, columns=names)),
        (db.images(place, 1 * u.deg, columns=names), db.images(ra, dec, 3600.0, columns=names)),
        (db.lightcurve(place), db.lightcurve(ra, dec)),
        (db.lightcurve(place, 2 * u.arcsec), db.lightcurve(ra, dec, 2.0)),
    ):
        assert one.to_pylist() == two.to_pylist()
    edges = [ra - 0.1, ra + 0.1, dec - 0.1, dec + 0.1]
    found = db.box(*(e * u.deg for e in edges), columns=["ext_id"])
    assert found.equals(db.box(*edges, columns=["ext_id"]))
    circle = rows(db.scan("measure", ["det_id"], area=dvo.Cone(ra, dec, 0.1)))
    assert len(circle) > 1
    assert rows(db.scan("measure", ["det_id"], area=(place, 6 * u.arcmin))) == circle
    assert rows(db.scan("measure", ["det_id"], area=(ra, dec, 360))) == circle
    box = rows(db.scan("measure", ["det_id"], area=dvo.Box(*edges)))
    assert len(box) > 1


def test_matches_of_places_quantities_and_units(db):
    table = db.sql("SELECT ra, dec FROM average ORDER BY ra")
    ra, dec = (table[name].to_numpy() for name in ("ra", "dec"))
    expected = db.match((ra, dec), 1.0, columns=["ext_id"])
    assert len(expected) == len(ra)
    for given in (
        SkyCoord(ra, dec, unit="deg"),
        SkyCoord(ra, dec, unit="deg").galactic,
        (ra * u.deg, dec * u.deg),
        (np.radians(ra) * u.rad, dec * u.deg),
        {"ra": (ra / 15) * u.hourangle, "dec": dec * 60 * u.arcmin},
    ):
        found = db.match(given, 1 * u.arcsec, columns=["ext_id"])
        assert found["ext_id"].equals(expected["ext_id"])
    one = db.match(SkyCoord(ra[0], dec[0], unit="deg"), 1.0, columns=["ext_id"])
    assert one["ext_id"].to_pylist() == expected["ext_id"].to_pylist()[:1]
    at = Time("2016-01-01T00:00:00", scale="utc")
    assert db.match((ra, dec), 1.0, epoch_mjd=at).equals(
        db.match((ra, dec), 1.0, epoch_mjd=float(at.mjd))
    )


def test_areas_take_quantities():
    assert dvo.Cone(1 * u.rad, 90 * u.arcmin, 36 * u.arcsec) == dvo.Cone(math.degrees(1), 1.5, 0.01)
    assert dvo.Box(-1 * u.deg, 60 * u.arcmin, -90, 0 * u.rad) == dvo.Box(-1, 1, -90, 0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda db: db.cone(1 * u.mag, 2, 3), "ra is 1.0 mag: that cannot be brought to deg"),
        (lambda db: db.cone(1, 2, 3 * u.s), "radius_arcsec is 3.0 s"),
        (lambda db: db.cone(1, 2, 3 * u.dimensionless_unscaled), "brought to arcsec"),
        (lambda db: db.cone([1, 2] * u.deg, 2, 3), "give one number in deg"),
        (lambda db: db.cone("1", 2, 3), "give one number in deg"),
        (lambda db: db.cone(1, 2), "give a radius"),
        (lambda db: db.cone(1), "give ra and dec"),
        (lambda db: db.cone(SkyCoord(1, 2, unit="deg")), "give a radius"),
        (lambda db: db.cone(SkyCoord(1, 2, unit="deg"), 3, 4), "is the whole centre"),
        (lambda db: db.cone(SkyCoord([1, 2], [3, 4], unit="deg"), 3), "holds 2 places"),
        (lambda db: db.cone(SkyCoord(1, 2, unit="deg", frame=AltAz()), 3), "cannot be brought"),
        (lambda db: db.box(1, 2, 3, 4 * u.m), "dec_max is 4.0 m"),
        (lambda db: list(db.scan(area="here")), "no area: 'here'"),
        (lambda db: list(db.scan(area=(1, 2))), "no area"),
        (lambda db: list(db.scan(where="g < 20")), "where is 'g < 20'; give an expression"),
        (lambda db: dvo.Cone(1, 2 * u.deg, 3 * u.s), "radius_deg is 3.0 s"),
        (lambda db: dvo.Cone([1, 2] * u.deg, 2, 3), "ra is [1. 2.] deg"),
        (lambda db: dvo.Box(1, 2, 3, 4 * u.mag), "dec_max is 4.0 mag"),
        (lambda db: db.match({"ra": [1] * u.m, "dec": [2] * u.deg}, 1), "'ra' is in m, which is"),
        (lambda db: db.match(([1], [2]), 1 * u.mag), "radius_arcsec is 1.0 mag"),
    ],
)
def test_what_is_no_angle_is_refused(db, ask, message):
    with pytest.raises(QueryError) as caught:
        ask(db)
    assert message in str(caught.value)


def test_results_go_on_to_duckdb(db):
    found = db.sql("SELECT ra, dec, flags FROM average ORDER BY ra")
    relation = dvo.to_duckdb(found)
    assert relation.aggregate("count(*)").fetchall() == [(len(found),)]
    with duckdb.connect() as mine:
        least = dvo.to_duckdb(found, mine).query("t", "SELECT MIN(ra) FROM t").fetchall()
    assert least == [(found["ra"][0].as_py(),)]
