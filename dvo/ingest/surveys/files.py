"""Files of surveys: those that packages bring, and those that are read whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dvo.errors import BadCatalogError

__all__ = ["package_file", "read_bytes"]


def package_file(package: str, file: str, install: str) -> Path:
    """Find a data file of an installed package, without importing it.

    Parameters
    ----------
    package : str
        Name of the package in Python.
    file : str
        Path of the file inside the package.
    install : str
        How to get it, for the message.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BadCatalogError
        If the package or its file is not there.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise BadCatalogError(f"no file {file} of package {package}: {install}, or give its path")


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Read a whole file that should have a known size.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int
        Size beyond which it is not the catalog.

    Returns
    -------
    bytes
        Its contents.

    Raises
    ------
    BadCatalogError
        If it cannot be read or is too long.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise BadCatalogError(f"{path}: {size} bytes, but the catalog has at most {max_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise BadCatalogError(f"{path}: cannot be read: {error}") from error
