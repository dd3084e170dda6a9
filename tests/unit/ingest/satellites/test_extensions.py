"""GalPhot and Lensing rows from extensions in the form in which IPP writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import BadCatalogError
from dvo.ingest.detections import ImageMeta, InputImage
from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.smf import read_smf
from dvo.tables.galphot import GalaxyModel, GalPhotFlag
from tests.unit.ingest.psphot_files import (
    CHIP,
    PRIMARY,
    detections,
    header_hdu,
    primary_hdu,
    table_hdu,
    write,
)
from tests.unit.ingest.satellite_files import (
    LENS,
    MTVAL,
    PIXEL_ARCSEC,
    XFIT,
    XRAD,
    apertures,
    blank_hdu,
    extension,
    fits_of_models,
    lens_terms,
    shapes,
    write_catalog,
    xfit_hdu,
    xgal_hdu,
    xrad_hdu,
)

SHIFT = 2.5 * np.log10(40.0) + 25.0


def read_one(path: Path, **options: Any) -> InputImage:
    (image,) = read_smf(path, **options)
    return image


def rows_of(image: InputImage, table: str) -> SatelliteRows:
    (found,) = (rows for rows in image.satellites if rows.schema.name == table)
    return found


def notes_of(image: InputImage) -> str:
    return " | ".join(image.report.get("notes", []))  # type: ignore[arg-type]  # strings


def dropped_of(image: InputImage) -> dict[str, int]:
    return image.report["dropped"]  # type: ignore[return-value]  # counts


# ---- GalPhot


def test_a_model_fit_becomes_a_row(tmp_path: Path) -> None:
    fit = fits_of_models([3, 5, 7])
    got = rows_of(read_one(write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit)])), "GalPhot")
    assert got.det_id.tolist() == [3, 3, 3, 5, 5, 5, 7, 7, 7]
    assert got.columns["model_type"].tolist() == [3, 2, 1] * 3  # SER, EXP, DEV
    assert np.allclose(got.columns["mag"], fit["EXT_INST_MAG"] + SHIFT, atol=1e-5)
    assert np.allclose(got.columns["mag_err"], fit["EXT_INST_MAG_SIG"])
    assert np.allclose(got.columns["chisq"], fit["EXT_CHISQ"] / fit["EXT_NDOF"])
    assert np.allclose(got.columns["xfit"], fit["X_EXT"])
    assert np.allclose(got.columns["yfit"], fit["Y_EXT"])
    assert np.allclose(got.columns["theta_err"], np.degrees(fit["EXT_THETA_ERR"]))
    # The chip of the fixture is a rotation by half a degree with hardly any distortion.
    for axis in ("MAJ", "MIN"):
        name = {"MAJ": "major", "MIN": "minor"}[axis]
        pixels = fit[f"EXT_WIDTH_{axis}"]
        assert np.allclose(got.columns[f"{name}_axis"], pixels * PIXEL_ARCSEC, rtol=0.01)
        ratio = got.columns[f"{name}_axis_err"] / got.columns[f"{name}_axis"]
        assert np.allclose(ratio, fit[f"EXT_WIDTH_{axis}_ERR"] / pixels)
    assert not got.columns["flags"].any()
    assert np.isnan(got.columns["npix"]).all()


def test_the_index_is_that_of_sersic(tmp_path: Path) -> None:
    fit = fits_of_models([1])
    got = rows_of(read_one(write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit)])), "GalPhot")
    index = dict(zip(got.columns["model_type"].tolist(), got.columns["index"], strict=True))
    assert index[GalaxyModel.DEV] == 4.0
    assert index[GalaxyModel.EXP] == 1.0
    assert index[GalaxyModel.SER] == pytest.approx(0.5 / fit["EXT_PAR_07"][0], rel=1e-6)


def test_how_a_fit_went_is_told(tmp_path: Path) -> None:
    fit = fits_of_models([1, 2, 3, 4], ["PS_MODEL_EXP"])
    fit["EXT_FLAGS"] = [0x1, 0x1 | 0x2, 0x1 | 0x10, 0x40]
    fit["EXT_INST_MAG"] = [-8.0, -8.0, 0.0, np.nan]
    got = rows_of(read_one(write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit)])), "GalPhot").columns
    assert got["flags"].tolist() == [
        0, GalPhotFlag.FIT_FAILED, GalPhotFlag.OUT_OF_RANGE, GalPhotFlag.FIT_FAILED
    ]  # fmt: skip
    assert np.isnan(got["mag"]).tolist() == [False, False, True, True]


def test_other_models_are_counted_and_left_out(tmp_path: Path) -> None:
    fit = fits_of_models([1, 2], ["PS_MODEL_TRAIL", "PS_MODEL_DEV", "PS_MODEL_QGAUSS"])
    image = read_one(write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit)]))
    assert rows_of(image, "GalPhot").det_id.tolist() == [1, 2]
    assert dropped_of(image) == {"model fits of other shapes than galaxies": 4}


def test_a_grid_of_trials_takes_the_place_of_the_fit(tmp_path: Path) -> None:
    fit, gal = fits_of_models([3, 5]), shapes([5], "PS_MODEL_DEV", best=(1.02, 0.97))
    path = write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit), xgal_hdu(gal)])
    got = rows_of(read_one(path), "GalPhot")
    alone = rows_of(read_one(write_catalog(tmp_path / "f.cmf", [xfit_hdu(fit)])), "GalPhot")
    changed = got.columns["npix"] > 0
    assert changed.tolist() == [False] * 5 + [True]  # DEV of detection 5
    for name, values in got.columns.items():
        same = values == alone.columns[name]
        assert (same | (np.isnan(values) if values.dtype.kind == "f" else False))[~changed].all()
    one = {name: values[-1] for name, values in got.columns.items()}
    assert (one["xfit"], one["yfit"]) == (np.float32(gal["X_FIT"][0]), np.float32(gal["Y_FIT"][0]))
    assert one["npix"] == np.float32(gal["NPIX"][0])
    # Angle and centre are others, so the scale is taken from one of the axes.
    assert one["major_axis"] / fit["EXT_WIDTH_MAJ"][-1] == pytest.approx(
        1.02 * PIXEL_ARCSEC, rel=0.01
    )
    assert one["minor_axis"] / fit["EXT_WIDTH_MIN"][-1] == pytest.approx(
        0.97 * PIXEL_ARCSEC, rel=0.01
    )
    # Chi squared rises by 1 at these distances: 900 p^2 = 1, 1600 q^2 = 1.
    assert one["major_axis_err"] / one["major_axis"] == pytest.approx(1 / 30 / 1.02, rel=1e-3)
    assert one["minor_axis_err"] / one["minor_axis"] == pytest.approx(1 / 40 / 0.97, rel=1e-3)
    flux = gal["GAL_FLUX_ERR"][0, 0] / 0.02  # at the minimum
    assert one["mag"] == pytest.approx(-2.5 * np.log10(flux) + SHIFT, abs=1e-4)
    # In the summary of several warps the error is a variance.
    assert one["mag_err"] == pytest.approx(np.sqrt(0.02 * flux) / flux, rel=1e-3)
    assert one["chisq"] == pytest.approx(gal["GAL_CHISQ"].min(), rel=1e-5)
    assert one["flags"] == 0


def test_errors_in_the_files_of_warps_are_errors(tmp_path: Path) -> None:
    hdus = [xfit_hdu(fits_of_models([5])), xgal_hdu(shapes([5]))]
    image = read_one(write_catalog(tmp_path / "w.cmf", hdus, photcode="CAM.r.ForcedWarp"))
    got = rows_of(image, "GalPhot").columns
    (row,) = np.flatnonzero(got["npix"] > 0)
    assert got["mag_err"][row] == pytest.approx(0.02, rel=1e-4)


def test_grids_without_a_fit_are_counted(tmp_path: Path) -> None:
    hdus = [xfit_hdu(fits_of_models([3])), xgal_hdu(shapes([3, 8, 9]))]
    image = read_one(write_catalog(tmp_path / "s.cmf", hdus))
    assert len(rows_of(image, "GalPhot")) == 3
    assert dropped_of(image) == {"galaxy shapes (.xgal) without their fit (.xfit)": 2}
    hdus = [blank_hdu("XY01.xfit"), xgal_hdu(shapes([3, 8, 9]))]
    image = read_one(write_catalog(tmp_path / "b.cmf", hdus))
    assert image.satellites == []
    assert dropped_of(image) == {"galaxy shapes (.xgal) without their fit (.xfit)": 3}


def test_angles_are_those_on_the_sky(tmp_path: Path) -> None:
    # Two places a little apart along the axis, by the astrometry alone.
    fit = fits_of_models([1, 2, 3], ["PS_MODEL_EXP"])
    path = write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit)])
    image = read_one(path)
    assert isinstance(image.meta, ImageMeta)
    got = rows_of(image, "GalPhot").columns["theta"]
    columns = detections(6) | {
        "X_PSF": np.concatenate([fit["X_EXT"], fit["X_EXT"] + 5 * np.cos(fit["EXT_THETA"])]),
        "Y_PSF": np.concatenate([fit["Y_EXT"], fit["Y_EXT"] + 5 * np.sin(fit["EXT_THETA"])]),
    }
    ends = read_one(write_catalog(tmp_path / "e.cmf", [], columns=columns)).detections
    order = np.argsort(ends.columns["det_id"])
    ra, dec = ends.ra[order], ends.dec[order]
    east = (ra[3:] - ra[:3]) * np.cos(np.radians(dec[:3]))
    expected = np.degrees(np.arctan2(east, dec[3:] - dec[:3])) % 180.0
    assert np.allclose((got - expected + 90) % 180 - 90, 0.0, atol=0.01)


def test_without_astrometry_axes_are_scaled_and_angles_unknown(tmp_path: Path) -> None:
    fit = fits_of_models([1, 2])
    chip = {
        k: v for k, v in CHIP.items() if not k.startswith(("CTYPE", "CRVAL", "PCA", "PC", "CD"))
    }
    columns = detections(5) | {"PLTSCALE": np.full(5, 0.25), "RA_PSF": np.full(5, 10.0)}
    path = write(
        tmp_path / "s.cmf",
        [primary_hdu({k: v for k, v in PRIMARY.items() if not k.startswith("CTYPE")}),
         header_hdu(chip), table_hdu(columns), xfit_hdu(fit)],
    )  # fmt: skip
    image = read_one(path)
    got = rows_of(image, "GalPhot").columns
    assert np.allclose(got["major_axis"], 0.25 * fit["EXT_WIDTH_MAJ"])
    assert np.isnan(got["theta"]).all()
    assert "position angles" in notes_of(image)


def test_missing_columns_are_null_and_told(tmp_path: Path) -> None:
    fit = fits_of_models([1, 2])
    for name in ("EXT_CHISQ", "EXT_NDOF", "EXT_FLAGS", "EXT_PAR_07", "EXT_THETA"):
        del fit[name]
    image = read_one(write_catalog(tmp_path / "s.cmf", [xfit_hdu(fit)]))
    got = rows_of(image, "GalPhot").columns
    assert np.isnan(got["chisq"]).all()
    assert np.isnan(got["theta"]).all()
    assert np.isfinite(got["major_axis"]).all()
    assert "EXT_FLAGS, EXT_THETA, EXT_NDOF, EXT_CHISQ" in notes_of(image)


# ---- Lensing


def test_apertures_of_the_image_as_it_is(tmp_path: Path) -> None:
    rad = apertures([2, 4, 9], n_psf=3)
    image = read_one(write_catalog(tmp_path / "s.cmf", [xrad_hdu(rad)]))
    got = rows_of(image, "Lensing")
    assert got.det_id.tolist() == [2, 4, 9]
    for number, i in ((5, 2), (6, 3), (7, 4)):
        for stem, name in (("flux_ap", "APER_FLUX"), ("flux_err_ap", "APER_FLUX_ERR"),
                           ("flux_std_ap", "APER_FLUX_STDEV")):  # fmt: skip
            assert np.allclose(got.columns[f"{stem}_r{number}"], rad[name][::3, i] / 40.0)
        assert np.allclose(got.columns[f"flux_fil_ap_r{number}"], rad["APER_FILL"][::3, i])


def test_radii_are_found_by_their_size(tmp_path: Path) -> None:
    # As another survey has them: 1, 3.0, 12 and 7.4 arcsec; the middle one is missing.
    rad = apertures([2])
    hdu = xrad_hdu(rad)
    for i, radius in enumerate([1.0, 3.05, 12.0, 7.4, 20.0]):
        hdu.header[f"RMAX_{i:02d}"] = radius / PIXEL_ARCSEC
    image = read_one(write_catalog(tmp_path / "s.cmf", [hdu]))
    got = rows_of(image, "Lensing").columns
    assert got["flux_ap_r5"][0] == pytest.approx(rad["APER_FLUX"][0, 1] / 40.0)
    assert got["flux_ap_r7"][0] == pytest.approx(rad["APER_FLUX"][0, 3] / 40.0)
    assert "flux_ap_r6" not in got
    assert "4.63 arcsec" in notes_of(image)


def test_five_radii_without_cards_are_those_of_ps1(tmp_path: Path) -> None:
    rad = apertures([2])
    hdu = extension("XY01.xrad", XRAD, rad)
    got = rows_of(read_one(write_catalog(tmp_path / "s.cmf", [hdu])), "Lensing").columns
    assert got["flux_ap_r6"][0] == pytest.approx(rad["APER_FLUX"][0, 3] / 40.0)


def test_tensors_of_warps(tmp_path: Path) -> None:
    terms = lens_terms(20)
    for name in LENS:
        terms[name][4] = 0.0  # not measured
        terms[name][6] = np.nan
    path = write_catalog(
        tmp_path / "w.cmf", [xrad_hdu(apertures([4, 5]))], columns=detections(20) | terms
    )
    got = rows_of(read_one(path), "Lensing")
    assert got.det_id.tolist() == [i for i in range(20) if i != 6]
    for name in LENS:
        own = got.columns[name.removeprefix("LENS_").lower()]
        expected = np.delete(terms[name], 6)
        assert np.allclose(own, np.where(np.arange(19) == 4, np.nan, expected), equal_nan=True)
    assert np.isfinite(got.columns["flux_ap_r5"]).nonzero()[0].tolist() == [4, 5]


def test_a_file_without_tensors_of_objects(tmp_path: Path) -> None:
    terms = {name: v for name, v in lens_terms(20).items() if not name.endswith("_OBJ")}
    got = rows_of(
        read_one(write_catalog(tmp_path / "w.cmf", [], columns=detections(20) | terms)), "Lensing"
    )
    assert "x11_sm_obj" not in got.columns
    assert np.allclose(got.columns["x11_sm_psf"], terms["LENS_X11_SM_PSF"])


# ---- which extensions, and what they do to an image


def test_chips_have_each_their_own(tmp_path: Path) -> None:
    hdus: list[Any] = [primary_hdu(PRIMARY)]
    for i in (1, 2):
        hdus += [header_hdu(CHIP | {"IMAGEID": i}, f"XY0{i}.hdr"),
                 table_hdu(detections(9), f"XY0{i}.psf")]  # fmt: skip
    # All of them at the end of the file: their names tell.
    hdus += [xfit_hdu(fits_of_models([i]), f"XY0{i}.xfit") for i in (2, 1, 3)]
    first, second = read_smf(write(tmp_path / "m.smf", hdus))
    assert set(rows_of(first, "GalPhot").det_id) == {1}
    assert set(rows_of(second, "GalPhot").det_id) == {2}
    assert "XY03.XFIT belongs to no table of detections" in notes_of(first)


def test_the_checksum_covers_what_was_read(tmp_path: Path) -> None:
    plain = read_one(write_catalog(tmp_path / "p.cmf", []))
    hdus = [xfit_hdu(fits_of_models([1])), xrad_hdu(apertures([1])), xgal_hdu(shapes([1]))]
    path = write_catalog(tmp_path / "s.cmf", hdus)
    contents = {plain.meta.content, read_one(path).meta.content}
    for i, other in enumerate(
        [xfit_hdu(fits_of_models([1], seed=9)), xrad_hdu(apertures([1], seed=9)),
         xgal_hdu(shapes([1], seed=9))]
    ):  # fmt: skip
        changed = [*hdus[:i], other, *hdus[i + 1 :]]
        contents.add(read_one(write_catalog(tmp_path / f"{i}.cmf", changed)).meta.content)
    assert len(contents) == 5
    # Not wanted: as if they were not there.
    assert read_one(path, satellites=False).meta.content == plain.meta.content
    assert read_one(path, satellites=False).satellites == []
    # Without rows: the same.
    blank = write_catalog(tmp_path / "b.cmf", [blank_hdu("XY01.xfit"), blank_hdu("XY01.xrad")])
    assert read_one(blank).meta.content == plain.meta.content


def test_extensions_that_cannot_be(tmp_path: Path) -> None:
    fit = fits_of_models([1])
    path = tmp_path / "bad.cmf"

    def refused(*hdus: Any, words: str) -> None:
        with pytest.raises(BadCatalogError, match=words) as caught:
            read_one(write_catalog(path, list(hdus)))
        assert "--no-satellites" in str(caught.value)
        assert read_one(path, satellites=False).satellites == []

    refused(xfit_hdu(fit), xfit_hdu(fit), words="a second extension")
    refused(xfit_hdu({k: v for k, v in fit.items() if k != "IPP_IDET"}), words="no column IPP_IDET")
    refused(xfit_hdu({k: v for k, v in fit.items() if k != "MODEL_TYPE"}), words="MODEL_TYPE")
    twice = {k: np.concatenate([np.asarray(v)] * 2) for k, v in fit.items()}
    refused(xfit_hdu(twice), words="of detection 1 stands twice")
    refused(extension("XY01.xfit", XFIT | {"MODEL_TYPE": "J"}, fit | {"MODEL_TYPE": [1, 2, 3]}),
            words="MODEL_TYPE is int32")  # fmt: skip
    refused(extension("XY01.xfit", XFIT | {"X_EXT": "2E"}, fit | {"X_EXT": np.zeros((3, 2))}),
            words="X_EXT")  # fmt: skip
    gal = shapes([1])
    unnumbered = extension("XY01.xfit", XFIT, fit)
    refused(unnumbered, xgal_hdu(gal), words="MTNUM")
    for wrong in (9.0, np.nan, np.inf, -3.0):
        refused(xfit_hdu(fit), xgal_hdu(gal | {"FR_MAJOR_MAX": [wrong]}), words="trials")
    twice = {k: np.concatenate([np.asarray(v)] * 2) for k, v in gal.items()}
    refused(xfit_hdu(fit), xgal_hdu(twice), words="EXP of detection 1 stands twice")
    rad = apertures([1])
    four = rad | {"APER_FILL": np.ones((1, 4))}
    refused(extension("XY01.xrad", XRAD | {"APER_FILL": "4E"}, four), words="APER_FILL")
    refused(extension("XY01.xrad", XRAD | {"IPP_IDET": "E"}, rad), words="IPP_IDET")
    for number in (-1, 2**32, 2**32 + 1):
        large = extension("XY01.xrad", XRAD | {"IPP_IDET": "K"}, rad | {"IPP_IDET": [number]})
        refused(large, words=rf"IPP_IDET: detection number {number} \(row 0")


def test_numbers_of_models_are_those_of_the_file(tmp_path: Path) -> None:
    fit = xfit_hdu(fits_of_models([1]))
    fit.header[f"MTVAL{MTVAL['PS_MODEL_EXP']:02d}"] = 77
    gal = shapes([1]) | {"MODEL_TYPE": [77]}
    got = rows_of(read_one(write_catalog(tmp_path / "s.cmf", [fit, xgal_hdu(gal)])), "GalPhot")
    assert got.columns["model_type"][got.columns["npix"] > 0].tolist() == [GalaxyModel.EXP]
