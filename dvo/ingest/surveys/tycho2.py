"""Tycho-2: the catalogue's own text, and the index files of astrometry.net.

Debian's ``astrometry-data-tycho2-07-littleendian`` holds 1.87 of its 2.54 million stars,
thinned where they are dense: a table ``kdtree_data_stars`` of unit vectors in three uint32,
scaled by ``kdtree_range_stars``, and the magnitudes ``MAG_VT``; epoch 2000. The integers
have the byte order that ENDIAN in the primary header tells, whatever FITS says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.hdus import HduFile
from dvo.ingest.surveys.forms import Band, Field, Form, Rows, Rule, Survey, letters
from dvo.ingest.surveys.text_files import bars
from dvo.proper_motion import epoch_to_mjd
from dvo.tables.flags import PhotFlag

__all__ = ["TYCHO2", "TYCHO2_PATH"]

TYCHO2_PATH = Path("/usr/share/astrometry/index-tycho2-07.littleendian.fits")
"""Where Debian's package puts the file."""

_EPOCH = 2000.0
_ENDIAN = {"04:03:02:01": "<", "01:02:03:04": ">"}

_COLUMNS = (
    *("TYC", "pflag", "RAmdeg", "DEmdeg", "pmRA", "pmDE", "e_RAmdeg", "e_DEmdeg", "e_pmRA"),
    *("e_pmDE", "EpRAm", "EpDEm", "Num", "q_RAmdeg", "q_DEmdeg", "q_pmRA", "q_pmDE", "BTmag"),
    *("e_BTmag", "VTmag", "e_VTmag", "prox", "TYC1", "HIP", "RAdeg", "DEdeg", "EpRA-1990"),
    *("EpDE-1990", "e_RAdeg", "e_DEdeg", "posflg", "corr"),
)


def _default_file() -> Path:
    if not TYCHO2_PATH.is_file():
        raise BadCatalogError(
            f"{TYCHO2_PATH} is not there: apt-get install astrometry-data-tycho2-07-littleendian, "
            "or give the path of such an index"
        )
    return TYCHO2_PATH


def _settle_positions(rows: Rows) -> None:
    """Errors at epoch 2000, and observed positions where there is no mean one (pflag X)."""
    values = rows.values
    for axis, motion in (("ra", "u_ra"), ("dec", "u_dec")):
        years = _EPOCH - values.pop(f"{axis}_mean_epoch")
        drift = values[f"{motion}_err"] * years / 1000.0
        values[f"{axis}_err"] = np.hypot(values[f"{axis}_err"], drift)
    is_seen = np.isnan(values["ra"])
    epoch = np.full(rows.n, epoch_to_mjd(_EPOCH))
    seen = 1990.0 + (values.pop("ra_seen_years") + values.pop("dec_seen_years")) / 2
    epoch[is_seen] = [epoch_to_mjd(year) for year in seen[is_seen]]
    for name in ("ra", "dec", "ra_err", "dec_err"):
        observed = values.pop(f"{name}_seen")
        if name.endswith("err"):
            observed = observed / 1000.0
        values[name] = np.where(is_seen, observed, values[name])
    if is_seen.any():
        values["epoch"] = epoch


def _read_index(path: Path, wanted: Mapping[str, bool]) -> dict[str, NDArray[Any]]:
    with HduFile(path) as file:
        order = _ENDIAN.get(str(file.hdus[0].header.get("ENDIAN")))
        if order is None:
            raise BadCatalogError(f"{path}: its ENDIAN is no byte order; no astrometry.net index")
        stars = _read_block(file, "kdtree_data_stars", f"{order}u4").reshape(-1, 3)
        bounds = _read_block(file, "kdtree_range_stars", f"{order}f8")
        # The magnitudes are a true FITS column, big-endian as all of them.
        mag = _read_block(file, "MAG_VT", ">f4").astype(np.float32)
    if len(bounds) != 7 or not np.all(np.isfinite(bounds)) or bounds[6] <= 0:
        raise BadCatalogError(f"{path}: kdtree_range_stars does not hold 7 sensible numbers")
    if len(stars) != len(mag):
        raise BadCatalogError(f"{path}: {len(stars)} positions, but {len(mag)} magnitudes")
    x, y, z = (bounds[i] + stars[:, i] / bounds[6] for i in range(3))
    made = {
        "ra": np.degrees(np.arctan2(y, x)),
        "dec": np.degrees(np.arctan2(z, np.hypot(x, y))),
        "MAG_VT": mag,
    }
    return {name: made[name] for name in wanted}


def _read_block(file: HduFile, name: str, dtype: str) -> NDArray[Any]:
    for hdu in file.hdus:
        if hdu.is_table and hdu.header.get("TTYPE1") == name:
            data = file.read_data(hdu)
            if len(data) % np.dtype(dtype).itemsize:
                raise BadCatalogError(f"{hdu.header.where}: {name} has {len(data)} bytes")
            return np.frombuffer(data, dtype)
    raise BadCatalogError(f"{file.path}: no table {name}; no astrometry.net index of Tycho-2")


TYCHO2 = Survey(
    name="tycho2",
    title="Tycho-2",
    bands=(
        Band("VT", "TYCHO.VT", "VT, Tycho system"),
        Band("BT", "TYCHO.BT", "BT, Tycho system"),
    ),
    forms=(
        Form(
            "tyc2.dat",
            "The catalogue's own text, fields between bars: tyc2.dat of CDS, whole or in its 20 "
            "parts, or catalog.dat of the CD-ROM; fields left blank are missing",
            (
                Field("pflag", "pflag", is_text=True),
                Field("ra", "RAmdeg", "deg", is_needed=True),
                Field("dec", "DEmdeg", "deg", is_needed=True),
                Field("u_ra", "pmRA", "mas/yr"),
                Field("u_dec", "pmDE", "mas/yr"),
                # At the mean epochs; brought to epoch 2000.
                Field("ra_err", "e_RAmdeg", "mas"),
                Field("dec_err", "e_DEmdeg", "mas"),
                Field("u_ra_err", "e_pmRA", "mas/yr"),
                Field("u_dec_err", "e_pmDE", "mas/yr"),
                Field("ra_mean_epoch", "EpRAm"),
                Field("dec_mean_epoch", "EpDEm"),
                Field("ra_seen", "RAdeg"),
                Field("dec_seen", "DEdeg"),
                Field("ra_seen_years", "EpRA-1990"),
                Field("dec_seen_years", "EpDE-1990"),
                Field("ra_err_seen", "e_RAdeg"),
                Field("dec_err_seen", "e_DEdeg"),
                Field("mag", "{}mag", "mag", is_needed=True),
                Field("mag_err", "e_{}mag", "mag"),
            ),
            words=("VT", "BT"),
            epoch=_EPOCH,
            starts=re.compile(rb"\d{4} \d{5} \d\|[ PX]\|"),
            read=bars(_COLUMNS),
            prepare=_settle_positions,
        ),
        Form(
            "astrometry.net index",
            "index-tycho2-*.fits, as in Debian's astrometry-data-tycho2-07-littleendian: VT only, "
            "positions without errors or motions, thinned where stars are dense",
            (
                Field("ra", "ra", "deg", is_needed=True),
                Field("dec", "dec", "deg", is_needed=True),
                Field("mag", "MAG_{}", "mag", is_needed=True),
            ),
            words=("VT", ""),
            epoch=_EPOCH,
            starts=re.compile(rb"SIMPLE  =.*ENDIAN  = '0", re.DOTALL),
            read=_read_index,
        ),
    ),
    rules=(
        Rule("pflag", letters("P"), PhotFlag.BLEND,
             "`pflag` P: position and motion are of the photocentre of two entries"),
    ),
    source=(
        "Høg et al. 2000, A&A 355, L27; CDS I/259 (ReadMe); format.txt of the CD-ROM",
        "astrometry.net, index files of Tycho-2 (Debian astrometry-data-tycho2)",
    ),
    notes=(
        ("Positions are those at epoch 2000 (`RAmdeg`); their errors are brought there from the "
        "mean epochs (`EpRAm`) with the errors of the motions. Without a mean position (`pflag` "
        "X) the observed one is taken (`RAdeg`), at its own time."),
        "Positions without errors are taken to be good to 0.06 arcsec, the median of all stars.",
    ),
    pos_err_arcsec=0.06,
    default_file=_default_file,
    default_says="Debian's astrometry-data-tycho2-07-littleendian, if installed",
)  # fmt: skip
"""Tycho-2."""
