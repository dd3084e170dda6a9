"""Batches of stars kept in files, which each round of a solve reads again: memory stays small."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from dvo.calib.normal import StarBatch

__all__ = ["StarSpool"]

_FIELDS = ("edges", "y", "sigma", "index", "coefficient")


class StarSpool:
    """A folder for temporary files that holds batches of stars.

    Used with ``with``; the files are removed at its end.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dvo-stars-")
        self._n = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def add(self, batch: StarBatch) -> None:
        """Keep a batch.

        Parameters
        ----------
        batch : StarBatch
            The stars; a batch without measures is passed over.
        """
        if len(batch.y):
            for name in _FIELDS:
                np.save(self._path(self._n, name), getattr(batch, name))
            self._n += 1

    def _path(self, number: int, name: str) -> Path:
        return Path(self._folder.name, f"{number}.{name}.npy")

    def __iter__(self) -> Iterator[StarBatch]:
        for number in range(self._n):
            yield StarBatch(*(np.load(self._path(number, name)) for name in _FIELDS))
