"""What a user names as input, turned into sources that addstar can read.

A source is a function that reads one file when it is called; making the list reads no
more than an exposure list, so that work on the first file can begin at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.catalogs import read_catalog
from dvo.ingest.column_map import ColumnMap
from dvo.ingest.detections import InputImage
from dvo.ingest.exposures import Exposure, read_exposure, read_exposure_list
from dvo.ingest.surveys.forms import Survey
from dvo.ingest.surveys.read import read_survey
from dvo.ingest.tables import read_reference
from dvo.proper_motion import epoch_to_mjd

__all__ = [
    "Source",
    "catalog_sources",
    "exposure_sources",
    "reference_sources",
    "survey_sources",
]

_MAX_NAME = 128

Source = Callable[[], Iterable[InputImage]]
"""Reads one file when it is called."""


def catalog_sources(
    paths: Sequence[Path], *, photcode: str | None, satellites: bool = True
) -> list[Source]:
    """Sources for psphot and FITS-LDAC catalogs.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    photcode : str or None
        Photcode of all images; None takes that of the headers.
    satellites : bool
        Whether to read what fills satellite tables, too.

    Returns
    -------
    list of Source
        One a file.
    """
    read = partial(read_catalog, photcode=photcode, satellites=satellites)
    return [partial(_listed, partial(read, _existing(path))) for path in paths]


def exposure_sources(lists: Sequence[Path], column_map: ColumnMap) -> list[Source]:
    """Sources for plain tables that are images, as listed in exposure lists.

    Parameters
    ----------
    lists : sequence of Path
        Exposure lists (csv).
    column_map : ColumnMap
        Which column is which.

    Returns
    -------
    list of Source
        One an exposure.

    Raises
    ------
    BadCatalogError
        If a list is bad or empty.
    """
    exposures = []
    for path in lists:
        found = read_exposure_list(path)
        if not found:
            raise BadCatalogError(f"{path}: lists no exposure; give one a line, below the header")
        exposures += found
    return [partial(_exposure, e, column_map) for e in exposures]


def reference_sources(
    paths: Sequence[Path],
    column_map: ColumnMap,
    *,
    photcode: str,
    epoch: float,
    name: str | None = None,
) -> list[Source]:
    """Sources for plain tables that are reference catalogs.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    column_map : ColumnMap
        Which column is which.
    photcode : str
        REF photcode.
    epoch : float
        Julian epoch of the positions [yr].
    name : str or None
        What the catalog is known by, if it is one file; None takes the name of each file.

    Returns
    -------
    list of Source
        One a file.

    Raises
    ------
    ConfigError
        If the epoch is no year, or the name cannot be, or there is one name for many files.
    """
    _check_epoch(epoch)
    if name is not None:
        _check_catalog_name(name, paths)
    mjd = float(epoch_to_mjd(epoch))
    return [partial(_reference, _existing(p), column_map, photcode, mjd, name) for p in paths]


def _check_catalog_name(name: str, paths: Sequence[Path]) -> None:
    if len(paths) > 1:
        raise ConfigError(
            f"catalog name {name!r} for {len(paths)} files; each is a catalog of its own: give "
            "one file at a time, or no name"
        )
    if not name or len(name) > _MAX_NAME or not (name.isascii() and name.isprintable()):
        raise ConfigError(f"catalog name {name!r}; use 1 to {_MAX_NAME} ASCII characters")


def survey_sources(
    survey: Survey,
    paths: Sequence[Path],
    *,
    bands: Sequence[str] | None = None,
    epoch: float | None = None,
    name: str | None = None,
) -> list[Source]:
    """Sources for files of a survey that has a reader of its own.

    Parameters
    ----------
    survey : Survey
        The survey.
    paths : sequence of Path
        Its files; none takes that of the installed package.
    bands : sequence of str or None
        Names of the bands wanted; None for all.
    epoch : float or None
        Julian epoch of positions that have none of their own [yr].
    name : str or None
        What the catalog is known by, if it is one file; None takes the name of each file.

    Returns
    -------
    list of Source
        One a file.

    Raises
    ------
    ConfigError
        If the epoch is no year, or the name cannot be, or there is one name for many files.
    """
    if epoch is not None:
        _check_epoch(epoch)
    if name is not None:
        _check_catalog_name(name, paths)
    files: list[Path | None] = [_existing(p) for p in paths]
    return [partial(_survey, survey, path, bands, epoch, name) for path in files or [None]]


def _check_epoch(epoch: float) -> None:
    if not 1859.0 <= epoch <= 2258.0:  # the times that a measure can have
        raise ConfigError(f"epoch {epoch}; give a Julian year, 1859 to 2258, such as 2016.0")


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise BadCatalogError(f"{path}: is a folder; give the files in it, such as {path}/*.smf")
    if not path.is_file():
        raise BadCatalogError(f"{path}: no such file")
    return path


def _listed(read: Callable[[], Iterable[InputImage]]) -> list[InputImage]:
    return list(read())


def _exposure(exposure: Exposure, column_map: ColumnMap) -> list[InputImage]:
    return [read_exposure(exposure, column_map)]


def _reference(
    path: Path, column_map: ColumnMap, photcode: str, mjd: float, name: str | None
) -> list[InputImage]:
    return [read_reference(path, column_map, photcode=photcode, epoch_mjd=mjd, name=name)]


def _survey(
    survey: Survey,
    path: Path | None,
    bands: Sequence[str] | None,
    epoch: float | None,
    name: str | None,
) -> list[InputImage]:
    return [read_survey(survey, path, bands=bands, epoch=epoch, name=name)]
