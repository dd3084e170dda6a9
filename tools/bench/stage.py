"""Where measures run: the sizes asked for, folders, and what one measure leaves to another."""

from __future__ import annotations

import shutil
from pathlib import Path

import databases
from duckdb_peer import DuckDBPeer
from workload import Inputs, make_inputs

from dvo.partition.store import Store

__all__ = ["Stage"]


class Stage:
    """Folders, inputs, and databases that several measures use.

    Parameters
    ----------
    folder : Path
        Where inputs, databases and temporary files go. Inputs stay for the next run.
    sizes : list of str
        Sizes of the workload, ascending.
    """

    def __init__(self, folder: Path, sizes: list[str]) -> None:
        self.folder = folder
        self.sizes = sizes
        self.scratch = folder / "scratch"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self._is_sorted: set[str] = set()
        self._is_warm = False

    def inputs(self, size: str) -> Inputs:
        """Files of a workload."""
        return make_inputs(self.folder / "inputs" / size, size)

    def catdir(self, size: str) -> Path:
        """Folder of our database of a size, as the measure of ingest leaves it."""
        return self.scratch / f"{size}.catdir"

    def peer_file(self, size: str) -> Path:
        """File of the peer's database of a size, as the measure of ingest leaves it."""
        return self.scratch / f"{size}.duckdb"

    def filled(self, size: str) -> Path:
        """Our database of a size, made now if no measure has made it."""
        catdir = self.catdir(size)
        if not catdir.exists():
            self.warm_up()
            with Store(databases.create(catdir), writable=True) as store:
                databases.add_files(store, [self.inputs(size).listing])
        return catdir

    def compacted(self, size: str) -> Path:
        """Our database of a size, compacted."""
        catdir = self.filled(size)
        if size not in self._is_sorted:
            databases.compact(catdir)
            self._is_sorted.add(size)
        return catdir

    def peer(self, size: str) -> DuckDBPeer:
        """The peer's database of a size with the detections only, open."""
        path = self.peer_file(size)
        is_there = path.exists()
        peer = DuckDBPeer(path)
        if is_there:
            peer.drop_association()
        else:
            peer.load(self.inputs(size).files)
        return peer

    def warm_up(self) -> None:
        """Load what is compiled, so that no measure pays for it."""
        if not self._is_warm:
            catdir = databases.create(self.scratch / "warm.catdir")
            with Store(catdir, writable=True) as store:
                databases.add_files(store, [self.inputs("tiny").listing])
            databases.compact(catdir)
            databases.labels(catdir, self.inputs("tiny"))
            databases.add_process(databases.create(catdir), self.inputs("tiny").listing)
            shutil.rmtree(catdir)
            self._is_warm = True

    def close(self) -> None:
        """Remove databases and temporary files; inputs stay."""
        shutil.rmtree(self.scratch, ignore_errors=True)
