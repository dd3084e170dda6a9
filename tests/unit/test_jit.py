"""Compiled code finds a place where the installation and the home cannot be written to."""

import os
import subprocess
import sys

import pytest

_MODULE = """
from dvo.jit import kernel

@kernel
def twice(x):
    return 2 * x
"""


def _run(folder, temporary):
    # A file where a folder has to be made cannot be written to by anybody, root neither.
    (folder / "__pycache__").touch()
    (folder / "doubled.py").write_text(_MODULE)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    environment |= {"HOME": "/dev/null", "TMPDIR": str(temporary), "PYTHONPATH": str(folder)}
    program = "import doubled; print(doubled.twice(21))"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def places(tmp_path):
    folder, temporary = tmp_path / "code", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    return folder, temporary


def test_kernels_are_kept_in_a_private_folder_if_nothing_else_can_be_written(places):
    folder, temporary = places
    done = _run(folder, temporary)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    (kept,) = temporary.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o700
    assert list(kept.rglob("*.nbi"))


def test_a_folder_that_others_may_write_to_is_not_used(places):
    folder, temporary = places
    shared = temporary / f"dvo-compiled-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    done = _run(folder, temporary)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert not list(shared.iterdir())
