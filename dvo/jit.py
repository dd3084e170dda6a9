"""The one place that sets numba's options.

``@kernel`` compiles a function to machine code on its first call and keeps the result
beside the source (``cache=True``), so that later processes start at once. It releases
the GIL, so kernels run side by side in threads. ``fastmath`` stays off: it would let
the compiler reorder sums and drop NaN tests, and results would change with the machine.

Numba counts references to arrays, atomically, wherever they are handed to a function or
taken out of a tuple; inside a loop that can cost ten times the work itself. So a kernel
unpacks its arrays before its loop, and what it calls for each row takes scalars, or is a
``@kernel_part``, which becomes part of the kernel's own code.

Where neither the folder of the source nor the user's cache can be written to, compiled
code is kept in a private folder for temporary files; if that cannot be, it is not kept.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import llvmlite.binding
import numba
from numba.core.sigutils import normalize_signature

__all__ = ["foreign_function", "kernel", "kernel_part", "make_known"]

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
    try:
        compiled = _compile(function, cache=True)
    except RuntimeError:  # numba found no folder for the compiled code
        compiled = _compile(function, cache=_use_private_folder())
    return compiled


def _compile(function: Callable[P, R], *, cache: bool) -> Callable[P, R]:
    compiled = numba.njit(nogil=True, cache=cache, fastmath=False, error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)


def _use_private_folder() -> bool:
    """Have numba keep compiled code among temporary files; whether it can."""
    folder = Path(tempfile.gettempdir(), f"dvo-compiled-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    # What is in it will be run: nobody else may have made it, or may write to it.
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not own or found.st_mode & 0o077 or not os.access(folder, os.W_OK | os.X_OK):
        return False
    os.environ["NUMBA_CACHE_DIR"] = str(folder)  # for processes started by this one, too
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return True


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


def foreign_function(symbol: str, signature: str) -> Any:
    """Declare a function of a library in C, for kernels to call.

    Parameters
    ----------
    symbol : str
        Its name in the library.
    signature : str
        Its types as numba writes them, ``"int32(uintp, uintp)"``; pointers are ``uintp``.

    Returns
    -------
    object
        What a kernel calls; `make_known` has to come before.
    """
    arguments, result = normalize_signature(signature)  # type: ignore[no-untyped-call]
    return numba.types.ExternalFunction(symbol, result(*arguments))


def make_known(module: str, *functions: Any) -> bool:
    """Tell the compiler where functions are that a Python module has in its machine code.

    Parameters
    ----------
    module : str
        An extension module, which need not be installed.
    *functions : object
        What `foreign_function` declared.

    Returns
    -------
    bool
        Whether all are there; if not, no kernel that calls one may be called.
    """
    try:
        library = ctypes.CDLL(str(importlib.import_module(module).__file__))
        found = [ctypes.cast(getattr(library, f.symbol), ctypes.c_void_p) for f in functions]
    except (ImportError, OSError, AttributeError):
        return False
    for function, address in zip(functions, found, strict=True):
        llvmlite.binding.add_symbol(function.symbol, address.value)
    return True
