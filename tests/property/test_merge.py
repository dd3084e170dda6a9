"""Merge equals ingest: databases of any images, at any level, in any order and grouping."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dvo.merge.merge import MergeOptions, merge
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.tables.galphot import GALPHOT
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.measure import MEASURE
from dvo.tables.schema import TableSchema
from tests import synth
from tests.synth_satellites import add_to_measures

N_IMAGES = 5
SATELLITES = (GALPHOT, LENSING)


def groups(path: Path, schema: TableSchema = MEASURE) -> set[frozenset[tuple[bytes, int]]]:
    """Objects as sets of detections, or of satellite rows, each known by its image and number."""
    out = set()
    with Store(path) as store:
        assert check(store, deep=True).ok
        view = store.view()
        images = view.read(IMAGE, -1)
        names = dict(zip(images["image_id"].tolist(), images["name"].tolist(), strict=True))
        for region in view.regions():
            table = view.read(schema, region)
            found: dict[int, set[tuple[bytes, int]]] = {}
            rows = zip(*(table[n].tolist() for n in ("ave_ref", "image_id", "det_id")), strict=True)
            for ref, image, det in rows:
                found.setdefault(ref, set()).add((names[image], det))
            out |= {frozenset(members) for members in found.values()}
    return out


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 1000),
    field=st.sampled_from(["edge", "pole", "wrap"]),
    owner=st.lists(st.integers(0, 2), min_size=N_IMAGES, max_size=N_IMAGES),
    # Making a database at level 5 takes seconds; tests/unit/merge has one.
    levels=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    order=st.permutations(range(3)),
    nested=st.booleans(),
    batch_rows=st.sampled_from([1, 30, 10_000]),
)
def test_merge_equals_ingest(seed, field, owner, levels, order, nested, batch_rows):
    images = synth.make_images(seed, 25, N_IMAGES, field)
    with tempfile.TemporaryDirectory(prefix="dvo-merge-") as name:
        folder = Path(name)
        whole = synth.make_database(folder / "whole")
        with Store(whole, writable=True) as store:
            synth.add_images(store, images)
            add_every_satellite(store)
        parts = []
        for k in range(3):
            parts.append(synth.make_database(folder / f"part{k}", levels[k]))
            mine = [image for image, who in zip(images, owner, strict=True) if who == k]
            with Store(parts[-1], writable=True) as store:
                synth.add_images(store, mine)
                add_every_satellite(store)
        sources = [parts[k] for k in order]
        if nested:  # two become one first
            first = synth.make_database(folder / "two", levels[3])
            take_in(first, sources[:2], batch_rows)
            sources = [first, sources[2]]
        target = synth.make_database(folder / "target", levels[3])
        take_in(target, sources, batch_rows)
        for schema in (MEASURE, *SATELLITES):
            assert groups(target, schema) == groups(whole, schema)


def add_every_satellite(store: Store) -> None:
    """Give every measure a row of each table; those of Lensing make LensObj."""
    ids = store.view().images["image_id"].tolist()
    for schema in SATELLITES if ids else ():
        add_to_measures(store, schema, ids)


def take_in(target: Path, sources: list[Path], batch_rows: int) -> None:
    with Store(target, writable=True) as store:
        for path in sources:
            with Store(path) as source:
                report = merge(store, source, MergeOptions(batch_rows=batch_rows))
                assert report.finished
