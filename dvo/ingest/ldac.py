"""Reader of FITS-LDAC catalogs, as SExtractor writes them.

Pairs of HDUs, one a chip: LDAC_IMHEAD, a table whose only cell is the image's header, and
LDAC_OBJECTS, the detections. Positions come from windowed pixels and the header's WCS
(TAN, TPV, SIP, SCAMP's TAN with PV), else from ALPHA/DELTA columns.

Magnitudes are made from fluxes, else from magnitudes less SExtractor's zero point
(SEXMGZPT), so that they are instrumental first. ``mag`` is MAG_PSF, or MAG_AUTO where
there is no psf photometry; AUTO is Kron, the first aperture of APER the aperture. Of
SExtractor's FLAGS 2 becomes BLEND and 4 SATURATED.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.header import read_solution
from dvo.astrometry.solution import Solution, errors_on_sky
from dvo.errors import BadCatalogError
from dvo.ingest.detection_numbers import check_det_ids, det_ids_of
from dvo.ingest.detections import (
    INSTRUMENT_ZERO_POINT,
    Detections,
    ImageMeta,
    InputImage,
    clean_positions,
    content_digest,
    image_name,
)
from dvo.ingest.hdus import HduFile, PackedTable, PlainTable
from dvo.ingest.header_facts import (
    find_integer,
    find_number,
    find_text,
    first_digits,
    get_size,
    get_start_mjd,
)
from dvo.tables.fits.hdu import Hdu
from dvo.tables.fits.header import CARD, Header
from dvo.tables.flags import PhotFlag

__all__ = ["is_ldac", "ldac_images", "read_ldac"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_Table = PlainTable | PackedTable

_MAX_CARDS = 50_000
_X = ("XWIN_IMAGE", "XPSF_IMAGE", "X_IMAGE")
_Y = ("YWIN_IMAGE", "YPSF_IMAGE", "Y_IMAGE")
_RA = ("ALPHAWIN_J2000", "ALPHA_J2000", "ALPHAWIN_SKY", "ALPHA_SKY")
_DEC = ("DELTAWIN_J2000", "DELTA_J2000", "DELTAWIN_SKY", "DELTA_SKY")
_SYSTEMS = (("psf", "mag", ("PSF",)), ("ap", "m_aper", ("APER",)), ("kron", "m_kron", ("AUTO",)))
_PLAIN = {
    "x_ccd": _X,
    "y_ccd": _Y,
    "fwhm_major": ("FWHM_IMAGE",),
    "fwhm_minor": ("FWHM_IMAGE",),
    "psf_theta": ("THETAWIN_IMAGE", "THETA_IMAGE"),
    "mxx": ("X2WIN_IMAGE", "X2_IMAGE"),
    "mxy": ("XYWIN_IMAGE", "XY_IMAGE"),
    "myy": ("Y2WIN_IMAGE", "Y2_IMAGE"),
    "sky_flux": ("BACKGROUND",),
    "psf_chisq": ("CHI2_PSF",),
}
_VARIANCES = {
    "x_ccd_err": ("ERRX2WIN_IMAGE", "ERRX2PSF_IMAGE", "ERRX2_IMAGE"),
    "y_ccd_err": ("ERRY2WIN_IMAGE", "ERRY2PSF_IMAGE", "ERRY2_IMAGE"),
}


def is_ldac(file: HduFile) -> bool:
    """Tell whether a FITS file is an LDAC catalog.

    Parameters
    ----------
    file : HduFile
        The file.

    Returns
    -------
    bool
        Whether it has an LDAC_OBJECTS table.
    """
    return any(hdu.extname.startswith("LDAC_OBJECTS") for hdu in file.hdus)


def read_ldac(path: Path | str, *, photcode: str | None = None) -> Iterator[InputImage]:
    """Read the chips of an LDAC catalog, one after another.

    Parameters
    ----------
    path : Path or str
        The file.
    photcode : str or None
        Photcode of all chips; None takes PHOTCODE of their headers.

    Yields
    ------
    InputImage
        A chip; chips without detections too.

    Raises
    ------
    BadCatalogError
        If the file is cut short, lacks an extension or the astrometry, or a detection
        number stands twice in a chip.
    """
    with HduFile(path) as file:
        yield from ldac_images(file, photcode=photcode)


def ldac_images(file: HduFile, *, photcode: str | None = None) -> Iterator[InputImage]:
    """Read the chips of an LDAC catalog that is open already, as :func:`read_ldac` does.

    Parameters
    ----------
    file : HduFile
        The file.
    photcode : str or None
        Photcode of all chips; None takes PHOTCODE of their headers.

    Yields
    ------
    InputImage
        A chip; chips without detections too.

    Raises
    ------
    BadCatalogError
        As :func:`read_ldac`.
    """
    path = file.path
    tables = [hdu for hdu in file.hdus if hdu.extname.startswith("LDAC_OBJECTS")]
    if not tables:
        raise BadCatalogError(f"{path}: no HDU is called LDAC_OBJECTS; no LDAC catalog")
    for number, hdu in enumerate(tables, start=1):
        before = file.hdus[hdu.index - 1]
        if not before.extname.startswith("LDAC_IMHEAD"):
            raise BadCatalogError(
                f"{hdu.header.where}: LDAC_OBJECTS has no LDAC_IMHEAD before it, but "
                f"{before.extname or 'the primary HDU'}: the image's header is missing"
            )
        header = _embedded_header(file, before)
        chip = number if len(tables) > 1 else 0
        yield _read_chip(file.table(hdu), header, path, chip, photcode)


def _embedded_header(file: HduFile, hdu: Hdu) -> Header:
    table = file.table(hdu)
    names = table.names if isinstance(table, PlainTable) else ("FIELD HEADER CARD",)
    cells = table.read(names[0]) if names and table.n_rows else np.empty(0, "S1")
    if cells.dtype.kind != "S" or not cells.size:
        raise BadCatalogError(f"{hdu.header.where}: LDAC_IMHEAD holds no header of an image")
    # Some writers fill the cards up with zero bytes instead of blanks.
    text = b"".join(np.ravel(cells[:1]).tolist()).decode("latin-1").replace("\0", " ")
    text = text.ljust(-(-len(text) // CARD) * CARD)[: CARD * _MAX_CARDS]
    cards = (text[i : i + CARD] for i in range(0, len(text), CARD))
    kept = "".join(card for card in cards if not card.startswith("END     "))
    return Header(kept, f"{hdu.header.where} (LDAC_IMHEAD)")


def _read_chip(
    table: _Table, header: Header, path: Path, chip: int, photcode: str | None
) -> InputImage:
    nx, ny = get_size([header])
    solution = read_solution(header, nx=nx, ny=ny)
    meta = _read_meta(table, header, solution, path, chip, photcode)
    columns: dict[str, NDArray[Any]] = {}
    # Values beyond float32 and negative variances are unknown, not a fault of the file.
    with np.errstate(invalid="ignore", over="ignore"):
        for ours, theirs in _PLAIN.items():
            values = _read(table, theirs)
            if values is not None:
                columns[ours] = np.asarray(values, np.float32)
        for ours, theirs in _VARIANCES.items():
            values = _read(table, theirs)
            if values is not None:
                columns[ours] = np.asarray(np.sqrt(values), np.float32)
        _add_ellipses(table, columns)
    notes = _add_photometry(table, header, meta, columns)
    columns["det_id"] = _read_det_ids(table)
    _add_flags(table, columns)
    ra, dec = _read_positions(table, solution)
    ra_err, dec_err = _position_errors(columns, meta, solution)
    ra, dec, good, dropped = clean_positions(ra, dec)
    detections = Detections(ra, dec, columns, ra_err, dec_err)
    report: dict[str, object] = {"dropped": dropped, "missing": _missing(columns)}
    if notes:
        report["notes"] = notes
    return InputImage(meta, detections.take(good) if dropped else detections, report)


def _add_ellipses(table: _Table, columns: dict[str, NDArray[Any]]) -> None:
    """Errors along the axes from ellipses, where variances are not given."""
    for kind in ("WIN", "PSF", ""):
        if "x_ccd_err" in columns and "y_ccd_err" in columns:
            return
        major, minor, angle = (_read(table, (f"ERR{name}{kind}_IMAGE",)) for name in
                               ("A", "B", "THETA"))  # fmt: skip
        if major is None or minor is None:
            continue
        theta = np.radians(np.zeros(table.n_rows) if angle is None else angle.astype(np.float64))
        a2, b2 = np.square(major, dtype=np.float64), np.square(minor, dtype=np.float64)
        cos2, sin2 = np.cos(theta) ** 2, np.sin(theta) ** 2
        columns["x_ccd_err"] = np.asarray(np.sqrt(a2 * cos2 + b2 * sin2), np.float32)
        columns["y_ccd_err"] = np.asarray(np.sqrt(a2 * sin2 + b2 * cos2), np.float32)


def _missing(columns: dict[str, NDArray[Any]]) -> list[str]:
    wanted = {"mag": "FLUX_PSF or FLUX_AUTO", "mag_err": "FLUXERR_PSF or FLUXERR_AUTO"}
    return [theirs for ours, theirs in wanted.items() if ours not in columns]


def _read_meta(
    table: _Table,
    header: Header,
    solution: Solution | None,
    path: Path,
    chip: int,
    photcode: str | None,
) -> ImageMeta:
    headers = [header]
    name = photcode or find_text(headers, "PHOTCODE")
    if not name:
        raise BadCatalogError(
            f"{header.where}: no photcode: the image's header lacks PHOTCODE (its FILTER is "
            f"{find_text(headers, 'FILTER') or 'unknown'}); give one with --photcode NAME"
        )
    exptime = find_number(headers, "EXPTIME")
    if math.isnan(exptime):
        raise BadCatalogError(f"{header.where}: no exposure time: EXPTIME is missing or no number")
    nx, ny = get_size(headers)
    extname = find_text(headers, "EXTNAME")
    # MAGZERO and MAGZP are zero points of the whole exposure, ZPT_OBS of one second.
    zero_point = find_number(headers, "MAGZERO", "MAGZP")
    if exptime > 0:
        zero_point -= 2.5 * math.log10(exptime)
    observed = find_number(headers, "ZPT_OBS")
    airmass = find_number(headers, "AIRMASS")
    facts: dict[str, Any] = {
        "photcode": name,
        "mjd": get_start_mjd(headers, header.where),
        "exptime_s": exptime,
        "airmass": airmass,
        "ccdnum": find_integer(headers, "CCDNUM") or first_digits(extname) or chip,
        "nx": nx,
        "ny": ny,
        "zero_point": zero_point if math.isnan(observed) else observed,
        # MAGZERO is what the image shows at its airmass; ZPT_OBS has been reduced to 1.
        "zero_point_airmass": airmass if math.isnan(observed) else 1.0,
        "zero_point_err": find_number(headers, "ZPT_ERR", "MAGZPERR"),
        "coords": solution.coords if solution else None,
        "saturation_limit": find_number(headers, "FSATUR"),
        "cerror": find_number(headers, "CERROR"),
        "n_astrom": find_integer(headers, "NASTRO"),
    }
    content = content_digest(facts.items(), {"table": table.data})
    extension = extname or (str(chip) if chip else "")
    return ImageMeta(
        name=image_name(path, find_text(headers, "FILENAME"), extension), content=content, **facts
    )


def _read(table: _Table, names: Sequence[str]) -> NDArray[Any] | None:
    """Read the first column that is there; of a vector the first element."""
    name = next((n for n in names if n in table), None)
    if name is None:
        return None
    values = table.read(name)
    if values.dtype.kind not in "fiu":
        raise BadCatalogError(f"{table.where}: column {name} holds {values.dtype}, not numbers")
    return values if values.ndim == 1 else np.ascontiguousarray(values[:, 0])


def _add_photometry(
    table: _Table, header: Header, meta: ImageMeta, columns: dict[str, NDArray[Any]]
) -> list[str]:
    notes = []
    zero = find_number([header], "SEXMGZPT")
    has_flux = any(f"FLUX_{names[0]}" in table for _, _, names in _SYSTEMS)
    if math.isnan(zero) and not has_flux:
        notes.append("no SEXMGZPT in the header: magnitudes are taken as instrumental ones")
    shift = np.float32(meta.m_time + INSTRUMENT_ZERO_POINT)
    per_second = np.float32(1.0 / meta.exptime_s) if meta.exptime_s > 0 else np.float32(1.0)
    for stem, mag_name, suffixes in _SYSTEMS:
        suffix = suffixes[0]
        if stem == "psf" and f"FLUX_{suffix}" not in table and f"MAG_{suffix}" not in table:
            suffix = "AUTO"
        flux, error = (_read(table, (f"{kind}_{suffix}",)) for kind in ("FLUX", "FLUXERR"))
        mag, mag_err = (_read(table, (f"{kind}_{suffix}",)) for kind in ("MAG", "MAGERR"))
        # Fluxes of zero or less have no logarithm; SExtractor marks such magnitudes by 99.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if flux is not None:
                columns[f"flux_{stem}"] = np.asarray(flux, np.float32) * per_second
                made = np.where(flux > 0, -2.5 * np.log10(flux), np.nan)
                columns[mag_name] = np.asarray(made, np.float32) + shift
            elif mag is not None:
                made = np.where(mag < 90, mag, np.nan) - (0.0 if math.isnan(zero) else zero)
                columns[mag_name] = np.asarray(made, np.float32) + shift
            if error is not None:
                columns[f"flux_{stem}_err"] = np.asarray(error, np.float32) * per_second
            if mag_err is not None:
                made = np.where(mag_err < 90, mag_err, np.nan)
                columns[f"{mag_name}_err"] = np.asarray(made, np.float32)
            elif flux is not None and error is not None:
                made = np.where(flux > 0, error / flux * (2.5 / math.log(10)), np.nan)
                columns[f"{mag_name}_err"] = np.asarray(made, np.float32)
    return notes


def _read_det_ids(table: _Table) -> NDArray[np.uint32]:
    numbers = _read(table, ("NUMBER",))
    if numbers is None:
        return np.arange(1, table.n_rows + 1, dtype=np.uint32)
    det_id = det_ids_of(numbers, f"{table.where}, column NUMBER")
    check_det_ids(det_id, table.where, "NUMBER")
    return det_id


def _add_flags(table: _Table, columns: dict[str, NDArray[Any]]) -> None:
    flags = _read(table, ("FLAGS",))
    if flags is None or flags.dtype.kind not in "iu":
        return
    made = np.where(flags & 2, int(PhotFlag.BLEND), 0) | np.where(
        flags & 4, int(PhotFlag.SATURATED), 0
    )
    columns["phot_flags"] = np.asarray(made, np.uint32)


def _read_positions(table: _Table, solution: Solution | None) -> tuple[F64, F64]:
    x, y = _read(table, _X), _read(table, _Y)
    if solution is not None and x is not None and y is not None:
        return solution.to_sky(np.asarray(x, np.float64), np.asarray(y, np.float64))
    ra, dec = _read(table, _RA), _read(table, _DEC)
    if ra is not None and dec is not None:
        return np.asarray(ra, np.float64), np.asarray(dec, np.float64)
    raise BadCatalogError(
        f"{table.where}: no positions: they need X_IMAGE, Y_IMAGE and a header with astrometry "
        "(CTYPE1), or ALPHA_J2000 and DELTA_J2000; add these to SExtractor's parameters"
    )


def _position_errors(
    columns: dict[str, NDArray[Any]], meta: ImageMeta, solution: Solution | None
) -> tuple[F32 | None, F32 | None]:
    if solution is None or "x_ccd_err" not in columns or "y_ccd_err" not in columns:
        return None, None
    return errors_on_sky(solution, meta.nx, meta.ny, columns["x_ccd_err"], columns["y_ccd_err"])
