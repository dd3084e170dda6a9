"""Names of everything in a database directory; no other module makes a file name.

A data file carries in its name the token of the commit that made it and never changes::

    dvo.sqlite                              manifest: which files make up which snapshot
    lock                                    held by the one writer
    pins                                    empty; readers lock bytes of it
    SkyTable.fits                           the sky partition, and which host has which catalog
    HostTable.dat                           partition hosts, if there are any
    hosts/                                  sockets, logs and process numbers of local hosts
    Images.<token>.fits, Photcodes.<token>.fits
    log/<token>.fits                        what the commit did; rebuilds the manifest
    shared/<token>.cpt .cps .cpm            rows of many regions, as they were ingested
    n0000/0001.07.<token>.cpt .cps .cpm     rows of one region, after compaction
    staged/<token>/                         what other processes write for a commit under way
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

__all__ = [
    "HOSTS",
    "HOST_TABLE",
    "LOCK",
    "LOG",
    "MANIFEST",
    "PINS",
    "SHARED",
    "SKY_TABLE",
    "STAGED",
    "catalog_path",
    "data_files",
    "global_path",
    "is_data_path",
    "is_token",
    "log_path",
    "make_token",
    "shared_path",
    "staged_folder",
    "token_of",
]

MANIFEST = "dvo.sqlite"
LOCK = "lock"
PINS = "pins"
LOG = "log"
SHARED = "shared"
SKY_TABLE = "SkyTable.fits"
HOST_TABLE = "HostTable.dat"
HOSTS = "hosts"
STAGED = "staged"

_WHOLE_TOKEN = re.compile(r"[0-9]{8}-[0-9a-f]{4}")
_TOKEN = re.compile(rf"(?:^|[./])({_WHOLE_TOKEN.pattern})\.")
# Folders of data files: none, those above, and of regions. What lies elsewhere below a catdir,
# such as another database, has names like these, too, and is none of ours.
_OWN = re.compile(rf"(?:(?:{LOG}|{SHARED}|fullsky|[ns][0-9]{{4}})/)?[^/]+")


def make_token(snapshot: int) -> str:
    """Make the token of a commit: its number and four random digits.

    The random part keeps a name from being used twice when a commit was cut short.

    Parameters
    ----------
    snapshot : int
        Number of the snapshot that the commit will make.

    Returns
    -------
    str
        Such as ``00000012-9f3a``.
    """
    return f"{snapshot:08d}-{secrets.token_hex(2)}"


def shared_path(token: str, suffix: str) -> str:
    """Path of a commit's rows of many regions, relative to the catdir."""
    return f"{SHARED}/{token}.{suffix}"


def catalog_path(region_name: str, token: str, suffix: str) -> str:
    """Path of one region's rows, relative to the catdir."""
    folder, _, root = region_name.rpartition("/")
    return f"{folder or region_name}/{root if folder else 'all'}.{token}.{suffix}"


def global_path(stem: str, token: str) -> str:
    """Path of a table without regions (Images, Photcodes), relative to the catdir."""
    return f"{stem}.{token}.fits"


def log_path(token: str) -> str:
    """Path of the record of a commit, relative to the catdir."""
    return f"{LOG}/{token}.fits"


def staged_folder(token: str) -> str:
    """Folder of what is written elsewhere for a commit under way, relative to the catdir."""
    return f"{STAGED}/{token}"


def is_token(text: str) -> bool:
    """Tell whether a text is the token of a commit."""
    return _WHOLE_TOKEN.fullmatch(text) is not None


def token_of(path: str) -> str | None:
    """Find the token in a path.

    Parameters
    ----------
    path : str
        Path relative to the catdir.

    Returns
    -------
    str or None
        The token; None if the name has none, so that it is no data file.
    """
    found = _TOKEN.search(path)
    return found.group(1) if found else None


def is_data_path(path: Path) -> bool:
    """Tell whether a path, relative to the catdir, is one that a commit may have made."""
    text = path.as_posix()
    return _OWN.fullmatch(text) is not None and token_of(text) is not None


def data_files(catdir: Path) -> list[str]:
    """List the files in a catdir that a commit may have made, by their names.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    list of str
        Paths relative to it, sorted.
    """
    found = []
    for folder, _, names in os.walk(catdir):
        paths = [Path(folder, name).relative_to(catdir) for name in names]
        found += [path.as_posix() for path in paths if is_data_path(path)]
    return sorted(found)
