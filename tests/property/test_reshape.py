"""The partition is of no account: split halfway, releveled or plain, a database says the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvo.merge.merge import MergeOptions, merge
from dvo.partition.bounds import Cone
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.history import rollback
from dvo.partition.store import Store, create_store
from dvo.reshape.partition import relevel, set_split_limit, split_regions
from dvo.tables.measure import MEASURE
from tests import synth

N_IMAGES = 4

steps = st.one_of(
    st.tuples(st.just("split"), st.integers(1, 60)),
    st.tuples(st.just("relevel"), st.integers(0, 5)),
    st.tuples(st.just("limit"), st.integers(5, 60)),
    st.tuples(st.just("nothing"), st.just(0)),
)


def change(store: Store, what: str, number: int) -> None:
    """One change of the partition; the rows are the same before and after, to the bit."""
    before = synth.whole(store.view())
    if what == "split":
        split_regions(store, [], larger_than=number)
    elif what == "relevel":
        relevel(store, number)
    elif what == "limit":
        set_split_limit(store, number)
        resort(store)
    synth.assert_same(before, synth.whole(store.view()))


def measures_in(store: Store, cone: Cone) -> list[tuple[int, int]]:
    view = store.view()
    out: list[tuple[int, int]] = []
    for region in view.regions(cone):
        found = view.read_area(MEASURE, region, ["image_id", "det_id"], cone)
        out += zip(found["image_id"].tolist(), found["det_id"].tolist(), strict=True)
    return sorted(out)


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 1000),
    field=st.sampled_from(["edge", "pole", "wrap"]),
    level=st.integers(0, 4),
    between=st.lists(steps, min_size=N_IMAGES, max_size=N_IMAGES),
    compact_parts=st.sampled_from([0, 2]),
    radius=st.floats(0.001, 0.4),
    undone=st.booleans(),
)
def test_ingest_in_any_partition(seed, field, level, between, compact_parts, radius, undone):
    images = synth.make_images(seed, 30, N_IMAGES, field)
    with tempfile.TemporaryDirectory(prefix="dvo-reshape-") as name:
        plain = synth.make_database(Path(name, "plain"), 3)
        create_store(Path(name, "any"), level=level, photcodes=synth.photcodes(), split_at=0)
        with Store(plain, writable=True) as one, Store(Path(name, "any"), writable=True) as two:
            for image, (what, number) in zip(images, between, strict=True):
                synth.add_images(one, [image])
                synth.add_images(two, [image], compact_parts=compact_parts)
                before = two.view().snapshot.id
                change(two, what, number)
                if undone:
                    rollback(two, before)
            synth.assert_same(
                synth.whole(one.view(), numbers=False), synth.whole(two.view(), numbers=False)
            )
            report = check(two, deep=True)
            assert report.ok, [str(f) for f in report.faults[:3]]
            offsets = np.array([[0, 0], [0.1, -0.07], [-0.13, 0.11]])
            places = np.stack(synth.to_sky(*synth.FIELDS[field], *offsets.T), axis=1)
            for ra, dec in places.tolist():
                cone = Cone(ra, dec, radius)
                assert measures_in(one, cone) == measures_in(two, cone)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    field=st.sampled_from(["edge", "pole", "wrap"]),
    levels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    limits=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    batch_rows=st.sampled_from([20, 10_000]),
)
def test_merging_in_any_partition(seed, field, levels, limits, batch_rows):
    images = synth.make_images(seed, 30, N_IMAGES, field)
    found = []
    with tempfile.TemporaryDirectory(prefix="dvo-reshape-") as name:
        for how in ("plain", "mixed"):
            target, source = Path(name, f"{how}-target"), Path(name, f"{how}-source")
            for path, level, some, limit in (
                (target, levels[0], images[:2], limits[0]),
                (source, levels[1], images[2:], limits[1]),
            ):
                synth.make_database(path, level if how == "mixed" else 3)
                with Store(path, writable=True) as store:
                    synth.add_images(store, some)
                    if how == "mixed":
                        split_regions(store, [], larger_than=limit)
            with Store(target, writable=True) as store, Store(source) as other:
                assert merge(store, other, MergeOptions(batch_rows=batch_rows)).finished
                assert check(store, deep=True).ok
                found.append(synth.whole(store.view(), numbers=False))
    synth.assert_same(*found)
