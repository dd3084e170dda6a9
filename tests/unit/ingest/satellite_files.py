"""Extensions of psphot catalogs as IPP writes them, for the tests of satellite tables.

Names, types and cards are those of pmSourceIO_CMF (PS1_SV4 and PS1_V5).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tests.unit.ingest.psphot_files import CHIP, PRIMARY, detections, header_hdu, primary_hdu
from tests.unit.ingest.psphot_files import table_hdu as psf_hdu

MODELS = ["PS_MODEL_GAUSS", "PS_MODEL_PGAUSS", "PS_MODEL_QGAUSS", "PS_MODEL_PS1_V1",
          "PS_MODEL_RGAUSS", "PS_MODEL_SERSIC", "PS_MODEL_EXP", "PS_MODEL_DEV",
          "PS_MODEL_TRAIL"]  # fmt: skip
MTVAL = {name: i for i, name in enumerate(MODELS)}

XFIT = {
    "IPP_IDET": "J",
    **dict.fromkeys(["X_EXT", "Y_EXT", "X_EXT_SIG", "Y_EXT_SIG", "SKY_EXT"], "E"),
    **dict.fromkeys(["RA_EXT", "DEC_EXT", "EXT_INST_MAG", "EXT_INST_MAG_SIG"], "E"),
    "EXT_CHISQ": "E",
    "EXT_NDOF": "J",
    "EXT_MODEL_TYPE": "J",
    "EXT_FLAGS": "I",
    **dict.fromkeys(["PSF_INST_MAG", "AP_MAG", "KRON_MAG"], "E"),
    "NPARAMS": "J",
    "MODEL_TYPE": "15A",
    **dict.fromkeys(["EXT_WIDTH_MAJ", "EXT_WIDTH_MIN", "EXT_THETA"], "E"),
    **dict.fromkeys(["EXT_WIDTH_MAJ_ERR", "EXT_WIDTH_MIN_ERR", "EXT_THETA_ERR"], "E"),
    "EXT_PAR_07": "E",
}
N_TRIALS = 25
XGAL = {
    "IPP_IDET": "J",
    "MODEL_TYPE": "J",
    **dict.fromkeys(["X_FIT", "Y_FIT", "NPIX"], "E"),
    **dict.fromkeys(["GAL_FLUX", "GAL_FLUX_ERR", "GAL_CHISQ"], f"{N_TRIALS}E"),
    **dict.fromkeys([f"FR_{axis}_{which}" for axis in ("MAJOR", "MINOR")
                     for which in ("MIN", "MAX", "DEL")], "E"),
}  # fmt: skip
RADII_ARCSEC = [1.03, 1.76, 3.0, 4.63, 7.43]
"""Radii 3 to 7 of SDSS, which PS1 measures."""
XRAD = {
    "IPP_IDET": "J",
    **dict.fromkeys(["X_APER", "Y_APER", "PSF_FWHM"], "E"),
    **dict.fromkeys(["APER_FLUX", "APER_FLUX_ERR", "APER_FLUX_STDEV", "APER_FILL"], "5E"),
}
TENSORS = [f"LENS_{term}_{which}" for which in ("SM_OBJ", "SH_OBJ", "SM_PSF", "SH_PSF")
           for term in ("X11", "X12", "X22", "E1", "E2")]  # fmt: skip
LENS = [*TENSORS, "LENS_E1_PSF", "LENS_E2_PSF"]
PIXEL_ARCSEC = 0.2592
"""Pixel of the chip of `psphot_files`, its matrix aside (its determinant is 1.0001)."""


def fits_of_models(
    det_id: list[int], models: list[str] | None = None, seed: int = 3
) -> dict[str, Any]:
    """Columns of ``.xfit``, a row a detection and model, all plausible."""
    r = np.random.default_rng(seed)
    models = models or ["PS_MODEL_SERSIC", "PS_MODEL_EXP", "PS_MODEL_DEV"]
    n = len(det_id) * len(models)
    names = np.tile(models, len(det_id))
    columns: dict[str, Any] = {name: r.uniform(0.5, 2.0, n) for name in XFIT}
    minor = r.uniform(2.0, 5.0, n)
    return columns | {
        "IPP_IDET": np.repeat(det_id, len(models)),
        "X_EXT": r.uniform(100, 900, n),
        "Y_EXT": r.uniform(100, 1100, n),
        "EXT_INST_MAG": -r.uniform(6, 12, n),
        "EXT_NDOF": r.integers(50, 500, n),
        "EXT_CHISQ": r.uniform(50, 500, n),
        "EXT_MODEL_TYPE": np.full(n, MTVAL["PS_MODEL_EXP"]),
        "EXT_FLAGS": np.full(n, 0x401),
        "NPARAMS": np.where(names == "PS_MODEL_SERSIC", 8, 7),
        "MODEL_TYPE": names,
        "EXT_WIDTH_MIN": minor,
        "EXT_WIDTH_MAJ": minor * r.uniform(1.0, 3.0, n),
        "EXT_THETA": r.uniform(-np.pi / 2, np.pi / 2, n),
        "EXT_PAR_07": np.where(names == "PS_MODEL_SERSIC", 0.5 / r.uniform(0.8, 5, n), np.nan),
    }


def shapes(
    det_id: list[int],
    model: str = "PS_MODEL_EXP",
    best: tuple[float, float] = (1.02, 0.97),
    seed: int = 4,
) -> dict[str, Any]:
    """Columns of ``.xgal``: chi squared is a paraboloid about the best fractions of the axes."""
    r = np.random.default_rng(seed)
    n, size = len(det_id), 5
    low, step = 0.8, 0.1
    major, minor = np.meshgrid(*[low + step * np.arange(size)] * 2, indexing="ij")
    p, q = (major - best[0]).ravel(), (minor - best[1]).ravel()
    n_pix = r.uniform(100, 1000, n)
    bowl = 900 * p**2 + 1600 * q**2 + 500 * p * q
    flux = r.uniform(1e3, 1e5, n)
    return {
        "IPP_IDET": det_id,
        "MODEL_TYPE": np.full(n, MTVAL[model]),
        "X_FIT": r.uniform(100, 900, n),
        "Y_FIT": r.uniform(100, 1100, n),
        "NPIX": n_pix,
        # Linear in the axes, so that what lies between trials is exact.
        "GAL_FLUX": flux[:, None] * (1 + 0.5 * p + 0.25 * q),
        "GAL_FLUX_ERR": 0.02 * flux[:, None] * (1 + 0 * p),
        "GAL_CHISQ": 1.1 + bowl / n_pix[:, None],
        **{
            f"FR_{axis}_{which}": np.full(n, value)
            for axis in ("MAJOR", "MINOR")
            for which, value in (("MIN", low), ("MAX", low + step * (size - 1)), ("DEL", step))
        },
    }


def apertures(det_id: list[int], n_psf: int = 1, seed: int = 5) -> dict[str, Any]:
    """Columns of ``.xrad``: for each detection the image as it is, then convolved ones."""
    r = np.random.default_rng(seed)
    n = len(det_id) * n_psf
    fwhm = [np.nan, 6.0, 8.0][:n_psf]
    return {
        "IPP_IDET": np.repeat(det_id, n_psf),
        "X_APER": r.uniform(0, 1000, n),
        "Y_APER": r.uniform(0, 1200, n),
        "PSF_FWHM": np.tile(fwhm, len(det_id)),
        "APER_FLUX": np.cumsum(r.uniform(100, 1000, (n, 5)), axis=1),
        "APER_FLUX_ERR": r.uniform(1, 10, (n, 5)),
        "APER_FLUX_STDEV": r.uniform(10, 100, (n, 5)),
        "APER_FILL": r.uniform(0.5, 1, (n, 5)),
    }


def lens_terms(n: int, seed: int = 6) -> dict[str, Any]:
    """The columns that forced photometry of warps adds to a table of detections."""
    r = np.random.default_rng(seed)
    return {name: r.normal(0, 1, n) for name in LENS}


def extension(
    name: str, kinds: dict[str, str], columns: dict[str, Any], cards: dict[str, Any] | None = None
) -> fits.BinTableHDU:
    """One extension; columns that are not in `columns` are left away."""
    made = [
        fits.Column(key, form, array=np.asarray(columns[key]),
                    **({"bzero": 2**31} if (key, form) == ("IPP_IDET", "J") else {}))
        for key, form in kinds.items() if key in columns
    ]  # fmt: skip
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header["EXTNAME"] = name
    for key, value in (cards or {}).items():
        hdu.header[key] = value
    return hdu


def xfit_hdu(columns: dict[str, Any], name: str = "XY01.xfit") -> fits.BinTableHDU:
    """Model fits, with the cards that number the models."""
    cards: dict[str, Any] = {"MTNUM": len(MODELS)}
    for model, i in MTVAL.items():
        cards |= {f"MTNAM{i:02d}": model, f"MTVAL{i:02d}": i}
    return extension(name, XFIT, columns, cards)


def xgal_hdu(columns: dict[str, Any], name: str = "XY01.xgal") -> fits.BinTableHDU:
    """Grids of forced galaxy models."""
    cards = {"HIERARCH GALAXY_SHAPES_Q": 1.0, "HIERARCH GALAXY_SHAPES_NSIGMA": 2.0}
    return extension(name, XGAL, columns, cards)


def xrad_hdu(
    columns: dict[str, Any], name: str = "XY01.xrad", pixel: float = PIXEL_ARCSEC
) -> fits.BinTableHDU:
    """Radial apertures, their radii in pixels in the header."""
    cards = {f"RMIN_{i:02d}": r / pixel for i, r in enumerate([0.0, *RADII_ARCSEC[:-1]])}
    cards |= {f"RMAX_{i:02d}": r / pixel for i, r in enumerate(RADII_ARCSEC)}
    return extension(name, XRAD, columns, cards)


def blank_hdu(name: str) -> fits.ImageHDU:
    """An extension of which there are no rows."""
    return header_hdu({}, name)


def write_catalog(
    path: Path,
    extensions: list[Any],
    *,
    columns: dict[str, Any] | None = None,
    photcode: str = "CAM.r.Stack",
    n: int = 20,
    **cards: Any,
) -> Path:
    """Write a catalog of one image with extensions behind its table."""
    chip = CHIP | {"PHOTCODE": photcode} | cards
    table = psf_hdu(detections(n) if columns is None else columns)
    hdus = [primary_hdu(PRIMARY), header_hdu(chip), table, *extensions]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path
