"""addstar through engines: objects, numbers, means and rows as this process makes them."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from copy import deepcopy
from functools import partial

import numpy as np
import pytest

from dvo.errors import CorruptTableError, OperationError, StorageError
from dvo.ingest import add_elsewhere
from dvo.ingest.add_elsewhere import sky_groups
from dvo.ingest.addstar import AddstarOptions, addstar
from dvo.ingest.batch import BatchImage
from dvo.ingest.batch_file import pack_images, unpack_images
from dvo.ingest.detections import BandColumns, Detections, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.check import check
from dvo.partition.engines import open_engine
from dvo.partition.layout import STAGED
from dvo.partition.staged import read_lent
from dvo.partition.store import Store
from dvo.tables.photcode import PhotClass
from dvo.tables.satellites import SATELLITES
from tests.hosts import MODULES, Hosts
from tests.synth import FIELDS, assert_same, contents, make_database, make_images
from tests.synth_satellites import rows_by_object, with_satellites

ENGINES = {"inline": ("inline", 1), "processes": ("processes", 2), "hosts": ("hosts", 2)}


def catalog():
    """A reference catalog of two bands with motions, over two of the fields."""
    rng = np.random.default_rng(7)
    images = [make_images(3, 40, 1, field)[0].detections for field in ("edge", "wrap")]
    ra, dec = (np.concatenate([getattr(d, n) for d in images]) for n in ("ra", "dec"))
    n = len(ra)
    u = {name: rng.normal(0, 20, n).astype(np.float32) for name in ("u_ra", "u_dec")}
    u["u_ra"][::3] = np.nan
    bands = [
        BandColumns(f"REF.{b}", rng.random(n) < 0.7, {"mag": rng.normal(15, 1, n).astype("f4")})
        for b in "gr"
    ]
    meta = RefSource("REF.g", 51544.5, "reference", "ab" * 16)
    return InputImage(meta, Detections(ra, dec, u, bands=bands))


def exposures():
    """Exposures of four fields in turn, some with galaxies; the same stars again and again."""
    out = []
    for k in range(4):
        for i, field in enumerate(FIELDS):
            (image,) = make_images(3, 40, 1, field, first=4 * k + i)
            out.append(with_satellites(image, 4 * k + i) if k % 2 else image)
    return out


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    catdir = make_database(tmp_path_factory.mktemp("add") / "sky")
    with Store(catdir, writable=True) as store:
        table = store.view().photcodes
        for band in "gr":
            table = table.add(f"REF.{band}", PhotClass.REF, filter_name=band)
        put_photcodes(store, table, "photcode add", {})
    return catdir


def copied(image):
    """A copy, for addstar may take its input apart; there is one schema of each table."""
    return deepcopy([image], {id(s.schema): s.schema for s in SATELLITES})


def work(store, engine):
    """Three runs: objects are new, then known; catalogs are compacted, an image is replaced."""
    images = exposures()
    (other,) = make_images(5, 40, 1, "edge", first=3)
    reports = []
    for some, options in (
        (images[:6], {"batch_rows": 100}),
        ([*images[6:], catalog()], {"compact_parts": 3}),
        ([other], {"replace": True}),
    ):
        sources = [partial(copied, image) for image in some]
        chosen = AddstarOptions(**{"compact_parts": 0, **options})
        reports.append(addstar(store, sources, chosen, engine=engine).as_dict())
        del reports[-1]["seconds"]
    view = store.view()
    rows = {s.schema.name: sorted(rows_by_object(view, s.schema)) for s in SATELLITES}
    return contents(view) | rows | {"reports": reports, "n_commits": view.snapshot.id}


@pytest.fixture(scope="module")
def expected(empty, tmp_path_factory):
    catdir = shutil.copytree(empty, tmp_path_factory.mktemp("expected") / "sky")
    with Store(catdir, writable=True) as store:
        return work(store, None)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_adds_what_this_process_adds(name, empty, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(add_elsewhere, "GROUP_ROWS", 60)
    kind, workers = ENGINES[name]
    catdir = shutil.copytree(empty, tmp_path / "sky")
    with ExitStack() as stack:
        if kind == "hosts":
            stack.enter_context(Hosts(catdir, workers, private=True))
        store = stack.enter_context(Store(catdir, writable=True))
        engine = open_engine(kind, store, workers=workers, modules=MODULES)
        found = work(store, stack.enter_context(engine))
    assert found["reports"][0]["n_new"] > 100
    assert found["reports"][1]["n_satellites"]
    assert_same(found, expected)
    assert check(catdir, deep=True).ok
    assert not any((catdir / STAGED).iterdir())


# ---- groups


@pytest.fixture
def store(empty, tmp_path):
    with Store(shutil.copytree(empty, tmp_path / "sky"), writable=True) as found:
        yield found


def batch_images(view, images):
    return [
        BatchImage(image, view.photcodes.get(image.meta.photcode), k + 1, 1.0, 57000.0)
        for k, image in enumerate(images)
    ]


def test_groups_have_nothing_in_common(store):
    view = store.view()
    images = batch_images(view, exposures())
    groups = list(sky_groups(images, view, least_rows=1))
    assert len(groups) == len(FIELDS)
    regions = [r for of, _ in groups for r in of]
    assert len(regions) == len(set(regions))
    assert sorted(i.image_id for _, some in groups for i in some) == list(range(1, 17))
    for of, some in groups:
        assert of == sorted(of)
        assert [i.image_id for i in some] == sorted(i.image_id for i in some)
        for image in some:
            found = image.source.detections
            assert set(view.partition.locate(found.ra, found.dec).tolist()) <= set(of)


def test_images_that_touch_through_others_are_one_group(store):
    """A chain: each image shares regions with the next one only."""
    view = store.view()
    meta = make_images(3, 4, 1)[0].meta
    ra = np.arange(100.0, 112.0, 0.25)
    chain = [
        InputImage(meta, Detections(np.linspace(a, a + 0.25, 20), np.full(20, 15.0))) for a in ra
    ]
    for order in (range(len(chain)), np.random.default_rng(1).permutation(len(chain))):
        groups = list(sky_groups(batch_images(view, [chain[k] for k in order]), view, least_rows=1))
        assert [len(some) for _, some in groups] == [len(chain)]


def test_groups_are_not_too_small(store):
    view = store.view()
    images = batch_images(view, exposures())
    assert len(list(sky_groups(images, view))) == 1
    found = list(sky_groups(images, view, least_rows=250))
    assert len(found) == 2


def test_images_without_detections_are_in_no_group(store):
    nothing = Detections(np.empty(0), np.empty(0))
    image = InputImage(make_images(3, 4, 1)[0].meta, nothing)
    assert list(sky_groups(batch_images(store.view(), [image]), store.view())) == []


# ---- what is lent


def test_images_arrive_as_they_are(store):
    view = store.view()
    images = batch_images(view, [with_satellites(exposures()[0], 1), catalog()])
    found = unpack_images(pack_images(images), view.photcodes)
    for one, two in zip(found, images, strict=True):
        assert (one.photcode, one.image_id, one.match_time_s) == (
            two.photcode, two.image_id, two.match_time_s,
        )  # fmt: skip
        assert repr(one.source.meta) == repr(two.source.meta)
        a, b = one.source.detections, two.source.detections
        np.testing.assert_array_equal(a.ra, b.ra)
        assert a.columns.keys() == b.columns.keys()
        for name, values in a.columns.items():
            np.testing.assert_array_equal(values, b.columns[name])
        assert [x.photcode for x in a.bands] == [x.photcode for x in b.bands]
        for x, y in zip(a.bands, b.bands, strict=True):
            np.testing.assert_array_equal(x.measured, y.measured)
        for x, y in zip(one.source.satellites, two.source.satellites, strict=True):
            assert x.schema is y.schema
            np.testing.assert_array_equal(x.det_id, y.det_id)
    assert len(found[0].source.satellites) > 0


def test_what_are_no_images(store):
    view = store.view()
    data = pack_images(batch_images(view, exposures()[:2]))
    for wrong in (data.slice(0, data.size - 9), data.slice(8)):
        with pytest.raises(OperationError, match="cannot be read"):
            unpack_images(wrong, view.photcodes)


def test_what_was_lent_is_compared_with_its_name(store):
    with store.begin("addstar", {}) as change:
        name = change.lend(pack_images(batch_images(store.view(), exposures()[:1])))
        path = store.catdir / STAGED / change.token / name
        assert read_lent(store.catdir, change.token, name).size == path.stat().st_size
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(CorruptTableError, match="its bytes have changed"):
            read_lent(store.catdir, change.token, name)
        path.unlink()
        with pytest.raises(StorageError, match="cannot be read"):
            read_lent(store.catdir, change.token, name)
        with pytest.raises(OperationError, match="no name of what a commit lends"):
            read_lent(store.catdir, change.token, "../../../etc/passwd")
