"""What all tests share: hypothesis profiles and a seeded generator."""

from __future__ import annotations

import os
import shutil
import signal
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile(
    "fast", deadline=None, max_examples=40, derandomize=True, print_blob=True
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


_MEMORY = Path("/dev/shm")
_ENOUGH = 2**31


def pytest_configure() -> None:
    """Keep what tests write in memory where there is room: each commit syncs several files."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    # Whatever a shell starts in the background ignores Ctrl-C, and so would all that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of this test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
