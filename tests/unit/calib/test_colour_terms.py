"""Colour terms put into magnitudes, and got back; the equation read them in between."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import dvo
from dvo.calib.photometry.colour_terms import ColourFitOptions, fit_colour_terms
from dvo.cli.photcode import photcode as command
from dvo.errors import PhotcodeError
from dvo.partition.bounds import Box
from dvo.partition.history import rollback
from dvo.partition.store import Store
from dvo.tables.photcode import PhotcodeTable
from tests.synth import FIELDS, assert_same, contents, make_database
from tests.unit.calib.colour_sky import SIGMA, ColourSky

TERMS = (-0.08, 0.03)
MIDDLE = 0.55


def curve(colour, terms=TERMS):
    """The equation of the original, i from 1: sum X_i (mc - dX)^i."""
    return sum(x * (colour - MIDDLE) ** i for i, x in enumerate(terms, start=1))


@pytest.fixture
def sky(tmp_path, rng):
    """Exposures in g that lack their colour term, and a catalog that has another."""
    sky = ColourSky(tmp_path / "sky", rng)
    sky.fill(sky.exposure(0, "g", 0.1 - curve(sky.colour)), sky.exposure(1, "r"),
             sky.exposure(2, "g", 0.1 - curve(sky.colour)),
             sky.catalog(0.2 + curve(sky.colour, (0.12,))))  # fmt: skip
    sky.plant_means()
    return sky


def test_terms_of_a_detector_come_out_and_make_it_the_system_of_its_filter(sky):
    options = ColourFitOptions("g-r", order=2, colour_offset=MIDDLE, is_applied=True)
    with Store(sky.path, writable=True) as store:
        before = contents(store.view())
        found = fit_colour_terms(store, "SYNTH.g.C00", "g", options)
        assert found.n_points > 700
        pulls = (np.array(found.terms) - TERMS) / found.term_errors
        assert np.abs(pulls).max() < 4
        assert max(found.term_errors) < 0.01
        assert abs(found.offset + 0.1) < 4 * found.offset_error
        code = store.view().photcodes.get("SYNTH.g.C00")
        assert code.color_terms == tuple(found.terms)
        assert (code.color_offset, code.color_codes) == (MIDDLE, (1, 2))
        assert_same(contents(store.view()), before)  # no other table has changed
    # What is read now is in the system of g, but for the constant.
    with dvo.open(sky.path) as db:
        batches = list(db.scan("measure", ["ra", "dec", "mag:sys", "photcode"]))
    rows = pa.Table.from_batches(batches).to_pandas()
    rows = rows[rows.photcode == code.code]
    star = sky.star_of(rows.ra.to_numpy(), rows.dec.to_numpy())
    off = rows["mag:sys"].to_numpy() - sky.stars.mag[star] - 0.1
    slope = np.polyfit(sky.colour[star], off, 2)
    assert np.abs(slope).max() < 0.01
    with Store(sky.path, writable=True) as store:
        rollback(store, found.snapshot - 1)
        assert store.view().photcodes.get("SYNTH.g.C00").color_terms == ()


def test_terms_of_a_filter_come_from_a_reference_catalog(sky):
    with Store(sky.path) as store:
        old = store.view().snapshot.id
        found = fit_colour_terms(store, "g", "CAT.g", ColourFitOptions("g-r"))
        assert abs(found.terms[0] - 0.12) < 4 * found.term_errors[0] < 0.02
        # At the median colour the constant has a share of the slope.
        constant = 0.2 + 0.12 * (found.colour_offset - MIDDLE)
        assert abs(found.offset - constant) < 4 * found.offset_error < 0.01
        assert 0.5 * SIGMA < found.scatter < 1.5 * SIGMA
        assert (found.is_applied, found.snapshot, store.view().snapshot.id) == (False, old, old)
        json.dumps(found.as_dict(), allow_nan=False)


def test_outliers_are_told_and_do_no_harm(tmp_path, rng):
    sky = ColourSky(tmp_path / "sky", rng)
    wild = np.where(rng.random(400) < 0.15, rng.uniform(0.1, 2, 400), 0.0)
    sky.fill(sky.exposure(0, "g"), sky.exposure(1, "r"), sky.catalog(0.12 * sky.colour + wild))
    sky.plant_means()
    with Store(sky.path) as store:
        found = fit_colour_terms(store, "g", "CAT.g", ColourFitOptions("g-r"))
    assert abs(found.terms[0] - 0.12) < 4 * found.term_errors[0]
    assert 0.6 * (wild > 0).sum() < found.n_outliers < 1.6 * (wild > 0).sum()


def test_limits_are_kept(sky):
    ra, dec = FIELDS["edge"]
    east = ((sky.stars.ra - ra) > 0).sum()
    with Store(sky.path) as store:

        def n(code="g", to="CAT.g", **limits):
            options = ColourFitOptions("g-r", **limits)
            return fit_colour_terms(store, code, to, options).n_points

        assert n() == 400
        assert n(colours=(0.0, 0.5)) == ((sky.colour >= 0) & (sky.colour <= 0.5)).sum()
        assert n(mag=(16, 17)) == ((sky.stars.mag >= 16) & (sky.stars.mag <= 17)).sum()
        assert abs(n(area=Box(ra, ra + 2, dec - 2, dec + 2)) - east) <= 2
        first = (57000.25 - 40587) * 86400
        assert n("SYNTH.g.C00", "g", times=(first - 9, first + 9)) == 400
        assert n("SYNTH.g.C00", "g") == 800
        with pytest.raises(PhotcodeError, match="0 magnitudes can be compared"):
            n(most_error=1e-4)


@pytest.mark.parametrize(
    ("pair", "colour", "words"),
    [
        (("SYNTH.g.C00", "r"), "g-r", r"cannot be fitted to r \(SEC\)"),
        (("CAT.g", "g"), "g-r", r"CAT\.g \(REF\) cannot be fitted"),
        (("g", "r"), "g-r", "an average filter .SEC. to a REF"),
        (("g", "CAT.g"), "g", "no colour; write two average filters"),
        (("g", "CAT.g"), "g-g", "no colour"),
        (("g", "CAT.g"), "g-z", "there are: g, r"),
        (("g", "CAT.none"), "g-r", "0 magnitudes can be compared within the limits; 3 are needed"),
        (("g", "nobody"), "g-r", "'nobody' is not in the photcode table"),
    ],
)
def test_what_cannot_be_fitted_is_told(sky, pair, colour, words):
    with Store(sky.path) as store, pytest.raises(PhotcodeError, match=words):
        fit_colour_terms(store, *pair, ColourFitOptions(colour))


def test_stars_of_one_colour_say_nothing(tmp_path, rng):
    sky = ColourSky(tmp_path / "sky", rng, n_stars=50)
    sky.colour[:] = 0.4
    sky.stars.mag[:] = 16.0
    sky.fill(sky.exposure(0, "g"), sky.exposure(1, "r"), sky.catalog(0.1))
    sky.plant_means()
    with Store(sky.path) as store, pytest.raises(PhotcodeError, match="too much alike"):
        fit_colour_terms(store, "g", "CAT.g", ColourFitOptions("g-r"))
    empty = make_database(tmp_path / "none")
    with Store(empty) as store, pytest.raises(PhotcodeError, match="0 magnitudes"):
        fit_colour_terms(store, "SYNTH.g.C00", "g", ColourFitOptions("g-r"))


def test_the_command_prints_and_applies(sky):
    words = [str(sky.path), "g", "CAT.g", "--color", "g-r"]
    done = CliRunner().invoke(command, ["fit", *words])
    assert done.exit_code == 0, done.output
    assert "CAT.g - g against g-r" in done.stdout
    assert "X1 = +0.1" in done.stdout
    done = CliRunner().invoke(command, ["fit", *words, "--order", "3", "--apply", "--json"])
    found = json.loads(done.stdout)
    assert len(found["terms"]) == 3
    with Store(sky.path) as store:
        assert isinstance(store.view().photcodes, PhotcodeTable)
        assert store.view().photcodes.get("g").color_terms == tuple(found["terms"])
