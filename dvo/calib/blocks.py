"""The parameters of a calibration: blocks of alike ones, with priors, frozen ones and a gauge.

What a program solves for is a list of blocks: a zero point for each image, a slope for each
night, a flat-field cell for each chip and season. Each block is a run of the one vector that
the solver knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ShapeError

__all__ = ["Block", "Parameters"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Block:
    """Parameters of one kind.

    Parameters
    ----------
    name : str
        What they are, such as ``image``.
    start : ndarray of float64, shape (n,)
        Values to begin with; those of frozen parameters are kept.
    prior : ndarray of float64, shape (n,), optional
        Standard deviation of what is known beforehand, about `expected`; infinite where
        nothing is. Infinite for all if left out.
    expected : ndarray of float64, shape (n,), optional
        Middle of the prior; 0 if left out.
    frozen : ndarray of bool, shape (n,), optional
        Which are known and not solved for; none if left out.
    is_level : bool
        Whether a constant added to all of them can be taken up by the stars. Then the
        measures alone do not tell it: where no prior and no frozen parameter does, it is
        that of `level`, in each set of parameters that stars connect. A measure has a term
        in one such parameter at most.
    level : ndarray of float64, shape (n,), optional
        What the mean of such a set is made equal to, over those that are not NaN; 0 where
        all are, or if left out.
    zero_mean : ndarray of int32, shape (n,), optional
        Sets of parameters, by number, whose mean is to be 0 where the measures do not tell
        it, such as the cells of a flat field; -1 for none.
    takes_up : ndarray of int32, shape (n,), optional
        Of a block that is a level: the set in `zero_mean` of another block that each of
        these goes with, so that a constant can move from the one to the other; -1 for none.
    """

    name: str
    start: F64
    prior: F64 | None = None
    expected: F64 | None = None
    frozen: Bool | None = None
    is_level: bool = False
    level: F64 | None = None
    zero_mean: I32 | None = None
    takes_up: I32 | None = None

    def __post_init__(self) -> None:
        for what in ("prior", "expected", "frozen", "level", "zero_mean", "takes_up"):
            values = getattr(self, what)
            if values is not None and values.shape != self.start.shape:
                raise ShapeError(
                    f"block {self.name}: {what} has shape {values.shape}, "
                    f"but there are {len(self)} parameters"
                )
        if self.prior is not None and not (self.prior > 0).all():
            raise ShapeError(f"block {self.name}: a prior of {np.min(self.prior)}; freeze "
                             "parameters that are known, priors are positive")  # fmt: skip

    def __len__(self) -> int:
        return len(self.start)


@dataclass(eq=False)
class Parameters:
    """All parameters of a calibration, one block after the other.

    Parameters
    ----------
    blocks : sequence of Block
        The blocks; ``values``, an ndarray of float64 of shape (n,), begins with theirs.
    """

    blocks: Sequence[Block]
    values: F64 = field(init=False)

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if len(set(names)) < len(names):
            raise ShapeError(f"blocks of one name: {', '.join(names)}")
        self.values = self._joined("start", 0.0)

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def _joined(self, what: str, default: float) -> F64:
        found = [getattr(block, what) for block in self.blocks]
        parts = [np.full(len(b), default) if v is None else v
                 for b, v in zip(self.blocks, found, strict=True)]  # fmt: skip
        return np.concatenate([np.empty(0), *parts]).astype(np.float64)

    def places(self) -> Iterator[tuple[Block, slice]]:
        """The blocks, each with its run of the vector."""
        start = 0
        for block in self.blocks:
            yield block, slice(start, start + len(block))
            start += len(block)

    def of(self, name: str) -> F64:
        """Give the values of a block.

        Parameters
        ----------
        name : str
            Name of the block.

        Returns
        -------
        ndarray of float64, shape (len(block),)
            Its values now; shares memory with ``values``.
        """
        where = next(where for block, where in self.places() if block.name == name)
        return self.values[where]

    @property
    def weight(self) -> F64:
        """Weight of the prior of each, shape (n,): 1 / sigma**2, 0 where there is none."""
        return 1.0 / self._joined("prior", np.inf) ** 2

    @property
    def expected(self) -> F64:
        """Middle of the prior of each, shape (n,)."""
        return self._joined("expected", 0.0)

    @property
    def frozen(self) -> Bool:
        """Which are not solved for, shape (n,)."""
        return self._joined("frozen", False).astype(np.bool_)

    @property
    def level(self) -> F64:
        """What means of parameters that nothing tells are made equal to; NaN where unknown."""
        return self._joined("level", np.nan)

    @property
    def zero_mean(self) -> I32:
        """Sets whose mean is to be 0, shape (n,); -1 for none."""
        return self._joined("zero_mean", -1).astype(np.int32)

    @property
    def takes_up(self) -> I32:
        """Sets whose constant level parameters can take up, shape (n,); -1 for none."""
        return self._joined("takes_up", -1).astype(np.int32)

    @property
    def is_level(self) -> Bool:
        """Which belong to a block whose constant stars can take up, shape (n,)."""
        flags = [np.full(len(block), block.is_level) for block in self.blocks]
        return np.concatenate([np.empty(0, np.bool_), *flags])
