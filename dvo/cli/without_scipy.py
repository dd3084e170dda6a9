"""scipy kept out of the program ``dvo``, but for commands that need it.

Where scipy is installed numba loads its linear algebra, which no kernel of ours has: a quarter of
the time that a small query takes.
"""

from __future__ import annotations

import sys

__all__ = ["allow_scipy", "forbid_scipy"]


def forbid_scipy() -> None:
    """Have imports of scipy fail, unless it is there already."""
    sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]


def allow_scipy() -> None:
    """Let a command import it after all."""
    if sys.modules.get("scipy", sys) is None:
        del sys.modules["scipy"]
