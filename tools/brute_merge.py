"""Merging by brute force: catalogues in memory, KD-trees, and the rule as the manual states it.

An independent twin of ``dvomerge`` for catalogues of single measures: positions are unit
vectors, motions are vectors, pairs come from KD-trees and are taken in order of distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["Catalog", "make_catalog", "merge_by_force"]

Array = NDArray[Any]

_ARCSEC = np.pi / 180.0 / 3600.0


@dataclass(frozen=True)
class Catalog:
    """Objects with their places, motions, epochs and errors.

    Parameters
    ----------
    place : ndarray of float64, shape (n, 3)
        Unit vectors at the epoch.
    motion : ndarray of float64, shape (n, 3)
        Motion in a year; NaN where it is not known.
    epoch : ndarray of float64, shape (n,)
        Julian epochs [yr].
    error : ndarray of float64, shape (n,)
        Errors of the places [arcsec].
    drift : ndarray of float64, shape (n,)
        Errors of the motions [arcsec/yr]; 0 where unknown.
    """

    place: Array
    motion: Array
    epoch: Array
    error: Array
    drift: Array

    def __len__(self) -> int:
        return len(self.place)

    @property
    def moves(self) -> Array:
        """Which motions are known."""
        return np.isfinite(self.motion[:, 0])

    def at(self, epoch: float | Array) -> Array:
        """Places at some epoch; those of unknown motion stay."""
        years = np.broadcast_to(epoch, self.epoch.shape) - self.epoch
        moved = self.place + np.nan_to_num(self.motion) * years[:, None]
        return moved / np.linalg.norm(moved, axis=1)[:, None]

    def take(self, rows: Array) -> Catalog:
        """Some of the objects."""
        return Catalog(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))

    def joined(self, other: Catalog) -> Catalog:
        """These objects and others after them."""
        names = self.__dataclass_fields__
        return Catalog(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in names))


def make_catalog(
    ra: Array,
    dec: Array,
    epoch: float,
    error: Array | float,
    *,
    pm_ra: Array | float = np.nan,
    pm_dec: Array | float = np.nan,
    pm_error: Array | float = 0.0,
) -> Catalog:
    """Make a catalogue.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].
    epoch : float
        Their Julian epoch [yr].
    error : float or ndarray
        Their errors [arcsec].
    pm_ra, pm_dec, pm_error : float or ndarray
        Proper motions, in ra times cos(dec), and their errors [mas/yr]; NaN where unknown.

    Returns
    -------
    Catalog
        The catalogue.
    """
    a, d = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(a)
    place = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
    east = np.stack([-np.sin(a), np.cos(a), zero], axis=1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=1)
    motion = east * (zero + pm_ra)[:, None] + north * (zero + pm_dec)[:, None]
    return Catalog(
        place,
        motion * _ARCSEC / 1000.0,
        zero + epoch,
        zero + error,
        np.nan_to_num(zero + pm_error) / 1000.0,
    )


def merge_by_force(ours: Catalog, theirs: Catalog, radius_arcsec: float) -> tuple[Catalog, int]:
    """Merge a catalogue into another.

    Parameters
    ----------
    ours, theirs : Catalog
        The catalogue that grows, and the one that is taken in.
    radius_arcsec : float
        Match radius.

    Returns
    -------
    merged : Catalog
        Our objects with new means, then the new ones.
    n_matched : int
        How many of theirs were ours.
    """
    epoch = _common_epoch(ours, theirs)
    mine, yours = _pairs(ours.at(epoch), theirs.at(epoch), radius_arcsec)
    is_new = np.ones(len(theirs), np.bool_)
    is_new[yours] = False
    return _with_means(ours, theirs, mine, yours).joined(theirs.take(is_new)), len(mine)


def _common_epoch(ours: Catalog, theirs: Catalog) -> float:
    """The epoch of those without known motion: of theirs, or of ours if most of theirs move."""
    moves = theirs.moves
    if 2 * moves.sum() > len(theirs) and not ours.moves.all():
        return _day(ours.epoch[~ours.moves])
    return _day(theirs.epoch[~moves] if not moves.all() else theirs.epoch)


def _day(epochs: Array) -> float:
    """The day of the median; a common epoch is a whole day."""
    days = np.floor(float(np.median(epochs) - 2000.0) * 365.25 + 0.5) - 0.5
    return float(2000.0 + days / 365.25)


def _pairs(ours: Array, theirs: Array, radius_arcsec: float) -> tuple[Array, Array]:
    """Pairs within the radius in order of distance, each object at most once."""
    chord = 2.0 * np.sin(0.5 * radius_arcsec * _ARCSEC)
    found = cKDTree(theirs).sparse_distance_matrix(cKDTree(ours), chord, output_type="ndarray")
    found = found[np.argsort(found["v"], kind="stable")]
    # Most objects are in one pair only: these need no order.
    alone = (np.bincount(found["i"], minlength=len(theirs))[found["i"]] == 1) & (
        np.bincount(found["j"], minlength=len(ours))[found["j"]] == 1
    )
    mine, yours = found["j"][alone].tolist(), found["i"][alone].tolist()
    taken_mine, taken_yours = set(), set()
    for i, j in zip(found["i"][~alone].tolist(), found["j"][~alone].tolist(), strict=True):
        if i not in taken_yours and j not in taken_mine:
            taken_yours.add(i)
            taken_mine.add(j)
            mine.append(j)
            yours.append(i)
    return np.array(mine, np.int64), np.array(yours, np.int64)


def _with_means(ours: Catalog, theirs: Catalog, mine: Array, yours: Array) -> Catalog:
    """Our objects, those matched drawn to what theirs say, by weight."""
    one, two = ours.take(mine), theirs.take(yours)
    gets = ~one.moves & two.moves
    motion = np.where(gets[:, None], two.motion, one.motion)
    one = replace(one, motion=motion, drift=np.where(gets, two.drift, one.drift))
    error = np.hypot(two.error, two.drift * (one.epoch - two.epoch))
    share = one.error**2 / (one.error**2 + error**2)
    step = share[:, None] * (two.place - one.at(two.epoch))
    place = one.place + step
    place /= np.linalg.norm(place, axis=1)[:, None]
    epoch = np.where(one.moves, one.epoch, one.epoch + share * (two.epoch - one.epoch))
    made = Catalog(place, motion, epoch, error * np.sqrt(share), one.drift)
    arrays = []
    for name in ours.__dataclass_fields__:
        whole = getattr(ours, name).copy()
        whole[mine] = getattr(made, name)
        arrays.append(whole)
    return Catalog(*arrays)
