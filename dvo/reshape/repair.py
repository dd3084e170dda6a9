"""Repair: what a deep check finds wrong is made anew of what is right, and never guessed.

First the manifest: where it says other than the records of commits, they count. Then rows
and counts that follow from other rows, in one commit. What is left is told, with what a
person can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dvo.errors import StorageError
from dvo.partition import layout
from dvo.partition.check import check
from dvo.partition.faults import MENDS, CheckReport, Fault, FaultKind, Mend
from dvo.partition.rebuild import rebuild
from dvo.partition.sky_file import write_sky_file
from dvo.partition.store import Store
from dvo.reshape.row_repair import RowRepair
from dvo.reshape.shadow import shadow
from dvo.tables.fits import verify

__all__ = ["RepairReport", "repair"]

_COMMAND = "dvo repair"
_MOST_PASSES = 4

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class RepairReport:
    """What a repair did.

    Parameters
    ----------
    found : int
        Faults that the check named before.
    mended : dict of str to int
        Rows, or files, that were mended, by kind of fault.
    left : list of Fault
        What could not be mended, with what to do.
    notes : list of str
        What else there is to know.
    snapshot : int
        The newest snapshot now; 0 if none can be read.
    """

    found: int = 0
    mended: dict[str, int] = field(default_factory=dict)
    left: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    snapshot: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        return {
            "ok": not self.left,
            "found": self.found,
            "mended": self.mended,
            "left": CheckReport(self.left).as_dict()["faults"],
            "notes": self.notes,
            "snapshot": self.snapshot,
        }


def repair(
    catdir: Path, *, dry_run: bool = False, progress: Progress | None = None
) -> RepairReport:
    """Mend what can be derived.

    Parameters
    ----------
    catdir : Path
        The database directory.
    dry_run : bool
        Find out what would be done: it is done to a shadow of the database.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    RepairReport
        What was done, and what is left.

    Raises
    ------
    NotACatdirError
        If there is no database, nor records of one.
    CatdirLockedError
        If a writer is at work.
    """
    with shadow(catdir) if dry_run else nullcontext(catdir) as folder:
        return _Repair(folder, progress).run()


class _Repair:
    """A repair on its way."""

    def __init__(self, catdir: Path, progress: Progress | None) -> None:
        self.catdir, self.progress = catdir, progress
        self.report = RepairReport()
        self.mended: Counter[FaultKind] = Counter()

    def run(self) -> RepairReport:
        """Repair, and look again."""
        checked = self._check(self.catdir)
        self.report.found = len(checked.faults)
        checked = self._mend_manifest(checked)
        if not _is(checked, FaultKind.MANIFEST):
            with Store(self.catdir, writable=True, command=_COMMAND) as store:
                self._mend_sky_table(store)
                self._mend_numbers(store)
                checked = self._mend_rows(store, checked)
                self.report.left = [_advised(store, fault) for fault in checked.faults]
                self.report.snapshot = store.view().snapshot.id
        else:
            self.report.left = checked.faults
        self.report.mended |= {kind.value: n for kind, n in sorted(self.mended.items())}
        return self.report

    def _check(self, where: Store | Path) -> CheckReport:
        return check(where, deep=True, progress=self.progress)

    def _mend_manifest(self, checked: CheckReport) -> CheckReport:
        """Make the manifest anew where the records of commits say otherwise."""
        faults = [f for f in checked.faults if Mend.RECORDS in MENDS[f.kind].mends]
        is_lost = _is(checked, FaultKind.MANIFEST)
        # With a record missing, what the others give is not the whole history.
        if not faults or (_is(checked, FaultKind.RECORD) and not is_lost):
            return checked
        try:
            done = rebuild(self.catdir, command=_COMMAND, only_if_other=not is_lost)
        except StorageError as err:
            if err.retryable:
                raise
            self.report.notes.append(f"the manifest cannot be made anew: {err}")
            return checked
        if not done.moved and not is_lost:
            return checked
        self.report.notes += done.lines()
        after = self._check(self.catdir)
        for fault in faults:
            if not any(_is_same(fault, left) for left in after.faults):
                self.mended[fault.kind] += 1
        with Store(self.catdir, writable=True, command=_COMMAND) as store:
            mended = {kind.value: n for kind, n in sorted(self.mended.items())}
            params = {"mended": mended, "manifest": "made anew from the records of commits"}
            with store.begin("repair", params) as change:
                change.commit()
        return after

    def _mend_sky_table(self, store: Store) -> None:
        path = store.catdir / layout.SKY_TABLE
        try:
            verify(path)
        except StorageError:
            write_sky_file(store.catdir, store.view().partition, store.db_id)
            self.report.notes.append(f"{layout.SKY_TABLE} was damaged: written anew")

    def _mend_numbers(self, store: Store) -> None:
        """Set the last numbers given, before a commit gives others."""
        wrong = [(key, used) for key, last, used in store.manifest.last_numbers() if last < used]
        if not wrong:
            return
        self.mended[FaultKind.NUMBERS] += len(wrong)
        with store.begin("repair", {"mended": {FaultKind.NUMBERS.value: len(wrong)}}) as change:
            for key, used in wrong:
                change.set_meta(key, str(used))
            change.commit()

    def _mend_rows(self, store: Store, checked: CheckReport) -> CheckReport:
        """Mend rows; what a mended link brings to light is mended after it."""
        if self.mended[FaultKind.NUMBERS]:
            checked = self._check(store)
        for _ in range(_MOST_PASSES):
            kinds = {f.kind for f in checked.faults if Mend.ROWS in MENDS[f.kind].mends}
            if not kinds:
                break
            done = RowRepair(store, checked.faults, self.progress).run()
            if not done:
                break
            self.mended += done
            checked = self._check(store)
        return checked


def _is(checked: CheckReport, kind: FaultKind) -> bool:
    return any(fault.kind is kind for fault in checked.faults)


def _is_same(one: Fault, two: Fault) -> bool:
    return replace(one, message="") == replace(two, message="")


def _advised(store: Store, fault: Fault) -> Fault:
    """Say of a file that is lost which state can do without it."""
    if fault.kind is not FaultKind.FILE:
        return fault
    number = store.manifest.newest_without(fault.path)
    if number is None:
        advice = "every state that is kept needs it: restore the file from a backup"
    elif number == store.view().snapshot.id:
        advice = (
            f"restore the file from a backup; snapshot {number}, the newest, does without it, "
            f"and dvo vacuum {store.catdir} --keep 1 forgets those that need it"
        )
    else:
        advice = (
            f"restore the file from a backup; or go back to the newest state that does without "
            f"it, which loses what came after it: dvo rollback {store.catdir} {number}"
        )
    return replace(fault, remedy=advice)
