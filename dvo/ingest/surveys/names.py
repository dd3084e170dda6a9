"""Names of the surveys, apart from their descriptions: a command's help must be quick."""

from __future__ import annotations

__all__ = ["SURVEY_NAMES"]

SURVEY_NAMES = (
    "gaia",
    "hipparcos",
    "tycho1",
    "tycho2",
    "2mass",
    "allwise",
    "usnob",
    "sdss",
    "ps1",
    "des",
)
"""What `SURVEYS` holds, in its order."""
