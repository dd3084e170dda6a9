"""Rebuild: a lost or damaged manifest, made anew from the records of all commits.

Every commit left a record in ``log/`` before it became visible. Replayed in order they
give the manifest that was there, row for row. Only the last one may belong to a commit
that was cut short: then files of it are missing, and it is left out, unless the manifest
that is there knows it. Files that are there with other bytes are no sign of that, for they
were whole before the record was written: they are damaged, and told, and the commit stays.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dvo.errors import CorruptTableError, FormatVersionError, NotACatdirError, StorageError
from dvo.partition import layout
from dvo.partition.file_rules import file_digest
from dvo.partition.lock import WriterLock
from dvo.partition.manifest import (
    Change,
    FileRow,
    Manifest,
    SnapshotRow,
    build_manifest,
    drop_new_manifest,
    new_manifest_differs,
    place_manifest,
)
from dvo.partition.records import read_record

__all__ = ["RebuildReport", "rebuild"]

_Commit = tuple[SnapshotRow, Change, str]
"""Snapshot that a commit made, what it did, and token of the commit that it built on."""


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild did.

    Parameters
    ----------
    n_commits : int
        Commits that were replayed.
    skipped : list of str
        Records that were left out, each with the reason.
    damaged : list of str
        Files of the newest snapshot that are missing or not as they were written.
    moved : list of str
        Names under which the old manifest was kept.
    """

    n_commits: int = 0
    skipped: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        out = [f"the manifest was made anew from the records of {self.n_commits} commits"]
        out += [f"the old one is now {name}" for name in self.moved]
        out += [f"record left out: {text}" for text in self.skipped]
        return out + [f"file missing or damaged: {path}" for path in self.damaged]


def rebuild(
    catdir: Path, *, command: str = "dvo check --rebuild", only_if_other: bool = False
) -> RebuildReport:
    """Make the manifest of a database anew.

    Parameters
    ----------
    catdir : Path
        The database directory.
    command : str
        What is being done, for the lock.
    only_if_other : bool
        Whether to leave a manifest alone that says just what the records say.

    Returns
    -------
    RebuildReport
        What was done; nothing was if `moved` is empty and there was a manifest.

    Raises
    ------
    NotACatdirError
        If there are no records of commits.
    CatdirLockedError
        If a writer is at work.
    CorruptTableError
        If a record other than the last is missing or damaged; nothing has changed.
    FormatVersionError
        If they were made in a format that this version does not know.
    """
    if not any((catdir / layout.LOG).glob("*.fits")):
        raise NotACatdirError(f"{catdir}: has no records of commits ({layout.LOG}/*.fits)")
    with WriterLock(catdir, command):
        report = RebuildReport()
        commits = _choose(catdir, *_read_records(catdir), _known_tokens(catdir), report)
        report.n_commits = len(commits)
        meta = {"db_id": commits[0][1].meta["db_id"]}
        gone = build_manifest(catdir, meta, [c[:2] for c in commits])
        if only_if_other and not new_manifest_differs(catdir):
            drop_new_manifest(catdir)
            return report
        report.moved = _move_aside(catdir)
        place_manifest(catdir)
        manifest = Manifest(catdir, writable=True)
        try:
            # What a vacuum forgot and had no time to remove; the next writer does it.
            known = {f.path for f in manifest.files()}
            manifest.announce(p for p in gone if p not in known and (catdir / p).exists())
            report.damaged = [f.path for f in manifest.files() if not _is_whole(catdir, f)]
        finally:
            manifest.close()
    return report


def _known_tokens(catdir: Path) -> set[str]:
    """Tokens of the commits that the manifest knows, as far as there is one that says."""
    try:
        with closing(Manifest(catdir)) as manifest:
            return set(manifest.tokens())
    except (StorageError, NotACatdirError):
        return set()


def _read_records(catdir: Path) -> tuple[dict[int, list[_Commit]], dict[int, str]]:
    """Records by the number of their snapshot, and those that cannot be read."""
    found: dict[int, list[_Commit]] = defaultdict(list)
    unreadable: dict[int, str] = {}
    ids: set[str] = set()
    for path in sorted((catdir / layout.LOG).glob("*.fits")):
        token = layout.token_of(f"{layout.LOG}/{path.name}")
        if token is None:
            continue
        try:
            snapshot, change, db_id, base = read_record(path)
        except FormatVersionError:
            raise
        except StorageError as err:
            unreadable[int(token[:8])] = f"{layout.LOG}/{path.name} ({err})"
            continue
        ids.add(db_id)
        found[snapshot.id].append((snapshot, change, base))
    if len(ids) > 1:
        raise CorruptTableError(
            f"{catdir / layout.LOG}: has records of {len(ids)} databases "
            f"({', '.join(sorted(ids))}); move those of others away"
        )
    return found, unreadable


def _choose(
    catdir: Path,
    found: dict[int, list[_Commit]],
    unreadable: dict[int, str],
    known: set[str],
    report: RebuildReport,
) -> list[_Commit]:
    """The commits to replay, in order.

    Gone through from the last one back: of several with one number it is the one that the
    next commit names as its base, whatever a clock said; the others were cut short.
    """
    commits: list[_Commit] = []
    last = max([*found, *unreadable])
    base: str | None = None
    for number in range(last, 0, -1):
        choices = sorted(found.get(number, []), key=lambda c: c[0].time)
        usable = choices
        if number == last:
            usable = [c for c in choices if c[0].token in known]
            usable = usable or [c for c in choices if _has_files(catdir, c, report)]
        elif base is not None:
            usable = [c for c in choices if c[0].token == base]
        if number in unreadable and (usable or number == last):
            report.skipped.append(unreadable[number])
        if usable:
            others = usable if number == last and usable[-1][0].token not in known else choices
            report.skipped += [
                f"{c[0].token}: was cut short" for c in others if c is not usable[-1]
            ]
            commits.append(usable[-1])
        elif number < last:
            raise CorruptTableError(
                f"{catdir / layout.LOG}: no record of commit {number} can be used "
                f"({unreadable.get(number, 'it is missing')}); restore it from a backup"
            )
        base = (usable or choices)[-1][2] if choices else None
    if not commits:
        raise CorruptTableError(f"{catdir / layout.LOG}: no record can be used")
    return commits[::-1]


def _has_files(catdir: Path, commit: _Commit, report: RebuildReport) -> bool:
    snapshot, change, _ = commit
    for file in change.files:
        if not (catdir / file.path).is_file():
            report.skipped.append(f"{snapshot.token}: {file.path} is missing")
            return False
    return True


def _is_whole(catdir: Path, file: FileRow) -> bool:
    try:
        return file_digest(catdir / file.path) == file.digest
    except OSError:
        return False


def _move_aside(catdir: Path) -> list[str]:
    """Rename the old manifest and what belongs to it; gives the new names."""
    mark = f"bad-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    moved = []
    # The log of the old one first: it must never be taken for that of the new one.
    for ending in ("-wal", "-shm", ""):
        old = catdir / f"{layout.MANIFEST}{ending}"
        if old.exists():
            new = f"{layout.MANIFEST}.{mark}{ending}"
            old.rename(catdir / new)
            moved.append(new)
    return moved
