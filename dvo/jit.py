"""The one place that sets numba's options.

``@kernel`` compiles a function to machine code on its first call and keeps the result
beside the source (``cache=True``), so that later processes start at once. It releases
the GIL, so kernels run side by side in threads. ``fastmath`` stays off: it would let
the compiler reorder sums and drop NaN tests, and results would change with the machine.

Numba counts references to arrays, atomically, wherever they are handed to a function or
taken out of a tuple; inside a loop that can cost ten times the work itself. So a kernel
unpacks its arrays before its loop, and what it calls for each row takes scalars, or is a
``@kernel_part``, which becomes part of the kernel's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

__all__ = ["kernel", "kernel_part"]

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel: no Python objects inside, no GIL held, cached on disk.

    Parameters
    ----------
    function : callable
        A function of scalars and C-contiguous native arrays only.

    Returns
    -------
    callable
        The compiled function, called just as the original.
    """
    compiled = numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)


def kernel_part(function: Callable[P, R]) -> Callable[P, R]:
    """Make a small function part of each kernel that calls it; see above.

    Parameters
    ----------
    function : callable
        A function of scalars and arrays, not of tuples of arrays.

    Returns
    -------
    callable
        The function, for kernels to call.
    """
    compiled = numba.njit(inline="always", error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)
