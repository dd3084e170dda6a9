"""dvomerge: merging databases is the same as making one from all their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import ConfigError, DuplicateImageError, PhotcodeError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.ingest.photcodes import add_photcode
from dvo.ingest.report import AddstarOptions
from dvo.ingest.smf import read_smf
from dvo.merge import merge as merge_module
from dvo.merge.merge import MergeOptions, MergeReport, merge
from dvo.merge.source import SourceBatch
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.history import rollback, vacuum
from dvo.partition.store import Store, create_store
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.secfilt import SECFILT
from tests import synth
from tests.unit.ingest.psphot_files import write_smf


def database(path: Path, images: list[InputImage], level: int = 4) -> Path:
    synth.make_database(path, level)
    with Store(path, writable=True) as store:
        synth.add_images(store, images)
    return path


def merged(target: Path, *sources: Path, **options: Any) -> list[MergeReport]:
    reports = []
    with Store(target, writable=True) as store:
        for path in sources:
            with Store(path) as source:
                reports.append(merge(store, source, MergeOptions(**options)))
        found = check(store, deep=True)
        assert found.ok, found.faults[:3]
    return reports


def groups(path: Path) -> set[frozenset[tuple[str, int]]]:
    """Objects as sets of detections, each known by its image and number."""
    out = set()
    with Store(path) as store:
        view = store.view()
        images = view.read(IMAGE, -1, ["image_id", "name"])
        names = dict(zip(images["image_id"].tolist(), images["name"].tolist(), strict=True))
        for region in view.regions():
            names_of = ["ave_ref", "image_id", "det_id"]
            table = view.read(MEASURE, region, names_of)
            found: dict[int, list[tuple[str, int]]] = {}
            for ref, image, det in zip(*(table[n].tolist() for n in names_of), strict=True):
                found.setdefault(ref, []).append((str(names.get(image, "ref")), det))
            assert len(found) == view.catalog(region).n_average
            out |= {frozenset(members) for members in found.values()}
    return out


def means(path: Path) -> dict[frozenset[tuple[str, int]], tuple[float, ...]]:
    """Mean position and g magnitude of each object, by its detections."""
    out = {}
    with Store(path) as store:
        view = store.view()
        names = dict(zip(*(view.read(IMAGE, -1, ["image_id", "name"])[n].tolist()
                           for n in ("image_id", "name")), strict=True))  # fmt: skip
        for region in view.regions():
            average, secfilt = view.read(AVERAGE, region), view.read(SECFILT, region)
            table = view.read(MEASURE, region, ["ave_ref", "image_id", "det_id"])
            for row in range(len(average)):
                mine = table.take(table["ave_ref"] == row)
                key = frozenset(
                    (str(names[i]), d)
                    for i, d in zip(mine["image_id"].tolist(), mine["det_id"].tolist(), strict=True)
                )
                k = row * view.n_secfilt
                out[key] = (average["ra"][row], average["dec"][row], average["ra_err"][row],
                            average["number_pos"][row], average["nmeasure"][row],
                            secfilt["mag"][k], secfilt["mag_err"][k], secfilt["nused"][k],
                            secfilt["ncode"][k])  # fmt: skip
    return out


def public_ids(path: Path) -> set[int]:
    """Public ids of all objects."""
    with Store(path) as store:
        view = store.view()
        found = [view.read(AVERAGE, r, ["ext_id"])["ext_id"] for r in view.regions()]
    return set(np.concatenate(found).tolist())


@pytest.mark.parametrize(
    "field", ["edge", *(pytest.param(f, marks=pytest.mark.slow) for f in ("pole", "wrap"))]
)
def test_merged_databases_are_one_made_of_all_images(tmp_path: Path, field: str) -> None:
    images = synth.make_images(1, 80, 9, field)
    one = database(tmp_path / "one", images)
    parts = [database(tmp_path / f"{k}", images[k::3], level) for k, level in enumerate((2, 3, 5))]
    for order in ((0, 1, 2), (2, 0, 1)):
        target = synth.make_database(tmp_path / f"m{order[0]}")
        reports = merged(target, *(parts[k] for k in order), batch_rows=50)
        assert all(r.finished for r in reports)
        assert sum(r.n_images for r in reports) == 9
        assert groups(target) == groups(one)
        expected, found = means(one), means(target)
        for key, values in expected.items():
            assert found[key] == pytest.approx(values, rel=2e-6, nan_ok=True)


def test_merging_again_does_nothing(tmp_path: Path) -> None:
    source = database(tmp_path / "a", synth.make_images(1, 60, 3))
    target = synth.make_database(tmp_path / "m")
    first, again = merged(target, source, source)
    assert (first.n_images, first.skipped) == (3, 0)
    assert (again.n_images, again.n_measures, again.n_commits, again.skipped) == (0, 0, 0, 3)


def test_focal_planes_count_neither_as_coming_nor_as_skipped(tmp_path: Path) -> None:
    source, target = synth.make_database(tmp_path / "a"), synth.make_database(tmp_path / "m")
    with Store(source, writable=True) as store:
        for chip in ("CAM.r.XY01", "CAM.r.XY02"):
            add_photcode(store, chip, PhotClass.DEP, filter_name="r", zero_point=25.0)
        addstar(store, [lambda: read_smf(write_smf(tmp_path / "o.smf"))], AddstarOptions())
        rows = store.manifest.images(store.view().snapshot.id)
    assert len(rows) == 3  # two chips and their focal plane
    first, again = merged(target, source, source)
    assert (first.n_images, first.skipped) == (2, 0)
    assert (again.n_images, again.skipped) == (0, 2)


def test_of_a_source_that_has_grown_the_difference_comes(tmp_path: Path) -> None:
    images = synth.make_images(1, 60, 6)
    source = database(tmp_path / "a", images[:3])
    target = synth.make_database(tmp_path / "m")
    merged(target, source)
    with Store(source, writable=True) as store:
        synth.add_images(store, images[3:])
    (report,) = merged(target, source)
    assert (report.n_images, report.skipped) == (3, 3)
    one = database(tmp_path / "one", images)
    assert groups(target) == groups(one)
    for key, values in means(one).items():
        assert means(target)[key] == pytest.approx(values, rel=2e-6, nan_ok=True)


def test_images_that_both_have_come_once(tmp_path: Path) -> None:
    images = synth.make_images(1, 60, 4)
    a, b = database(tmp_path / "a", images[:3]), database(tmp_path / "b", images[1:])
    target = synth.make_database(tmp_path / "m")
    reports = merged(target, a, b)
    assert [r.skipped for r in reports] == [0, 2]
    assert groups(target) == groups(database(tmp_path / "one", images))


@pytest.mark.parametrize("n_batches", [0, 1, 2])
def test_a_merge_that_was_cut_short_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_batches: int
) -> None:
    images = synth.make_images(1, 80, 4)
    source = database(tmp_path / "a", images)
    target = database(tmp_path / "m", synth.make_images(1, 80, 2, first=7))
    whole = database(tmp_path / "whole", synth.make_images(1, 80, 2, first=7))
    merged(whole, source, batch_rows=50)
    done: list[int] = []
    add = merge_module._Run.add

    def failing(run: Any, batch: SourceBatch) -> None:
        if len(done) == n_batches:
            raise KeyboardInterrupt
        done.append(len(batch.regions))
        add(run, batch)

    monkeypatch.setattr(merge_module._Run, "add", failing)
    with pytest.raises(KeyboardInterrupt):
        merged(target, source, batch_rows=50)
    monkeypatch.undo()
    with Store(target) as store:
        assert check(store, deep=True).ok
    (report,) = merged(target, source, batch_rows=50)
    assert report.finished
    assert groups(target) == groups(whole)


def test_a_merge_can_be_rolled_back_and_made_again(tmp_path: Path) -> None:
    source = database(tmp_path / "a", synth.make_images(1, 60, 3))
    target = database(tmp_path / "m", synth.make_images(1, 60, 2, first=5))
    before = groups(target)
    with Store(target) as store:
        snapshot = store.view().snapshot.id
    merged(target, source)
    after = groups(target)
    with Store(target, writable=True) as store:
        rollback(store, snapshot)
    assert groups(target) == before
    (report,) = merged(target, source)
    assert report.n_images == 3
    assert groups(target) == after


def test_a_dry_run_says_what_would_come(tmp_path: Path) -> None:
    source = database(tmp_path / "a", synth.make_images(1, 60, 3))
    target = database(tmp_path / "m", synth.make_images(1, 60, 2, first=5))
    with Store(target) as store, Store(source) as other:
        would = merge(store, other, MergeOptions(dry_run=True))
        snapshot = store.view().snapshot
    (report,) = merged(target, source)
    for name in ("n_images", "n_measures", "n_matched", "n_new", "skipped"):
        assert getattr(would, name) == getattr(report, name)
    assert snapshot.id == 2


def test_the_public_id_of_the_older_object_stays(tmp_path: Path) -> None:
    images = synth.make_images(1, 30, 2)
    target, source = database(tmp_path / "m", images[:1]), database(tmp_path / "a", images[1:])
    ids: dict[str, set[int]] = {}
    for path in (target, source):
        with Store(path) as store:
            view = store.view()
            ids[path.name] = {
                i
                for r in view.regions()
                for i in view.read(AVERAGE, r, ["ext_id"])["ext_id"].tolist()
            }
    (report,) = merged(target, source)
    with Store(target) as store:
        view = store.view()
        found = {
            i for r in view.regions() for i in view.read(AVERAGE, r, ["ext_id"])["ext_id"].tolist()
        }
    assert ids["m"] <= found
    assert len(found - ids["m"]) == report.n_new
    assert found - ids["m"] <= ids["a"]


def test_images_without_detections_come_too(tmp_path: Path) -> None:
    images = synth.make_images(1, 20, 2)
    none = Detections(np.empty(0), np.empty(0), {"det_id": np.empty(0, np.uint32)})
    source = database(tmp_path / "a", [InputImage(images[0].meta, none, {})])
    target = database(tmp_path / "m", images[1:])
    first, again = merged(target, source, source)
    assert (first.n_images, first.finished, again.skipped) == (1, True, 1)
    with Store(target) as store:
        assert store.view().snapshot.counts["images"] == 2


def test_only_some_regions_and_the_rest_later(tmp_path: Path) -> None:
    source = database(tmp_path / "a", synth.make_images(1, 80, 3))
    target = synth.make_database(tmp_path / "m")
    with Store(source) as store:
        regions = store.view().regions()
    (first,) = merged(target, source, regions=tuple(regions[1:2]))
    assert not first.finished
    assert first.n_regions_done == 1
    (rest,) = merged(target, source)
    assert rest.finished
    assert groups(target) == groups(source)


@pytest.mark.parametrize("between", ["addstar", "merge", "rollback", "resort and vacuum"])
def test_the_rest_of_a_merge_sees_what_came_between(tmp_path: Path, between: str) -> None:
    images = synth.make_images(1, 80, 6)
    source = database(tmp_path / "a", images[:3])
    other = database(tmp_path / "b", images[3:])
    target = synth.make_database(tmp_path / "m")
    with Store(source) as store:
        regions = store.view().regions()
    merged(target, source, regions=tuple(regions[:2]))
    if between == "addstar":
        with Store(target, writable=True) as store:
            synth.add_images(store, images[3:])
    elif between == "resort and vacuum":
        with Store(target, writable=True) as store:
            resort(store)
            vacuum(store, 1)
        merged(target, other)
    else:
        merged(target, other)
    if between == "rollback":
        with Store(target, writable=True) as store:
            rollback(store, 2)  # the first half of the merge
        merged(target, other)
    (rest,) = merged(target, source)
    assert rest.finished
    assert groups(target) == groups(database(tmp_path / "one", images))


def test_a_photcode_of_the_same_name_must_be_the_same(tmp_path: Path) -> None:
    source, target = synth.make_database(tmp_path / "a"), synth.make_database(tmp_path / "m")
    for path, zero in ((source, 25.0), (target, 24.5)):
        with Store(path, writable=True) as store:
            add_photcode(store, "CAM.g", PhotClass.DEP, filter_name="g", zero_point=zero)
    with Store(source, writable=True) as store:
        synth.add_images(store, synth.make_images(1, 20, 1))
    with pytest.raises(PhotcodeError, match=r"CAM\.g .*zero_point 24\.5, not 25"):
        merged(target, source)


def test_photcodes_and_filters_are_translated(tmp_path: Path) -> None:
    # The target has its filters in another order, and the codes of the source are taken.
    table = PhotcodeTable().add("r", PhotClass.SEC).add("z", PhotClass.SEC).add("g", PhotClass.SEC)
    table = table.add("OTHER.r", PhotClass.DEP, filter_name="r", zero_point=24.0)
    target = tmp_path / "m"
    create_store(target, level=3, photcodes=table)
    source = database(tmp_path / "a", synth.make_images(1, 40, 4))
    merged(target, source)
    expected, found = {}, {}
    for path, out in ((source, expected), (target, found)):
        with Store(path) as store:
            view = store.view()
            k = {p.name: i for i, p in enumerate(view.photcodes.sec)}
            for region in view.regions():
                ids = view.read(AVERAGE, region, ["ext_id"])["ext_id"]
                mags = view.read(SECFILT, region, ["mag"])["mag"].reshape(len(ids), -1)
                for i, row in zip(ids.tolist(), mags, strict=True):
                    out[i] = (row[k["g"]], row[k["r"]])
                codes = view.read(MEASURE, region, ["photcode"])["photcode"]
                names = {p.code: p.name for p in view.photcodes}
                assert {names[c] for c in codes.tolist()} <= {"SYNTH.g.C00", "SYNTH.r.C00"}
    assert expected.keys() == found.keys()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, nan_ok=True)


def test_a_filter_that_is_missing_is_an_error(tmp_path: Path) -> None:
    target = tmp_path / "m"
    create_store(target, level=3, photcodes=PhotcodeTable().add("g", PhotClass.SEC))
    source = database(tmp_path / "a", synth.make_images(1, 20, 1))
    with pytest.raises(PhotcodeError, match=r"filter\(s\) r that the database has not"):
        merged(target, source)


def test_an_image_with_other_content_is_refused(tmp_path: Path) -> None:
    images = synth.make_images(1, 20, 1)
    target = database(tmp_path / "m", images)
    meta = replace(images[0].meta, content="0" * 32)
    source = database(tmp_path / "a", [InputImage(meta, images[0].detections, {})])
    with pytest.raises(DuplicateImageError, match=r"synth-0000 \(MJD 57000.25\d+\) is in"):
        merged(target, source)


def test_a_database_is_not_merged_into_itself(tmp_path: Path) -> None:
    target = database(tmp_path / "m", synth.make_images(1, 20, 1))
    with pytest.raises(ConfigError, match="itself, or a copy"):
        merged(target, target)


def reference(
    path: Path, name: str, epoch_mjd: float, dec: np.ndarray, u_dec: float | None
) -> Path:
    """A database of one reference catalog of some stars at RA 100."""
    synth.make_database(path, 3)
    columns: dict[str, Any] = {"det_id": np.arange(len(dec), dtype=np.uint32)}
    if u_dec is not None:
        columns["u_ra"] = np.zeros(len(dec), np.float32)
        columns["u_dec"] = np.full(len(dec), u_dec * 1000, np.float32)
    found = Detections(np.full(len(dec), 100.0), dec, columns)
    source = InputImage(RefSource(name, epoch_mjd, name, f"{len(dec):032d}"), found, {})
    with Store(path, writable=True) as store:
        add_photcode(store, name, PhotClass.REF, filter_name="g")
        addstar(store, [lambda: [source]], AddstarOptions())
    return path


@pytest.mark.parametrize("moving_first", [True, False])
def test_stars_are_matched_where_they_have_moved(tmp_path: Path, moving_first: bool) -> None:
    # 16 years at 0.5 arcsec a year: 8 arcsec.
    dec = np.array([10.0, 10.1, 10.2])
    moving = reference(tmp_path / "moving", "HIP", 51544.5, dec, 0.5)
    later = reference(tmp_path / "later", "GAIA", 57388.5, dec + 8 / 3600, None)
    target = synth.make_database(tmp_path / "m")
    order = (moving, later) if moving_first else (later, moving)
    reports = merged(target, *order)
    assert [(r.n_matched, r.n_new) for r in reports] == [(0, 3), (3, 0)]
    again = merged(target, *order)
    assert [r.n_measures for r in again] == [0, 0]
    with Store(target) as store:
        view = store.view()
        for region in view.regions():
            u_dec = view.read(AVERAGE, region, ["u_dec"])["u_dec"]
            assert u_dec == pytest.approx(np.full(len(u_dec), 0.5))
