"""dvo: a sky-catalogue database that keeps measurements, objects and images in step.

Open a database with `dvo.open`. Names are loaded when they are first used, so importing
dvo costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvo.database import to_astropy, to_duckdb
    from dvo.partition.bounds import Box, Cone
    from dvo.query.session import Database
    from dvo.query.session import open_database as open  # noqa: A004 - dvo.open is the name

__version__ = "0.1.0"
__all__ = ["Box", "Cone", "Database", "__version__", "open", "to_astropy", "to_duckdb"]

_HOMES = {
    "Box": ("dvo.partition.bounds", "Box"),
    "Cone": ("dvo.partition.bounds", "Cone"),
    "Database": ("dvo.query.session", "Database"),
    "open": ("dvo.query.session", "open_database"),
    "to_astropy": ("dvo.database", "to_astropy"),
    "to_duckdb": ("dvo.database", "to_duckdb"),
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dvo' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only when a name is asked for

    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
