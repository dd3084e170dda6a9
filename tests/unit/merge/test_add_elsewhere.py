"""dvomerge through engines: objects, numbers, means and rows as this process makes them."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import numpy as np
import pytest

from dvo.errors import ConfigError, OperationError, StorageError
from dvo.ingest.addstar import AddstarOptions, addstar
from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.ingest.photcodes import add_photcode
from dvo.merge import add_elsewhere
from dvo.merge.merge import MergeOptions, merge
from dvo.merge.selection import Selection
from dvo.partition.check import check
from dvo.partition.engines import open_engine
from dvo.partition.layout import STAGED
from dvo.partition.staged import pack_columns
from dvo.partition.store import Store
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PhotClass
from dvo.tables.satellites import SATELLITES
from dvo.tables.starpar import STARPAR
from tests.hosts import MODULES, Hosts
from tests.synth import FIELDS, add_images, assert_same, contents, make_database, make_images
from tests.synth_satellites import add_to_measures, with_satellites

ENGINES = {
    "inline": ("inline", 1),
    "one process": ("processes", 1),
    "three processes": ("processes", 3),
    "one host": ("hosts", 1),
    "two hosts": ("hosts", 2),
    "Parsl": ("parsl", 2),
}
N_STARS = 40


def catalog():
    """A reference catalog of two of the fields, of stars of which most move."""
    rng = np.random.default_rng(7)
    images = [make_images(3, N_STARS, 1, field)[0].detections for field in ("edge", "wrap")]
    ra, dec = (np.concatenate([getattr(d, n) for d in images]) for n in ("ra", "dec"))
    n = len(ra)
    columns = {name: rng.normal(0, 20, n).astype(np.float32) for name in ("u_ra", "u_dec")}
    columns["u_ra"][::3] = np.nan
    columns |= {"det_id": np.arange(n, dtype=np.uint32)}
    columns |= {"mag": rng.normal(15, 1, n).astype(np.float32)}
    return InputImage(RefSource("REF.g", 51544.5, "REF.g", "ab" * 16), Detections(ra, dec, columns))


def exposures(first, n):
    """Exposures of the four fields, the same stars each time, some with galaxies."""
    out = []
    for k in range(n):
        for i, field in enumerate(FIELDS):
            number = first + 4 * k + i
            (image,) = make_images(3, N_STARS, 1, field, first=number)
            out.append(with_satellites(image, number) if k % 2 else image)
    return out


def fill(path, images, level):
    make_database(path, level)
    with Store(path, writable=True) as store:
        add_images(store, images)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A database, and three to be merged: other levels, a catalog with motions, new photcodes."""
    folder = tmp_path_factory.mktemp("merge")
    fill(folder / "sky", exposures(0, 2), 4)
    fill(folder / "fine", exposures(20, 2), 5)
    with Store(folder / "fine", writable=True) as store:
        add_to_measures(store, STARPAR, [1, 2])
    others = make_images(5, N_STARS, 2, "edge", first=90)  # other stars among them
    fill(folder / "coarse", [*exposures(40, 1), *exposures(20, 1), *others], 3)
    with Store(folder / "coarse", writable=True) as store:
        add_photcode(store, "REF.g", PhotClass.REF, filter_name="g")
        addstar(store, [lambda: [catalog()]], AddstarOptions(compact_parts=0))
    fill(folder / "sparse", exposures(60, 1)[::2], 2)
    return folder


def said(view):
    """All that a snapshot says, satellite tables and the reach of its rows too."""
    rows = {
        f"{region} {s.name}": {n: table[n] for n in s.names}
        for s in (each.schema for each in SATELLITES)
        for region in view.regions()
        for table in [view.read(s, region)]
    }
    nstar = view.read(IMAGE, -1, ["nstar"])["nstar"].tolist()
    return contents(view) | rows | {"reach": view.snapshot.reach, "nstar": nstar}


def work(place, store, engine):
    """Merges in several commits: begun, disturbed, finished, repeated, of what has grown."""
    reports, found = [], {}

    def take(name, **options):
        with Store(place / name) as source:
            chosen = {"compact_parts": 0, "batch_rows": 150, **options}
            if chosen.get("regions") == "first":
                chosen["regions"] = tuple(source.view().regions()[:3])
            reports.append(merge(store, source, MergeOptions(**chosen), engine=engine).as_dict())
        del reports[-1]["seconds"]
        found[f"after {len(reports)}"] = store.view().snapshot.id
        found.update({f"{len(reports)} {k}": v for k, v in said(store.view()).items()})

    take("fine", regions="first")
    take("sparse")  # what is left of the other is matched with the newest state
    take("fine")
    take("coarse", radius_arcsec=2.0, batch_rows=10**6)
    take("coarse")
    add_images(store, exposures(80, 1))
    take("sparse", compact_parts=3)
    return found | {"reports": reports}


@pytest.fixture(scope="module")
def expected(place, tmp_path_factory):
    catdir = shutil.copytree(place / "sky", tmp_path_factory.mktemp("expected") / "sky")
    with Store(catdir, writable=True) as store:
        return work(place, store, None)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_merges_what_this_process_merges(name, place, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(add_elsewhere, "GROUP_ROWS", 40)
    kind, workers = ENGINES[name]
    catdir = shutil.copytree(place / "sky", tmp_path / "sky")
    with ExitStack() as stack:
        if kind == "hosts":
            stack.enter_context(Hosts(catdir, workers, private=True))
        store = stack.enter_context(Store(catdir, writable=True))
        engine = open_engine(kind, store, workers=workers, modules=MODULES)
        found = work(place, store, stack.enter_context(engine))
    first, _, _, third, again, _ = found["reports"]
    assert third["n_matched"] > 20
    assert not first["finished"]
    assert third["n_new"] > 0
    assert third["skipped"] == 4
    assert (again["n_measures"], again["finished"]) == (0, True)
    assert_same(found, expected)
    assert check(catdir, deep=True).ok
    assert not any((catdir / STAGED).iterdir())


@pytest.mark.parametrize("rows", [1, 40, 10**6])
def test_groups_are_of_the_database(place, tmp_path, monkeypatch, rows, expected):
    """However regions are dealt out, each is in one group, and what comes is the same."""
    monkeypatch.setattr(add_elsewhere, "GROUP_ROWS", rows)
    groups = []
    write_groups = add_elsewhere.write_groups

    def note(change, name, request, some, **options):
        groups.append(some)
        return write_groups(change, name, request, some, **options)

    monkeypatch.setattr(add_elsewhere, "write_groups", note)
    catdir = shutil.copytree(place / "sky", tmp_path / "sky")
    with (
        Store(catdir, writable=True) as store,
        open_engine("inline", store, workers=1, modules=MODULES) as engine,
    ):
        assert_same(work(place, store, engine), expected)
    for some in groups:
        regions = [r for of, _ in some for r in of]
        assert regions == sorted(set(regions))
        assert {1: len(some) == len(regions), 10**6: len(some) <= 1}.get(rows, len(some) > 0)


# ---- what is refused


@pytest.fixture
def store(place, tmp_path):
    with Store(shutil.copytree(place / "sky", tmp_path / "sky"), writable=True) as found:
        yield found


@pytest.fixture
def engine(store):
    with open_engine("inline", store, workers=1, modules=MODULES) as found:
        yield found


@pytest.mark.parametrize(
    ("options", "words"),
    [({"dry_run": True}, "a dry run"), ({"selection": Selection(flags=1)}, "a selection")],
)
def test_what_engines_do_not_merge(place, store, engine, options, words):
    with Store(place / "sparse") as source, pytest.raises(ConfigError, match=words):
        merge(store, source, MergeOptions(**options), engine=engine)
    assert store.view().snapshot.id == Store(place / "sky").view().snapshot.id


@pytest.mark.parametrize("where", ["nowhere", "fine"])
def test_a_source_that_hosts_do_not_have(place, tmp_path, where):
    """As where another disk is under that path: a host is named, and nothing comes."""
    words = {"nowhere": "cannot open the source", "fine": "has another database"}[where]
    catdir = shutil.copytree(place / "sky", tmp_path / "sky")

    class Elsewhere:
        def run(self, job):
            request = {**job.request["request"], "source": str(place / where)}
            job.request["request"] = request
            vars(job).pop("request_text", None)
            return engine.run(job)

    with (
        Hosts(catdir, 2, private=True),
        Store(catdir, writable=True) as store,
        open_engine("hosts", store, modules=MODULES) as engine,
        Store(place / "sparse") as source,
    ):
        before = store.view().snapshot.id
        with pytest.raises(StorageError, match=rf"host [12] {words}.*a disk that all share"):
            merge(store, source, MergeOptions(), engine=Elsewhere())
        assert store.view().snapshot.id == before
    assert check(catdir, deep=True).ok
    assert not any((catdir / STAGED).iterdir())


def test_a_group_without_objects_is_refused(store):
    with store.begin("dvomerge", {}) as change:
        with pytest.raises(OperationError, match="without its objects"):
            add_elsewhere._merge(change, [5], {"inputs": {}})
        change.stage()
        name = change.lend(pack_columns({"region": np.arange(3)}).slice(0, 40))
        with pytest.raises(OperationError, match="cannot be read as columns"):
            add_elsewhere._merge(change, [5], {"inputs": {"5": name}})
