"""Three real hosts with keys in three network namespaces; each loses its network in turn.

They read, and they write: for keys that may.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.synth import filled_database

UNSHARE = ["unshare", "--net", "--map-root-user"]


def can_unshare() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    made = ["ip", "link", "add", "br0", "type", "bridge"]
    return subprocess.run([*UNSHARE, *made], capture_output=True, timeout=20).returncode == 0


@pytest.mark.slow
def test_three_machines(tmp_path):
    if not can_unshare():
        pytest.skip("no network namespaces here (unshare, ip)")
    catdir = filled_database(tmp_path / "sky", n_stars=200, n_images=3)
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.e2e.three_machines", catdir, tmp_path],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ok"
