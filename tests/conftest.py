"""What all tests share: hypothesis profiles and a seeded generator."""

from __future__ import annotations

import os
import zlib

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile(
    "fast", deadline=None, max_examples=40, derandomize=True, print_blob=True
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of this test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
