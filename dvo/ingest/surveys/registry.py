"""All surveys that addstar knows by name, and the photcodes that they bring."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from dvo.errors import ConfigError
from dvo.ingest.surveys.allwise import ALLWISE
from dvo.ingest.surveys.des import DES
from dvo.ingest.surveys.forms import Band, Survey
from dvo.ingest.surveys.gaia import GAIA
from dvo.ingest.surveys.hipparcos import HIPPARCOS
from dvo.ingest.surveys.names import SURVEY_NAMES
from dvo.ingest.surveys.ps1 import PS1
from dvo.ingest.surveys.sdss import SDSS
from dvo.ingest.surveys.twomass import TWOMASS
from dvo.ingest.surveys.tycho1 import TYCHO1
from dvo.ingest.surveys.tycho2 import TYCHO2
from dvo.ingest.surveys.usnob import USNOB
from dvo.tables.photcode import PhotClass, Photcode

__all__ = ["SURVEYS", "find_survey", "photcode_of"]

_EVERY = (GAIA, HIPPARCOS, TYCHO1, TYCHO2, TWOMASS, ALLWISE, USNOB, SDSS, PS1, DES)

SURVEYS = MappingProxyType({survey.name: survey for survey in _EVERY})
"""Surveys by name."""

assert tuple(SURVEYS) == SURVEY_NAMES


def find_survey(name: str, system: str | None = None) -> Survey:
    """Look a survey up by its name.

    Parameters
    ----------
    name : str
        One of `SURVEYS`.
    system : str or None
        First word of its photcodes; None for that of the survey.

    Returns
    -------
    Survey
        The survey.

    Raises
    ------
    ConfigError
        If there is no such survey.
    """
    if name not in SURVEYS:
        raise ConfigError(f"no survey {name!r}; there are {', '.join(SURVEYS)}")
    survey = SURVEYS[name]
    if system is None:
        return survey
    bands = tuple(replace(b, photcode=f"{system}.{b.name}") for b in survey.bands)
    return replace(survey, bands=bands)


def photcode_of(survey: Survey, band: Band, code: int) -> Photcode:
    """Make the photcode of a band of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    band : Band
        The band.
    code : int
        Its number.

    Returns
    -------
    Photcode
        A REF photcode with the systematic errors of the survey.
    """
    return Photcode(
        code=code,
        name=band.photcode,
        kind=PhotClass.REF,
        astrom_err_sys=survey.pos_sys_arcsec,
        photom_err_sys=survey.mag_sys,
    )
