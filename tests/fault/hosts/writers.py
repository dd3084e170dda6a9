"""Commands that write through hosts, as faults interrupt them.

    python -m tests.fault.hosts.writers COMMAND CATDIR

runs one, as the process that commits. What hosts do then is in `tests.engine_operations`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from dvo.calib.photometry import apply
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.ingest import add_elsewhere
from dvo.merge import add_elsewhere as merge_elsewhere
from dvo.merge.merge import MergeOptions, merge
from dvo.partition import compact, region_batches
from dvo.partition.engines.hosts import HostEngine
from dvo.partition.store import Store
from dvo.partition.write_operations import Runner
from tests.fault.hosts.asking import QUICK
from tests.synth import FIELDS, add_images, make_database, make_images

SETTINGS = (
    (compact, "_OPERATION", "test-write"),
    (compact, "GROUP_ROWS", 1),
    (add_elsewhere, "_OPERATION", "test-add"),
    (add_elsewhere, "GROUP_ROWS", 1),
    (merge_elsewhere, "_OPERATION", "test-merge"),
    (merge_elsewhere, "GROUP_ROWS", 1),
    (apply, "_OPERATION", "test-calibrate"),
    (region_batches, "_MOST_ROWS", 1),
)
"""What makes small groups, and hosts do what tests tell."""


def run_resort(store: Store, engine: Runner | None) -> None:
    assert compact.resort(store, engine=engine) == 4


def run_addstar(store: Store, engine: Runner | None) -> None:
    """An image each of fields that are far apart, in one commit."""
    images = [make_images(9, 30, 1, f, first=50 + k)[0] for k, f in enumerate(FIELDS)]
    assert add_images(store, images, engine=engine).n_images == 4


def run_merge(store: Store, engine: Runner | None) -> None:
    """A database of the field at a corner of regions, in one commit."""
    path = store.catdir.parent / "source"
    if not path.exists():  # a command that is run again finds it
        with Store(make_database(path, 3), writable=True) as other:
            add_images(other, make_images(1, 60, 2, first=50))
    with Store(path) as source:
        assert merge(store, source, MergeOptions(), engine=engine).n_commits == 1


def run_relphot(store: Store, engine: Runner | None) -> None:
    """Zero points of all images, read by hosts and written by them, in one commit."""
    assert relphot(store, RelphotOptions(("g", "r")), engine=engine).n_images > 1


COMMANDS: dict[str, Callable[[Store, Runner | None], None]] = {
    "resort": run_resort,
    "addstar": run_addstar,
    "dvomerge": run_merge,
    "relphot": run_relphot,
}


def through_hosts(command: str, catdir: Path) -> None:
    """Run a command through the hosts of a database."""
    with (
        Store(catdir, writable=True, command="the master") as store,
        HostEngine(store, store.view().snapshot.id, times=QUICK) as engine,
    ):
        COMMANDS[command](store, engine)


class Work(threading.Thread):
    """A command in a thread; `end` gives its error, or None."""

    def __init__(self, command: str, catdir: Path) -> None:
        super().__init__(daemon=True)
        self._command, self._catdir = command, catdir
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            through_hosts(self._command, self._catdir)
        except Exception as err:  # noqa: BLE001 - the test looks at it
            self._error = err

    def end(self) -> Exception | None:
        self.join(60)
        assert not self.is_alive()
        return self._error


if __name__ == "__main__":
    for module, name, value in SETTINGS:
        setattr(module, name, value)
    through_hosts(sys.argv[1], Path(sys.argv[2]))
