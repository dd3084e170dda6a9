"""A shadow of a database: a folder that reads as it does, and may be changed instead of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dvo.errors import StorageError
from dvo.partition import layout

__all__ = ["shadow"]


@contextlib.contextmanager
def shadow(catdir: Path) -> Iterator[Path]:
    """Make a shadow of a database, for as long as the block lasts.

    The manifest is copied, other files are linked to: they never change, and what is written
    to the shadow has names of its own.

    Parameters
    ----------
    catdir : Path
        The database directory; only read.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    StorageError
        If there is no room for the manifest.
    """
    with tempfile.TemporaryDirectory(prefix="dvo-") as folder:
        place = Path(folder, catdir.name or "sky")
        try:
            place.mkdir()
            for parent, _, names in os.walk(catdir):
                here = place / Path(parent).relative_to(catdir)
                here.mkdir(exist_ok=True)
                for name in names:
                    source = Path(parent, name).resolve()
                    if name.startswith(layout.MANIFEST):
                        shutil.copyfile(source, here / name)
                    elif name not in (layout.LOCK, layout.PINS):
                        (here / name).symlink_to(source)
        except OSError as err:
            raise StorageError(f"{folder}: {err.strerror or err}") from err
        yield place
