"""Small psphot catalogs made from nothing, for the tests of the readers."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

PRIMARY: dict[str, Any] = {
    "CTYPE1": "RA---DIS",
    "CTYPE2": "DEC--DIS",
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CRPIX1": 0.0,
    "CRPIX2": 0.0,
    "CDELT1": -7.2e-5,
    "CDELT2": 7.2e-5,
    "PC1_1": 1.0,
    "PC1_2": 0.0,
    "PC2_1": 0.0,
    "PC2_2": 1.0,
    "NPLYTERM": 3,
    "PCA1X3Y0": 2e-6,
    "PCA2X0Y3": 1e-6,
    "PCA1X1Y1": 1e-5,
    "MJD-OBS": 55000.25,
    "EXPTIME": 40.0,
    "AIRMASS": 1.2,
    "FILENAME": "o5000g0001o",
}

CHIP: dict[str, Any] = {
    "CTYPE1": "RA---WRP",
    "CTYPE2": "DEC--WRP",
    "CRVAL1": 5000.0,
    "CRVAL2": -2500.0,
    "CRPIX1": 500.0,
    "CRPIX2": 500.0,
    "CDELT1": 1.0,
    "CDELT2": 1.0,
    "PC1_1": 0.9999,
    "PC1_2": 1e-2,
    "PC2_1": -1e-2,
    "PC2_2": 0.9999,
    "NPLYTERM": 2,
    "PCA1X2Y0": 1e-7,
    "PCA2X1Y1": -2e-7,
    "IMNAXIS1": 1000,
    "IMNAXIS2": 1200,
    "PHOTCODE": "CAM.r.XY01",
    "IMAGEID": 77,
    "SOURCEID": 3,
    "NASTRO": 25,
    "CERROR": 0.04,
    "ZPT_OBS": 24.6,
    "ZPT_ERR": 0.02,
    "FWHM_X": 4.5,
    "FWHM_Y": 4.6,
}

V5 = {
    "IPP_IDET": "J",
    **dict.fromkeys(["X_PSF", "Y_PSF", "X_PSF_SIG", "Y_PSF_SIG", "POSANGLE", "PLTSCALE"], "E"),
    **dict.fromkeys(
        ["PSF_INST_MAG", "PSF_INST_MAG_SIG", "PSF_INST_FLUX", "PSF_INST_FLUX_SIG"], "E"
    ),
    **dict.fromkeys(["AP_MAG", "AP_MAG_RAW", "AP_MAG_RADIUS", "AP_FLUX", "AP_FLUX_SIG"], "E"),
    "RA_PSF": "D",
    "DEC_PSF": "D",
    **dict.fromkeys(["SKY", "SKY_SIGMA", "PSF_CHISQ", "CR_NSIGMA", "EXT_NSIGMA"], "E"),
    **dict.fromkeys(["PSF_MAJOR", "PSF_MINOR", "PSF_THETA", "PSF_FWHM_MAJ", "PSF_FWHM_MIN"], "E"),
    **dict.fromkeys(["PSF_QF", "PSF_QF_PERFECT"], "E"),
    "PSF_NDOF": "J",
    "PSF_NPIX": "J",
    **dict.fromkeys(["MOMENTS_XX", "MOMENTS_XY", "MOMENTS_YY", "KRON_FLUX", "KRON_FLUX_ERR"], "E"),
    "FLAGS": "J",
    "FLAGS2": "J",
}


def detections(n: int, seed: int = 1) -> dict[str, Any]:
    """Columns of n detections, all plausible."""
    r = np.random.default_rng(seed)
    flux = 10 ** r.uniform(3, 6, n)
    columns: dict[str, Any] = {name: r.uniform(0.5, 2.0, n) for name in V5}
    columns |= {
        "IPP_IDET": np.arange(n),
        "X_PSF": r.uniform(0, 1000, n),
        "Y_PSF": r.uniform(0, 1200, n),
        "X_PSF_SIG": np.full(n, 0.1),
        "Y_PSF_SIG": np.full(n, 0.2),
        "PSF_INST_MAG": -2.5 * np.log10(flux),
        "PSF_INST_MAG_SIG": np.full(n, 0.01),
        "PSF_INST_FLUX": flux,
        "PSF_INST_FLUX_SIG": 0.01 * flux,
        "AP_MAG": -2.5 * np.log10(1.1 * flux),
        "AP_FLUX": 1.1 * flux,
        "AP_FLUX_SIG": 0.02 * flux,
        "KRON_FLUX": 1.2 * flux,
        "KRON_FLUX_ERR": 0.03 * flux,
        "PSF_NDOF": np.full(n, 20),
        "PSF_NPIX": np.full(n, 25),
        "FLAGS": np.arange(n) % 7,
        "FLAGS2": np.zeros(n),
    }
    return columns


def table_hdu(
    columns: dict[str, Any], name: str = "XY01.psf", exttype: str = "PS1_V5"
) -> fits.BinTableHDU:
    """The table of one chip."""
    made = [fits.Column(k, V5.get(k, "E"), array=np.asarray(v)) for k, v in columns.items()]
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header["EXTNAME"] = name
    hdu.header["EXTTYPE"] = exttype
    return hdu


def header_hdu(cards: dict[str, Any], name: str = "XY01.hdr") -> fits.ImageHDU:
    """The header of one chip."""
    hdu = fits.ImageHDU()
    for key, value in {**cards, "EXTNAME": name}.items():
        hdu.header[key] = value
    return hdu


def primary_hdu(cards: dict[str, Any]) -> fits.PrimaryHDU:
    """The header of the exposure."""
    hdu = fits.PrimaryHDU()
    for key, value in cards.items():
        hdu.header[key] = value
    return hdu


def write(path: Path, hdus: list[Any]) -> Path:
    """Write the HDUs to a file."""
    fits.HDUList(hdus).writeto(path)
    return path


def write_smf(path: Path, n_chips: int = 2, n: int = 20) -> Path:
    """Write a whole mosaic catalog."""
    hdus: list[Any] = [primary_hdu(PRIMARY)]
    for i in range(n_chips):
        name = f"XY0{i + 1}"
        cards = CHIP | {"PHOTCODE": f"CAM.r.{name}", "IMAGEID": 77 + i, "CRVAL1": 5000.0 * i}
        hdus += [header_hdu(cards, f"{name}.hdr"), table_hdu(detections(n, i), f"{name}.psf")]
    return write(path, hdus)
