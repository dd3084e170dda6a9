"""Small synthetic skies from a seed: stars, exposures of them, and databases made of these."""

from __future__ import annotations

import atexit
import csv
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, ImageMeta, InputImage
from dvo.ingest.report import AddstarOptions, AddstarReport
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store, create_store
from dvo.partition.view import View
from dvo.partition.write_operations import Runner
from dvo.tables.average import AVERAGE
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.satellites import SATELLITES
from dvo.tables.secfilt import SECFILT

F64 = NDArray[np.float64]

FIELDS = {
    "middle": (211.3, -23.7),
    "pole": (40.0, 89.6),
    "wrap": (0.02, 7.5),
    "edge": (112.5, 15.0),
}
"""Centres of fields [deg]: nothing special, the pole, RA 0, and a corner of regions."""

TABLES = (AVERAGE, SECFILT, MEASURE)


@dataclass(frozen=True)
class Stars:
    """True stars: positions [deg] at least 4 arcsec apart, and magnitudes."""

    ra: F64
    dec: F64
    mag: F64

    def __len__(self) -> int:
        return len(self.ra)


def make_stars(
    rng: np.random.Generator, n: int, field: str = "edge", size_deg: float = 0.5
) -> Stars:
    """Up to n stars in a square, on a jittered grid so that none are close."""
    side = int(np.ceil(np.sqrt(n)))
    step = size_deg / side
    assert step > 10 / 3600, "too many stars for the field"
    jitter = step - 4 / 3600
    i, j = np.divmod(np.arange(n), side)
    x = (i - side / 2) * step + rng.uniform(0, jitter, n)
    y = (j - side / 2) * step + rng.uniform(0, jitter, n)
    ra, dec = to_sky(*FIELDS[field], x, y)
    return Stars(ra, dec, 15 + 6 * np.sqrt(rng.random(n)))


def to_sky(ra0: float, dec0: float, x: F64, y: F64) -> tuple[F64, F64]:
    """Tangent plane [deg] to sky [deg]."""
    a, d = np.radians(ra0), np.radians(dec0)
    centre = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    p = centre + np.radians(x)[:, None] * east + np.radians(y)[:, None] * north
    p /= np.linalg.norm(p, axis=1)[:, None]
    return np.degrees(np.arctan2(p[:, 1], p[:, 0])) % 360.0, np.degrees(np.arcsin(p[:, 2]))


def make_image(
    rng: np.random.Generator, stars: Stars, k: int, *, seen: float = 0.9, band: str = "g"
) -> InputImage:
    """Exposure number k: most of the stars, in any order, with errors of 0.05 arcsec."""
    rows = rng.permutation(np.flatnonzero(rng.random(len(stars)) < seen))
    dec = stars.dec[rows] + rng.normal(0, 0.05 / 3600, len(rows))
    cos_dec = np.maximum(np.cos(np.radians(dec)), 1e-6)
    ra = (stars.ra[rows] + rng.normal(0, 0.05 / 3600, len(rows)) / cos_dec) % 360.0
    mag = (stars.mag[rows] + rng.normal(0, 0.02, len(rows))).astype(np.float32)
    columns: dict[str, NDArray[Any]] = {
        "mag": mag,
        "mag_err": np.full(len(rows), 0.02, np.float32),
        "det_id": np.arange(len(rows), dtype=np.uint32),
    }
    content = hashlib.md5(ra.tobytes() + dec.tobytes() + mag.tobytes()).hexdigest()
    meta = ImageMeta(f"synth-{k:04d}", f"SYNTH.{band}.C00", 57000.25 + k, 30.0, 1.1, content)
    return InputImage(meta, Detections(ra, np.clip(dec, -90, 90), columns), {})


def make_images(
    seed: int, n_stars: int, n_images: int, field: str = "edge", *, first: int = 0
) -> list[InputImage]:
    """Exposures of one field, in two filters, numbered from `first`."""
    rng = np.random.default_rng(seed)
    stars = make_stars(rng, n_stars, field)
    return [make_image(rng, stars, k, band="gr"[k % 2]) for k in range(first, first + n_images)]


def photcodes() -> PhotcodeTable:
    """Average filters g and r, and a detector for each."""
    table = PhotcodeTable().add("g", PhotClass.SEC).add("r", PhotClass.SEC)
    for band in "gr":
        table = table.add(f"SYNTH.{band}.C00", PhotClass.DEP, filter_name=band, zero_point=25.0)
    return table


def make_database(path: Path, level: int = 4) -> Path:
    """An empty database with the photcodes of `make_image`."""
    create_store(path, level=level, photcodes=photcodes())
    return path


def add_images(
    store: Store,
    images: Iterable[InputImage],
    *,
    compact_parts: int = 0,
    engine: Runner | None = None,
    **options: Any,
) -> AddstarReport:
    """Add exposures to an open database."""
    sources = [partial(_copies, image) for image in images]
    chosen = AddstarOptions(compact_parts=compact_parts, **options)
    return addstar(store, sources, chosen, engine=engine)


def _copies(image: InputImage) -> list[InputImage]:
    # addstar may take the columns of its input apart.
    found = image.detections
    columns = {name: values.copy() for name, values in found.columns.items()}
    copied = Detections(found.ra.copy(), found.dec.copy(), columns)
    return [replace(image, detections=copied, report={})]


def filled_database(
    path: Path, *, seed: int = 1, n_stars: int = 60, n_images: int = 4, batch_rows: int = 1
) -> Path:
    """A database with some exposures of the field at a corner of regions, one commit each."""
    shutil.copytree(_template(seed, n_stars, n_images, batch_rows), path)
    return path


@cache
def _template(seed: int, n_stars: int, n_images: int, batch_rows: int) -> Path:
    """Made once a process: copies of it are quick."""
    folder = tempfile.mkdtemp(prefix="dvo-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = make_database(Path(folder, "sky"))
    with Store(path, writable=True) as store:
        add_images(store, make_images(seed, n_stars, n_images), batch_rows=batch_rows)
    return path


def write_exposure_files(folder: Path, images: Sequence[InputImage]) -> list[str]:
    """Write exposures as CSV files and a list of them; gives the options of addstar."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "exposures.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["file", "name", "photcode", "mjd", "exptime", "airmass"])
        for image in images:
            meta, found = image.meta, image.detections
            assert isinstance(meta, ImageMeta)
            name = f"{meta.name}.csv"
            rows = np.column_stack([found.ra, found.dec, found.columns["mag"]])
            np.savetxt(
                folder / name, rows, delimiter=",", header="ra,dec,mag", comments="", fmt="%.12f"
            )
            out.writerow([name, meta.name, meta.photcode, meta.mjd, meta.exptime_s, meta.airmass])
    return ["--images", str(folder / "exposures.csv"), "--map", "ra=ra,dec=dec,mag=mag"]


def contents(view: View) -> dict[str, Any]:
    """All that a snapshot says, as can be compared: catalogs, images, flat fields, photcodes."""
    tables: dict[str, Any] = {}
    for region in view.regions():
        for schema in TABLES:
            table = view.read(schema, region)
            tables[f"{region} {schema.name}"] = {n: table[n] for n in schema.names}
    images = view.read(IMAGE, ALL_SKY)
    order = np.argsort(images["image_id"])
    tables["images"] = {n: images[n][order] for n in IMAGE.names}
    for schema in (FLAT_CORRECTION_IMAGE, FLAT_CORRECTION):
        table = view.read(schema, ALL_SKY)
        tables[schema.name] = {n: table[n] for n in schema.names}
    tables["photcodes"] = [p.name for p in view.photcodes]
    return tables


def ordered(tables: dict[str, Any]) -> dict[str, Any]:
    """`contents` as they are whatever the order of rows: compaction changes that alone."""
    out = dict(tables)
    for key in [k for k in tables if k.endswith(" Measure")]:
        region = key.split()[0]
        average, measure = tables[f"{region} Average"], tables[key]
        objects = np.lexsort((average["obj_id"], average["cat_id"]))
        rows = np.lexsort((measure["det_id"], measure["image_id"]))
        n = len(tables[f"{region} SecFilt"]["mag"]) // max(1, len(objects))
        means = (objects[:, None] * n + np.arange(n)).ravel()
        for name, order, links in (
            ("Average", objects, {"off_measure"}),
            ("SecFilt", means, set()),
            ("Measure", rows, {"ave_ref"}),
        ):
            table = tables[f"{region} {name}"]
            out[f"{region} {name}"] = {c: v[order] for c, v in table.items() if c not in links}
    return out


def whole(view: View, *, numbers: bool = True) -> dict[str, Any]:
    """All rows of a snapshot whatever its partition, in an order that does not depend on it.

    Without `numbers` also whatever objects are called.
    """
    found: dict[str, Any] = {}
    for schema in (*TABLES, *(s.schema for s in SATELLITES)):
        tables = [view.read(schema, region) for region in view.regions()]
        if not any(len(t) for t in tables):
            continue
        joined = {n: np.concatenate([t[n] for t in tables]) for n in schema.names}
        found[schema.name] = joined
    if "Average" not in found:
        return found
    objects = np.argsort(found["Average"]["ext_id"])
    n = view.n_secfilt
    secfilt = (objects[:, None] * n + np.arange(n)).ravel()
    orders = {"Average": objects, "SecFilt": secfilt}
    for name, table in found.items():
        keys = [k for k in ("model_type", "photcode", "det_id", "ref_id", "image_id") if k in table]
        ids = ["obj_id", "cat_id"] if numbers else []
        order = orders.get(name)
        if order is None:
            order = np.lexsort([table[k] for k in ("ra", "dec", *keys, *ids) if k in table])
        links = {"ave_ref"} | ({"obj_id", "cat_id"} if not numbers else set())
        found[name] = {
            c: v[order] for c, v in table.items() if c not in links and not c.startswith("off_")
        }
    return found


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Fail unless two `contents` are equal, NaN and all."""
    assert one.keys() == two.keys()
    for key, table in one.items():
        if not isinstance(table, dict):
            assert table == two[key]
            continue
        for name, values in table.items():
            np.testing.assert_array_equal(values, two[key][name], err_msg=f"{key} {name}")
