"""The demo on real exposures: HAT-P-32 and the planet that passes before it.

Usage: python tools/demo_hatp32.py [--data FOLDER] [--out FOLDER]

The data are 48 exposures of one night, 2017-12-20, of a small camera (5.21 arcsec a pixel,
no filter): ``exposures.csv`` and ``detections.parquet`` in FOLDER, which is taken from the
environment variable HATP32_DATA, else ``../shared/data/hatp32``. Without them the demo says
so and ends well. Most detections are hot pixels. It writes a database and ``report.json`` into
``demo/hatp32``, what relphot says of the calibration into ``demo/hatp32/calibration``, and the
picture ``demo/hatp32.png``.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dvo
from dvo.errors import DvoError
from tools.demo_session import Session, empty_folder

__all__ = ["main"]

Array = NDArray[Any]

_TARGET = (31.0427, 46.6879)
_PHOTCODE = "HATP32.Clear"
# The positions scatter by 1.3 arcsec, a pixel is 5.2, and no two stars are seen within 15.
_RADIUS_ARCSEC = 5.0
_BRIGHT = 40.0
_LEAST_MEASURES = 40
_MJD_1970 = 40587.0
_MJD_OF_JD = 2400000.5
# Hartman et al. (2011): time of mid-transit (BJD, TDB), period [d], duration [d]. That night
# light came to the Earth 5.2 min before the barycentre, and TDB was 69 s ahead of UTC.
_TRANSIT = (2454420.44637, 2.150008, 0.12972)
_BARYCENTRE_D = 0.0044


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
    parser = argparse.ArgumentParser(description="48 real exposures of HAT-P-32.")
    data = Path(os.environ.get("HATP32_DATA", "../shared/data/hatp32"))
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--out", type=Path, default=Path("demo/hatp32"))
    options = parser.parse_args(arguments)
    if not (options.data / "detections.parquet").is_file():
        print(
            f"No detections.parquet in {options.data}: this demo needs the HAT-P-32 exposures. "
            "Say where they are with HATP32_DATA=FOLDER; make demo needs no such data."
        )
        return 0
    if not options.out.parent.exists():
        empty_folder(options.out.parent)  # so that make demo knows it for its own
    session = Session(empty_folder(options.out))
    sky = session.folder / "sky"
    _write_inputs(session, options.data)
    _make_database(session, sky)
    _calibrate(session, sky)
    curve = _light_curve(session, sky)
    _draw(session, curve, options.out.with_suffix(".png"))
    session.write_report()
    return 0


def _write_inputs(session: Session, data: Path) -> None:
    """Make one table an exposure, and the list that names them."""
    session.step("Write one table of detections an exposure, and a list of the exposures")
    detections = pq.read_table(data / "detections.parquet")
    with (data / "exposures.csv").open(newline="") as file:
        exposures = list(csv.DictReader(file))
    with (session.folder / "exposures.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["file", "name", "photcode", "mjd", "exptime", "airmass"])
        for line in exposures:
            name = line["file"].removesuffix(".FITS")
            rows = detections.filter(pc.equal(detections["exp"], int(line["exp"])))
            pq.write_table(rows, session.folder / f"{name}.parquet")
            airmass = 1 / np.sin(np.radians(float(line["alt"])))
            # MJD-OBS is rounded to minutes in these files, UT-OBS is not.
            began = datetime.fromisoformat(line["ut_obs"].replace("-0000", "+00:00"))
            mjd = began.timestamp() / 86400 + _MJD_1970
            out.writerow([f"{name}.parquet", name, _PHOTCODE, f"{mjd:.8f}", line["exptime"],
                          f"{airmass:.4f}"])  # fmt: skip
    session.say(f"{len(exposures)} exposures, {len(detections):,} detections")


def _make_database(session: Session, sky: Path) -> None:
    session.step("Make a database and add the exposures")
    session.run("dvo", "init", sky, "--level", "3", "--filters", "clear")
    words = ("--class", "dep", "--filter", "clear", "--zero", "21")
    session.run("dvo", "photcode", "add", sky, _PHOTCODE, *words)
    columns = "ra=ra,dec=dec,mag_inst=mag_inst,mag_err=mag_err,x=x,y=y,flags=flags"
    added = session.run_json(
        "addstar", "addstar", sky, "--images", session.folder / "exposures.csv",
        "--map", columns, "--radius", f"{_RADIUS_ARCSEC:g}",
    )  # fmt: skip
    session.run("dvo", "resort", sky)
    session.say(
        f"{added['n_detections']:,} detections: {added['n_matched']:,} of known objects, "
        f"{added['n_new']:,} new objects; {added['seconds']:.1f} s"
    )


def _calibrate(session: Session, sky: Path) -> None:
    """Zero points of the images from all their stars, and what scatter is left."""
    session.step("Calibrate the exposures with each other")
    report = session.folder / "calibration"
    found = session.run_json("relphot", "relphot", sky, "--filters", "clear", "--report", report)
    with dvo.open(sky) as db:
        names = ["cat_id", "obj_id", "mag:rel", "mag:err"]
        table = pa.Table.from_batches(db.scan("measure", names))
    thing = (table["cat_id"].to_numpy().astype(np.int64) << 32) | table["obj_id"].to_numpy()
    scatter = _scatter_of_stars(
        thing, table["mag:rel"].to_numpy().astype(float), table["mag:err"].to_numpy().astype(float)
    )
    session.report |= {"n_bright": len(scatter), "bright_scatter": float(np.median(scatter))}
    session.say(
        f"{found['n_images']} images from {found['n_stars']} stars; median scatter of "
        f"{len(scatter)} stars with S/N > {_BRIGHT:g}: {1e3 * np.median(scatter):.1f} mmag"
    )
    session.say(f"{report / 'index.html'}: the calibration in pictures")


def _scatter_of_stars(thing: Array, mag: Array, err: Array) -> Array:
    """Robust scatter of each star that is bright and seen on most images [mag]."""
    order = np.argsort(thing, kind="stable")
    starts = np.flatnonzero(np.diff(thing[order], prepend=-1))
    groups = np.split(order, starts[1:])
    # S/N is 2.5 / ln 10 by the error in magnitudes.
    bright = [r for r in groups
              if len(r) >= _LEAST_MEASURES and np.median(err[r]) < 1.0857 / _BRIGHT]  # fmt: skip
    return np.array([1.4826 * np.median(np.abs(mag[r] - np.median(mag[r]))) for r in bright])


def _light_curve(session: Session, sky: Path) -> dict[str, Array]:
    """Calibrated magnitudes of the star."""
    session.step("Read the light curve of the star")
    with dvo.open(sky) as db:
        found = db.lightcurve(*_TARGET, 8.0)
    session.say(f"{len(found)} measures of HAT-P-32")
    middle = found["mjd"].to_numpy() + 0.5 * 60.0 / 86400
    mag, err = (found[name].to_numpy().astype(float) for name in ("mag:rel", "mag:err"))
    return {"mjd": middle, "mag": mag, "err": err}


def _mid_transit(mjd: float) -> float:
    """Time of the transit nearest to a time [d, UTC at the Earth]."""
    start = _TRANSIT[0] - _MJD_OF_JD - _BARYCENTRE_D
    return float(start + round((mjd - start) / _TRANSIT[1]) * _TRANSIT[1])


def _draw(session: Session, curve: dict[str, Array], path: Path) -> None:
    """Draw the star's flux against time, and print how deep the transit is."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    day = np.floor(curve["mjd"].min())
    hour = 24 * (curve["mjd"] - day)
    middle, half = 24 * (_mid_transit(curve["mjd"].mean()) - day), 12 * _TRANSIT[2]
    is_in = np.abs(hour - middle) < half - 0.3
    is_out = np.abs(hour - middle) > half
    trend = np.polyfit(hour[is_out], curve["mag"][is_out], 1)
    flux = 10 ** (-0.4 * (curve["mag"] - np.polyval(trend, hour)))
    err = curve["err"] * 0.921
    depth = flux[is_out].mean() - flux[is_in].mean()
    noise = flux[is_out].std(ddof=1)
    depth_err = noise * np.sqrt(1 / is_in.sum() + 1 / is_out.sum())
    session.report |= {"depth": float(depth), "depth_err": float(depth_err), "noise": float(noise)}
    session.say(f"depth of the transit: {100 * depth:.2f} +- {100 * depth_err:.2f} per cent")

    figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
    axes.axvspan(middle - half, middle + half, color="#4361ee", alpha=0.08,
                 label="transit as predicted (Hartman et al. 2011)")  # fmt: skip
    axes.errorbar(hour, flux, err, fmt="o", ms=3.5, lw=0, elinewidth=0.8, color="#999999",
                  label=f"one exposure of 60 s ({len(hour)})")  # fmt: skip
    edges = np.arange(np.floor(hour.min()), hour.max() + 0.5, 0.5)
    cell = np.digitize(hour, edges)
    cells = [c for c in np.unique(cell) if (cell == c).sum() > 1]
    n = np.array([(cell == c).sum() for c in cells])
    axes.errorbar([hour[cell == c].mean() for c in cells], [flux[cell == c].mean() for c in cells],
                  noise / np.sqrt(n), fmt="s", ms=6, lw=0, elinewidth=1.5, color="#d1495b",
                  label="mean of half an hour")  # fmt: skip
    axes.axhline(1, color="black", lw=0.8, alpha=0.5)
    axes.set(xlabel="UT on 2017-12-20 [h]", ylabel="calibrated flux, 1 outside of the transit")
    axes.set_title("HAT-P-32 b passes before its star: "
                   f"{100 * depth:.1f} ± {100 * depth_err:.1f} % deep")  # fmt: skip
    axes.legend(loc="lower right", fontsize=9)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    session.say(f"{path}: the light curve")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DvoError as error:
        sys.exit(f"demo: {error}")
