"""A disk that is full, and a limit on the size of files: one clear error, nothing changed."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from dvo.partition.check import check
from dvo.partition.store import Store
from tests.synth import assert_same, contents, filled_database, make_images, write_exposure_files


def run_addstar(catdir, options, **more):
    code = "from dvo.cli.addstar import main; main()"
    command = [sys.executable, "-c", code, str(catdir), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, **more)


def images_to_add(folder):
    return write_exposure_files(folder, make_images(8, 2000, 3, first=10))


def assert_unchanged(catdir, state):
    with Store(catdir) as store:
        assert_same(contents(store.view()), state)
    assert check(catdir, deep=True).ok


def assert_one_clear_error(done, catdir):
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert str(catdir) in line
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", place]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk(small_disk, tmp_path):
    catdir = filled_database(small_disk / "sky", n_images=1)
    with Store(catdir) as store:
        state = contents(store.view())
    options = images_to_add(tmp_path / "in")
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(free - 60_000))
    done = run_addstar(catdir, options)
    assert_one_clear_error(done, catdir)
    assert "No space left" in done.stderr or "full" in done.stderr
    assert_unchanged(catdir, state)
    filler.unlink()
    assert run_addstar(catdir, options).returncode == 0
    assert check(catdir, deep=True).ok


def limit_files(n_bytes):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    return limit


@pytest.mark.parametrize("n_bytes", [20_000, 60_000])
def test_a_limit_on_the_size_of_files(tmp_path, n_bytes):
    catdir = filled_database(tmp_path / "sky", n_images=1)
    with Store(catdir) as store:
        state = contents(store.view())
    options = images_to_add(tmp_path / "in")
    done = run_addstar(catdir, options, preexec_fn=limit_files(n_bytes))
    assert_one_clear_error(done, catdir)
    assert_unchanged(catdir, state)
    assert run_addstar(catdir, options).returncode == 0
    assert check(catdir, deep=True).ok
