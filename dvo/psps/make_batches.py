"""Making batches: which are wanted, which are there already, and the work of the others."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvo.errors import DvoError, StorageError
from dvo.partition.bounds import Area
from dvo.partition.lock import WriterLock
from dvo.partition.view import View
from dvo.psps.batch_file import BatchFacts, BatchManifest, write_batch
from dvo.psps.batch_states import BatchRow, BatchStates, Planned
from dvo.psps.metadata_rows import metadata_rows
from dvo.psps.object_rows import ObjectFacts, object_rows
from dvo.psps.schema.batches import BatchType
from dvo.tables.average import AVERAGE
from dvo.tables.secfilt import SECFILT

__all__ = ["BatchOptions", "BatchReport", "make_batches"]

METADATA = "metadata"
"""Scope of batches of metadata."""

_REGION = "region "


@dataclass(frozen=True)
class BatchOptions:
    """What is to be made, and what is said of the survey.

    Parameters
    ----------
    types : tuple of BatchType
        Kinds of batches.
    area : Area or None
        Where regions have to touch; None for all.
    survey_id : int
        Number of the survey, 0 to 255.
    survey, description : str
        Its name, and what it is.
    processing_version : int
        Version of the processing, 0 to 255.
    threads : int
        Batches that are made at a time.
    """

    types: tuple[BatchType, ...]
    area: Area | None = None
    survey_id: int = 0
    survey: str = "3PI"
    description: str = ""
    processing_version: int = 1
    threads: int = 1


@dataclass
class BatchReport:
    """What was made.

    Parameters
    ----------
    n_batches, n_rows : int
        Batches that were made, and the rows of their first tables.
    n_there : int
        Batches that were there already, made of the same content.
    n_wanted : int
        Batches that are to be made in all.
    failures : dict of int to str
        What went wrong, by number of the batch.
    n_bytes : int
        Size of the FITS files that were made.
    seconds : float
        Time it took.
    """

    n_batches: int = 0
    n_rows: int = 0
    n_there: int = 0
    n_wanted: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    n_bytes: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "n_batches": self.n_batches,
            "n_rows": self.n_rows,
            "n_there": self.n_there,
            "n_failed": len(self.failures),
            "failures": {str(number): text for number, text in self.failures.items()},
            "n_bytes": self.n_bytes,
            "seconds": round(self.seconds, 3),
        }


def make_batches(
    view: View,
    folder: Path,
    options: BatchOptions,
    progress: Callable[[BatchReport], object] = lambda _: None,
) -> BatchReport:
    """Make the batches of a snapshot that a folder does not have yet.

    Parameters
    ----------
    view : View
        The snapshot.
    folder : Path
        Where batches go; it is made if it is not there.
    options : BatchOptions
        What is wanted.
    progress : callable, optional
        Is told after each batch.

    Returns
    -------
    BatchReport
        What was made. Batches that failed are tried again the next time.

    Raises
    ------
    CatdirLockedError
        If others are making batches there.
    StorageError
        If the folder is of another database, or cannot be used.
    """
    begun = time.perf_counter()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as err:
        raise StorageError(f"{folder}: cannot be made ({err.strerror})") from err
    report = BatchReport()
    lock = WriterLock(folder, "ipptopsps")
    try:
        with BatchStates(folder, view.db_id) as states:
            wanted = list(_wanted(view, options, states))
            todo = states.plan(wanted, view.snapshot.id)
            report.n_wanted, report.n_there = len(todo), len(wanted) - len(todo)
            for row, outcome in _outcomes(view, folder, options, todo):
                if isinstance(outcome, DvoError):
                    states.failed(row.batch_id, str(outcome))
                    report.failures[row.batch_id] = str(outcome)
                else:
                    states.made(row.batch_id, outcome.n_rows, outcome.digest)
                    report.n_batches += 1
                    report.n_rows += outcome.n_rows
                    report.n_bytes += outcome.n_bytes
                report.seconds = time.perf_counter() - begun
                progress(report)
    finally:
        lock.release()
    report.seconds = time.perf_counter() - begun
    return report


def _wanted(view: View, options: BatchOptions, states: BatchStates) -> Iterator[Planned]:
    said = repr((options.survey_id, options.processing_version)).encode()
    if BatchType.IN in options.types:
        words = (options.survey, options.description, tuple(view.photcodes))
        yield Planned(BatchType.IN, METADATA, _digest(said, repr(words).encode()))
    if BatchType.OB not in options.types:
        return
    known = states.scopes(BatchType.OB)
    codes = repr(view.photcodes.sec).encode()
    for region in view.regions(options.area):
        parts = view.part_table([region])
        ours = parts.take(parts.are(table=AVERAGE.name) | parts.are(table=SECFILT.name))
        scope = f"{_REGION}{region}"
        # A region that has lost its objects has a batch without rows, in place of the last.
        if view.catalog(region).n_average or known.get(scope):
            content = _digest(said, codes, ours.ids.tobytes(), ours.starts.tobytes())
            yield Planned(BatchType.OB, scope, content)
    if options.area is None:
        there = {f"{_REGION}{region}" for region in view.regions()}
        for scope, n_rows in known.items():
            if scope not in there and n_rows:
                yield Planned(BatchType.OB, scope, _digest(said, codes))


def _digest(*parts: bytes) -> str:
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.hexdigest()


def _outcomes(
    view: View, folder: Path, options: BatchOptions, todo: Sequence[BatchRow]
) -> Iterator[tuple[BatchRow, BatchManifest | DvoError]]:
    """Make batches, a few at a time; each as it is done, what went wrong in its place."""
    waiting: dict[Future[BatchManifest], BatchRow] = {}
    left = iter(todo)
    with ThreadPoolExecutor(options.threads, "ipptopsps") as pool:
        try:
            while True:
                while len(waiting) < options.threads and (row := next(left, None)) is not None:
                    waiting[pool.submit(_make, view, folder, options, row)] = row
                if not waiting:
                    return
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    row = waiting.pop(done)
                    try:
                        yield row, done.result()
                    except DvoError as err:
                        yield row, err
        finally:
            for future in waiting:
                future.cancel()


def _make(view: View, folder: Path, options: BatchOptions, row: BatchRow) -> BatchManifest:
    facts = BatchFacts(row.batch_type, row.batch_id, row.scope, view.db_id, view.snapshot.id)
    if row.batch_type is BatchType.IN:
        tables = metadata_rows(
            view.photcodes, options.survey_id, options.survey, options.description
        )
    else:
        region = int(row.scope.removeprefix(_REGION))
        about = ObjectFacts(row.batch_id, options.survey_id, options.processing_version)
        tables = object_rows(view, region, about)
    return write_batch(folder, facts, tables)
