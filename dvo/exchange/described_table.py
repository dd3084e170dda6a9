"""Tables that say themselves what their columns are, as catalogs that addstar can take.

A table that `dvo export` wrote has our names and units; others are mapped by the user. What
is known of the columns becomes the description of a survey, and the rest is done by the
reader of surveys: units, missing values, bands, epochs.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.column_map import ColumnMap
from dvo.ingest.detections import (
    MOTION_COLUMNS,
    ImageMeta,
    InputImage,
    content_digest,
    measure_columns,
)
from dvo.ingest.exposures import Exposure, read_exposure
from dvo.ingest.sources import Source
from dvo.ingest.surveys.forms import Band, Field, Form, Rows, Survey
from dvo.ingest.surveys.read import read_survey
from dvo.tables.table_files import read_chosen

__all__ = ["KINDS", "DescribedTable", "as_survey", "describe", "image_source", "sources_of"]

_MJD_1970 = 40587.0
_PROPERTY = re.compile(r"\s*([^#!=:\s][^=:\s]*)\s*[=:]\s*(.*?)\s*$")
_VOPARQUET = b"IVOA.VOTable-Parquet.content"
_POSITION = ("ra", "dec", "ra_err", "dec_err", "u_ra", "u_dec", "u_ra_err", "u_dec_err", "par",
             "par_err")  # fmt: skip
_MAGS = {"mag": "mag", "mag_err": "mag_err", "m_kron": "mag_kron", "m_kron_err": "mag_kron_err",
         "m_aper": "mag_ap", "m_aper_err": "mag_ap_err"}  # fmt: skip
_EPOCH = "mean_epoch"  # seconds since 1970, as our objects have it


@dataclass(frozen=True)
class DescribedTable:
    """A catalog in one file or many, and what it says of its columns.

    Parameters
    ----------
    files : mapping of str to Path
        Its files, by the name that each is known by.
    units : mapping of str to str
        Unit of each column, empty if there is none; the columns in their order.
    ra, dec : str
        The columns of positions.
    """

    files: Mapping[str, Path]
    units: Mapping[str, str]
    ra: str = "ra"
    dec: str = "dec"


def describe(kind: str, path: Path) -> DescribedTable:
    """See what a table says of itself.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    path : Path
        The file, or the folder of a HATS catalog or collection.

    Returns
    -------
    DescribedTable
        Its columns and files.

    Raises
    ------
    BadCatalogError
        If it is no such table.
    """
    return KINDS[kind](path)


def _describe_file(path: Path) -> DescribedTable:
    if not path.is_file():
        raise BadCatalogError(f"{path}: no such file")
    present: list[str] = []

    def choose(names: Sequence[str]) -> Sequence[str]:
        present.extend(names)
        return ()

    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        return DescribedTable({path.name: path}, _parquet_units(path))
    read_chosen(path, choose)
    return DescribedTable({path.name: path}, dict.fromkeys(present, ""))


def _describe_hats(path: Path) -> DescribedTable:
    folder = path
    if (path / "collection.properties").is_file():
        main = _properties(path / "collection.properties").get("hats_primary_table_url", "")
        folder = path / main
        if not main or path.resolve() not in folder.resolve().parents:
            raise BadCatalogError(f"{path}: its catalog is said to be {main!r}, which is not in it")
    facts = _find_properties(folder)
    kind = facts.get("dataproduct_type", "object")
    if kind not in ("object", "source"):
        raise BadCatalogError(f"{folder}: is a {kind} catalog; name that of objects or sources")
    dataset = folder / "dataset"
    suffix = facts.get("hats_npix_suffix", ".parquet")
    pattern = "Norder=*/Dir=*/Npix=*" + ("/*.parquet" if suffix == "/" else suffix)
    leaves = sorted(dataset.glob(pattern), key=_pixel_key)
    if not leaves:
        raise BadCatalogError(f"{folder}: no files Norder=…/Dir=…/Npix=… in its folder dataset")
    name = facts.get("obs_collection") or folder.name
    files = {f"{name}/{leaf.relative_to(dataset).as_posix()}": leaf for leaf in leaves}
    common = dataset / "_common_metadata"
    units = _parquet_units(common if common.is_file() else leaves[0])
    return DescribedTable(
        files, units, facts.get("hats_col_ra", "ra"), facts.get("hats_col_dec", "dec")
    )


def _pixel_key(path: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"(?:Norder|Npix)=(\d+)", path.as_posix()))


def _find_properties(folder: Path) -> dict[str, str]:
    for name in ("hats.properties", "properties"):
        if (folder / name).is_file():
            return _properties(folder / name)
    raise BadCatalogError(f"{folder}: no HATS catalog (it has no hats.properties)")


def _properties(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogError(f"{path}: cannot be read: {error}") from error
    found = (_PROPERTY.match(line) for line in lines)
    return {m[1]: m[2] for m in found if m}


def _parquet_units(path: Path) -> dict[str, str]:
    """Units of the columns of a Parquet file: of the fields, or as VOParquet tells them."""
    try:
        schema = pq.read_schema(path)
        units = {
            name: ((schema.field(name).metadata or {}).get(b"unit") or b"").decode()
            for name in schema.names
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadCatalogError(f"{path}: damaged Parquet file: {error}") from error
    document = (schema.metadata or {}).get(_VOPARQUET)
    told = _votable_units(path, document) if document else {}
    return {name: unit or told.get(name, "") for name, unit in units.items()}


def _votable_units(path: Path, document: bytes) -> dict[str, str]:
    from astropy.io import votable  # noqa: PLC0415 - slow to import
    from astropy.io.votable.exceptions import VOWarning  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VOWarning)
            table = votable.parse(io.BytesIO(document)).get_first_table()
    except (IndexError, TypeError, ValueError, VOWarning) as error:
        raise BadCatalogError(f"{path}: its description as VOTable is damaged: {error}") from error
    return {f.name: f.unit.to_string("vounit") for f in table.fields if f.unit is not None}


KINDS: dict[str, Callable[[Path], DescribedTable]] = {
    "hats": _describe_hats,
    "parquet": _describe_file,
    "fits": _describe_file,
}
"""Kinds of tables, and how each is looked at."""


def as_survey(table: DescribedTable, system: str, column_map: ColumnMap | None = None) -> Survey:
    """Describe a table as a survey.

    Parameters
    ----------
    table : DescribedTable
        The table.
    system : str
        Photometric system: the photcode of a table with one magnitude, the first word of
        those of one with several.
    column_map : ColumnMap, optional
        Which column is which; None goes by our names.

    Returns
    -------
    Survey
        With a band for each pair of columns such as ``g_mag``, or one band.

    Raises
    ------
    BadCatalogError
        If there are no magnitudes by our names.
    ConfigError
        If the map has no magnitude.
    """
    if column_map is not None:
        if not any(key in _MAGS for key in column_map.columns):
            raise ConfigError(
                f"column map: no magnitude; add mag=COLUMN (or {', '.join(_MAGS)}) in calibrated "
                "magnitudes"
            )
        fields = tuple(
            Field(key, name, column_map.units.get(key) or table.units.get(name, ""), True)
            for key, name in column_map
        )
        return _survey(system, (Band(system, system, "as mapped"),), fields, ())
    by_lower = {name.lower(): name for name in table.units}
    fields = (
        Field("ra", table.ra, table.units.get(table.ra) or "deg", is_needed=True),
        Field("dec", table.dec, table.units.get(table.dec) or "deg", is_needed=True),
        *(_own(table, key, by_lower[key]) for key in _POSITION[2:] if key in by_lower),
    )
    if _EPOCH in by_lower:
        fields = (*fields, Field("epoch", by_lower[_EPOCH], "s"))
    words = [n.removesuffix("_mag") for n in by_lower if n.endswith("_mag") and n != "_mag"]
    if words:
        bands = tuple(Band(w, f"{system}.{w}", f"{w}_mag") for w in words)
        fields += tuple(
            Field(key, f"{{}}_{column}", "mag", key == "mag") for key, column in _MAGS.items()
        )
        return _survey(system, bands, fields, tuple(words))
    own = [key for key in _MAGS if key in by_lower]
    if "mag" not in own:
        raise BadCatalogError(
            f"{next(iter(table.files.values()))}: no magnitudes called mag or g_mag, r_mag, …; it "
            f"has {', '.join(list(table.units)[:60])}; say which is which with --map"
        )
    fields += tuple(_own(table, key, by_lower[key]) for key in own)
    return _survey(system, (Band(system, system, "mag"),), fields, ())


def _own(table: DescribedTable, key: str, name: str) -> Field:
    return Field(key, name, table.units.get(name, ""))


def _survey(
    system: str, bands: tuple[Band, ...], fields: tuple[Field, ...], words: tuple[str, ...]
) -> Survey:
    form = Form("table", "any", fields, words, prepare=_prepare)
    return Survey(system.lower(), f"the table of {system}", bands, (form,), ("its own metadata",))


def _prepare(rows: Rows) -> None:
    """Bring times into days, and the magnitudes of a table with one band into that band."""
    if "epoch" in rows.values:
        rows.values["epoch"] = rows.values["epoch"] / 86400.0 + _MJD_1970
    if len(rows.bands) == 1 and not rows.bands[0]:
        own = [key for key in rows.values if key in _MAGS]
        rows.bands[0] |= {key: rows.values.pop(key) for key in own}


def sources_of(
    table: DescribedTable,
    survey: Survey,
    *,
    bands: Sequence[str] | None = None,
    epoch: float | None = None,
    name: str | None = None,
) -> list[Source]:
    """Sources for the files of a table, as parts of a reference catalog.

    Parameters
    ----------
    table : DescribedTable
        The table.
    survey : Survey
        What it is, from `as_survey`.
    bands : sequence of str, optional
        Bands wanted; None for all.
    epoch : float, optional
        Julian epoch of the positions [yr]; None for that of each row.
    name : str, optional
        What the catalog is known by; None for the name of its file or folder.

    Returns
    -------
    list of Source
        One a file.

    Raises
    ------
    ConfigError
        If the epoch is not known.
    """
    if epoch is None and not any(f.key == "epoch" for f in survey.forms[0].fields):
        raise ConfigError(
            f"nothing says of when the positions are: there is no column {_EPOCH}; give their "
            "Julian year (--epoch)"
        )
    named = {_named(n, name, len(table.files)): path for n, path in table.files.items()}
    return [partial(_read, survey, path, bands, epoch, n) for n, path in named.items()]


def _named(file: str, name: str | None, n_files: int) -> str:
    if name is None:
        return file
    return name if n_files == 1 else f"{name}/{file.partition('/')[2] or file}"


def _read(
    survey: Survey, path: Path, bands: Sequence[str] | None, epoch: float | None, name: str
) -> list[InputImage]:
    return [read_survey(survey, path, bands=bands, epoch=epoch, name=name)]


def image_source(
    table: DescribedTable,
    name: str,
    column_map: ColumnMap | None = None,
    *,
    photcode: str,
    mjd: float,
    exptime_s: float = 0.0,
    airmass: float = math.nan,
) -> Source:
    """Source for a table that holds the detections of one image.

    Parameters
    ----------
    table : DescribedTable
        The table, in one file.
    name : str
        Name of the image.
    column_map : ColumnMap, optional
        Which column is which; None takes every column that has the name of one of Measure.
    photcode : str
        Its photcode.
    mjd : float
        Start of the exposure, MJD UTC [d].
    exptime_s : float
        Exposure time [s]; 0 if unknown.
    airmass : float
        Airmass; NaN if unknown.

    Returns
    -------
    Source
        The image.
    """
    (path,) = table.files.values()
    if column_map is None:
        known = {"ra", "dec", "ra_err", "dec_err", *measure_columns()} - {*MOTION_COLUMNS}
        columns = {n.lower(): n for n in table.units if n.lower() in known}
        column_map = ColumnMap(columns | {"ra": table.ra, "dec": table.dec}, {})
    content = content_digest((photcode, mjd, exptime_s, airmass), {})
    meta = ImageMeta(name, photcode, mjd, exptime_s, airmass, content)
    return partial(_read_image, Exposure(path, meta), column_map)


def _read_image(exposure: Exposure, column_map: ColumnMap) -> list[InputImage]:
    return [read_exposure(exposure, column_map)]
