"""Words that ask the database: photcodes, imlist, gimages, gcat, lightcurve, hosts, remote."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dvo.errors import DvoError
from dvo.shell.call import Call, Word
from dvo.shell.extract_words import vector_of

if TYPE_CHECKING:
    from dvo.query.session import Database
    from dvo.query.watch import Watch

__all__ = ["WORDS"]

_IMAGE_COLUMNS = ("image_id", "name", "ra_center", "dec_center", "mjd", "nstar", "photcode_name",
                  "secz", "mcal_psf", "dmcal", "exptime", "flags")  # fmt: skip


def _photcodes(call: Call) -> None:
    """Codes that count for the same average filter as a photcode."""
    parts = call.need(0, 1)
    photcodes = call.shell.database.photcodes
    found = list(photcodes)
    if parts:
        try:
            wanted = photcodes.get(parts[0].text)
        except DvoError as err:
            raise call.error(str(err), parts[0]) from None
        of_filter = wanted.equiv or wanted.code
        found = [p for p in photcodes if of_filter in (p.code, p.equiv) or p.code == wanted.code]
    scope = call.shell.scope
    for k, code in enumerate(found):
        scope.variables[f"photcode:name:{k}"] = code.name
        scope.set_number(f"photcode:code:{k}", code.code)
        scope.set_number(f"photcode:C:{k}", code.zero_point)
        scope.set_number(f"photcode:K:{k}", code.airmass_slope)
    scope.set_number("photcode:n", len(found))
    names = {p.code: p.name for p in photcodes if p.kind.name != "ALT"}
    call.shell.show(
        pa.table({
            "code": [p.code for p in found],
            "name": [p.name for p in found],
            "class": [p.kind.name.lower() for p in found],
            "filter": [names.get(p.equiv) for p in found],
            "zero": [p.zero_point for p in found],
            "airmass": [p.airmass_slope for p in found],
        })
    )  # fmt: skip


def _imlist(call: Call) -> None:
    from dvo.shell.sky_selection import take_selection  # noqa: PLC0415

    box = take_selection(call)
    call.need(0)
    where = "" if box is None or box.is_all else f" WHERE {box.sql('ra_center', 'dec_center')}"
    columns = ", ".join(_IMAGE_COLUMNS)
    call.shell.show(call.shell.query(f"SELECT {columns} FROM image{where} ORDER BY image_id"))


def _gimages(call: Call) -> None:
    call.take_flag("-pix")  # pixels are always shown
    ra, dec = (call.number(part) for part in call.need(2))

    def work(database: Database, _watch: Watch) -> pa.Table:
        return database.overlaps((ra, dec, 0.0), [*_IMAGE_COLUMNS, "x", "y"])

    found = call.shell.background.run(work)
    scope = call.shell.scope
    for k, row in enumerate(found.to_pylist()):
        scope.variables[f"IMAGEname:{k}"] = row["name"]
        for name in ("x", "y"):  # without astrometry there are none
            scope.set_number(f"IMAGE{name}:{k}", math.nan if row[name] is None else row[name])
    for name in ("name", "x", "y"):
        scope.set_number(f"IMAGE{name}:n", len(found))
    call.shell.show(found)


def _gcat(call: Call) -> None:
    ra, dec = (call.number(part) for part in call.need(2))
    view = call.shell.database.view
    indices = view.partition.locate(np.array([ra]), np.array([dec])).tolist()
    if indices[0] < 0:
        raise call.error(f"({ra:g}, {dec:g}) is no place; declinations are -90 to 90")
    region = view.sky.region(indices[0])
    counts = view.catalogs(indices).get(indices[0]) if indices[0] in view.regions() else None
    call.shell.scope.variables["CATNAME"] = region.name
    call.shell.show(
        pa.table({
            "region": [region.name],
            "n_average": [counts.n_average if counts else 0],
            "n_measure": [counts.n_measure if counts else 0],
        })
    )  # fmt: skip


def _lightcurve(call: Call) -> None:
    """Vectors tc (MJD), mc and dmc of the measures of the nearest object."""
    call.take_flag("-rel")  # the level anyway
    photcode = call.take_option("-photcode")
    ra, dec, radius = (call.number(part) for part in call.need(3))
    word = "mag:rel"
    if photcode is not None:
        try:
            call.shell.database.photcodes.get(photcode[0].text)
        except DvoError as err:
            raise call.error(str(err), photcode[0]) from None
        word = f"{photcode[0].text}:rel"

    def work(database: Database, _watch: Watch) -> pa.Table:
        return database.lightcurve(ra, dec, radius * 3600.0, columns=["mjd", word, "mag:err"])

    found = call.shell.background.run(work)
    found = found.filter(found[word].is_valid())
    for name, column in zip(("tc", "mc", "dmc"), found.columns, strict=True):
        call.shell.scope.set_vector(name, vector_of(column))
    call.shell.last = found
    if call.shell.screen.is_interactive:
        call.shell.screen.tell(f"{len(found)} measures in tc, mc, dmc")


def _hosts(call: Call) -> None:
    from dvo.partition.hosts.status import look_at_hosts  # noqa: PLC0415 - keeps the start quick

    call.need(0)
    states = look_at_hosts(call.shell.catdir)
    if not states:
        call.shell.screen.say("no hosts; start some with: dvo host start-local CATDIR")
        return
    rows: list[dict[str, Any]] = []
    for state in states:
        entry = asdict(state.entry)
        rows.append({
            "number": entry["number"], "machine": entry["machine"], "endpoint": entry["endpoint"],
            "state": "down" if state.problem else str(state.facts.get("state")),
            "problem": state.problem,
        })  # fmt: skip
    call.shell.show(pa.Table.from_pylist(rows))


def _remote(call: Call) -> None:
    call.take_flag("-v")
    if not call.parts:
        raise call.misuse()
    settings = call.shell.settings
    before, settings.engine = settings.engine, "hosts"
    line = " " * call.parts[0].start + call.place.text[call.parts[0].start :]
    try:
        call.shell.interpreter.run_line(line, call.place)
    finally:
        settings.engine = before


WORDS = (
    Word("gcat", "RA DEC", "the region of a place, and how much is in its catalog", _gcat),
    Word("gimages", "RA DEC [-pix]", "images that a place is on, and its pixels", _gimages),
    Word("hosts", "", "the partition hosts, and how they are", _hosts),
    Word("imlist", "[-skyregion R R D D | -region | -cpt NAME]", "list images", _imlist),
    Word("lightcurve", "RA DEC RADIUS [-photcode P] [-rel]",
         "vectors tc, mc, dmc of the nearest object (radius in degrees)", _lightcurve),
    Word("photcodes", "[PHOTCODE]", "list photcodes, all or those of one filter", _photcodes),
    Word("remote", "WORD ...", "carry out a word with the partition hosts", _remote),
)  # fmt: skip
