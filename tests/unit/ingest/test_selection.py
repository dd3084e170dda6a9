"""Which detections and images are left out, and why."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, ImageMeta, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.selection import Selection, select_detections
from dvo.partition.store import Store
from dvo.tables.flags import PhotFlag
from dvo.tables.photcode import PhotClass
from tests import synth


def image(columns: dict[str, Any] | None = None, n: int = 4, **facts: Any) -> InputImage:
    meta = ImageMeta("chip", "CAM.r", 55000.0, 40.0, 1.0, "0" * 32, **facts)
    made = {k: np.asarray(v) for k, v in (columns or {}).items()}
    return InputImage(
        meta, Detections(np.zeros(n), np.zeros(n), made), {"dropped": {"nan position": 2}}
    )


def kept(got: InputImage) -> list[int]:
    return [int(v) for v in got.detections.columns["det_id"]]


def columns(**more: Any) -> dict[str, Any]:
    return {"det_id": np.arange(4, dtype="u4"), **more}


def test_all_are_taken_by_default() -> None:
    given = image(columns())
    assert select_detections(given, Selection()) is given


def test_flags() -> None:
    flags = np.array([0, PhotFlag.SATSTAR, PhotFlag.BLEND, PhotFlag.OFF_CHIP], "u4")
    mask = int(PhotFlag.SATSTAR | PhotFlag.OFF_CHIP)
    got = select_detections(image(columns(phot_flags=flags)), Selection(exclude_flags=mask))
    assert kept(got) == [0, 2]
    assert got.report["dropped"] == {"nan position": 2, "flags": 2}
    assert kept(select_detections(image(columns()), Selection(exclude_flags=mask))) == [0, 1, 2, 3]


def test_area() -> None:
    x = np.array([10, 20, np.nan, 30], "f4")
    y = np.array([10, 90, 10, 10], "f4")
    given = image(columns(x_ccd=x, y_ccd=y))
    assert kept(select_detections(given, Selection(x_min=10, x_max=20))) == [0, 1]
    assert kept(select_detections(given, Selection(y_max=50))) == [0, 2, 3]
    with pytest.raises(BadCatalogError, match="x_ccd"):
        select_detections(image(columns()), Selection(x_min=1))


def test_signal_to_noise_by_flux_then_by_magnitude_error() -> None:
    given = image(
        columns(
            flux_psf=np.array([100, -10, np.nan, np.nan], "f4"),
            flux_psf_err=np.array([10, 10, 10, 10], "f4"),
            mag_err=np.array([9, 0.01, 0.5, 0.1], "f4"),
        )
    )
    assert kept(select_detections(given, Selection(min_snr=5))) == [0, 3]
    by_error = image(columns(mag_err=np.array([0.1, 0.3, np.nan, 0.2], "f4")))
    assert kept(select_detections(by_error, Selection(min_snr=5))) == [0, 2, 3]
    assert kept(select_detections(image(columns()), Selection(min_snr=5))) == [0, 1, 2, 3]


def test_a_row_counts_once() -> None:
    given = image(columns(phot_flags=np.full(4, 1, "u4"), mag_err=np.full(4, 1, "f4")))
    got = select_detections(given, Selection(min_snr=5, exclude_flags=1))
    assert got.report["dropped"] == {"nan position": 2, "flags": 4}


@pytest.mark.parametrize(
    ("facts", "what"), [({"n_astrom": 0}, "NASTRO"), ({"cerror": 0.6}, "CERROR = 0.600")]
)
def test_images_of_bad_astrometry(facts: dict[str, Any], what: str) -> None:
    given = image(columns(), **facts)
    with pytest.raises(BadCatalogError, match=what):
        select_detections(given, Selection())
    assert select_detections(given, Selection(accept_bad_astrometry=True)) is given
    select_detections(image(columns(), n_astrom=5, cerror=0.5), Selection())
    select_detections(image(columns()), Selection())


def test_reference_sources_have_no_image_to_refuse() -> None:
    source = RefSource("GAIA.G", 57388.5, "gaia", "0" * 32)
    given = InputImage(source, Detections(np.zeros(1), np.zeros(1)))
    assert select_detections(given, Selection()) is given


@pytest.mark.parametrize(
    "bad",
    [
        {"min_snr": -1.0},
        {"min_snr": float("nan")},
        {"exclude_flags": -1},
        {"exclude_flags": 2**32},
        {"max_cerror_arcsec": 0.0},
        {"x_min": 5.0, "x_max": 1.0},
    ],
)
def test_selections_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Selection(**bad)


def survey(epoch_mjd: float = 51544.5, **given: Any) -> InputImage:
    source = RefSource("CAT.V", epoch_mjd, "cat", "0" * 32)
    return InputImage(source, Detections(np.zeros(4), np.zeros(4), columns(**given)))


def test_motions_that_no_star_has_are_left_out() -> None:
    """100 arcsec a year, as a vector; what is not known is no reason."""
    u_ra = np.array([99e3, 80e3, np.nan, np.inf], "f4")
    u_dec = np.array([0, 80e3, 5, 0], "f4")
    got = select_detections(survey(u_ra=u_ra, u_dec=u_dec), Selection())
    assert kept(got) == [0, 2]
    assert got.report["dropped"] == {"proper motion": 2}
    one = select_detections(survey(u_dec=np.array([1e5, -2e5, np.nan, -1e5], "f4")), Selection())
    assert kept(one) == [0, 2, 3]


def test_epochs_that_no_survey_has_are_left_out() -> None:
    """A Julian date or a year in place of an MJD; NaN stands for the epoch of the catalog."""
    given = survey_of([57388.5, 2457389.0, np.nan, 2016.0])
    got = select_detections(given, Selection(min_snr=5))
    assert kept(got) == [0, 2, 3]
    assert got.report["dropped"] == {"epoch": 1}
    assert kept(select_detections(survey_of([-30000.0, 1e300, -np.inf, 0.0]), Selection())) == [3]


def survey_of(epochs: list[float]) -> InputImage:
    found = survey()
    found.detections.columns["epoch_mjd"] = np.array(epochs)
    return found


@pytest.mark.parametrize("epoch_mjd", [2457389.0, -1e6, float("nan"), float("inf")])
def test_a_catalog_of_no_epoch_is_refused(epoch_mjd: float) -> None:
    with pytest.raises(BadCatalogError, match=r"cat: its epoch is .*1800-2200; give the Julian"):
        select_detections(survey(epoch_mjd), Selection())


@pytest.mark.parametrize("year", [20160, 1500])
def test_an_epoch_for_matching_that_cannot_be(year: float) -> None:
    with pytest.raises(ConfigError, match=r"epoch for matching .* within 1800-2200"):
        AddstarOptions(match_epoch_mjd=51544.5 + (year - 2000) * 365.25)


def test_one_absurd_row_does_not_widen_what_cones_look_at(tmp_path: Path) -> None:
    u_dec = np.array([5e9, 20, np.nan, 30], "f4")
    given = survey(u_ra=np.zeros(4, "f4"), u_dec=u_dec)
    given.detections.dec[:] = [10.0, 11.0, 12.0, 13.0]
    with Store(synth.make_database(tmp_path / "sky"), writable=True) as store:
        table = store.view().photcodes.add("CAT.V", PhotClass.REF)
        put_photcodes(store, table, "photcode add", {})
        report = addstar(store, [lambda: [given]], AddstarOptions())
        assert (report.n_detections, report.n_dropped) == (3, {"proper motion": 1})
        assert store.view().snapshot.reach.max_motion_arcsec_yr == pytest.approx(0.03)


def test_magnitudes_that_cannot_be_are_missing() -> None:
    mags = np.array([-99.0, 20.0, 99.0, -999.0], np.float32)
    given = columns(mag=mags, m_aper=mags + 1, m_kron=np.full(4, 15.0, np.float32))
    got = select_detections(image(given), Selection())
    assert len(got.detections) == 4
    np.testing.assert_array_equal(got.detections.columns["mag"], [np.nan, 20.0, np.nan, np.nan])
    np.testing.assert_array_equal(got.detections.columns["m_aper"], [np.nan, 21.0, np.nan, np.nan])
    dropped = got.report["dropped"]
    assert isinstance(dropped, dict)
    assert dropped["magnitudes beyond -40 to 60, now missing"] == 6
    assert mags[0] == -99.0  # what was given stays as it is


def test_a_catalog_of_which_nothing_is_left_is_refused() -> None:
    given = survey(u_ra=np.full(4, 1e9, np.float32), u_dec=np.zeros(4, np.float32))
    with pytest.raises(BadCatalogError, match=r"no row is left.*4 \(proper motion\)"):
        select_detections(given, Selection())
