"""Commands that change a database as a whole, for the crash runner."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from dvo.errors import CatdirExistsError
from dvo.merge.selection import Selection
from dvo.partition.bounds import Cone
from dvo.partition.copy import copy_database
from dvo.partition.store import Store
from dvo.reshape.delete import delete_images, delete_measures
from dvo.reshape.extract import extract
from dvo.reshape.filters import add_filter
from dvo.reshape.repair import repair
from dvo.reshape.sources import ImageChoice
from tests.planted import spoil
from tests.synth import FIELDS, add_images, make_database, make_images

__all__ = ["PLACES", "RESHAPE", "prepare_reshape"]

PLACES = {"extract": "new", "copy": "new"}
"""Where the database is that a command makes; else it is the folder itself."""


def run_add_filter(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        if "z" not in [p.name for p in store.view().photcodes.sec]:
            add_filter(store, "z", after="g")


def run_delete_images(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        delete_images(store, ImageChoice(("synth-0001",)))


def run_delete_measures(catdir: Path) -> None:
    """Of a part of the sky; the image stays, with fewer measures: an overlay beside catalogs."""
    with Store(catdir, writable=True) as store:
        delete_measures(store, Selection(Cone(*FIELDS["edge"], 0.15), images=(2,)))


def run_extract(catdir: Path) -> None:
    """A folder that is made, and in it a commit."""
    with Store(catdir.parent.parent / "source") as source, contextlib.suppress(CatdirExistsError):
        extract(source, catdir, Selection(Cone(*FIELDS["edge"], 0.15)), level=0)


def run_copy(catdir: Path) -> None:
    if not catdir.exists():
        with Store(catdir.parent.parent / "source") as source:
            copy_database(source, catdir)


def run_repair(catdir: Path) -> None:
    """Rows are mended in a commit; a manifest made anew is the scenario rebuild."""
    assert repair(catdir).left == []


RESHAPE: dict[str, Callable[[Path], None]] = {
    "add-filter": run_add_filter,
    "delete-images": run_delete_images,
    "delete-measures": run_delete_measures,
    "extract": run_extract,
    "copy": run_copy,
    "repair": run_repair,
}


def prepare_reshape(catdir: Path, scenario: str) -> None:
    """What a scenario needs beside a database with two images."""
    if scenario in PLACES:
        source = make_database(catdir.parent / "source")
        with Store(source, writable=True) as store:
            add_images(store, make_images(3, 16, 2))
    if scenario == "repair":
        spoil(catdir, "Measure", "ave_ref", 1, 10**6)
