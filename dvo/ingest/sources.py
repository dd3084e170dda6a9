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
from dvo.ingest.surveys.gaia import read_gaia
from dvo.ingest.surveys.hipparcos import read_hipparcos
from dvo.ingest.surveys.motion import epoch_to_mjd
from dvo.ingest.surveys.tycho1 import read_tycho1
from dvo.ingest.surveys.tycho2 import read_tycho2
from dvo.ingest.tables import read_reference

__all__ = ["SURVEYS", "Source", "catalog_sources", "exposure_sources", "reference_sources",
           "survey_source"]  # fmt: skip

_MAX_NAME = 128

Source = Callable[[], Iterable[InputImage]]
"""Reads one file when it is called."""

SURVEYS: dict[str, Callable[..., InputImage]] = {
    "gaia": read_gaia,
    "hipparcos": read_hipparcos,
    "tycho1": read_tycho1,
    "tycho2": read_tycho2,
}
"""Readers of the surveys that are known by name."""


def catalog_sources(paths: Sequence[Path], *, photcode: str | None) -> list[Source]:
    """Sources for psphot and FITS-LDAC catalogs.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    photcode : str or None
        Photcode of all images; None takes that of the headers.

    Returns
    -------
    list of Source
        One a file.
    """
    return [partial(_listed, partial(read_catalog, _existing(p), photcode=photcode)) for p in paths]


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
    """
    exposures = [e for path in lists for e in read_exposure_list(path)]
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
    if not 1859.0 <= epoch <= 2258.0:  # the times that a measure can have
        raise ConfigError(f"epoch {epoch}; give a Julian year, 1859 to 2258, such as 2016.0")
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


def survey_source(name: str, path: Path | None) -> Source:
    """Source for a survey that has a reader of its own.

    Parameters
    ----------
    name : str
        One of `SURVEYS`.
    path : Path or None
        Its file; None takes that of the installed package.

    Returns
    -------
    Source
        The survey.

    Raises
    ------
    ConfigError
        If there is no such survey.
    """
    if name not in SURVEYS:
        raise ConfigError(f"no survey {name!r}; there are {', '.join(SURVEYS)}")
    return partial(_survey, name, path)


def _existing(path: Path) -> Path:
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


def _survey(name: str, path: Path | None) -> list[InputImage]:
    return [SURVEYS[name](path)]
