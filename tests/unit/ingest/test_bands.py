"""Catalogs of several bands: one place on the sky, a measure in every band it was measured in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import DuplicateImageError, PhotcodeError, UnknownPhotcodeError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import BandColumns, Detections, InputImage, RefSource
from dvo.ingest.photcodes import add_photcode, put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.selection import Selection
from dvo.merge.merge import MergeOptions, merge
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.flags import MeasureFlag
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from tests import synth

MJD = 51544.5


@pytest.fixture
def catdir(tmp_path: Path) -> Path:
    return synth.make_database(tmp_path / "sky")


def add_codes(store: Store, *names: str, kind: PhotClass = PhotClass.REF) -> None:
    for name in names:
        filter_name = "g" if kind is not PhotClass.REF else None
        add_photcode(store, name, kind, filter_name=filter_name)


def catalog(
    ra: list[float], mags: dict[str, list[float]], name: str = "psc", err: float = 0.05
) -> InputImage:
    """A catalog on declination 10; NaN where a band was not measured."""
    n = len(ra)
    bands = []
    for code, values in mags.items():
        mag = np.array(values, np.float32)
        flags = np.full(n, 1 << len(bands), np.uint32)
        bands.append(BandColumns(code, np.isfinite(mag), {"mag": mag, "phot_flags": flags}))
    columns = {"det_id": np.arange(n, dtype=np.uint32)}
    errors = np.full(n, err, np.float32)
    found = Detections(np.array(ra), np.full(n, 10.0), columns, errors, errors.copy(), bands)
    content = name.rjust(32, "0")
    return InputImage(RefSource(next(iter(mags)), MJD, name, content), found, {})


def add(store: Store, *sources: InputImage) -> Any:
    return addstar(store, [lambda s=s: [s] for s in sources], AddstarOptions())


def measures(store: Store) -> dict[tuple[int, str], dict[str, Any]]:
    """Measures by number of the entry and photcode."""
    view = store.view()
    out = {}
    for region in view.regions():
        table = view.read(MEASURE, region)
        names = ("ra", "mag", "phot_flags", "db_flags", "cat_id", "obj_id", "ref_id")
        for i in range(len(table)):
            code = view.photcodes.get_code(int(table["photcode"][i])).name
            out[int(table["det_id"][i]), code] = {n: table[n][i].item() for n in names}
    return out


def test_an_entry_gives_a_measure_in_every_band_it_was_measured_in(catdir: Path) -> None:
    nan = float("nan")
    mags = {"T.J": [10.0, nan, nan], "T.H": [9.0, 11.0, nan], "T.K": [8.0, 10.5, nan]}
    with Store(catdir, writable=True) as store:
        add_codes(store, *mags)
        report = add(store, catalog([30.0, 31.0, 32.0], mags))
        assert (report.n_detections, report.n_measures, report.n_new) == (3, 6, 3)
        found = measures(store)
        assert set(found) == {
            (0, "T.J"), (0, "T.H"), (0, "T.K"), (1, "T.H"), (1, "T.K"), (2, "T.J"),
        }  # fmt: skip
        assert found[0, "T.K"]["mag"] == 8.0
        assert found[1, "T.K"]["phot_flags"] == 4
        # Measured nowhere, the entry still has its place.
        assert np.isnan(found[2, "T.J"]["mag"])
        objects = {(m["cat_id"], m["obj_id"]) for (k, _), m in found.items() if k == 0}
        assert len(objects) == 1
        assert check(store, deep=True).ok


def test_the_place_of_an_entry_counts_once(catdir: Path) -> None:
    """Two catalogs of equal errors: the mean is half-way, though one has three bands."""
    mags = {"T.J": [10.0], "T.H": [9.0], "T.K": [8.0]}
    with Store(catdir, writable=True) as store:
        add_codes(store, *mags, "C.V")
        add(store, catalog([30.0], mags), catalog([30.0001], {"C.V": [11.0]}, "other"))
        view = store.view()
        average = view.read(AVERAGE, view.regions()[0])
        assert average["ra"][0] == pytest.approx(30.00005, abs=1e-9)
        assert (average["number_pos"][0], average["nmeasure"][0]) == (2, 4)
        skipped = [m["db_flags"] & MeasureFlag.SKIP_ASTROM for m in measures(store).values()]
        assert sum(s != 0 for s in skipped) == 2


def test_stars_closer_than_the_radius_keep_their_bands_together(catdir: Path) -> None:
    rng = np.random.default_rng(4)
    ra = 30.0 + rng.uniform(0, 20, 60) / 3600  # three to an arcsecond
    mags = {b: rng.uniform(8, 15, 60).tolist() for b in ("T.J", "T.H")}
    with Store(catdir, writable=True) as store:
        add_codes(store, *mags, "C.V")
        add(store, catalog((ra + 1e-5).tolist(), {"C.V": [1.0] * 60}, "first"))
        add(store, catalog(ra.tolist(), mags))
        found = measures(store)
        for k in range(60):
            one, two = found[k, "T.J"], found[k, "T.H"]
            assert (one["cat_id"], one["obj_id"]) == (two["cat_id"], two["obj_id"])


def test_a_catalog_of_bands_goes_in_once(catdir: Path) -> None:
    source = catalog([30.0], {"T.J": [10.0], "T.H": [9.0]})
    with Store(catdir, writable=True) as store:
        add_codes(store, "T.J", "T.H")
        add(store, source)
        again = add(store, source)
        assert (again.n_skipped, again.n_measures) == (1, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_merging_brings_all_bands_and_the_means_of_ingest(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    one = catalog([30.0, 31.0], {"T.J": [10.0, 11.0], "T.H": [9.0, 9.5]})
    two = catalog([30.0001, 31.0], {"C.V": [11.0, 12.0]}, "other", err=0.02)
    parts = []
    for k, source in enumerate((one, two)):
        parts.append(synth.make_database(tmp_path / f"part{k}"))
        with Store(parts[-1], writable=True) as store:
            add_codes(store, *(b.photcode for b in source.detections.bands))
            add(store, source)
    whole, target = synth.make_database(tmp_path / "whole"), synth.make_database(tmp_path / "to")
    with Store(whole, writable=True) as store:
        add_codes(store, "T.J", "T.H", "C.V")
        add(store, *((one, two)[k] for k in order))
        view = store.view()
        expected = [view.read(AVERAGE, r) for r in view.regions()]
    with Store(target, writable=True) as store:
        for k in order:
            with Store(parts[k]) as source_store:
                assert merge(store, source_store, MergeOptions()).finished
        view = store.view()
        got = [view.read(AVERAGE, r) for r in view.regions()]
        assert len(measures(store)) == 6
        assert check(store, deep=True).ok
    for name in ("ra", "dec", "ra_err", "number_pos", "nmeasure"):
        for mine, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-12)


def test_photcodes_of_bands_must_be_there_and_be_of_catalogs(catdir: Path) -> None:
    source = catalog([30.0], {"T.J": [10.0], "T.H": [9.0]})
    with Store(catdir, writable=True) as store:
        add_codes(store, "T.J")
        with pytest.raises(UnknownPhotcodeError, match=r"T\.H"):
            add(store, source)
        add_codes(store, "T.H", kind=PhotClass.DEP)
        with pytest.raises(PhotcodeError, match=r"T\.H is a DEP"):
            add(store, source)
        assert store.view().snapshot.counts["objects"] == 0


def moving(epoch: float, ra: float, pm_err: float, name: str, code: str) -> InputImage:
    """One star that is said to stand still, with an error of its motion [mas/yr]."""
    columns = {
        "det_id": np.zeros(1, np.uint32),
        "mag": np.array([7.0], np.float32),
        **{n: np.zeros(1, np.float32) for n in ("u_ra", "u_dec")},
        **{n: np.full(1, pm_err, np.float32) for n in ("u_ra_err", "u_dec_err")},
    }
    errors = np.array([0.01], np.float32)
    found = Detections(np.array([ra]), np.array([10.0]), columns, errors, errors.copy())
    mjd = MJD + (epoch - 2000) * 365.25
    return InputImage(RefSource(code, mjd, name, name.rjust(32, "0")), found, {})


def test_the_error_of_a_motion_takes_weight_from_a_place_that_was_moved(catdir: Path) -> None:
    """10 mas, and 3 mas/yr over 10 years, is 31.6 mas: a tenth of the weight of 10 mas."""
    with Store(catdir, writable=True) as store:
        add_codes(store, "A.V", "B.V")
        add(store, moving(2010.0, 30.0, 0.0, "new", "A.V"))
        options = AddstarOptions(match_epoch_mjd=MJD + 10 * 365.25)
        old = moving(2000.0, 30.0001, 3.0, "old", "B.V")
        addstar(store, [lambda: [old]], options)
        view = store.view()
        average = view.read(AVERAGE, view.regions()[0])
        assert average["ra"][0] - 30.0 == pytest.approx(1e-4 / 11, rel=1e-4)
        table = view.read(MEASURE, view.regions()[0])
        # What is stored is the error at the time of the measurement, and that of the motion.
        assert table["ra_err"].tolist() == pytest.approx([0.01, 0.01])
        assert sorted(table["u_ra_err"].tolist()) == pytest.approx([0.0, 0.003])


def test_a_catalog_without_errors_counts_with_those_of_its_photcode(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        add_codes(store, "A.V")
        table = store.view().photcodes
        typical = replace(table.get("A.V"), name="B.V", code=999, astrom_err_sys=0.001)
        put_photcodes(store, table.extend([typical]), "photcode add", {})
        for name, code in (("a", "A.V"), ("b", "B.V")):
            source = moving(2000.0, 30.0 + (name == "b") * 1e-4, 0.0, name, code)
            source.detections.ra_err = source.detections.dec_err = None
            add(store, source)
        view = store.view()
        average = view.read(AVERAGE, view.regions()[0])
        # 0.1 arcsec where nothing is known, 1 mas where the photcode says so.
        assert average["ra"][0] == pytest.approx(30.0001, abs=1e-7)
        assert average["ra_err"][0] == pytest.approx(0.001, rel=1e-3)


def test_flags_and_errors_exclude_measures_band_by_band(catdir: Path) -> None:
    """Flag 1 is that of the first band here, 2 that of the second."""
    nan = float("nan")
    source = catalog([30.0, 31.0, 32.0], {"T.J": [10.0, 11.0, nan], "T.H": [9.0, nan, nan]})
    selection = Selection(exclude_flags=1)
    with Store(catdir, writable=True) as store:
        add_codes(store, "T.J", "T.H")
        report = addstar(store, [lambda: [source]], AddstarOptions(selection=selection))
        # The second had nothing else; the third never had a measure, and keeps its place.
        assert set(measures(store)) == {(0, "T.H"), (2, "T.J")}
        assert report.n_dropped == {"no band left": 1}


def test_a_band_that_is_in_does_not_come_again_with_others(catdir: Path) -> None:
    both = {"T.J": [10.0], "T.H": [9.0]}
    with Store(catdir, writable=True) as store:
        add_codes(store, *both)
        add(store, catalog([30.0], {"T.H": [9.0]}))
        with pytest.raises(DuplicateImageError, match=r"psc .* its T\.H already.*--bands"):
            add(store, catalog([30.0], both))
        assert store.view().snapshot.counts["measures"] == 1


def test_replacing_an_image_leaves_means_as_if_it_had_never_been(catdir: Path) -> None:
    """Bands count once, and errors of motions count, when means are made anew: to the bit."""
    rng = np.random.default_rng(8)
    stars = synth.make_stars(rng, 40, "wrap")
    mags = {b: rng.uniform(9, 12, 40).tolist() for b in ("T.J", "T.H")}
    other, wrong, right = (
        synth.make_image(np.random.default_rng(seed), stars, k)
        for seed, k in ((3, 1), (1, 0), (2, 0))
    )
    tables = []
    for name, images in (("once", [right]), ("replaced", [wrong, right])):
        survey = catalog(stars.ra.tolist(), mags)
        found = survey.detections
        found.dec = stars.dec.copy()
        motion = np.random.default_rng(9).normal(0, 5, (2, 40)).astype(np.float32)
        found.columns |= {"u_ra": motion[0].copy(), "u_dec": motion[1].copy()}
        found.columns |= {n: np.full(40, 2.0, np.float32) for n in ("u_ra_err", "u_dec_err")}
        with Store(synth.make_database(catdir.with_name(name)), writable=True) as store:
            add_codes(store, *mags)
            synth.add_images(store, [other])
            addstar(store, [lambda s=survey: [s]], AddstarOptions(match_epoch_mjd=57000.0))
            for image in images:
                synth.add_images(store, [image], replace=True)
            assert check(store, deep=True).ok
            view = store.view()
            parts = [view.read(AVERAGE, region) for region in view.regions()]
            columns = ("ra", "dec", "ra_err", "number_pos", "nmeasure")
            table = {c: np.concatenate([p[c] for p in parts]) for c in columns}
            tables.append({c: v[np.argsort(table["ra"])] for c, v in table.items()})
    assert len(tables[0]["ra"]) == 40
    assert tables[0]["number_pos"].max() == 3
    for c, values in tables[0].items():
        assert np.array_equal(values, tables[1][c]), c
