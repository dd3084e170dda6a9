"""A loader that is killed at any step of its work loses no row and takes none twice."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from dvo.partition.store import Store
from dvo.psps.make_batches import BatchOptions, make_batches
from dvo.psps.schema.batches import BatchType
from tests.synth import add_images, filled_database, make_images
from tests.unit.psps.test_loading import is_as_the_batches_say, load_and_merge, rows

# Loads and merges in a process that is killed before, or after, its k-th statement.
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from dvo.psps.loading import public_database as module
    from dvo.psps.loading.load_folder import load_folder

    url, folder, k, after = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "after"

    class Killed:
        def __init__(self, con):
            self.con, self.n = con, 0

        def execute(self, *given):
            self.n += 1
            if self.n == k and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = self.con.execute(*given)
            if self.n == k:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        def __getattr__(self, name):
            return getattr(self.con, name)

    from pathlib import Path
    connect = module.duckdb.connect
    module.duckdb.connect = lambda *given: Killed(connect(*given))
    with module.open_public_database(url, create=True) as database:
        load_folder(database, Path(folder))
        database.merge()
        database.publish("DR" + str(len(database.releases()) + 1))
    """
)


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """Batches of a database, and of a later state of it."""
    folder = tmp_path_factory.mktemp("public")
    catdir = filled_database(folder / "sky", n_stars=60)
    options = BatchOptions(tuple(BatchType))
    with Store(catdir, writable=True) as store:
        make_batches(store.view(), folder / "out", options)
        shutil.copytree(folder / "out", folder / "first")
        add_images(store, make_images(1, 60, 1, first=9))
        make_batches(store.view(), folder / "out", options)
    return folder


def killed_at(url, folder, k, when):
    words = [sys.executable, "-c", KILLED, url, str(folder), str(k), when]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("begun", [False, True])
def test_killed_at_every_statement(batches, tmp_path, when, begun):
    ready = tmp_path / "ready.duckdb"
    if begun:
        load_and_merge(f"duckdb:///{ready}", batches / "first")
    k, n_killed = 1, 0
    while True:
        for old in tmp_path.glob("public.duckdb*"):
            old.unlink()
        path = tmp_path / "public.duckdb"
        if begun:
            shutil.copy(ready, path)
        url = f"duckdb:///{path}"
        if not killed_at(url, batches / "out", k, when):
            break
        n_killed += 1
        load_and_merge(url, batches / "out")
        assert is_as_the_batches_say(url, batches / "out"), k
        assert rows(url, "SELECT COUNT(*) FROM staging.ObjectThin") == [(0,)]
        k += 1 if k < 12 else 5
    assert n_killed > 12
