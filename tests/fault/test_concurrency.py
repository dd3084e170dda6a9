"""Two writers at once, and readers beside a writer that commits, compacts and vacuums."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import traceback

import pytest

from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.history import vacuum
from dvo.partition.store import Store
from dvo.tables.measure import MEASURE
from tests.synth import add_images, make_images, write_exposure_files

N_IMAGES = 24


@pytest.mark.parametrize("command", ["addstar", "dvo rollback", "dvo vacuum", "dvo resort"])
def test_the_second_writer_gives_up_at_once(catdir, tmp_path, command):
    sub = command.partition(" ")[2]
    options = {
        "addstar": write_exposure_files(tmp_path / "in", make_images(1, 60, 4)),
        "dvo rollback": ["2"],
        "dvo vacuum": ["--keep", "1"],
        "dvo resort": [],
    }[command]
    module = "dvo.cli.main" if sub else "dvo.cli.addstar"
    words = [*filter(None, [sub]), str(catdir), *options]
    with Store(catdir, writable=True, command="the first writer"):
        done = subprocess.run(
            [sys.executable, "-c", f"from {module} import main; main()", *words],
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
    assert done.returncode == 3
    assert "is being written by the first writer (pid " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert check(catdir, deep=True).ok
    with Store(catdir) as store:
        assert store.view().snapshot.id == 4


def write(catdir, stop):
    """Commit after commit, with compactions and vacuums in between."""
    try:
        with Store(catdir, writable=True) as store:
            for k, image in enumerate(make_images(1, 60, N_IMAGES)[3:]):
                add_images(store, [image], compact_parts=3)
                if k % 5 == 2:
                    resort(store)
                if k % 4 == 3:
                    vacuum(store, 2)
    finally:
        stop.set()


def read(catdir, stop, out):
    """Open, read all, and compare with what the snapshot says of itself; over and over."""
    seen = set()
    try:
        while True:
            last = stop.is_set()
            with Store(catdir) as store:
                view = store.view()
                n = sum(len(view.read(MEASURE, r, ["mag"])) for r in view.regions())
                assert n == view.snapshot.counts["measures"], view.snapshot
                seen.add(view.snapshot.id)
            if last:
                break
        out.put((len(seen), ""))
    except BaseException:  # noqa: BLE001 - to the parent, which fails
        out.put((0, traceback.format_exc()))


def test_readers_always_see_one_whole_snapshot(catdir):
    context = multiprocessing.get_context("spawn")
    stop, out = context.Event(), context.Queue()
    writer = context.Process(target=write, args=(catdir, stop))
    readers = [context.Process(target=read, args=(catdir, stop, out)) for _ in range(2)]
    for process in [*readers, writer]:
        process.start()
    try:
        found = [out.get(timeout=100) for _ in readers]
    finally:
        for process in [writer, *readers]:
            process.join(timeout=20)
            process.kill()
    assert writer.exitcode == 0
    for n_seen, trace in found:
        assert not trace, trace
        assert n_seen > 1
    report = check(catdir, deep=True)
    assert report.faults == []
    assert report.counts["images"] == N_IMAGES


def test_a_view_that_is_kept_open_stays_as_it_was(catdir):
    """While others commit and compact, without a vacuum, an open view says the same."""
    with Store(catdir) as reader:
        view = reader.view()
        before = [view.read(MEASURE, r, ["ra"])["ra"].tolist() for r in view.regions()]
        with Store(catdir, writable=True) as store:
            add_images(store, make_images(1, 60, 6))
            resort(store)
        reader.cache.close()
        again = reader.view(view.snapshot.id)
        assert [again.read(MEASURE, r, ["ra"])["ra"].tolist() for r in again.regions()] == before
        assert reader.view().snapshot.counts["images"] == 6
