"""A database against a model of it in memory: whatever is done, every snapshot says the same."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from dvo.errors import UnknownSnapshotError
from dvo.partition.check import check
from dvo.partition.compact import compact_busy, resort
from dvo.partition.history import diff, drop_tag, put_tag, rollback, vacuum
from dvo.partition.manifest import CatalogRow, ImageRow
from dvo.partition.rebuild import rebuild
from dvo.partition.store import Store, create_store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from dvo.tables.secfilt import SECFILT
from tests.synth import photcodes
from tests.whole_tables import as_counters, brute_diff, plain

LEVEL = 3
N_FILTERS = 2
# Region: objects {obj_id: (flags, nmeasure, mag)}, measures {det_id: (obj_id, mag, m_cal)}.
Model = dict[int, tuple[dict[int, tuple], dict[int, tuple]]]


class Database(RuleBasedStateMachine):
    """Does the same to a database and to dicts."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dvo-model-"))
        self.catdir = self.folder / "sky"
        codes = photcodes().add("REF.g", PhotClass.REF)
        create_store(self.catdir, level=LEVEL, photcodes=codes)
        self.store = Store(self.catdir, writable=True)
        self.models: dict[int, Model] = {1: {}}
        self.given: set[tuple[int, int]] = set()
        self.forgotten: set[int] = set()
        self.tags: dict[str, int] = {}
        self.reader = Store(self.catdir)
        self.open: list[View] = []
        self.next_det = 0
        self.last_catalog = 0

    @initialize()
    def pick_regions(self):
        found = self.store.sky.locate([30.0, 31.0, 210.0, 0.0], [10.0, 10.0, -45.0, 90.0], LEVEL)
        self.regions = sorted({int(r) for r in found})

    def teardown(self):
        try:
            report = check(self.store, deep=True)
            assert report.faults == []
            assert report.notes == []
        finally:
            self.store.close()
            self.reader.close()
            shutil.rmtree(self.folder)

    # ---- what the model says

    @property
    def newest(self) -> int:
        return self.store.view().snapshot.id

    def model(self) -> Model:
        return self.models[self.newest]

    def after(self, model: Model) -> None:
        """Note what the commit that was just made should have done."""
        self.models[self.newest] = model

    def objects_of(self, region: int) -> list[int]:
        """obj_id of each row of Average."""
        found = self.store.view().read(AVERAGE, region, ["obj_id"])["obj_id"]
        return [int(i) for i in found]

    # ---- what is done

    @rule(data=st.data())
    def ingest(self, data):
        """New measures of old and new objects, in one or two regions."""
        regions = sorted(data.draw(st.sets(st.sampled_from(self.regions), min_size=1, max_size=2)))
        model = copy.deepcopy(self.model())
        # All measures are of one reference catalog, as long as no rollback takes it away.
        known = self.store.view().reference_catalogs()
        if not known:
            self.last_catalog += 1
        pieces = [self.new_rows(data, region, model) for region in regions]
        with self.store.begin("ingest", {}) as change:
            if not known:
                row = ImageRow(-self.last_catalog, "ref:REF.g:model", "x", 40587.0)
                change.set_images([row])
                change.set_meta("last_image", str(self.last_catalog))
            measures = [m for m, *_ in pieces]
            edges = np.cumsum([0, *map(len, measures)])
            change.add_rows(ColumnTable.concatenate(MEASURE, measures), regions, edges)
            for k, schema in ((1, AVERAGE), (2, SECFILT)):
                rows = [p[k][0] for p in pieces]
                table = ColumnTable.concatenate(schema, [p[k][1] for p in pieces])
                edges = np.cumsum([0, *map(len, rows)])
                change.patch_rows(np.concatenate(rows), table, regions, edges)
            change.set_catalogs([p[3] for p in pieces])
            change.commit()
        self.after(model)

    def new_rows(self, data, region, model):
        view = self.store.view()
        old = view.catalog(region)
        objects, measures = model.setdefault(region, ({}, {}))
        known = self.objects_of(region)
        n_new = data.draw(st.integers(0 if known else 1, 3))
        new = [old.next_obj_id + i for i in range(n_new)]
        assert not self.given & {(region, i) for i in new}, "an obj_id was given twice"
        self.given |= {(region, i) for i in new}
        every = known + new
        refs = [*range(len(known), len(every))]
        refs += data.draw(st.lists(st.integers(0, len(every) - 1), max_size=4))
        for i in new:
            objects[i] = (0, 0, None)
        dets = range(self.next_det, self.next_det + len(refs))
        self.next_det = dets.stop
        mags = [15.0 + det / 8 for det in dets]
        for det, ref, mag in zip(dets, refs, mags, strict=True):
            flags, n, _ = objects[every[ref]]
            objects[every[ref]] = (flags, n + 1, mag)
            measures[det] = (every[ref], mag, None)
        table = self.measure_table(region, [every[r] for r in refs], refs, dets, mags)
        touched = np.unique(refs)
        ids = [every[r] for r in touched]
        rows = self.position(region, len(touched)) | {
            "obj_id": np.array(ids, np.uint32),
            "cat_id": np.full(len(ids), region, np.uint32),
            "ext_id": np.array([region * 10**6 + i for i in ids], np.uint64),
            "nmeasure": np.array([objects[i][1] for i in ids], np.uint32),
            "mean_epoch": np.zeros(len(ids), np.int64),
        }
        means = {"mag": np.array([objects[i][2] for i in ids], np.float32)}
        n_measure = old.n_measure + len(refs)
        row = CatalogRow(region, len(every), old.next_obj_id + n_new, n_measure, is_sorted=False)
        average = (touched, ColumnTable(AVERAGE, rows))
        return table, average, (touched * N_FILTERS + 1, ColumnTable(SECFILT, means)), row

    def position(self, region, n):
        bounds = self.store.sky.bounds([region])[0]
        return {
            "ra": np.full(n, (bounds[0] + bounds[1]) / 2),
            "dec": np.full(n, (bounds[2] + bounds[3]) / 2),
        }

    def measure_table(self, region, objects, refs, dets, mags):
        n = len(refs)
        return ColumnTable(
            MEASURE,
            self.position(region, n)
            | {
                "time": np.array(list(dets), np.int64) * 1000,
                "mag": np.array(mags, np.float32),
                "ave_ref": np.array(refs, np.uint32),
                "obj_id": np.array(objects, np.uint32),
                "cat_id": np.full(n, region, np.uint32),
                "det_id": np.array(list(dets), np.uint32),
                "ref_id": np.full(n, self.last_catalog, np.uint32),
                "photcode": np.full(n, self.store.view().photcodes.get("REF.g").code, np.uint16),
            },
        )

    @precondition(lambda self: any(len(a) for a, _ in self.model().values()))
    @rule(data=st.data())
    def patch(self, data):
        """New flags for some objects of a region."""
        model = copy.deepcopy(self.model())
        region = data.draw(st.sampled_from([r for r, (a, _) in sorted(model.items()) if a]))
        ids = self.objects_of(region)
        rows = sorted(data.draw(st.sets(st.integers(0, len(ids) - 1), min_size=1)))
        flags = data.draw(st.integers(1, 2**31))
        table = ColumnTable(AVERAGE, {"flags": np.full(len(rows), flags, np.uint32)})
        with self.store.begin("patch", {}) as change:
            change.patch_rows(np.array(rows), table, [region], np.array([0, len(rows)]))
            change.commit()
        for row in rows:
            model[region][0][ids[row]] = (flags, *model[region][0][ids[row]][1:])
        self.after(model)

    @precondition(lambda self: any(len(m) for _, m in self.model().values()))
    @rule(data=st.data())
    def calibrate(self, data):
        """An overlay: new m_cal for some parts of Measure, of one or more regions."""
        model = copy.deepcopy(self.model())
        view = self.store.view()
        parts = [p for r in view.regions() for p in view.parts(MEASURE, r) if p.kind == "rows"]
        chosen = data.draw(st.sets(st.integers(0, len(parts) - 1), min_size=1, max_size=3))
        value = data.draw(st.integers(-8, 8)) / 8
        changes = []
        for part in (parts[k] for k in sorted(chosen)):
            at = 0
            for other in parts:
                if other.region == part.region and other.id < part.id:
                    at += other.n_rows
            dets = view.read(MEASURE, part.region, ["det_id"])["det_id"][at : at + part.n_rows]
            for det in dets.tolist():
                obj, mag, _ = model[part.region][1][det]
                model[part.region][1][det] = (obj, mag, value)
            values = np.full(part.n_rows, value, np.float32)
            changes.append((part, ColumnTable(MEASURE, {"m_cal": values})))
        with self.store.begin("calibrate", {}) as change:
            change.overlay(MEASURE, changes)
            change.commit()
        self.after(model)

    @rule(busy=st.booleans())
    def compact(self, busy):
        model = self.model()
        _ = compact_busy(self.store, at_least=2) if busy else resort(self.store)
        self.after(model)

    @rule(data=st.data())
    def go_back(self, data):
        number = data.draw(st.sampled_from(sorted(self.models)))
        counts = self.store.manifest.snapshot(number).counts
        assert rollback(self.store, number).counts == counts
        self.after(self.models[number])

    @rule(keep=st.integers(1, 4))
    def forget(self, keep):
        model = self.model()
        states = [row.id for row in self.store.manifest.log() if row.kept and row.is_new_state]
        held = {*self.tags.values(), *(view.snapshot.id for view in self.open)}
        oldest = states[-keep] if len(states) >= keep else 0
        expected = {number for number in self.models if number < oldest} - held
        gone = vacuum(self.store, keep).forgotten
        assert set(gone) == expected
        for number in gone:
            del self.models[number]
        self.forgotten |= set(gone)
        self.after(model)

    @rule(data=st.data(), name=st.sampled_from(["dr1", "dr2"]))
    def name_a_snapshot(self, data, name):
        model, number = self.model(), data.draw(st.sampled_from(sorted(self.models)))
        put_tag(self.store, name, number, move=True)
        self.tags[name] = number
        self.after(model)

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def take_a_name_away(self, data):
        model, name = self.model(), data.draw(st.sampled_from(sorted(self.tags)))
        assert drop_tag(self.store, name).snapshot == self.tags.pop(name)
        self.after(model)

    @rule(data=st.data())
    def read_for_long(self, data):
        """Another store opens a snapshot, and has it open through whatever is done."""
        number = data.draw(st.sampled_from(sorted(self.models)))
        self.open.append(self.reader.view(number))

    @precondition(lambda self: self.open)
    @rule()
    def end_a_reading(self):
        view = self.open.pop(0)
        self.compare_view(view, self.models[view.snapshot.id])

    @rule(data=st.data())
    def compare_two_snapshots(self, data):
        old, new = (
            self.store.view(data.draw(st.sampled_from(sorted(self.models)))) for _ in range(2)
        )
        found = as_counters(diff(self.store, old, new))
        assert found == brute_diff(plain(old), plain(new))

    @rule()
    def give_up(self):
        """A change that is begun and not committed."""
        region = self.regions[0]
        with self.store.begin("nothing", {}) as change:
            table = self.measure_table(region, [0], [0], [10**6], [1.0])
            change.add_rows(table, [region], np.array([0, 1]))

    @rule(lose=st.booleans())
    def reopen(self, lose):
        """Close and open, with a manifest made anew if the old one is lost."""
        self.store.close()
        if lose:
            # A manifest is made anew where nobody reads: open readers would have the old one.
            self.open.clear()
            self.reader.close()
            rebuild(self.catdir)
            self.reader = Store(self.catdir)
        self.store = Store(self.catdir, writable=True)

    # ---- what must hold

    @invariant()
    def the_newest_snapshot_is_as_the_model(self):
        self.compare(self.newest)

    @invariant()
    def tags_are_as_the_model(self):
        assert {t.name: t.snapshot for t in self.store.manifest.tags()} == self.tags

    @rule()
    def all_snapshots_are_as_their_models(self):
        for number in self.models:
            self.compare(number)
        for number in self.forgotten:
            with pytest.raises(UnknownSnapshotError):
                self.store.view(number)

    def compare(self, number):
        self.compare_view(self.store.view(number), self.models[number])

    def compare_view(self, view, model):
        counts = view.snapshot.counts
        assert counts["objects"] == sum(len(a) for a, _ in model.values())
        assert counts["measures"] == sum(len(m) for _, m in model.values())
        assert view.regions() == sorted(r for r, (a, _) in model.items() if a)
        for region in view.regions():
            objects, measures = model[region]
            a = view.read(AVERAGE, region)
            s = view.read(SECFILT, region, ["mag"])["mag"].reshape(-1, N_FILTERS)
            m = view.read(MEASURE, region)
            found = zip(a["obj_id"], a["flags"], a["nmeasure"], s[:, 1], strict=True)
            assert {int(i): (int(f), int(n), null(mag)) for i, f, n, mag in found} == objects
            assert np.isnan(s[:, 0]).all()
            found = zip(m["det_id"], m["obj_id"], m["mag"], m["m_cal"], strict=True)
            assert {int(d): (int(o), null(mag), null(c)) for d, o, mag, c in found} == measures
            assert (a["obj_id"][m["ave_ref"]] == m["obj_id"]).all()


def null(value):
    return None if np.isnan(value) else float(value)


TestDatabase = Database.TestCase
TestDatabase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
