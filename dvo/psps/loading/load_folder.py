"""Loading a folder of batches: whatever is new there, some hundred thousand rows at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvo.psps.batch_file import BatchManifest, find_manifests, read_batch, read_manifest
from dvo.psps.batch_states import BatchState, BatchStates
from dvo.psps.loading.public_database import Batch, PublicDatabase

__all__ = ["LoadReport", "load_folder", "note_states"]

_ROWS_AT_ONCE = 400_000


@dataclass
class LoadReport:
    """What was loaded.

    Parameters
    ----------
    n_batches, n_rows : int
        Batches that were loaded, and their rows in all tables.
    n_known : int
        Batches that had been loaded before.
    n_found : int
        Batches in the folder.
    seconds : float
        Time it took.
    """

    n_batches: int = 0
    n_rows: int = 0
    n_known: int = 0
    n_found: int = 0
    seconds: float = 0.0


def load_folder(
    database: PublicDatabase,
    folder: Path,
    progress: Callable[[LoadReport], object] = lambda _: None,
) -> LoadReport:
    """Load the batches of a folder that are not loaded yet.

    Parameters
    ----------
    database : PublicDatabase
        Where to.
    folder : Path
        The folder that ipptopsps has filled.
    progress : callable, optional
        Is told after each step.

    Returns
    -------
    LoadReport
        What was loaded. When this is cut short, what was loaded stays, and the next time goes
        on from there.

    Raises
    ------
    CorruptTableError
        If a batch is damaged, or not what its manifest says.
    StorageError
        If something cannot be read or written.
    """
    begun = time.perf_counter()
    report = LoadReport()
    manifests = [read_manifest(path) for path in find_manifests(folder)]
    report.n_found = len(manifests)
    new = [manifest for manifest in manifests if not database.knows(manifest)]
    report.n_known = len(manifests) - len(new)
    waiting: list[Batch] = []
    n_waiting = 0
    for manifest in new:
        waiting.append((manifest, read_batch(folder, manifest)))
        n_waiting += _n_rows(manifest)
        if n_waiting >= _ROWS_AT_ONCE or manifest is new[-1]:
            report.n_batches += database.load(waiting)
            report.n_rows += n_waiting
            waiting, n_waiting = [], 0
            report.seconds = time.perf_counter() - begun
            progress(report)
    report.seconds = time.perf_counter() - begun
    return report


def _n_rows(manifest: BatchManifest) -> int:
    return sum(facts.n_rows for facts in manifest.tables.values())


def note_states(folder: Path, batch_ids: Sequence[int], state: BatchState) -> None:
    """Note in the folder of batches what has become of them, if ipptopsps keeps states there.

    Parameters
    ----------
    folder : Path
        The folder; a copy of the files alone has no states.
    batch_ids : sequence of int
        Numbers of the batches.
    state : BatchState
        Their state.
    """
    if BatchStates.are_in(folder):
        with BatchStates(folder) as states:
            states.note(batch_ids, state)
