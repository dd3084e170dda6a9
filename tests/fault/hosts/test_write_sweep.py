"""Every call of a host that writes for a commit fails once: one error and nothing, or all of it."""

from __future__ import annotations

import pytest

from dvo.errors import StorageError
from dvo.partition.check import check
from dvo.partition.layout import STAGED
from dvo.partition.store import Store
from tests.fault.hosts.writers import COMMANDS, SETTINGS, through_hosts
from tests.hosts import Hosts
from tests.synth import assert_same, contents, filled_database

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

FAIL_EIO, FAIL_ENOSPC = 3, 5
WORDS = {FAIL_EIO: "Input/output error", FAIL_ENOSPC: "No space left on device"}


def is_clean(catdir, snapshot):
    """The database is whole, of that snapshot, and nothing is left of any draft."""
    with Store(catdir) as store:
        assert store.view().snapshot.id == snapshot
    report = check(catdir, deep=True)
    assert (report.ok, report.notes) == (True, [])
    assert not any((catdir / STAGED).iterdir())


def made(folder):
    folder.mkdir()
    (folder / "full").touch()
    return filled_database(folder / "sky", n_images=3)


def error_of(command, catdir):
    try:
        through_hosts(command, catdir)
    except StorageError as err:
        return str(err)
    return None


@pytest.mark.parametrize("mode", WORDS, ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_call_fails_once(tmp_path, quick_path, shim, monkeypatch, command, mode):
    wanted_dir = filled_database(tmp_path / "wanted", n_images=3)
    with Store(wanted_dir, writable=True) as store:
        COMMANDS[command](store, None)
        wanted = contents(store.view())
    for module, name, value in SETTINGS:
        if name not in ("GROUP_ROWS", "_MOST_ROWS"):  # one group, so that its calls can be counted
            monkeypatch.setattr(module, name, value)
    number = n_failed = 0
    is_over = False
    while not is_over:
        # Another database only where a command has ended well though a call had failed.
        folder = quick_path / str(number)
        catdir = made(folder)
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(shim))
            hosts = Hosts(catdir, 1, private=True)
        with hosts:
            is_done = False
            while not is_done:
                number += 1
                (folder / "sweep").write_text(f"{number} {mode}")
                (folder / "swept").unlink(missing_ok=True)
                error = error_of(command, catdir)
                is_done = error is None
                if not is_done:
                    n_failed += 1
                    assert WORDS[mode] in error, number
                    assert str(catdir) in error
                    assert "\n" not in error
                    is_clean(catdir, 4)
            is_over = max(map(int, (folder / "swept").read_text().split())) < number
        is_clean(catdir, 5)
        with Store(catdir) as store:
            assert_same(contents(store.view()), wanted)
    assert n_failed > 5
