"""The peer of the association kernel: k-d trees of SciPy, what a careful user would write.

Exposures come one by one. The objects of each strip of the field are in arrays of their
own (the peer is told the strips); each exposure builds a tree of its strip's objects,
finds the nearest within the radius, and adds to the mean positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["associate", "unit_vectors"]

Array = NDArray[Any]


def unit_vectors(ra: Array, dec: Array) -> Array:
    """Points of the unit sphere, shape (n, 3), of positions [deg]."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)


class _Strip:
    """Objects of a strip: numbers, sums of unit vectors."""

    def __init__(self) -> None:
        self.ids = np.empty(0, np.int64)
        self.sums = np.empty((0, 3))

    def add(self, ids: Array, points: Array) -> None:
        self.ids = np.concatenate([self.ids, ids])
        self.sums = np.concatenate([self.sums, points])

    def match(self, points: Array, chord: float, threads: int) -> tuple[Array, Array]:
        """Which points have an object, and the rows of these objects."""
        means = self.sums / np.linalg.norm(self.sums, axis=1)[:, None]
        tree = cKDTree(means, balanced_tree=False, compact_nodes=False)
        _, row = tree.query(points, distance_upper_bound=chord, workers=threads)
        is_found = row < len(self.ids)
        return is_found, row[is_found]


def associate(
    exposures: Sequence[tuple[int, Array]], radius_deg: float, *, threads: int = 2
) -> Array:
    """Give every detection an object.

    Parameters
    ----------
    exposures : sequence of tuple of int and ndarray
        Strip and unit vectors of each exposure, in order. Making the vectors is not part
        of what is timed, though ours starts from angles.
    radius_deg : float
        Match radius [deg].
    threads : int
        Threads that search the tree.

    Returns
    -------
    ndarray of int64
        Object of each detection, exposure after exposure.
    """
    chord = 2.0 * math.sin(math.radians(radius_deg) / 2.0)
    strips: dict[int, _Strip] = {}
    labels = []
    n_objects = 0
    for number, points in exposures:
        strip = strips.setdefault(number, _Strip())
        out = np.full(len(points), -1, np.int64)
        if len(strip.ids):
            is_found, row = strip.match(points, chord, threads)
            np.add.at(strip.sums, row, points[is_found])
            out[is_found] = strip.ids[row]
        is_new = out < 0
        out[is_new] = np.arange(n_objects, n_objects + int(is_new.sum()))
        n_objects += int(is_new.sum())
        strip.add(out[is_new], points[is_new])
        labels.append(out)
    return np.concatenate(labels)
