"""The index of the objects in memory by their place on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.growing import grown

__all__ = ["SkyIndex"]

Array = NDArray[Any]


@dataclass(slots=True)
class SkyIndex:
    """Chains of objects by their place on the sky; see `kernels.association`.

    Parameters
    ----------
    height : float
        Height of a zone [deg].
    n_cells, first : ndarray of int64
        Cells of each zone, and the first of them.
    head : ndarray of int32
        First object of each slot.
    after, slots : ndarray of int32
        Next object in the chain, and slot, of each object.
    holder : ndarray of int32
        Scratch space of `kernels.settle_rivals`: -1 for every object.
    n_linked : int
        Objects that are in the chains.
    """

    height: float
    n_cells: Array
    first: Array
    head: Array
    after: Array
    slots: Array
    holder: Array
    n_linked: int = 0

    def reserve(self, room: int) -> None:
        """Make room for so many objects."""
        if len(self.after) < room:
            self.after = grown(self.after, room, self.n_linked)
            self.slots = grown(self.slots, room, self.n_linked)
            self.holder = np.full(room, -1, np.int32)

    def arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        """The arrays in the order that the kernels take them."""
        return self.n_cells, self.first, self.head, self.after, self.slots
