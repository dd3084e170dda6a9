"""addstar: what goes in once, what is refused, replaced, moved and counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import dvo
from dvo.errors import DuplicateImageError, UnknownPhotcodeError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, ImageMeta, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT
from tests import synth


def image(
    k: int, ra: list[float], dec: list[float], mag: list[float] | None = None, mjd: float = 57000.0
) -> InputImage:
    """An exposure with the given detections."""
    columns = {"det_id": np.arange(len(ra), dtype=np.uint32)}
    if mag is not None:
        columns["mag"] = np.array(mag, np.float32)
        columns["mag_err"] = np.full(len(mag), 0.02, np.float32)
    content = f"{abs(hash((k, tuple(ra), tuple(dec), tuple(mag or ())))):032d}"[-32:]
    meta = ImageMeta(f"image-{k}", "SYNTH.g.C00", mjd, 30.0, 1.0, content)
    return InputImage(meta, Detections(np.array(ra, float), np.array(dec, float), columns), {})


def column(store: Store, schema: TableSchema, name: str) -> NDArray[Any]:
    """A column over all regions, in the order of the regions."""
    view = store.view()
    return np.concatenate([view.read(schema, r, [name])[name] for r in view.regions()])


@pytest.fixture
def catdir(tmp_path: Path) -> Path:
    return synth.make_database(tmp_path / "cat")


def test_an_image_goes_in_once(catdir: Path) -> None:
    images = synth.make_images(1, 40, 3)
    with Store(catdir, writable=True) as store:
        first = synth.add_images(store, images)
        again = synth.add_images(store, images)
        assert (first.n_images, again.n_images, again.n_skipped) == (3, 0, 3)
        assert store.view().snapshot.counts["measures"] == first.n_detections


def test_same_name_with_other_content_is_refused(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        synth.add_images(store, [image(1, [10.0], [5.0])])
        before = store.view().snapshot
        with pytest.raises(DuplicateImageError, match="--replace"):
            synth.add_images(store, [image(1, [10.0, 10.1], [5.0, 5.0])])
        assert store.view().snapshot == before


def test_the_same_image_twice_in_one_run_with_other_content_is_refused(catdir: Path) -> None:
    with Store(catdir, writable=True) as store, pytest.raises(DuplicateImageError, match="twice"):
        synth.add_images(store, [image(1, [10.0], [5.0]), image(1, [10.2], [5.0])])


@pytest.mark.parametrize("compacted", [False, True])
def test_replace_puts_other_content_in_one_commit(catdir: Path, compacted: bool) -> None:
    star, new, gone = 10.0, 10.01, 10.02
    with Store(catdir, writable=True) as store:
        synth.add_images(store, [image(1, [star, gone], [5.0, 5.0], [18.0, 19.0])])
        synth.add_images(store, [image(2, [star], [5.0], [18.4])])
        if compacted:
            resort(store)
        before = store.view().snapshot.id
        other = image(1, [star, new], [5.0, 5.0], [18.2, 20.0])
        report = synth.add_images(store, [other], replace=True)
        assert (report.n_replaced, report.n_images) == (1, 1)
        view = store.view()
        assert view.snapshot.id == before + 1
        assert view.snapshot.counts == {"images": 2, "objects": 2, "measures": 3, "catalogs": 1}
        (region,) = view.regions()
        table = view.read(AVERAGE, region)
        np.testing.assert_allclose(np.sort(table["ra"]), [star, new], atol=1e-9)
        mags = view.read(SECFILT, region)["mag"].reshape(-1, 2)[:, 0]
        np.testing.assert_allclose(np.sort(mags), [18.3, 20.0], atol=1e-5)
        assert len(view.images) == 2
        assert check(store, deep=True).ok


def numbered(source: InputImage, name: str, mjd: float) -> InputImage:
    """An image of SOURCEID 1, IMAGEID 7."""
    meta = source.meta
    assert isinstance(meta, ImageMeta)
    meta = replace(meta, name=name, mjd=mjd, source_id=1, extern_id=7)
    return InputImage(meta, source.detections, {})


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("name", "mjd"), [("o2[XY00]", 57000.0), ("o1[XY00]", 57015.5)])
def test_another_image_of_the_same_number_replaces_nothing(
    catdir: Path, name: str, mjd: float, together: bool
) -> None:
    first = numbered(image(1, [10.0], [5.0]), "o1[XY00]", 57000.0)
    other = numbered(image(2, [20.0], [5.0]), name, mjd)
    with Store(catdir, writable=True) as store:
        if not together:
            synth.add_images(store, [first])
        before = store.view().snapshot
        with pytest.raises(DuplicateImageError) as error:
            synth.add_images(store, [first, other], replace=True)
        assert store.view().snapshot == before
    said = str(error.value)
    assert "SOURCEID 1, IMAGEID 7 belong already to o1[XY00] (MJD 57000.00000)" in said
    assert f"this file is {name} (MJD {mjd:.5f})" in said
    assert "Correct SOURCEID or IMAGEID" in said


def test_a_numbered_image_is_replaced_and_its_measures_counted(catdir: Path) -> None:
    first = numbered(image(1, [10.0, 10.1, 10.2], [5.0] * 3), "o1[XY00]", 57000.123456)
    other = numbered(image(2, [10.0], [5.0]), "o1[XY00]", 57000.123456)
    with Store(catdir, writable=True) as store:
        synth.add_images(store, [first])
        with pytest.raises(DuplicateImageError) as error:
            synth.add_images(store, [other])
        assert first.meta.content not in str(error.value)
        report = synth.add_images(store, [other], replace=True)
        assert (report.n_replaced, report.n_removed, report.n_measures) == (1, 3, 1)


def test_object_numbers_are_not_used_again_after_a_replacement(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        synth.add_images(store, [image(1, [10.0, 10.02], [5.0, 5.0])])
        synth.add_images(store, [image(1, [10.04], [5.0])], replace=True)
        assert column(store, AVERAGE, "obj_id").tolist() == [2]


def test_an_image_without_detections_is_an_image(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        report = synth.add_images(store, [image(1, [], [])])
        assert (report.n_images, report.n_detections) == (1, 0)
        assert store.view().snapshot.counts["images"] == 1
        assert check(store, deep=True).ok


def test_unknown_photcode_says_how_to_add_it(catdir: Path) -> None:
    found = image(1, [10.0], [5.0])
    meta = found.meta
    assert isinstance(meta, ImageMeta)
    other = InputImage(replace(meta, photcode="SYNTH.z.C00"), found.detections, {})
    with (
        Store(catdir, writable=True) as store,
        pytest.raises(UnknownPhotcodeError, match="dvo photcode add"),
    ):
        synth.add_images(store, [other])


def test_a_batch_that_fails_leaves_what_was_committed(catdir: Path) -> None:
    good, bad = image(1, [10.0], [5.0]), image(2, [11.0], [5.0])
    bad_meta = bad.meta
    assert isinstance(bad_meta, ImageMeta)
    with Store(catdir, writable=True) as store:
        with pytest.raises(UnknownPhotcodeError):
            synth.add_images(
                store,
                [good, InputImage(replace(bad_meta, photcode="NO.g.C"), bad.detections, {})],
                batch_rows=1,
            )
        assert store.view().snapshot.counts["images"] == 1
        assert check(store, deep=True).ok


def reference_catalog(
    name: str, epoch_mjd: float, ra: float, dec: float, pm: tuple[float, float] | None
) -> InputImage:
    """A reference catalog of one star; proper motion in mas/yr."""
    columns = {"det_id": np.zeros(1, np.uint32), "mag": np.array([7.0], np.float32)}
    if pm is not None:
        columns["u_ra"] = np.array([pm[0]], np.float32)
        columns["u_dec"] = np.array([pm[1]], np.float32)
    small = np.array([0.001], np.float32)
    found = Detections(np.array([ra]), np.array([dec]), columns, small, small)
    return InputImage(RefSource("CAT.V", epoch_mjd, name, name.rjust(32, "0")), found, {})


def add_reference(store: Store, source: InputImage, match_mjd: float | None = None) -> None:
    if "CAT.V" not in store.view().photcodes:
        table = store.view().photcodes.add("CAT.V", PhotClass.REF)
        put_photcodes(store, table, "photcode add", {})
    addstar(store, [lambda: [source]], AddstarOptions(match_epoch_mjd=match_mjd))


def test_a_star_with_known_motion_is_found_where_it_has_moved(catdir: Path) -> None:
    year = 365.25
    start = 51544.5
    pm = (3000.0, -4000.0)  # 5 arcsec a year
    moved_dec = 20.0 - 4.0 * 10 / 3600
    moved_ra = 30.0 + 3.0 * 10 / 3600 / np.cos(np.radians(20.0))
    with Store(catdir, writable=True) as store:
        add_reference(store, reference_catalog("fast", start, 30.0, 20.0, pm))
        seen = image(1, [moved_ra], [moved_dec], mjd=start + 10 * year)
        report = synth.add_images(store, [seen])
        assert (report.n_matched, report.n_new) == (1, 0)
        table = store.view().read(AVERAGE, store.view().regions()[0])
        # The mean stays at its epoch; the motion is in arcsec a year.
        assert abs(table["ra"][0] - 30.0) < 1e-6
        assert abs(table["dec"][0] - 20.0) < 1e-6
        np.testing.assert_allclose(table["u_dec"], -4.0)


def test_rows_with_motions_are_matched_at_the_epoch_asked_for(catdir: Path) -> None:
    pm = (0.0, 1000.0)
    epoch_2016, epoch_1991 = 57388.5, 57388.5 - 24.75 * 365.25
    with Store(catdir, writable=True) as store:
        add_reference(store, reference_catalog("gaia", epoch_2016, 30.0, 20.0 + 24.75 / 3600, None))
        old = reference_catalog("hip", epoch_1991, 30.0, 20.0, pm)
        add_reference(store, old, match_mjd=epoch_2016)
        view = store.view()
        assert view.snapshot.counts["objects"] == 1
        measured = view.read(MEASURE, view.regions()[0])
        # What is stored is what was measured, at its own time.
        np.testing.assert_allclose(np.sort(measured["dec"]), [20.0, 20.0 + 24.75 / 3600])
        assert view.read(AVERAGE, view.regions()[0])["u_dec"][0] == pytest.approx(1.0)


def test_a_reference_catalog_goes_in_once(catdir: Path) -> None:
    source = reference_catalog("cat", 51544.5, 30.0, 20.0, None)
    with Store(catdir, writable=True) as store:
        add_reference(store, source)
        add_reference(store, source)
        counts = store.view().snapshot.counts
        assert (counts["measures"], counts["images"]) == (1, 0)
        assert check(store, deep=True).ok


def test_public_ids_of_close_objects_differ(catdir: Path) -> None:
    # Two detections of one image within 1 mas are two objects, with two ids.
    with Store(catdir, writable=True) as store:
        synth.add_images(store, [image(1, [30.0, 30.0 + 1e-7], [20.0, 20.0])])
        ids = column(store, AVERAGE, "ext_id")
        assert len(set(ids.tolist())) == 2


def test_running_means_of_magnitudes_are_weighted_means(catdir: Path) -> None:
    rng = np.random.default_rng(2)
    mags = 18 + rng.normal(0, 0.1, 9)
    images = [image(k, [10.0], [5.0], [m], mjd=57000 + k) for k, m in enumerate(mags)]
    with Store(catdir, writable=True) as store:
        synth.add_images(store, images, batch_rows=2)
        view = store.view()
        row = view.read(SECFILT, view.regions()[0])
        single = mags.astype(np.float32).astype(float)
        assert row["mag"][0] == pytest.approx(single.mean(), abs=1e-5)
        assert row["mag_err"][0] == pytest.approx(0.02 / 3, rel=1e-5)
        chi = ((single - single.mean()) ** 2).sum() / 0.02**2 / 8
        assert row["mag_chi"][0] == pytest.approx(chi, rel=1e-4)
        assert row["mag_stdev"][0] == pytest.approx(single.std(ddof=1), rel=1e-4)
        assert (row["ncode"][0], row["nused"][0]) == (9, 9)
        assert (row["mag_min"][0], row["mag_max"][0]) == (
            pytest.approx(single.min()),
            pytest.approx(single.max()),
        )


def test_poles_and_ra_360_are_ordinary_places(catdir: Path) -> None:
    places = [(0.0, 90.0), (123.0, -90.0), (359.9999999999, 10.0), (0.0, -45.0)]
    with Store(catdir, writable=True) as store:
        for k in range(3):
            ra, dec = (list(v) for v in zip(*places, strict=True))
            synth.add_images(
                store,
                [
                    image(
                        k, [a + 40 * k * (abs(d) == 90) for a, d in zip(ra, dec, strict=True)], dec
                    )
                ],
            )
        counts = store.view().snapshot.counts
        assert counts["objects"] == len(places)
        assert check(store, deep=True).ok


def test_a_reference_catalog_cannot_be_replaced(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        add_reference(store, reference_catalog("cat", 51544.5, 30.0, 20.0, None))
        other = reference_catalog("cat", 51544.5, 31.0, 20.0, None)
        meta = other.meta
        assert isinstance(meta, RefSource)
        changed = InputImage(replace(meta, content="f" * 32), other.detections, {})
        with pytest.raises(DuplicateImageError, match="cannot be replaced"):
            addstar(store, [lambda: [changed]], AddstarOptions(replace=True))
        assert store.view().snapshot.counts["measures"] == 1


def with_apertures(source: InputImage) -> InputImage:
    """The same exposure with aperture magnitudes, half a magnitude fainter."""
    columns = source.detections.columns
    columns["m_aper"] = columns["mag"] + np.float32(0.5)
    columns["m_aper_err"] = columns["mag_err"].copy()
    return source


@pytest.mark.parametrize("batch_rows", [1, 1000])
def test_aperture_means_go_on_in_a_later_run(catdir: Path, batch_rows: int) -> None:
    mags = [18.0, 18.1, 18.2, 18.3, 18.4]
    for k, mag in enumerate(mags):
        with Store(catdir, writable=True) as store:
            one = with_apertures(image(k, [10.0], [5.0], [mag], mjd=57000 + k))
            synth.add_images(store, [one], batch_rows=batch_rows)
    with Store(catdir) as store:
        row = store.view().read(SECFILT, store.view().regions()[0])
        assert row["mag_ap"][0] == pytest.approx(18.7, abs=1e-5)
        assert row["mag_ap_stdev"][0] == pytest.approx(np.std(mags, ddof=1), rel=1e-4)


def test_replacing_an_image_redoes_its_aperture_means(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        for k in range(3):
            synth.add_images(store, [with_apertures(image(k, [10.0], [5.0], [18.0]))])
        other = with_apertures(image(1, [10.0], [5.0], [18.3]))
        synth.add_images(store, [other], replace=True)
        row = store.view().read(SECFILT, store.view().regions()[0])
        assert row["mag_ap"][0] == pytest.approx(18.6, abs=1e-5)
        assert row["nused_ap"][0] == 3
        assert check(store, deep=True).ok


def test_errors_without_end_count_as_unknown(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        for k, error in enumerate((np.inf, 1e25, 0.02)):
            one = image(k, [10.0], [5.0], [18.0])
            one.detections.ra_err = one.detections.dec_err = np.array([error], np.float32)
            one.detections.columns["mag_err"][:] = error
            synth.add_images(store, [one])
        view = store.view()
        assert np.isfinite(view.read(AVERAGE, view.regions()[0])["ra"]).all()
        assert view.read(SECFILT, view.regions()[0])["mag"][0] == pytest.approx(18.0, abs=1e-5)
        assert check(store, deep=True).ok


def test_cones_find_measures_that_were_matched_elsewhere(catdir: Path) -> None:
    # Measured in 1991, matched in 2016, 250 arcsec away: perhaps in another region.
    rng = np.random.default_rng(3)
    n = 300
    motion = {"u_ra": rng.normal(0, 5000, n), "u_dec": rng.normal(0, 5000, n)}
    columns = {name: values.astype(np.float32) for name, values in motion.items()}
    columns["det_id"] = np.arange(n, dtype=np.uint32)
    ra, dec = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    found = Detections(ra, dec, columns)
    source = InputImage(RefSource("CAT.V", 48348.5, "hip", "0" * 32), found, {})
    with Store(catdir, writable=True) as store:
        add_reference(store, source, match_mjd=57388.0)
    with dvo.open(catdir) as db:
        for a, d in zip(ra, dec, strict=True):
            assert db.cone(a, d, 1.0, table="measure", columns=["ra"]).num_rows >= 1


def test_motions_of_a_catalog_are_known_to_what_follows_in_the_run(catdir: Path) -> None:
    start, year = 51544.5, 365.25
    star = reference_catalog("fast", start, 30.0, 20.0, (0.0, 1000.0))
    later = image(1, [30.0], [20.0 + 20.0 / 3600], mjd=start + 20 * year)
    with Store(catdir, writable=True) as store:
        table = store.view().photcodes.add("CAT.V", PhotClass.REF)
        put_photcodes(store, table, "photcode add", {})
        report = addstar(store, [lambda: [star, later]], AddstarOptions())
        assert (report.n_new, report.n_matched) == (1, 1)
