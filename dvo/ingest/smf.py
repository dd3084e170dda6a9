"""Reader of psphot catalogs: ``.smf`` (a mosaic exposure) and ``.cmf`` (one chip or stack).

Each chip has a header HDU without pixels just before its ``.psf`` table; the header is
found by this place, as real files name it wrongly now and then. Columns are read by name
(PS1_V1 to V5, SV and DV tables), missing ones are null and reported. The primary header of
an smf holds the astrometry of the focal plane. Extensions beside a table (``.xfit`` and so on)
fill satellite tables, see :mod:`dvo.ingest.satellites.extensions`.

Instrumental magnitudes of 0 or more (one count or less; the mark of a failed fit) are
null, as in the original; the flux is kept.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.satellites.columns import Extension
from dvo.ingest.satellites.extensions import find_extensions, read_satellites
from dvo.tables.fits.hdu import Hdu
from dvo.tables.fits.header import Header

__all__ = ["is_smf", "read_smf", "smf_images"]

log = logging.getLogger(__name__)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_Table = PlainTable | PackedTable

# Columns taken as they are: Measure name, psphot names (the best first), first version with it.
_PLAIN: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("x_ccd", ("X_PSF",), 1),
    ("y_ccd", ("Y_PSF",), 1),
    ("x_ccd_err", ("X_PSF_SIG",), 1),
    ("y_ccd_err", ("Y_PSF_SIG",), 1),
    ("mag_err", ("PSF_INST_MAG_SIG",), 1),
    ("posangle", ("POSANGLE",), 1),
    ("pltscale", ("PLTSCALE",), 1),
    ("sky_flux", ("SKY",), 1),
    ("sky_flux_err", ("SKY_SIGMA",), 1),
    ("psf_chisq", ("PSF_CHISQ",), 1),
    ("psf_qf", ("PSF_QF",), 1),
    ("psf_qf_perfect", ("PSF_QF_PERFECT",), 3),
    ("psf_ndof", ("PSF_NDOF",), 1),
    ("psf_npix", ("PSF_NPIX",), 1),
    ("ext_nsigma", ("EXT_NSIGMA",), 1),
    ("fwhm_major", ("PSF_FWHM_MAJ", "PSF_MAJOR"), 1),
    ("fwhm_minor", ("PSF_FWHM_MIN", "PSF_MINOR"), 1),
    ("psf_theta", ("PSF_THETA",), 1),
    ("mxx", ("MOMENTS_XX",), 1),
    ("mxy", ("MOMENTS_XY",), 1),
    ("myy", ("MOMENTS_YY",), 1),
    ("phot_flags", ("FLAGS",), 1),
    ("phot_flags2", ("FLAGS2",), 3),
)
# Further columns that a version should have; they are worked on, or needed for the position.
_WORKED: tuple[tuple[str, int], ...] = (
    ("IPP_IDET", 1),
    ("PSF_INST_MAG", 1),
    ("AP_MAG", 1),
    ("PSF_INST_FLUX", 3),
    ("PSF_INST_FLUX_SIG", 3),
    ("KRON_FLUX", 3),
    ("KRON_FLUX_ERR", 3),
    ("AP_FLUX", 4),
    ("AP_FLUX_SIG", 4),
)
_OTHER_TABLES = (".xsrc", ".xfit", ".xrad", ".xgal", ".deteff")
_INTEGERS = {"phot_flags": np.uint32, "phot_flags2": np.uint32}


@dataclass(frozen=True, slots=True)
class _Exposure:
    path: Path
    primary: Header
    parent: ImageMeta | None
    photcode: str | None
    notes: tuple[str, ...]
    extensions: Mapping[str, Hdu] | None = None  # None: satellite tables are not wanted


def is_smf(file: HduFile) -> bool:
    """Tell whether a FITS file is a psphot catalog.

    Parameters
    ----------
    file : HduFile
        The file.

    Returns
    -------
    bool
        Whether it has a table of psphot detections.
    """
    return any(_is_psf_table(hdu) for hdu in file.hdus)


def read_smf(
    path: Path | str, *, photcode: str | None = None, satellites: bool = True
) -> Iterator[InputImage]:
    """Read the chips of a psphot catalog, one after another.

    Parameters
    ----------
    path : Path or str
        A ``.smf`` or ``.cmf`` file.
    photcode : str or None
        Photcode of all chips; None takes PHOTCODE of their headers.
    satellites : bool
        Whether to read the extensions that fill satellite tables, too.

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
        yield from smf_images(file, photcode=photcode, satellites=satellites)


def smf_images(
    file: HduFile, *, photcode: str | None = None, satellites: bool = True
) -> Iterator[InputImage]:
    """Read the chips of a psphot catalog that is open already, as :func:`read_smf` does.

    Parameters
    ----------
    file : HduFile
        The file.
    photcode : str or None
        Photcode of all chips; None takes PHOTCODE of their headers.
    satellites : bool
        Whether to read the extensions that fill satellite tables, too.

    Yields
    ------
    InputImage
        A chip; chips without detections too.

    Raises
    ------
    BadCatalogError
        As :func:`read_smf`.
    """
    tables = [i for i, hdu in enumerate(file.hdus) if _is_psf_table(hdu)]
    if not tables:
        raise BadCatalogError(
            f"{file.path}: no psphot table: of {len(file.hdus)} HDUs none is called *.psf; "
            "other tables need a column map (--map)"
        )
    exposure = _read_exposure(file, tables, photcode)
    if satellites:
        exposure = _with_extensions(file, tables, exposure)
    for i in tables:
        yield _read_chip(file, i, exposure)


def _is_psf_table(hdu: Hdu) -> bool:
    if not hdu.is_table:
        return False
    name = hdu.extname.lower()
    kind = hdu.header.get("EXTTYPE")
    is_psphot = isinstance(kind, str) and kind.startswith("PS1_")
    return name.endswith(".psf") or (is_psphot and not name.endswith(_OTHER_TABLES))


def _chip_name(hdu: Hdu) -> str:
    name = find_text([hdu.header], "EXTNAME")
    return name[:-4] if name.lower().endswith(".psf") else name


def _read_exposure(file: HduFile, tables: list[int], photcode: str | None) -> _Exposure:
    primary = file.hdus[0].header
    without = [
        find_text([hdu.header], "EXTNAME")
        for i, hdu in enumerate(file.hdus)
        if i and not hdu.is_table and hdu.extname.endswith(".HDR") and i + 1 not in tables
    ]
    notes = tuple(f"{name} has no table of detections" for name in without)
    for note in notes:
        log.info("file=%s %s", file.path, note)
    ctype = primary.get("CTYPE1")
    parent = None
    if isinstance(ctype, str) and ctype.strip().endswith("-DIS"):
        solution = read_solution(primary, nx=0, ny=0)
        assert solution is not None  # CTYPE1 is there
        mjd = get_start_mjd([primary], primary.where)
        exptime = find_number([primary], "EXPTIME")
        exptime = 0.0 if math.isnan(exptime) else exptime
        airmass = find_number([primary], "AIRMASS")
        facts = (mjd, exptime, airmass, solution.coords)
        parent = ImageMeta(
            name=image_name(file.path, find_text([primary], "FILENAME"), ""),
            photcode="",
            mjd=mjd,
            exptime_s=exptime,
            airmass=airmass,
            content=content_digest(facts, {}),
            coords=solution.coords,
            **_telescope([primary]),
        )
    return _Exposure(file.path, primary, parent, photcode, notes)


def _with_extensions(file: HduFile, tables: list[int], exposure: _Exposure) -> _Exposure:
    """Find the extensions that fill satellite tables; those of no chip are told."""
    extensions = find_extensions(file)
    chips = {file.hdus[i].extname.upper().removesuffix(".PSF") for i in tables}
    alone = [n for n in extensions if n.rpartition(".")[0] not in chips]
    notes = tuple(f"{name} belongs to no table of detections" for name in alone)
    return replace(exposure, extensions=extensions, notes=exposure.notes + notes)


def _read_chip(file: HduFile, i_table: int, exposure: _Exposure) -> InputImage:
    hdu, before = file.hdus[i_table], file.hdus[i_table - 1]
    if before.is_table:
        raise BadCatalogError(
            f"{hdu.header.where} ({hdu.extname}): its header is missing: the HDU before it "
            f"({before.extname}) is a table, not {_chip_name(hdu)}.hdr"
        )
    table = file.table(hdu)
    headers = [before.header, exposure.primary]
    nx, ny = get_size(headers)
    mosaic = exposure.parent.coords if exposure.parent else None
    solution = read_solution(before.header, nx=nx, ny=ny, mosaic=mosaic)
    meta = _read_meta(hdu, headers, exposure, solution, table)
    dropped: dict[str, int] = {}
    detections = _read_detections(table, meta, solution, dropped)
    report: dict[str, object] = {"dropped": dropped, "missing": _missing(table, hdu)}
    notes = [*exposure.notes]
    if solution is not None and solution.exact is not None:
        notes.append(
            f"astrometry kept as a cubic fit, good to {solution.fit_error_arcsec:.4f} arcsec"
        )
    rows: list[SatelliteRows] = []
    if exposure.extensions is not None:
        found = read_satellites(file, exposure.extensions, Extension(hdu, table), meta, solution)
        if found.data:
            meta = replace(meta, content=content_digest((meta.content,), found.data))
        rows = found.rows
        notes += found.notes
        dropped |= found.dropped
    if notes:
        report["notes"] = notes
    return InputImage(meta, detections, report, rows)


def _read_meta(
    hdu: Hdu,
    headers: Sequence[Header],
    exposure: _Exposure,
    solution: Solution | None,
    table: _Table,
) -> ImageMeta:
    where = headers[0].where
    photcode = exposure.photcode or find_text(headers, "PHOTCODE")
    if not photcode:
        raise BadCatalogError(
            f"{where}: no photcode: the header lacks PHOTCODE; give one with --photcode NAME"
        )
    exptime = find_number(headers, "EXPTIME")
    if math.isnan(exptime):
        raise BadCatalogError(f"{where}: no exposure time: EXPTIME is missing or no number")
    nx, ny = get_size(headers)
    n_astrom = find_integer(headers[:1], "NASTRO")
    facts: dict[str, Any] = {
        "photcode": photcode,
        "mjd": get_start_mjd(headers, where),
        "exptime_s": exptime,
        "airmass": find_number(headers, "AIRMASS"),
        "extern_id": find_integer(headers[:1], "IMAGEID"),
        "source_id": find_integer(headers, "SOURCEID") or 0,
        "ccdnum": first_digits(hdu.extname),
        "nx": nx,
        "ny": ny,
        "zero_point": find_number(headers, "ZPT_OBS"),
        "zero_point_err": find_number(headers, "ZPT_ERR"),
        "coords": solution.coords if solution else None,
        "fwhm_x": find_number(headers[:1], "FWHM_X"),
        "fwhm_y": find_number(headers[:1], "FWHM_Y"),
        "cerror": find_number(headers[:1], "CERROR"),
        "detection_limit": find_number(headers[:1], "DETEFF.MAGREF"),
        "saturation_limit": find_number(headers[:1], "FSATUR"),
        "n_astrom": n_astrom,
        **_telescope(headers),
    }
    # NaN is written "nan" by repr, so equal headers give equal checksums.
    content = content_digest(facts.items(), {"table": table.data})
    name = image_name(exposure.path, find_text([exposure.primary], "FILENAME"), _chip_name(hdu))
    return ImageMeta(name=name, content=content, parent=exposure.parent, **facts)


def _telescope(headers: Sequence[Header]) -> dict[str, Any]:
    return {
        "alt": find_number(headers, "ALT"),
        "az": find_number(headers, "AZ"),
        "posangle": find_number(headers, "POSANGLE"),
        "latitude": find_number(headers, "LATITUDE"),
    }


def _version(hdu: Hdu) -> int:
    """Number of the table's version; stacks (SV) and differences (DV) have all columns."""
    kind = str(hdu.header.get("EXTTYPE", ""))
    digit = kind[-1:]
    return int(digit) if kind.startswith("PS1_V") and digit.isdigit() else 5


def _missing(table: _Table, hdu: Hdu) -> list[str]:
    version = _version(hdu)
    wanted = [names for _, names, since in _PLAIN if since <= version]
    wanted += [(name,) for name, since in _WORKED if since <= version]
    return [names[0] for names in wanted if not any(name in table for name in names)]


def _read_detections(
    table: _Table,
    meta: ImageMeta,
    solution: Solution | None,
    dropped: dict[str, int],
) -> Detections:
    columns: dict[str, NDArray[Any]] = {}
    for ours, theirs, _ in _PLAIN:
        name = next((n for n in theirs if n in table), None)
        if name is not None:
            columns[ours] = _as_kind(table, name, ours)
    columns["det_id"] = _read_det_ids(table)
    _add_photometry(table, meta, columns)
    ra, dec = _read_positions(table, solution)
    ra_err, dec_err = _position_errors(columns, meta, solution)
    ra, dec, good, lost = clean_positions(ra, dec)
    dropped.update(lost)
    detections = Detections(ra, dec, columns, ra_err, dec_err)
    return detections.take(good) if lost else detections


def _as_kind(table: _Table, name: str, ours: str) -> NDArray[Any]:
    values = table.read(name)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise BadCatalogError(
            f"{table.where}: column {name} is {values.dtype} of shape {values.shape}, "
            "not one number a row"
        )
    if ours in _INTEGERS:
        # psphot writes unsigned flags into signed columns: same bits, other reading.
        return np.asarray(values.astype(np.int64), np.uint32)
    if ours in ("psf_ndof", "psf_npix"):
        return np.asarray(np.nan_to_num(values, nan=-1), np.int32)
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):  # beyond float32 is unknown
        return np.asarray(values, np.float32)


def _read_det_ids(table: _Table) -> NDArray[np.uint32]:
    if "IPP_IDET" not in table:
        return np.arange(table.n_rows, dtype=np.uint32)
    det_id = det_ids_of(table.read("IPP_IDET"), f"{table.where}, column IPP_IDET")
    check_det_ids(det_id, table.where, "IPP_IDET")
    return det_id


def _read_float(table: _Table, name: str) -> F32 | None:
    if name not in table:
        return None
    return np.asarray(_as_kind(table, name, name), np.float32)


def _add_photometry(table: _Table, meta: ImageMeta, columns: dict[str, NDArray[Any]]) -> None:
    """Magnitudes of one second and fluxes a second, from what was measured in the exposure."""
    shift = np.float32(meta.m_time + INSTRUMENT_ZERO_POINT)
    per_second = np.float32(1.0 / meta.exptime_s) if meta.exptime_s > 0 else np.float32(1.0)
    # Fluxes of zero, negative or NaN have no logarithm; they become NaN without a word.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        m_psf, m_ap = _read_float(table, "PSF_INST_MAG"), _read_float(table, "AP_MAG")
        sigma = columns.get("mag_err")
        if m_psf is not None:
            m_psf = np.where(m_psf < 0, m_psf, np.float32(np.nan))
            columns["mag"] = m_psf + shift
        if m_ap is not None:
            columns["m_aper"] = m_ap + shift
        psf = _fluxes(table, "PSF_INST_FLUX", "PSF_INST_FLUX_SIG", m_psf)
        ap = _fluxes(table, "AP_FLUX", "AP_FLUX_SIG", m_ap)
        kron = _fluxes(table, "KRON_FLUX", "KRON_FLUX_ERR", None)
        if psf[0] is not None and psf[1] is None and sigma is not None:
            psf = (psf[0], np.abs(psf[0]) * sigma)
        for stem, (flux, error) in (("psf", psf), ("ap", ap), ("kron", kron)):
            if flux is not None:
                columns[f"flux_{stem}"] = flux * per_second
            if error is not None:
                columns[f"flux_{stem}_err"] = error * per_second
        for stem, (flux, error) in (("m_aper", ap), ("m_kron", kron)):
            if flux is not None and error is not None:
                columns[f"{stem}_err"] = np.where(flux > 0, error / flux, np.float32(np.nan))
        if kron[0] is not None:
            columns["m_kron"] = np.float32(-2.5) * np.log10(kron[0]) + shift
            columns["m_kron"][~(kron[0] > 0)] = np.nan


def _fluxes(
    table: _Table, flux_name: str, error_name: str, mag: F32 | None
) -> tuple[F32 | None, F32 | None]:
    flux, error = _read_float(table, flux_name), _read_float(table, error_name)
    if flux is None and mag is not None:
        flux = np.power(np.float32(10.0), np.float32(-0.4) * mag)
    return flux, error


def _read_positions(table: _Table, solution: Solution | None) -> tuple[F64, F64]:
    if solution is not None and "X_PSF" in table and "Y_PSF" in table:
        x, y = (np.asarray(table.read(n), np.float64) for n in ("X_PSF", "Y_PSF"))
        return solution.to_sky(x, y)
    if "RA_PSF" in table and "DEC_PSF" in table:
        ra, dec = (np.asarray(table.read(n), np.float64) for n in ("RA_PSF", "DEC_PSF"))
        return ra, dec
    raise BadCatalogError(
        f"{table.where}: no positions: the chip's header has no astrometry (CTYPE1) and the table "
        "no columns RA_PSF and DEC_PSF; run psastro on the exposure first"
    )


def _position_errors(
    columns: dict[str, NDArray[Any]], meta: ImageMeta, solution: Solution | None
) -> tuple[F32 | None, F32 | None]:
    if "x_ccd_err" not in columns or "y_ccd_err" not in columns:
        return None, None
    x_err, y_err = columns["x_ccd_err"], columns["y_ccd_err"]
    if solution is not None:
        return errors_on_sky(solution, meta.nx, meta.ny, x_err, y_err)
    if "pltscale" in columns:
        # Without astrometry the rotation is unknown: the mean error serves both axes.
        both = columns["pltscale"] * np.hypot(x_err, y_err) * np.float32(math.sqrt(0.5))
        return both, both.copy()
    return None, None
