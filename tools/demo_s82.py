"""The demo on real variable stars: RR Lyrae of SDSS Stripe 82, their amplitudes and periods.

Usage: python tools/demo_s82.py [--data FOLDER] [--out FOLDER] [--stars N]

The data are epochs in ugriz from 1998 to 2007 of stars that Sesar et al. (2010, ApJ 708, 717)
found to be RR Lyrae: ``detections.parquet`` in FOLDER, which is taken from the environment
variable S82_DATA, else ``../shared/data/s82_rrlyrae``. Without it the demo says so and ends
well. Epochs of one filter within ten minutes become an image. Periods are not in the data: those
found in g alone and in r, i and z are compared with each other. It writes a database,
``report.json`` and pictures into ``demo/s82``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dvo
from dvo.errors import DvoError, QueryError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, ImageMeta, InputImage
from dvo.ingest.report import AddstarOptions
from dvo.partition.store import Store, create_store
from dvo.tables.photcode import PhotClass, PhotcodeTable
from tools.demo_session import Session, empty_folder

__all__ = ["main"]

Array = NDArray[Any]

_BANDS = "ugriz"
_SLOT_D = 10.0 / 1440.0
_RANGE_D = (0.2, 1.1)  # RR Lyrae stars pulsate in 0.2 to 1 d
_SAME = 1e-3
_LEAST_AMPLITUDE = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Parameters
    ----------
    arguments : sequence of str, optional
        Options; None for those of the command line.

    Returns
    -------
    int
        0, also when the data are not there.
    """
    parser = argparse.ArgumentParser(description="RR Lyrae stars of SDSS Stripe 82.")
    data = Path(os.environ.get("S82_DATA", "../shared/data/s82_rrlyrae"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--out", type=Path, default=Path("demo/s82"))
    parser.add_argument("--stars", type=int, default=0, help="periods of so many; 0 for all")
    options = parser.parse_args(arguments)
    if not (options.data / "detections.parquet").is_file():
        print(
            f"No detections.parquet in {options.data}: this demo needs the epochs of Stripe 82. "
            "Say where they are with S82_DATA=FOLDER; make demo needs no such data."
        )
        return 0
    if not options.out.parent.exists():
        empty_folder(options.out.parent)  # so that make demo knows it for its own
    session = Session(empty_folder(options.out))
    sky = session.folder / "sky"
    _make_database(session, sky, options.data)
    stars = _amplitudes(session, sky)
    _periods(session, sky, stars[: options.stars or None])
    session.write_report()
    return 0


def _make_database(session: Session, sky: Path, data: Path) -> None:
    session.step("Make a database of the epochs")
    table = PhotcodeTable()
    for band in _BANDS:
        table = table.add(band, PhotClass.SEC)
    for band in _BANDS:
        table = table.add(f"SDSS.{band}", PhotClass.DEP, filter_name=band, zero_point=25.0)
    create_store(sky, level=2, photcodes=table)
    images = _images(data / "detections.parquet")
    with Store(sky, writable=True, command="demo") as store:
        added = addstar(store, [partial(list, [image]) for image in images], AddstarOptions())
    session.run("dvo", "resort", sky)
    session.report |= {"n_images": len(images), "n_measures": added.n_detections}
    session.say(f"{added.n_detections:,} epochs in {len(images):,} images, {added.n_new} stars")


def _images(path: Path) -> list[InputImage]:
    """Epochs of one filter within a slot of time are an image."""
    rows = pq.read_table(path).to_pandas()
    rows = rows[rows["ok"] & (rows["magerr"] < 1.0)]  # the others are marked as bad
    rows = rows.assign(slot=np.floor(rows["mjd"] / _SLOT_D).astype(np.int64))
    out = []
    for (slot, band), some in rows.groupby(["slot", "band"], sort=True):
        columns = {"mag": some["mag"].to_numpy(np.float32, copy=True),
                   "mag_err": some["magerr"].to_numpy(np.float32, copy=True),
                   "det_id": np.arange(len(some), dtype=np.uint32)}  # fmt: skip
        name = f"s82-{band}-{slot}"
        meta = ImageMeta(name, f"SDSS.{band}", float(some["mjd"].mean()), 54.0, 1.0, name)
        found = Detections(some["ra"].to_numpy(copy=True), some["dec"].to_numpy(copy=True), columns)
        out.append(InputImage(meta, found, {}))
    return out


def _amplitudes(session: Session, sky: Path) -> list[dict[str, Any]]:
    """Indices of variability of all stars, those most measured first."""
    session.step("Look how much they vary")
    path = session.folder / "variability.parquet"
    session.run("dvo", "variability", sky, "--least-measures", "15", "-o", path)
    table = pq.read_table(path)
    size = table["g:amplitude_90"].to_numpy()
    j = table["stetson_j"].to_numpy()
    large = float((size > _LEAST_AMPLITUDE).mean())
    spread = np.percentile(size, [5, 25, 50, 75, 95])
    session.report |= {"n_stars": len(table), "share_above_0.2": large, "least_j": float(j.min()),
                       "amplitude_percentiles": spread.tolist()}  # fmt: skip
    session.say(
        f"{len(table)} stars; amplitude in g (percentiles 5 to 95 of a star) above "
        f"{_LEAST_AMPLITUDE} mag: {100 * large:.1f} per cent"
    )
    session.say("percentiles 5, 25, 50, 75, 95: " + ", ".join(f"{s:.2f}" for s in spread)
                + f" mag; least Stetson J {j.min():.1f}")  # fmt: skip
    stars: list[dict[str, Any]] = table.sort_by([("g:n", "descending")]).to_pylist()
    return stars


def _periods(session: Session, sky: Path, stars: list[dict[str, Any]]) -> None:
    session.step("Find their periods, in g alone and in r, i and z")
    shortest, longest = _RANGE_D
    found: list[tuple[float, float, float]] = []
    with dvo.open(sky) as db:
        for star in stars:
            place = star["ra"], star["dec"]
            try:
                alone, other = (
                    db.period(*place, filters=f, shortest_d=shortest, longest_d=longest)
                    for f in (["g"], ["r", "i", "z"])
                )
            except QueryError:  # too few epochs in a filter
                continue
            found.append((alone.period_d, other.period_d, max(alone.false_alarm,
                                                              other.false_alarm)))  # fmt: skip
    g, riz, alarm = np.array(found).T
    same = np.abs(g / riz - 1.0) < _SAME
    sure = alarm < 1e-3
    kinds = {"0.2-0.45 d (mostly RRc)": (0.2, 0.45), "0.45-0.9 d (mostly RRab)": (0.45, 0.9)}
    counts = {k: int((same & (g >= a) & (g < b)).sum()) for k, (a, b) in kinds.items()}
    session.report |= {"n_periods": len(g), "share_same": float(same.mean()),
                       "share_same_of_sure": float(same[sure].mean()), "n_sure": int(sure.sum()),
                       "median_period_d": float(np.median(g[same])), "periods": counts}  # fmt: skip
    session.say(f"{len(g)} stars; the same period (to {_SAME:g}) in both: {same.sum()} "
                f"({100 * same.mean():.0f} per cent), {100 * same[sure].mean():.0f} per cent of "
                f"the {sure.sum()} with false-alarm probabilities below 0.001")  # fmt: skip
    session.say(f"median {np.median(g[same]):.3f} d; " + ", ".join(
        f"{n} of {k}" for k, n in counts.items()))  # fmt: skip
    star = stars[0]
    picture = session.folder / "folded.png"
    session.run("dvo", "lightcurve", sky, f"{star['ra']:.6f}", f"{star['dec']:.6f}", "--period",
                "--period-range", f"{shortest:g}", f"{longest:g}", "--plot", picture)  # fmt: skip
    session.say(f"{picture}: the light curve of a star by phase")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DvoError as error:
        sys.exit(f"demo: {error}")
