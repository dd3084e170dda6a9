"""Readers, a second merge, and a source that is written, all while dvomerge is at work."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import subprocess
import sys
import traceback

import numpy as np
import pytest

import dvo
from dvo.merge.merge import MergeOptions, merge
from dvo.merge.progress import find_progress
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from tests.synth import (
    FIELDS,
    add_images,
    assert_same,
    contents,
    make_database,
    make_images,
    to_sky,
)

N_READS = 10_000
N_READERS = 2
N_SOURCES = 4
IMAGES = make_images(1, 60, 2 * N_SOURCES + 2)


def run_dvomerge(*words):
    return subprocess.run(
        [sys.executable, "-c", "from dvo.cli.dvomerge import main; main()", *map(str, words)],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def database(path, images, level=4):
    make_database(path, level)
    with Store(path, writable=True) as store:
        add_images(store, images)
    return path


@pytest.fixture
def target(tmp_path):
    return database(tmp_path / "target", IMAGES[:2])


@pytest.fixture
def sources(tmp_path):
    """Databases of two images each, some of the stars new, at several levels."""
    return [
        database(tmp_path / f"source{k}", IMAGES[2 * k + 2 : 2 * k + 4], (4, 3, 4, 4)[k])
        for k in range(N_SOURCES)
    ]


# ---- readers


def merge_all(target, sources, permits, stop):
    """Merge source after source, a region a commit; a commit must wait for reads before it."""
    try:
        with Store(target, writable=True, command="dvomerge") as store:
            for path in sources:
                with Store(path) as source:
                    merge(
                        store, source, MergeOptions(batch_rows=1),
                        progress=lambda _: [permits.acquire() for _ in range(N_READS // 40)],
                    )  # fmt: skip
    finally:
        stop.set()


def places():
    """Centres of cones [deg] that hold some of the stars, few of them all."""
    x = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    return list(zip(*(a.tolist() for a in to_sky(*FIELDS["edge"], x, x[::-1])), strict=True))


def digest(*arrays):
    out = hashlib.blake2b(digest_size=8)
    for array in arrays:
        out.update(np.ascontiguousarray(array).tobytes())
    return out.hexdigest()


def counts(db, _):
    """What a whole database has, by what the manifest says of its catalogs."""
    rows = db.view.catalogs(db.view.regions()).values()
    found = {"objects": sum(r.n_average for r in rows), "measures": sum(r.n_measure for r in rows)}
    assert found.items() <= db.snapshot.counts.items()
    return found["objects"], found["measures"]


def scan(db, _):
    """Rows themselves: objects are the means of just the measures that are there."""
    regions = db.view.regions()
    average, objects = db.view.read_many(AVERAGE, regions, ["ra", "dec", "nmeasure"])
    measure, measures = db.view.read_many(MEASURE, regions, ["dec", "ave_ref", "image_id"])
    row = measure["ave_ref"] + np.repeat(objects[:-1], np.diff(measures))
    n = np.bincount(row, minlength=len(average))
    assert (n == average["nmeasure"]).all()
    mean = np.bincount(row, measure["dec"], minlength=len(average)) / n
    assert np.abs(mean - average["dec"]).max() * 3600 < 0.01
    assert len(average) == db.snapshot.counts["objects"]
    assert len(measure) == db.snapshot.counts["measures"]
    assert set(measure["image_id"].tolist()) <= set(images(db, None))
    return digest(average["ra"], measure["dec"], row)


def images(db, _):
    found = db.images(columns=["image_id", "nstar"])
    assert found.num_rows == db.snapshot.counts["images"]
    assert sum(found["nstar"].to_pylist()) == db.snapshot.counts["measures"]
    return found["image_id"].to_pylist()


def cone(db, place, table="average"):
    found = db.cone(*place, 600.0, table=table, columns=["ra", "dec"])
    return digest(*(c.to_numpy() for c in found.columns))


def cone_of_measures(db, place):
    return cone(db, place, "measure")


KINDS = (counts, cone, scan, cone_of_measures, images)


def read(catdir, number, permits, stop, out):
    """Open and look at one thing after another; tell what each snapshot was seen to be."""
    seen, n, centres = {}, 0, places()
    try:
        while n < N_READS // N_READERS or not stop.is_set():
            with dvo.open(catdir) as db:
                for k in range(8 * len(KINDS)):
                    kind, place = KINDS[(k + number) % len(KINDS)], n // len(KINDS) % len(centres)
                    key = (db.snapshot.id, kind.__name__, place)
                    answer = kind(db, centres[place])
                    assert seen.setdefault(key, answer) == answer, key
                    n += 1
                    permits.release()
        out.put((n, seen, ""))
    except BaseException:  # noqa: BLE001 - to the parent, which fails
        stop.set()
        for _ in range(N_READS):  # the merge must not wait for reads that do not come
            permits.release()
        out.put((n, seen, traceback.format_exc()))


@pytest.mark.timeout(300)  # far more than it takes where nothing else runs
def test_ten_thousand_reads_during_merges_see_whole_snapshots(target, sources):
    context = multiprocessing.get_context("spawn")
    permits, stop, out = context.Semaphore(0), context.Event(), context.Queue()
    writer = context.Process(target=merge_all, args=(target, sources, permits, stop))
    readers = [
        context.Process(target=read, args=(target, k, permits, stop, out)) for k in range(N_READERS)
    ]
    for process in [*readers, writer]:
        process.start()
    try:
        found = [out.get(timeout=280) for _ in readers]
    finally:
        for process in [writer, *readers]:
            process.join(timeout=20)
            process.kill()
    assert writer.exitcode == 0
    for _, _, trace in found:
        assert not trace, trace
    assert sum(n for n, _, _ in found) >= N_READS
    snapshots = {key[0] for _, seen, _ in found for key in seen}
    assert len(snapshots) > 10
    # What was seen in the midst is what anybody sees of that snapshot now.
    centres, kinds = places(), {kind.__name__: kind for kind in KINDS}
    for number in sorted(snapshots):
        with dvo.open(target, snapshot=number) as db:
            for _, seen, _ in found:
                for (snapshot, kind, place), answer in seen.items():
                    if snapshot == number:
                        assert kinds[kind](db, centres[place]) == answer, (number, kind, place)
    report = check(target, deep=True)
    assert report.faults == []
    assert report.counts["images"] == len(IMAGES)


# ---- another merge


def test_a_second_merge_is_refused_and_changes_nothing(target, sources):
    """While one is in the midst of its commits; the first goes on as if nothing had been."""
    before = {p: p.stat().st_mtime_ns for p in target.rglob("*.fits")}
    refused = []

    def meanwhile(_):
        if not refused:
            with Store(target) as store:
                seen = contents(store.view())
            refused.append(run_dvomerge(target, sources[1]))
            with Store(target) as store:
                assert_same(contents(store.view()), seen)

    with (
        Store(target, writable=True, command="dvomerge") as store,
        Store(sources[0]) as source,
    ):
        report = merge(store, source, MergeOptions(batch_rows=1), progress=meanwhile)
        db_id = source.db_id
    assert report.finished
    assert report.n_commits > 2
    (done,) = refused
    assert done.returncode == 3
    assert "is being written by dvomerge (pid " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    with Store(target) as store, Store(sources[1]) as other:
        assert find_progress(store.manifest.log(), other.db_id) is None
        assert find_progress(store.manifest.log(), db_id).finished
    # Once the first has ended the second is free to go.
    done = run_dvomerge(target, sources[1], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_images"] == 2
    assert check(target, deep=True).faults == []


def test_a_source_that_is_locked_is_read_all_the_same(target, sources):
    """A source is only read: who holds its lock is in nobody's way."""
    with Store(sources[0], writable=True, command="addstar"):
        done = run_dvomerge(target, sources[0], "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"]


# ---- a source that is written


@pytest.mark.parametrize("k", range(3))
def test_a_source_that_grows_is_taken_as_it_was(target, tmp_path, k):
    """New images come in after commit k; the next merge brings just them."""
    source_path = database(tmp_path / "growing", IMAGES[2:4])
    with Store(source_path) as source:
        n_before = source.view().snapshot.counts["measures"]
    commits = []

    def grow(_):
        if len(commits) == k:
            with Store(source_path, writable=True) as writer:
                add_images(writer, IMAGES[4:6])
        commits.append(len(commits))

    with Store(target, writable=True) as store:
        with Store(source_path) as source:
            first = merge(store, source, MergeOptions(batch_rows=1), progress=grow)
        assert len(commits) > 3
        assert first.finished
        assert (first.n_images, first.n_measures) == (2, n_before)
        with Store(source_path) as source:
            n_after = source.view().snapshot.counts["measures"]
            second = merge(store, source, MergeOptions(batch_rows=1))
            third = merge(store, source, MergeOptions(batch_rows=1))
        assert second.finished
        assert (second.n_images, second.skipped) == (2, 2)
        assert second.n_measures == n_after - n_before > 0
        assert (third.n_images, third.n_measures, third.n_commits) == (0, 0, 0)
    assert check(target, deep=True).faults == []
    whole = database(tmp_path / "whole", IMAGES[:6])
    with Store(target) as one, Store(whole) as two:
        for name in ("images", "objects", "measures"):
            assert one.view().snapshot.counts[name] == two.view().snapshot.counts[name]


# ---- a source that is damaged


def damage(path, where):
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[where] ^= 0x55
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".cpt", ".cps", ".cpm"])
@pytest.mark.parametrize("harm", ["cut short", "changed", "gone"])
def test_a_damaged_source_is_one_clear_error(target, tmp_path, suffix, harm):
    source = database(tmp_path / "damaged", IMAGES[2:4])
    (path, *_) = sorted(source.rglob(f"*{suffix}"))
    if harm == "gone":
        path.unlink()
    elif harm == "changed":
        damage(path, path.stat().st_size * 2 // 3)
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Store(target) as store:
        before, n_snapshots = contents(store.view()), store.view().snapshot.id
    files = {p for p in target.rglob("*") if p.is_file()}
    done = run_dvomerge(target, source)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr
    with Store(target) as store:
        assert store.view().snapshot.id == n_snapshots
        assert_same(contents(store.view()), before)
    assert {p for p in target.rglob("*") if p.is_file()} == files
    assert check(target, deep=True).faults == []


def test_a_source_that_is_mended_is_merged_to_its_end(target, tmp_path):
    """Damaged between two runs: the second does nothing, a third goes on."""
    source_path = database(tmp_path / "source", IMAGES[2:6])
    (path, *_) = sorted(source_path.rglob("*.cpm"))
    whole = path.read_bytes()
    with Store(target, writable=True) as store, Store(source_path) as source:
        some = tuple(source.view().regions()[:2])
        assert not merge(store, source, MergeOptions(batch_rows=1, regions=some)).finished
    damage(path, len(whole) * 2 // 3)
    with Store(target) as store:
        before = contents(store.view())
    assert run_dvomerge(target, source_path).returncode == 1
    with Store(target) as store:
        assert_same(contents(store.view()), before)
    path.write_bytes(whole)
    done = run_dvomerge(target, source_path, "--json", "--continue")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"]
    assert check(target, deep=True).faults == []
