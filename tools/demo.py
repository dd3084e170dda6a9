"""The demo: real and simulated surveys become a database, which is asked and compared with truth.

Usage: python tools/demo.py [--out FOLDER] [--exposures N] [--density N] [--level L] [--synthetic]

It writes the database, ``report.json``, ``density.png`` and ``lightcurve.png`` into FOLDER
(``demo``), which is emptied first. ``--synthetic`` leaves the real catalogs out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dvo
from dvo.errors import DvoError
from tools.demo_pictures import Variable, draw_sky, draw_variable, find_variable
from tools.demo_session import Session, empty_folder
from tools.demo_truth import COMPLETENESS, PURITY, compare, match_truth

__all__ = ["main"]

LEAST_COMPLETENESS = 0.999
LEAST_PURITY = 0.9995
_SEED = 5
_CENTRE = (56.75, 24.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Parameters
    ----------
    arguments : sequence of str, optional
        Options; None for those of the command line.

    Returns
    -------
    int
        0 if the objects are as complete and pure as they have to be, else 1.
    """
    options = _options(arguments)
    out = empty_folder(options.out)
    session = Session(out)
    session.say(f"A survey becomes a database, in the folder {out}.", indent="")
    sim, sky = out / "sim", out / "sky"
    _simulate(session, sim, options)
    _make_database(session, sky, sim, options)
    if not options.synthetic:
        _add_references(session, sky)
    _add_survey(session, sky, sim)
    _tidy(session, sky)
    is_good = _compare(session, sky, sim / "truth")
    variable = find_variable(sim / "truth")
    _ask_by_command(session, sky, variable)
    _ask_by_python(session, sky, variable)
    _draw(session, sky, variable, with_references=not options.synthetic)
    path = session.write_report()
    session.say(f"\nDone in {session.seconds:.0f} s; all figures are in {path}.", indent="")
    return 0 if is_good else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Real and simulated surveys become a database.")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder, emptied first")
    parser.add_argument("--exposures", type=int, default=200, help="simulated exposures")
    parser.add_argument("--density", type=float, default=6000.0, help="stars a square degree")
    parser.add_argument("--level", type=int, default=2, help="level of the sky partition")
    parser.add_argument("--synthetic", action="store_true", help="no real catalogs")
    return parser.parse_args(arguments)


def _simulate(session: Session, sim: Path, options: argparse.Namespace) -> None:
    session.step("Simulate the survey of a field around the Pleiades")
    words = ["ipp-sim", "survey", sim, "--n-exp", str(options.exposures)]
    words += ["--density", f"{options.density:g}", "--seed", str(_SEED)]
    made = session.run_json("simulation", *words, *([] if options.synthetic else ["--gaia"]))
    stars = "synthetic stars" if options.synthetic else "Gaia's bright stars and synthetic ones"
    session.say(
        f"{made['n_exposures']} exposures of 8 chips in 5 filters: {made['n_detections']:,} "
        f"detections of {made['n_stars']:,} stars ({stars}), {made['n_junk']:,} of them false; "
        f"{made['wall_s']:.1f} s"
    )


def _make_database(session: Session, sky: Path, sim: Path, options: argparse.Namespace) -> None:
    session.step("Make a database and tell it the photometric systems")
    session.run("dvo", "init", sky, "--level", str(options.level), "--filters", "g,r,i,z,y")
    session.run("dvo", "photcode", "import", sky, sim / "photcodes.txt")


def _add_references(session: Session, sky: Path) -> None:
    session.step("Add real stars of the whole sky: Gaia DR3 (G < 10) and Hipparcos")
    gaia = session.run_json("gaia", "addstar", sky, "--survey", "gaia")
    _say_added(session, gaia)
    words = ("addstar", sky, "--survey", "hipparcos", "--match-epoch", "2016")
    _say_added(session, session.run_json("hipparcos", *words))
    session.say("Hipparcos stars were moved to 2016, Gaia's epoch, to be matched.")


def _add_survey(session: Session, sky: Path, sim: Path) -> None:
    session.step("Add the exposures: every detection finds its object or becomes one")
    files = sorted((sim / "smf").glob("*.smf"))
    n_bytes = sum(f.stat().st_size for f in files)
    added = session.run_json(
        "addstar", "addstar", sky, *files, shown=f"addstar {sky} {sim}/smf/*.smf"
    )
    _say_added(session, added)
    session.say(f"{n_bytes / 1e6:,.0f} MB of .smf files were read.")
    added["file_bytes"] = n_bytes
    again = session.run_json("again", "addstar", sky, files[0])
    session.say(
        f"The first exposure given once more: {again['n_skipped']} images skipped, "
        f"{again['n_detections']} detections added."
    )


def _say_added(session: Session, added: dict[str, Any]) -> None:
    n = added["n_detections"]
    added["rows_per_s"] = round(n / added["seconds"])
    session.say(
        f"{n:,} rows: {added['n_matched']:,} of known objects, {added['n_new']:,} new objects; "
        f"{added['seconds']:.1f} s, {added['rows_per_s']:,} rows a second, committed"
    )


def _tidy(session: Session, sky: Path) -> None:
    session.step("Sort the database by object, forget the states before that, and check it")
    begin = time.perf_counter()
    session.run("dvo", "resort", sky)
    session.report["resort_s"] = round(time.perf_counter() - begin, 2)
    session.run("dvo", "vacuum", sky, "--keep", "1")
    checked = session.run_json("check", "dvo", "check", sky, "--deep")
    facts = session.run_json("info", "dvo", "info", sky)
    sizes = {s: sum(p.stat().st_size for p in sky.rglob(f"*.{s}")) for s in ("cpm", "cpt", "cps")}
    n_rows = {"cpm": facts["n_measures"], "cpt": facts["n_objects"]}
    n_rows["cps"] = facts["n_objects"] * facts["n_secfilt"]
    bytes_a_row = {s: round(sizes[s] / n_rows[s], 1) for s in sizes}
    session.report["sizes"] = {"bytes": sizes, "bytes_a_row": bytes_a_row}
    session.say(
        f"{facts['n_measures']:,} measures of {facts['n_objects']:,} objects on "
        f"{facts['n_images']:,} chip images, in {facts['n_catalogs']:,} regions with objects"
    )
    session.say(
        f"{facts['bytes'] / 1e6:.0f} MB: {bytes_a_row['cpm']} bytes a row of Measure (all its "
        f"columns), {bytes_a_row['cpt']} of Average, {bytes_a_row['cps']} of SecFilt"
    )
    session.say(f"sorted in {session.report['resort_s']} s; check: "
                + ("no faults" if checked["ok"] else "FAULTS"))  # fmt: skip


def _compare(session: Session, sky: Path, truth: Path) -> bool:
    session.step("Compare the objects with the truth")
    figures = compare(match_truth(sky, truth))
    session.report["truth"] = figures | {"definitions": [COMPLETENESS, PURITY]}
    session.say(COMPLETENESS)
    session.say(
        f"=> {figures['completeness']:.5f}: {figures['n_stars_found']:,} of "
        f"{figures['n_stars']:,} stars (required: {LEAST_COMPLETENESS}). For "
        f"{figures['n_stars_exact']:,} of them the object has all of the star's detections "
        "and no others."
    )
    session.say(PURITY)
    session.say(
        f"=> {figures['purity']:.5f}: {figures['n_objects_pure']:,} of {figures['n_objects']:,} "
        f"objects (required: {LEAST_PURITY}), with {figures['n_junk']:,} false detections "
        "strewn over the field."
    )
    session.say(
        f"Magnitudes of single detections of S/N > 50 scatter by {figures['mag_scatter']:.3f} mag "
        "around the truth, with the zero points of the headers."
    )
    is_good = figures["completeness"] >= LEAST_COMPLETENESS and figures["purity"] >= LEAST_PURITY
    if not is_good:
        session.say("THAT IS NOT ENOUGH")
    return is_good


def _ask_by_command(session: Session, sky: Path, star: Variable) -> None:
    session.step("Ask by command: what is near a star, and its light curve")
    where = (f"{star.ra:.5f}", f"{star.dec:.5f}")
    columns = ("--columns", "distance,ra,dec,nmeasure,g,r,i,z,y")
    printed = session.run("dvo", "cone", sky, *where, "60", *columns)
    _say_table(session, printed)
    columns = ("--columns", "mjd,photcode_name,mag:rel,mag:err")
    printed = session.run("dvo", "lightcurve", sky, *where, *columns)
    _say_table(session, printed, most=8)


def _say_table(session: Session, printed: str, most: int = 12) -> None:
    lines = printed.splitlines()
    for line in lines[:most]:
        session.say(line, indent="     ")
    if len(lines) > most:
        session.say(f"... {len(lines) - most} rows more", indent="     ")


def _ask_by_python(session: Session, sky: Path, star: Variable) -> None:
    session.step("Ask by Python, again and again")
    rng = np.random.default_rng(_SEED)
    ra, dec = _CENTRE[0] + rng.uniform(-0.3, 0.3, 50), _CENTRE[1] + rng.uniform(-0.3, 0.3, 50)
    places = [(float(a), float(d)) for a, d in zip(ra, dec, strict=True)]
    columns = ["ra", "dec", "time", "mag"]
    asked: dict[str, Callable[[dvo.Database, tuple[float, float]], Any]] = {
        'db.cone(ra, dec, 60, table="average")': lambda db, p: db.cone(
            *p, 60.0, table="average", columns=["ra", "dec", "g", "g:err"]
        ),
        'db.cone(ra, dec, 60, table="measure")': lambda db, p: db.cone(
            *p, 60.0, table="measure", columns=columns
        ),
        'db.cone(ra, dec, 1800, table="measure")': lambda db, p: db.cone(
            *p, 1800.0, table="measure", columns=columns
        ),
        "db.lightcurve(ra, dec)": lambda db, _: db.lightcurve(star.ra, star.dec),
    }
    with dvo.open(sky) as db:
        for text, ask in asked.items():
            ask(db, places[0])
            times, n_rows = [], 0
            for place in places:
                begin = time.perf_counter()
                n_rows += ask(db, place).num_rows
                times.append(1000 * (time.perf_counter() - begin))
            median = statistics.median(times)
            session.report.setdefault("queries_ms", {})[text] = round(median, 2)
            session.say(f"{text:42s} {n_rows / len(places):10,.1f} rows {median:8.2f} ms")


def _draw(session: Session, sky: Path, star: Variable, *, with_references: bool) -> None:
    session.step("Draw")
    with dvo.open(sky) as db:
        table = db.lightcurve(star.ra, star.dec)
        draw_variable(table, star, session.folder / "lightcurve.png")
        session.say(f"{session.folder}/lightcurve.png: a variable star of {star.period_d:.3f} d")
        if with_references:
            n = draw_sky(db, session.folder / "density.png")
            session.say(f"{session.folder}/density.png: {n:,} objects on the sky")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DvoError as error:
        sys.exit(f"demo: {error}")
