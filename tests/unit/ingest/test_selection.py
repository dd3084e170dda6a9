"""Which detections and images are left out, and why."""

from typing import Any

import numpy as np
import pytest

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.detections import Detections, ImageMeta, InputImage, RefSource
from dvo.ingest.selection import Selection, select_detections
from dvo.tables.flags import PhotFlag


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
