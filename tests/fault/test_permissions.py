"""Readers need no write permission, whatever state a writer left; writers are told clearly."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dvo.partition.store import Store
from tests.synth import add_images, filled_database, make_images

ROOT = Path(__file__).resolve().parents[2]

READ = """
import sys
from dvo.partition.check import check
from dvo.partition.store import Store
with Store(sys.argv[1]) as store:
    print(store.view().snapshot.id)
report = check(sys.argv[1], deep=True)
print(report.ok, *map(str, report.faults))
"""

WRITE_AND_WAIT = """
import sys
from dvo.partition.store import Store
from tests.synth import add_images, make_images
with Store(sys.argv[1], writable=True) as store:
    add_images(store, make_images(1, 60, 5))
    print("committed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stranger():
    """Runs Python as a user who owns nothing."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("there is no user nobody")

    def become():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    def run(code, *args):
        # The interpreter may be in a folder that others cannot enter: fork, then change.
        out_read, out_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.dup2(out_write, 1)
                os.dup2(out_write, 2)
                sys.stdout = os.fdopen(1, "w", closefd=False)
                sys.stderr = sys.stdout
                sys.argv = ["test", *map(str, args)]
                become()
                exec(compile(code, "stranger", "exec"), {"__name__": "stranger"})
                status = 0
            except SystemExit as stop:
                status = int(stop.code or 0)
            except BaseException as err:  # noqa: BLE001
                print(f"{type(err).__name__}: {err}")
            finally:
                sys.stdout.flush()
                os._exit(status)
        os.close(out_write)
        with os.fdopen(out_read) as out:
            text = out.read()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text

    return run


@pytest.fixture
def open_catdir():
    """A database that others may read but not write."""
    # Not in a folder of pytest's: any other run of it closes those to strangers again.
    with tempfile.TemporaryDirectory(prefix="dvo-shared-") as folder:
        Path(folder).chmod(0o755)
        catdir = filled_database(Path(folder, "sky"), n_images=3)
        readable(catdir)
        yield catdir


def readable(catdir):
    catdir.chmod(0o755)
    for path in catdir.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def listing(catdir):
    return sorted(p.name for p in catdir.iterdir())


def test_reading_where_nobody_writes(open_catdir, stranger):
    assert not (open_catdir / "dvo.sqlite-wal").exists()
    before = listing(open_catdir)
    code, text = stranger(READ, open_catdir)
    assert (code, text.split()) == (0, ["4", "True"])
    assert listing(open_catdir) == before


def test_reading_while_another_writes(open_catdir, stranger):
    with Store(open_catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 5))
        readable(open_catdir)
        code, text = stranger(READ, open_catdir)
    assert (code, text.split()) == (0, ["5", "True"])


@pytest.mark.parametrize("left", ["wal and shm", "wal only"])
def test_reading_after_a_writer_was_killed(open_catdir, stranger, left):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, open_catdir],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout.readline().strip() == "committed"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert (open_catdir / "dvo.sqlite-wal").stat().st_size > 0
    if left == "wal only":
        (open_catdir / "dvo.sqlite-shm").unlink()
    readable(open_catdir)
    before = listing(open_catdir)
    code, text = stranger(READ, open_catdir)
    assert (code, text.split()) == (0, ["5", "True"])
    assert listing(open_catdir) == before
    with Store(open_catdir, writable=True) as store:
        assert store.view().snapshot.id == 5


def test_a_writer_without_permission_is_told(open_catdir, stranger):
    for command in ("rollback {} 2", "vacuum {} --keep 1", "resort {}"):
        words = command.format(open_catdir).split()
        code, text = stranger(f"import sys; sys.argv[1:] = {words!r}\n"
                              "from dvo.cli.main import main; main()")  # fmt: skip
        assert code == 1
        (line,) = text.splitlines()
        assert line == (
            f"dvo: {open_catdir}: cannot be written (Permission denied); "
            "writing needs permission for the folder and for lock in it"
        )


def test_a_file_that_may_not_be_read_is_named(open_catdir, stranger):
    path = next(open_catdir.glob("shared/*.cpm"))
    path.chmod(0o600)
    code, text = stranger(READ, open_catdir)
    assert code == 0
    assert f"shared/{path.name}" in text
    assert "Permission denied" in text
