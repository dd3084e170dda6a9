"""Splitting catalogs and changing the level: other regions, the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from dvo.errors import ConfigError, PartitionError, UnknownRegionError
from dvo.exchange.original.export import export_catdir
from dvo.merge.merge import MergeOptions, merge
from dvo.merge.source import common_epoch
from dvo.partition.bounds import Cone
from dvo.partition.check import check
from dvo.partition.compact import compact_busy, resort
from dvo.partition.deal import deal_out
from dvo.partition.history import rollback, vacuum
from dvo.partition.manifest import Reach
from dvo.partition.partition import Partition
from dvo.partition.rebuild import rebuild
from dvo.partition.sky_table import SkyTable
from dvo.partition.store import Store, create_store
from dvo.reshape.partition import relevel, set_split_limit, split_regions
from dvo.tables.average import AVERAGE
from dvo.tables.fits import TableFile
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.measure import MEASURE
from dvo.tables.missing import MISSING
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema
from dvo.tables.starpar import STARPAR
from tests import synth
from tests.synth_satellites import add_to_measures, assert_links, rows_by_object

SKY = SkyTable.standard()


def database(
    path: Path, level: int = 3, n_images: int = 4, field: str = "edge", **more: Any
) -> Path:
    create_store(path, level=level, photcodes=synth.photcodes(), **more)
    with Store(path, writable=True) as store:
        synth.add_images(store, synth.make_images(2, 60, n_images, field), batch_rows=60)
    return path


def names(store: Store) -> list[str]:
    view = store.view()
    return view.sky.names(view.regions())


def assert_sound(store: Store) -> None:
    report = check(store, deep=True)
    assert report.ok, [str(f) for f in report.faults[:3]]


@pytest.fixture
def sky(tmp_path: Path) -> Path:
    return database(tmp_path / "sky")


def test_split_deals_out_all_rows_and_numbers(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        before, old = synth.whole(store.view()), names(store)
        done = split_regions(store, [old[0]])
        assert done.regions == [old[0]]
        assert done.n_measures > 0
        after = names(store)
        assert old[0] not in after
        assert any(n.startswith(f"{old[0]}.") for n in after)
        assert done.n_catalogs == len(after)
        synth.assert_same(before, synth.whole(store.view()))
        assert_sound(store)
        view = store.view()
        for region in view.regions():
            average = view.read(AVERAGE, region, ["ra", "dec"])
            over = view.partition.locate(average["ra"], average["dec"]) != region
            assert over.mean() < 0.2  # only what lies at the edge of the region that was split


def test_objects_outside_their_region_go_to_its_nearest_part(sky: Path) -> None:
    # Means at the edge may lie on the other side: their catalog is that where they were made.
    with Store(sky, writable=True) as store:
        view = store.view()
        old = view.regions()
        of = {}
        for region in old:
            for ext_id in view.read(AVERAGE, region, ["ext_id"])["ext_id"].tolist():
                of[ext_id] = region
        split_regions(store, view.sky.names(old))
        view = store.view()
        for region in view.regions():
            for ext_id in view.read(AVERAGE, region, ["ext_id"])["ext_id"].tolist():
                assert view.sky.parents([region])[0] == of[ext_id]
            measure = view.read(MEASURE, region, ["ra", "dec"])
            bounds = view.sky.bounds([region])[0]
            assert (measure["dec"] >= bounds[2] - view.pad_deg - 1e-9).all()
            assert (measure["dec"] <= bounds[3] + view.pad_deg + 1e-9).all()


def test_split_again_changes_nothing(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        first = split_regions(store, names(store)[:1])
        again = split_regions(store, first.regions)
        assert (again.regions, again.snapshot) == ([], first.snapshot)
        assert store.view().snapshot.id == first.snapshot


def test_rollback_joins_again_and_numbers_are_not_given_twice(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        before = store.view()
        region = before.regions()[0]
        kept = synth.whole(before)
        split_regions(store, names(store))
        synth.add_images(store, synth.make_images(7, 60, 1, first=50))
        made = store.view()
        part = next(r for r in made.regions() if made.catalog(r).next_obj_id > 0)
        rollback(store, before.snapshot.id)
        view = store.view()
        assert view.partition == before.partition
        assert view.regions() == before.regions()
        synth.assert_same(kept, synth.whole(view))
        assert view.catalog(part).next_obj_id == made.catalog(part).next_obj_id
        assert view.catalog(region).next_obj_id == before.catalog(region).next_obj_id
        assert_sound(store)
        # And the state between is still there.
        assert store.view(made.snapshot.id).partition == made.partition


@pytest.mark.slow
def test_relevel_and_back(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        kept = synth.whole(store.view())
        split_regions(store, names(store)[:2])
        for level in (5, 1, 0, 4, 3):
            done = relevel(store, level)
            view = store.view()
            assert view.partition.level == level
            assert view.partition.splits == ()
            assert set(view.sky.depths(view.regions()).tolist()) == {level}
            assert done.n_catalogs == len(view.regions())
            synth.assert_same(kept, synth.whole(view))
            assert_sound(store)
        assert relevel(store, 3).snapshot == done.snapshot


def test_new_objects_of_joined_catalogs_get_new_numbers(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        relevel(store, 0)
        before = store.view().read(AVERAGE, 0, ["cat_id", "obj_id"])
        assert set(before["cat_id"].tolist()) != {0}
        synth.add_images(store, synth.make_images(9, 60, 1, first=50))
        after = store.view().read(AVERAGE, 0, ["cat_id", "obj_id"])
        assert len(after) > len(before)
        new = after["cat_id"] == 0
        assert np.count_nonzero(new) == len(after) - len(before)
        assert sorted(after["obj_id"][new].tolist()) == list(range(np.count_nonzero(new)))
        relevel(store, 4)
        assert store.view().catalog(0).next_obj_id == np.count_nonzero(new)
        assert_sound(store)


def test_a_number_that_was_not_given_is_found(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        view = store.view()
        split_regions(store, names(store))
        with store.manifest.transaction() as db:
            region = view.regions()[0]
            db.execute("UPDATE catalog SET next_obj_id = 1 WHERE region = ?", (region,))
        faults = check(store, deep=True).faults
        assert any("is not below 1, the next to be given" in str(f) for f in faults)


@pytest.mark.parametrize("names", [["n0000/0000"], ["n1500/1819.00"], ["nowhere"]])
def test_what_is_no_catalog_is_refused(sky: Path, names: list[str]) -> None:
    with Store(sky, writable=True) as store:
        with pytest.raises((UnknownRegionError, PartitionError)):
            split_regions(store, names)
        assert store.view().partition.splits == ()


def test_refusals_say_what_to_do(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        part = f"{names(store)[0]}.03"
        with pytest.raises(PartitionError, match=r"is part of the catalog .*: split that first"):
            split_regions(store, [part])
        with pytest.raises(ConfigError, match="level 6"):
            relevel(store, 6)
        with pytest.raises(ConfigError, match="-1 measures"):
            set_split_limit(store, -1)


@pytest.mark.slow
def test_nothing_is_deeper_than_level_5(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        relevel(store, 5)
        with pytest.raises(PartitionError, match="deepest level"):
            split_regions(store, names(store)[:1])


def test_a_region_without_rows_can_be_split(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        assert split_regions(store, ["n8230/pole.4"]).n_measures == 0
        assert "n8230/pole.4" not in names(store)
        assert store.view().partition.splits == (SKY.by_name("n8230/pole.4").index,)
        assert_sound(store)


def test_larger_than_splits_until_nothing_is(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        kept = synth.whole(store.view())
        split_regions(store, [], larger_than=10)
        view = store.view()
        for region, row in view.catalogs(view.regions()).items():
            assert row.n_measure <= 10 or view.sky.depths([region])[0] == 5
        synth.assert_same(kept, synth.whole(view))
        assert_sound(store)


def test_compaction_splits_what_has_outgrown_the_limit(tmp_path: Path) -> None:
    path = database(tmp_path / "sky", split_at=0)
    with Store(path, writable=True) as store:
        kept = synth.whole(store.view())
        set_split_limit(
            store, max(store.view().catalog(r).n_measure for r in store.view().regions()) - 1
        )
        assert compact_busy(store, at_least=2) > 0
        view = store.view()
        # What is not split is compacted, in the commit after it.
        assert [row.command for row in store.manifest.log()][-2:] == ["split", "resort"]
        assert view.partition.splits
        synth.assert_same(kept, synth.whole(view))
        n = len(view.regions())
        resort(store)
        assert len(names(store)) == n
        assert_sound(store)
        set_split_limit(store, 5)
        resort(store)
        assert len(names(store)) > n
        set_split_limit(store, 0)
        before = store.view().snapshot.id
        assert set_split_limit(store, 0) == before
        synth.assert_same(kept, synth.whole(store.view()))


def test_a_run_of_addstar_goes_on_in_the_new_partition(tmp_path: Path) -> None:
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    images = synth.make_images(4, 60, 8)
    for path, limit in ((plain, 0), (mixed, 110)):
        create_store(path, level=3, photcodes=synth.photcodes(), split_at=limit)
        with Store(path, writable=True) as store:
            synth.add_images(store, images, batch_rows=1, compact_parts=2)
            assert_sound(store)
    with Store(plain) as one, Store(mixed) as two:
        assert len(set(SKY.depths(two.view().regions()).tolist())) > 1
        assert two.view().partition.splits
        synth.assert_same(
            synth.whole(one.view(), numbers=False), synth.whole(two.view(), numbers=False)
        )


def test_cones_find_the_same(sky: Path) -> None:
    with Store(sky, writable=True) as store:

        def found(cone: Cone) -> list[int]:
            view = store.view()
            rows = []
            for region in view.regions(cone):
                table = view.read_area(MEASURE, region, ["image_id", "det_id"], cone)
                rows += list(zip(table["image_id"].tolist(), table["det_id"].tolist(), strict=True))
            return sorted(rows)

        cones = [Cone(112.5 + dx, 15.0 + dy, r) for dx in (-0.1, 0, 0.1) for dy in (-0.05, 0, 0.05)
                 for r in (1e-3, 0.02, 0.2)]  # fmt: skip
        before = [found(cone) for cone in cones]
        split_regions(store, [], larger_than=20)
        assert [found(cone) for cone in cones] == before
        relevel(store, 2)
        assert [found(cone) for cone in cones] == before


def test_merging_split_databases_is_merging_plain_ones(tmp_path: Path) -> None:
    results = []
    for how in ("plain", "mixed"):
        target = database(tmp_path / f"{how}-target")
        source = database(tmp_path / f"{how}-source", level=2, n_images=0)
        with Store(source, writable=True) as store:
            synth.add_images(store, synth.make_images(8, 60, 3, first=20))
            if how == "mixed":
                split_regions(store, [], larger_than=30)
        with Store(target, writable=True) as store, Store(source) as other:
            if how == "mixed":
                split_regions(store, names(store)[:1])
            merge(store, other, MergeOptions(batch_rows=40))
            assert_sound(store)
            results.append(synth.whole(store.view(), numbers=False))
    synth.assert_same(*results)


def test_a_merge_goes_on_after_a_split(tmp_path: Path) -> None:
    results = []
    for how in ("plain", "split between"):
        target = database(tmp_path / f"{how}-target")
        source = database(tmp_path / f"{how}-source", level=3, n_images=0)
        with Store(source, writable=True) as store:
            synth.add_images(store, synth.make_images(2, 60, 3, first=20))
        with Store(target, writable=True) as store, Store(source) as other:
            first = tuple(other.view().regions()[:1])
            merge(store, other, MergeOptions(regions=first, compact_parts=0))
            if how != "plain":
                split_regions(store, names(store))
            assert merge(store, other, MergeOptions()).finished
            assert_sound(store)
            results.append(synth.whole(store.view(), numbers=False))
    synth.assert_same(*results)


def test_a_lost_manifest_comes_back_with_the_partition(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        split_regions(store, names(store))
        relevel(store, 2)
        split_regions(store, names(store)[:1])
        kept = [(row.level, store.manifest.splits(row.id)) for row in store.manifest.log()]
        want = synth.whole(store.view())
    (sky / "dvo.sqlite").unlink()
    rebuild(sky)
    with Store(sky, writable=True) as store:
        assert [(r.level, store.manifest.splits(r.id)) for r in store.manifest.log()] == kept
        synth.assert_same(want, synth.whole(store.view()))
        assert_sound(store)
        vacuum(store, 1)
        assert store.view().partition.splits == kept[-1][1]
        assert_sound(store)


def test_large_parts_get_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(tmp_path / "sky", n_images=6)
    monkeypatch.setattr("dvo.partition.deal.GROUP_ROWS", 50)
    with Store(path, writable=True) as store:
        kept = synth.whole(store.view())
        view = store.view()
        deal_out(store, view, Partition(SKY, 4), "relevel", {}, own_file_rows=30)
        assert list(path.glob("n*/*.cpm"))
        synth.assert_same(kept, synth.whole(store.view()))
        assert_sound(store)
        view = store.view()
        deal_out(store, view, Partition(SKY, 1), "relevel", {}, own_file_rows=30)
        synth.assert_same(kept, synth.whole(store.view()))
        assert_sound(store)


def test_the_reach_covers_what_lies_outside(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        before = store.view().snapshot.reach
        split_regions(store, [], larger_than=1)
        after = store.view().snapshot.reach
        assert isinstance(after, Reach)
        assert after.pad_deg >= before.pad_deg
        view = store.view()
        for region in view.regions():
            table = view.read(MEASURE, region, ["ra", "dec"])
            for ra, dec in zip(table["ra"].tolist(), table["dec"].tolist(), strict=True):
                assert region in view.partition.cone(ra, dec, view.pad_deg + 1e-9)


@pytest.mark.parametrize("schema", [LENSING, STARPAR, GALPHOT, MISSING], ids=lambda s: s.name)
def test_satellite_rows_go_with_their_objects(sky: Path, schema: TableSchema) -> None:
    with Store(sky, writable=True) as store:
        made = add_to_measures(store, schema, [1, 2] if "image_id" in schema else [1])
        before = synth.whole(store.view())
        satellites = [s for s in SATELLITES if s.schema.name in before]
        assert satellites
        for change in (
            lambda: split_regions(store, [], larger_than=20),
            lambda: relevel(store, 1),
            lambda: relevel(store, 4),
        ):
            change()
            view = store.view()
            synth.assert_same(before, synth.whole(view))
            assert rows_by_object(view, schema).keys() == made.keys()
            for satellite in satellites:
                assert_links(view, satellite)
            assert_sound(store)


def test_exports_of_a_mixed_database(sky: Path, tmp_path: Path) -> None:
    with Store(sky, writable=True) as store:
        split_regions(store, names(store)[:1])
        view = store.view()
        n_measures = view.snapshot.counts["measures"]
        assert export_catdir(store, view, tmp_path / "old").rows == n_measures
        with fits.open(tmp_path / "old" / "SkyTable.fits") as file:
            rows = file[1].data
            of = {int(row["INDEX"]): row for row in rows}
            for region in view.regions():
                row = of[region]
                assert row["TABLE"] == 1
                name = row["NAME"].strip()
                assert name == view.sky.names([region])[0]
                assert (tmp_path / "old" / f"{name}.cpm").exists()
                while row["DEPTH"] > 0:
                    above = rows[row["PARENT"]]
                    children = rows["INDEX"][above["CHILD_S"] : above["CHILD_E"]]
                    assert int(row["INDEX"]) in children.tolist()
                    assert above["TABLE"] == 0
                    row = above


def test_the_sky_file_shows_the_newest_partition(sky: Path) -> None:
    def tables() -> list[int]:
        with TableFile(sky / "SkyTable.fits", "SKY_REGION") as file:
            rows = file.read()
        return rows["index"][rows["table"]].tolist()

    assert tables() == list(SKY.at_level(3))
    with Store(sky, writable=True) as store:
        before = store.view().snapshot.id
        split_regions(store, names(store)[:1])
        assert tables() == store.view().partition.leaves.tolist()
        rollback(store, before)
        assert tables() == list(SKY.at_level(3))
        relevel(store, 1)
        assert tables() == list(SKY.at_level(1))
        with store.begin("spoil", {}) as change:  # cut short before the file was written
            change.set_partition(Partition(SKY, 1, (3,)))
            change.commit()
        notes = check(store, deep=True).notes
        assert any("of another partition" in note for note in notes)
    with Store(sky, writable=True) as store:
        assert tables() == store.view().partition.leaves.tolist()
        assert check(store, deep=True).notes == []


def test_the_epoch_of_a_merge_does_not_depend_on_the_partition(tmp_path: Path) -> None:
    source = database(tmp_path / "source")
    with Store(source, writable=True) as store:
        view = store.view()
        with store.begin("motions", {}) as change:
            for region in view.regions():
                average = view.read(AVERAGE, region)
                for name in ("u_ra", "u_dec"):
                    average[name] = np.full(len(average), 0.01, np.float32)
                change.put_catalog(region, [average], level="fast")
            change.widen(Reach(0.0, 0.1, 0.0, 2e9))
            change.commit()
    base = tmp_path / "base"
    create_store(base, level=0, photcodes=synth.photcodes())
    with Store(base, writable=True) as store, Store(source) as other:
        synth.add_images(store, synth.make_images(4, 40, 3, "edge", first=100))
        synth.add_images(store, synth.make_images(5, 200, 5, "middle", first=1000))
        epochs = set()
        for level in (0, 1, 3, 4):
            relevel(store, level)
            epochs.add(common_epoch(other.view(), store.view()))
        split_regions(store, names(store))
        epochs.add(common_epoch(other.view(), store.view()))
    (epoch,) = epochs
    mjd = 40587.0 + epoch / 86400.0
    assert 57099 <= mjd <= 57104  # of the part of the sky where the source is
