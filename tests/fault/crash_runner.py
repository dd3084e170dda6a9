"""Runs one command over and over, with a fault at each of its calls in turn.

    LD_PRELOAD=shim.so python -m tests.fault.crash_runner SCENARIO MODE FOLDER

MODE is kill, torn, eio or enospc (see shim.c). A copy of a small database is made for each
call that changes a file; a forked child runs the command until the fault; another child
looks at what is left, runs the command again and compares with an undisturbed run. Forking
from a warm process makes one such turn take a fraction of a second. The last line of the
output is a JSON object with the number of calls and of turns.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.solution import sky_to_pixel
from dvo.calib.astrometry.effects import Effects, MagnitudeShifts
from dvo.calib.astrometry.given_solutions import solutions_of_table
from dvo.calib.astrometry.motions import MotionLimits, MotionModel
from dvo.calib.astrometry.objects import ObjectOptions
from dvo.calib.astrometry.offsets import write_offsets
from dvo.calib.astrometry.relastro import RelastroOptions, relastro
from dvo.calib.astrometry.setastrom import setastrom
from dvo.calib.photometry.colour_terms import ColourFitOptions, fit_colour_terms
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.calib.photometry.reference_points import TableReference
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.setphot import setphot
from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.calib.photometry.uniphot import UniphotOptions, uniphot
from dvo.errors import StorageError
from dvo.ingest.detections import ImageMeta, InputImage
from dvo.ingest.photcodes import put_photcodes
from dvo.ingest.satellites.load import LoadOptions, load_rows
from dvo.merge.merge import MergeOptions, merge
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.deal import deal_out
from dvo.partition.engines import open_engine
from dvo.partition.history import drop_tag, put_tag, rollback, vacuum
from dvo.partition.partition import Partition
from dvo.partition.rebuild import rebuild
from dvo.partition.store import Store
from dvo.reshape.missing import MissingOptions, find_missing
from dvo.reshape.partition import split_regions
from dvo.tables.average import AVERAGE
from dvo.tables.photcode import PhotClass
from dvo.tables.satellites import SATELLITES
from dvo.tables.starpar import STARPAR
from tests.fault.reshape_scenarios import PLACES, RESHAPE, prepare_reshape
from tests.synth import FIELDS, add_images, contents, make_database, make_images, ordered, photcodes
from tests.synth_satellites import rows_by_object, with_satellites

MODES = {"kill": 1, "torn": 2, "eio": 3, "enospc": 4}
WRITE, SYNC, NAME, TRUNCATE = 1, 2, 4, 8
KINDS = {
    "kill": WRITE | SYNC | NAME | TRUNCATE,
    "torn": WRITE,  # a kill after any other call is a kill before the next one
    "eio": WRITE | SYNC,
    "enospc": WRITE | NAME,
}
IMAGES = make_images(3, 16, 4)


def run_addstar(catdir: Path) -> None:
    """Two commits of images, with compaction in between."""
    with Store(catdir, writable=True) as store:
        add_images(store, IMAGES, batch_rows=20, compact_parts=2)


def run_replace(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(4, 16, 1), replace=True)


def run_satellites(catdir: Path) -> None:
    """Galaxy models and lensing terms in the commits of their images, one of them replaced."""
    images = [with_satellites(image, k) for k, image in enumerate(IMAGES)]
    other = with_satellites(make_images(4, 16, 1)[0], 9)
    with Store(catdir, writable=True) as store:
        add_images(store, [other, *images[1:]], batch_rows=20, replace=True)


def run_load(catdir: Path) -> None:
    """Stellar parameters, some of which take the place of others."""
    with Store(catdir, writable=True) as store:
        load_rows(store, STARPAR, [catdir.parent / "stars.csv"], LoadOptions())


def write_stars(store: Store, path: Path, keep: int, e_bv: float) -> None:
    """A table of stellar parameters for one of every `keep` objects."""
    lines = ["cat_id,obj_id,e_bv"]
    for region in store.view().regions():
        average = store.view().read(AVERAGE, region)
        ids = zip(average["cat_id"].tolist(), average["obj_id"].tolist(), strict=True)
        lines += [f"{cat_id},{obj_id},{e_bv}" for cat_id, obj_id in list(ids)[::keep]]
    path.write_text("\n".join(lines))


def run_resort(catdir: Path) -> None:
    """Some catalogs get files and folders of their own, some share files."""
    with Store(catdir, writable=True) as store:
        resort(store, own_file_rows=8)


def run_staged(catdir: Path) -> None:
    """Images and a compaction, written as partition hosts do it: beside, and then taken over."""
    with Store(catdir, writable=True) as store, open_engine("inline", store) as engine:
        add_images(store, IMAGES, batch_rows=1000, engine=engine)
        resort(store, engine=engine, own_file_rows=8)


def run_rollback(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        rollback(store, 2)


def run_vacuum(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        vacuum(store, 1)


def run_tag(catdir: Path) -> None:
    """One tag is made, one is moved, one goes."""
    with Store(catdir, writable=True) as store:
        put_tag(store, "new", 2)
        put_tag(store, "moved", 3, move=True)
        if any(tag.name == "gone" for tag in store.manifest.tags()):
            drop_tag(store, "gone")


def run_photcode(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        table = store.view().photcodes
        if "NEW.g" not in table:
            table = table.add("NEW.g", PhotClass.DEP, filter_name="g", zero_point=24.0)
            put_photcodes(store, table, "photcode add", {})


def run_rebuild(catdir: Path) -> None:
    rebuild(catdir)


def run_merge(catdir: Path) -> None:
    """A commit for the images, and one for each of several batches of regions."""
    with Store(catdir, writable=True) as store, Store(catdir.parent / "source") as source:
        merge(store, source, MergeOptions(batch_rows=10))


def run_split(catdir: Path) -> None:
    """Two of four catalogs are dealt out to their parts."""
    with Store(catdir, writable=True) as store:
        split_regions(store, ["n0730/0776.14", "n1500/1360.00"])


def run_relevel(catdir: Path) -> None:
    """Four catalogs become two, with files and folders of their own."""
    with Store(catdir, writable=True) as store:
        view = store.view()
        deal_out(store, view, Partition(view.sky, 3), "relevel", {}, own_file_rows=8)


def run_relphot(catdir: Path) -> None:
    """Overlays of images and measures, patches of means."""
    with Store(catdir, writable=True) as store:
        relphot(store, RelphotOptions(("g", "r")))


def run_relastro(catdir: Path) -> None:
    """Places and motions of objects: patches of Average, overlays of measures."""
    limits = MotionLimits(motion_measures=3, motion_years=0.001, most_motion=90.0)
    with Store(catdir, writable=True) as store:
        relastro(store, RelastroOptions(ObjectOptions(MotionModel.MOTION, limits)))


def run_setastrom(catdir: Path) -> None:
    """Other places on the sky: overlays of images and measures, patches of objects."""
    moved = {"image_id": np.array([1, 2]), "crval1": FIELDS["edge"][0] + np.array([1e-3, -1e-3])}
    with Store(catdir, writable=True) as store:
        images = store.view().images
        setastrom(store, solutions_of_table(GivenColumns("solutions", moved), images))


def run_offsets(catdir: Path) -> None:
    """Corrected pixels: overlays of measures, patches of objects."""
    shift = np.full((1, 2, 2), 0.3)
    kh = MagnitudeShifts(np.array([0]), np.array([np.inf]), np.array([-12.0, -6.0]), shift)
    with Store(catdir, writable=True) as store:
        write_offsets(store, Effects(kh))


def run_setphot(catdir: Path) -> None:
    """Zero points and a flat field: overlays, patches, and tables without regions."""
    points = {"image_id": np.array([1, 2]), "mcal": np.array([0.1, -0.2])}
    flat = {"photcode": np.array(["SYNTH.g.C00"]), "x": np.array([0]), "y": np.array([0]),
            "dx": np.array([10]), "dy": np.array([10]), "offset": np.array([0.01])}  # fmt: skip
    with Store(catdir, writable=True) as store:
        setphot(store, GivenColumns("points", points), GivenColumns("flats", flat))


def run_uniphot(catdir: Path) -> None:
    """The photometry of one filter moved as a whole, to stars 0.1 mag brighter."""
    stars = IMAGES[0].detections
    mags = {0: (stars.columns["mag"] - 0.1, np.full(len(stars), 0.01))}
    reference = TableReference(stars.ra, stars.dec, mags, {0: "stars"}, 1.0)
    with Store(catdir, writable=True) as store:
        uniphot(store, reference, UniphotOptions(least_stars=3))


def run_photcode_fit(catdir: Path) -> None:
    """Colour terms: the photcode table alone."""
    with Store(catdir, writable=True) as store:
        options = ColourFitOptions("g-r", is_applied=True)
        fit_colour_terms(store, "SYNTH.g.C00", "g", options)


def run_ubercal(catdir: Path) -> None:
    """Flags and zero points of images, flat fields, offsets of measures, means."""
    options = UbercalOptions(("g", "r"), periods=catdir.parent / "nights.txt")
    with Store(catdir, writable=True) as store:
        assert ubercal(store, options).n_flats > 0


def on_chips(image: InputImage) -> InputImage:
    """An image whose detections have places on a chip."""
    assert isinstance(image.meta, ImageMeta)
    found = image.detections
    n = len(found.ra)
    place = {name: np.linspace(0, 999, n).astype(np.float32) for name in ("x_ccd", "y_ccd")}
    detections = replace(found, columns={**found.columns, **place})
    return replace(image, meta=replace(image.meta, nx=1000, ny=1000), detections=detections)


def run_missing(catdir: Path) -> None:
    """Two commits of an image each."""
    with Store(catdir, writable=True) as store:
        find_missing(store, MissingOptions(min_measures=1, limit_mag=30.0, batch_images=1))


def with_astrometry(image: InputImage) -> InputImage:
    """An image that holds all the field, and has seen some of it."""
    assert isinstance(image.meta, ImageMeta)
    coords = AstromCoords("RA---TAN", FIELDS["edge"], (500.5, 500.5), (-0.001, 0.001))
    return replace(image, meta=replace(image.meta, coords=coords, nx=1000, ny=1000))


def with_pixels(image: InputImage) -> InputImage:
    """The same, with the pixels of its detections."""
    found, coords = image.detections, image.meta.coords
    assert coords is not None
    x, y = sky_to_pixel(coords, found.ra, found.dec)
    pixels = {"x_ccd": x.astype(np.float32), "y_ccd": y.astype(np.float32)}
    return replace(image, detections=replace(found, columns={**found.columns, **pixels}))


SCENARIOS: dict[str, Callable[[Path], None]] = {
    "addstar": run_addstar,
    "replace": run_replace,
    "satellites": run_satellites,
    "load": run_load,
    "resort": run_resort,
    "staged": run_staged,
    "rollback": run_rollback,
    "vacuum": run_vacuum,
    "tag": run_tag,
    "photcode": run_photcode,
    "rebuild": run_rebuild,
    "merge": run_merge,
    "missing": run_missing,
    "split": run_split,
    "relevel": run_relevel,
    "relphot": run_relphot,
    "relastro": run_relastro,
    "setastrom": run_setastrom,
    "offsets": run_offsets,
    "setphot": run_setphot,
    "ubercal": run_ubercal,
    "uniphot": run_uniphot,
    "photcode_fit": run_photcode_fit,
    **RESHAPE,
}


SETTLED = (*RESHAPE, "photcode", "relevel", "resort", "rollback", "split", "staged", "tag",
           "vacuum")  # fmt: skip
"""Scenarios that do nothing when they are run again."""


def prepare(catdir: Path, scenario: str) -> None:
    """The database before the command."""
    if scenario in PLACES:
        catdir.mkdir()
        prepare_reshape(catdir, scenario)
        return
    make_database(catdir)
    assert [p.name for p in photcodes()][-1] == "SYNTH.r.C00"
    with Store(catdir, writable=True) as store:
        images = IMAGES[:1] if scenario in ("addstar", "staged") else IMAGES[:2]
        if scenario in ("relphot", "relastro"):
            images = IMAGES
        if scenario == "ubercal":
            images = [on_chips(image) for image in IMAGES]
            nights = [f"{band} 2000-01-01 2030-01-01 yes\n" for band in "gr"]
            (catdir.parent / "nights.txt").write_text("".join(nights))
        if scenario == "offsets":
            images = [with_pixels(with_astrometry(image)) for image in images]
        if scenario in ("missing", "setastrom"):
            images = [with_astrometry(image) for image in images]
        if scenario == "satellites":
            images = [with_satellites(IMAGES[0], 0)]
        add_images(store, images, batch_rows=1)
        if scenario == "vacuum":
            put_tag(store, "kept", 2)
            resort(store)
        if scenario == "load":
            write_stars(store, catdir.parent / "first.csv", 2, 0.25)
            load_rows(store, STARPAR, [catdir.parent / "first.csv"], LoadOptions())
            write_stars(store, catdir.parent / "stars.csv", 1, 0.5)
        if scenario == "tag":
            put_tag(store, "moved", 2)
            put_tag(store, "gone", 2)
    prepare_reshape(catdir, scenario)
    if scenario == "merge":
        # Half of its objects are in the database, at another level.
        source = make_database(catdir.parent / "source", level=3)
        with Store(source, writable=True) as store:
            images = [*IMAGES[2:], *make_images(8, 8, 1, first=9)]
            add_images(store, [with_satellites(image, k) for k, image in enumerate(images)])


def fingerprint(store: Store, snapshot: int | None = None) -> str:
    """Digest of all that a snapshot says; the order of rows does not count."""
    digest = hashlib.sha256()
    for key, table in sorted(ordered(contents(store.view(snapshot))).items()):
        digest.update(key.encode())
        for name, values in table.items() if isinstance(table, dict) else [("", table)]:
            digest.update(name.encode() + np.asarray(values).tobytes())
    for satellite in SATELLITES:
        rows = rows_by_object(store.view(snapshot), satellite.schema)
        digest.update(f"{satellite.schema.name} {sorted(rows)}".encode())
    return digest.hexdigest()


def tags(store: Store) -> dict[str, int]:
    """The tags, which must be what the log says of them."""
    told: dict[str, int] = {}
    for row in store.manifest.log():
        if row.command == "tag" and "delete" in row.params:
            del told[row.params["delete"]]
        elif row.command == "tag":
            told[row.params["name"]] = row.params["snapshot"]
    found = {tag.name: tag.snapshot for tag in store.manifest.tags()}
    assert found == told, f"tags are {found}, the log says {told}"
    for name in found:
        store.view(name)  # is kept
    return found


def history(catdir: Path) -> dict[str, str]:
    """Fingerprint of every snapshot that can be read, by its number."""
    with Store(catdir) as store:
        kept = [row.id for row in store.manifest.log() if row.kept]
        return {str(number): fingerprint(store, number) for number in kept}


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child; gives its exit code, or minus the signal that killed it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not go on as its parent
            traceback.print_exc(file=sys.stdout)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Sweep:
    """All turns of one scenario and mode."""

    def __init__(self, scenario: str, mode: str, folder: Path) -> None:
        self.scenario, self.mode, self.folder = scenario, mode, folder.resolve()
        self.act = SCENARIOS[scenario]
        self.base, self.run = self.folder / "base", self.folder / "run"
        self.place = self.run / PLACES.get(scenario, "")
        self.shim = ctypes.CDLL(None)
        self.shim.fault_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
        self.shim.fault_count.restype = ctypes.c_long

    def arm(self, number: int) -> None:
        mode, kinds = MODES[self.mode], KINDS[self.mode]
        self.shim.fault_arm(str(self.run).encode() + b"/", number, mode, kinds)

    def refresh(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.base, self.run)

    def sweep(self) -> dict[str, int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        assert in_child(lambda: prepare(self.base, self.scenario)) == 0, "cannot prepare"
        self.refresh()
        # Warm: imports and kernels are loaded before the first fork.
        self.act(self.place)
        check(self.place, deep=True)
        assert threading.active_count() == 1, "threads are left: do not fork"
        self.refresh()
        facts = self.folder / "facts.json"
        assert in_child(lambda: self.measure(facts)) == 0, "cannot run undisturbed"
        self.facts = json.loads(facts.read_text())
        n_calls, n_turns, failed = self.facts["n_calls"], 0, 0
        for number in range(1, n_calls + 1):
            self.refresh()
            code = in_child(lambda number=number: self.disturb(number))
            if code not in ((0, -signal.SIGKILL) if self.mode in ("kill", "torn") else (0,)):
                print(f"call {number}: exit code {code}")
                failed += 1
            n_turns += 1
            if in_child(self.verify) != 0:
                print(f"call {number} of {n_calls}: see above")
                failed += 1
            if failed > 3:
                break
        return {"n_calls": n_calls, "n_turns": n_turns, "failed": failed}

    def measure(self, facts: Path) -> None:
        """Run undisturbed, and note what every snapshot says."""
        before = history(self.place) if (self.place / "dvo.sqlite").exists() else {}
        self.arm(0)
        self.act(self.place)
        n_calls = self.shim.fault_count()
        self.shim.fault_arm(b"", 0, 0, 0)
        after = history(self.place)
        with Store(self.place) as store:
            found = {"n_calls": n_calls, "states": before | after, "tags": tags(store)}
        facts.write_text(json.dumps(found))

    def disturb(self, number: int) -> None:
        """Run with a fault; an error that is told must be one of ours."""
        self.arm(number)
        try:
            self.act(self.place)
        except StorageError as err:
            if self.mode not in ("eio", "enospc") or "\n" in str(err):
                raise

    def verify(self) -> None:
        """Old or new state, sound; and the same command again ends as it should."""
        states = self.facts["states"]
        newest = max(states, key=int)
        # Until it is made anew, or made at all, there is none.
        may_lack = self.scenario in ("rebuild", "repair", *PLACES)
        if not may_lack or (self.place / "dvo.sqlite").exists():
            with Store(self.place) as store:
                number = str(store.view().snapshot.id)
                assert fingerprint(store) == states[number], f"snapshot {number} has changed"
                tags(store)
            report = check(self.place, deep=True)
            assert report.ok or self.scenario == "repair", [str(f) for f in report.faults]
        self.act(self.place)
        report = check(self.place, deep=True)
        assert report.ok, [str(f) for f in report.faults]
        assert report.notes == [], report.notes
        with Store(self.place) as store:
            assert fingerprint(store) == states[newest], "the second run ends otherwise"
            assert tags(store) == self.facts["tags"], "the second run ends with other tags"
            assert store.manifest.pending() == []
            last = store.view().snapshot.id
        if self.place != self.run:
            assert list(self.run.iterdir()) == [self.place], "something is left beside it"
        if self.scenario in SETTLED:
            self.act(self.place)
            with Store(self.place) as store:
                assert store.view().snapshot.id == last, "a run too many has done something"


if __name__ == "__main__":
    result = Sweep(sys.argv[1], sys.argv[2], Path(sys.argv[3])).sweep()
    print(json.dumps(result))
    sys.exit(result["failed"] > 0)
