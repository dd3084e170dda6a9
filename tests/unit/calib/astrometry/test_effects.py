"""Systematic effects put into a survey, measured from it, and taken out again."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dvo.cli.setastrom
from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.image_rows import read_model
from dvo.astrometry.solution import pixel_to_sky, sky_to_pixel
from dvo.calib.astrometry.effect_files import read_effects
from dvo.calib.astrometry.effect_fit import EffectFit, fit_effects
from dvo.calib.astrometry.effect_measures import EffectImages
from dvo.calib.astrometry.effects import (
    CameraMaps,
    Effects,
    MagnitudeShifts,
    Refraction,
    hat_weights,
)
from dvo.calib.astrometry.offsets import corrected_pixels, write_offsets
from dvo.errors import BadCatalogError, PhotcodeError, ShapeError
from dvo.ingest.detections import Detections, ImageMeta, InputImage
from dvo.partition import region_batches
from dvo.partition.engines import open_engine
from dvo.partition.store import Store, create_store
from dvo.sphere import separation
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from tests.hosts import MODULES
from tests.synth import add_images, make_stars

SIZE, SCALE = 1000, 0.5  # of chips [pix], of pixels [arcsec]
N_CHIPS, N_EXPOSURES, NOISE_MAS = 3, 60, 10.0
EXPTIME, FIRST_MJD = 30.0, 57000.25
KH_CHIP, KH_END = 1, 30  # the chip that has the effect, and the exposure when it ends
LATITUDE = 20.7
RA0, DEC0 = 112.5, 15.0
MAS = 1e-3 / SCALE  # a mas [pix]


@dataclass
class Truth:
    """What was put into each image: shifts of x and y [pix], by the number of the detection."""

    kh: dict[str, np.ndarray]
    dcr: dict[str, np.ndarray]
    cam: dict[str, np.ndarray]


def kh_shift(m_inst: np.ndarray) -> np.ndarray:
    """Up to 50 mas for bright stars, along the rows mostly."""
    size = 50.0 * MAS / (1.0 + np.exp((m_inst + 10.5) / 0.8))
    return np.stack([size, -0.4 * size], axis=1)


def cam_shift(photcode: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A pattern of 20 mas, without mean, of its own for each chip and filter."""
    u, v = np.pi * x / SIZE, np.pi * y / SIZE
    turn = 0.7 * photcode
    return (
        20.0 * MAS * np.stack([np.cos(2 * u + turn) * np.cos(v), np.cos(u) * np.cos(2 * v)], axis=1)
    )


def to_zenith(st_h: float, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """East and north of the zenith, by vectors on the sphere: not as the code does it."""

    def unit(a, d):
        return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d) + 0 * a], axis=-1)

    a, d = np.radians(ra), np.radians(dec)
    zenith = unit(np.radians(st_h * 15.0), np.radians(LATITUDE))
    east = np.stack([-np.sin(a), np.cos(a), 0 * a], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    found = np.stack([east @ zenith, north @ zenith], axis=1)
    return found / np.linalg.norm(found, axis=1)[:, None]


def photcodes() -> PhotcodeTable:
    table = PhotcodeTable().add("g", PhotClass.SEC).add("r", PhotClass.SEC)
    for band in "gr":
        for chip in range(N_CHIPS):
            table = table.add(f"CAM.{band}.C{chip:02d}", PhotClass.DEP, filter_name=band,
                              zero_point=25.0)  # fmt: skip
    return table


def chip_coords(r: np.random.Generator, chip: int) -> AstromCoords:
    """A chip somewhere in the field, turned by a quarter often enough to tell x from y."""
    angle = r.choice([0, 90, 180, 270]) + r.normal() * 3
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    place = r.uniform(-0.11, 0.11, 2)
    crval = (RA0 + place[0] / np.cos(np.radians(DEC0)), DEC0 + place[1])
    step = SCALE / 3600
    return AstromCoords("RA---TAN", crval, (SIZE / 2 + 0.5, SIZE / 2 + 0.5), (-step, step),
                        (c, -s, s, c))  # fmt: skip


def exposures(seed: int) -> tuple[list[InputImage], Truth]:
    r = np.random.default_rng(seed)
    stars = make_stars(r, 1500, "edge", 0.36)
    colour = r.uniform(0.0, 1.6, len(stars))
    codes = {p.name: p.code for p in photcodes()}
    images, truth = [], Truth({}, {}, {})
    for k in range(N_EXPOSURES):
        band, st = "gr"[k % 2], r.uniform(3.5, 11.5)
        hour = np.radians(st * 15 - RA0)
        cos_z = np.sin(np.radians(LATITUDE)) * np.sin(np.radians(DEC0)) + np.cos(
            np.radians(LATITUDE)) * np.cos(np.radians(DEC0)) * np.cos(hour)  # fmt: skip
        tan_z = np.sqrt(1 / cos_z**2 - 1)
        for chip in range(N_CHIPS):
            name, photcode = f"e{k:03d}.{chip}", f"CAM.{band}.C{chip:02d}"
            coords = chip_coords(r, chip)
            x, y = sky_to_pixel(coords, stars.ra, stars.dec)
            on = np.flatnonzero((x > 1) & (x < SIZE) & (y > 1) & (y < SIZE))
            x, y = x[on], y[on]
            mag = stars.mag[on] + (colour[on] if band == "g" else 0.0)
            m_inst = mag - 25 - 2.5 * np.log10(EXPTIME)
            has_kh = chip == KH_CHIP and k < KH_END
            truth.kh[name] = kh_shift(m_inst) if has_kh else np.zeros((len(on), 2))
            truth.cam[name] = cam_shift(codes[photcode], x, y)
            size = (30.0e-3 if band == "g" else 12.0e-3) * (colour[on] - 0.8) * tan_z  # arcsec
            sky = size[:, None] * to_zenith(st, stars.ra[on], stars.dec[on])
            east = sky[:, 0] / 3600 / np.cos(np.radians(stars.dec[on]))
            at = sky_to_pixel(coords, stars.ra[on] + east, stars.dec[on] + sky[:, 1] / 3600)
            truth.dcr[name] = np.stack([at[0] - x, at[1] - y], axis=1)
            shift = truth.kh[name] + truth.cam[name] + truth.dcr[name]
            raw = np.stack([x, y], axis=1) + shift + r.normal(0, NOISE_MAS * MAS, (len(on), 2))
            # A few wrong ones.
            bad = r.random(len(on)) < 0.01
            raw[bad] += r.normal(0, 0.5, (int(bad.sum()), 2))
            ra, dec = pixel_to_sky(coords, raw[:, 0], raw[:, 1])
            columns = {
                "mag": (mag + r.normal(0, 0.02, len(on))).astype(np.float32),
                "mag_err": np.full(len(on), 0.02, np.float32),
                "x_ccd": raw[:, 0].astype(np.float32),
                "y_ccd": raw[:, 1].astype(np.float32),
                "det_id": np.arange(len(on), dtype=np.uint32),
            }
            meta = ImageMeta(
                name, photcode, FIRST_MJD + k, EXPTIME, float(1 / cos_z),
                hashlib.md5(ra.tobytes()).hexdigest(), ccdnum=chip, nx=SIZE, ny=SIZE,
                coords=coords, sidereal_time_h=float(st), latitude=LATITUDE,
            )  # fmt: skip
            images.append(InputImage(meta, Detections(ra, dec, columns), {}))
    return images, truth


def shapes(table: PhotcodeTable) -> Effects:
    """What is to be measured, all zero."""
    code = np.array([p.code for p in table if p.kind is PhotClass.DEP])
    until = (FIRST_MJD + KH_END - 0.5 - 40587) * 86400
    term = np.linspace(-2.4, 2.4, 7)
    return Effects(
        MagnitudeShifts(np.array([KH_CHIP]), np.array([until]), np.arange(-14.0, -5.9, 0.5),
                        np.zeros((1, 17, 2))),
        Refraction(np.array([0, 1]), np.array([[0, 1], [0, 1]]), np.array([0.8, 0.8]),
                   np.array([False, False]), term, np.zeros((2, 7))),
        CameraMaps(code, np.full((len(code), 2), SIZE), np.zeros((len(code), 8, 8, 2))),
    )  # fmt: skip


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth, EffectFit, dict]:
    """A survey with all effects, measured and corrected."""
    path = tmp_path_factory.mktemp("effects") / "sky"
    images, truth = exposures(5)
    create_store(path, level=4, photcodes=photcodes())
    with Store(path, writable=True) as store:
        add_images(store, images, batch_rows=20_000)
        before = rows(store)
        found = fit_effects(store.view(), shapes(store.view().photcodes))
        write_offsets(store, found.effects)
    return path, truth, found, before


def rows(store: Store) -> dict[str, np.ndarray]:
    view = store.view()
    names = ["ra", "dec", "x_ccd", "y_ccd", "x_fix", "y_fix", "image_id", "det_id",
             *(f"{a}_off_{k}" for a in "xy" for k in ("kh", "dcr", "cam"))]  # fmt: skip
    table, _ = view.read_many(MEASURE, view.regions(), names, once=True)
    known = view.images
    names_of = {n: s.decode().rstrip("\0") for n, s in
                zip(known["image_id"].tolist(), known["name"].tolist(), strict=True)}  # fmt: skip
    found = {n: table[n] for n in names}
    found["name"] = np.array([names_of[n] for n in table["image_id"].tolist()])
    return found


def of_rows(kind: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> np.ndarray:
    pairs = zip(found["name"].tolist(), found["det_id"].tolist(), strict=True)
    return np.array([kind[name][number] for name, number in pairs])


def test_effects_are_reduced_to_two_mas(survey: tuple) -> None:
    path, truth, fit, _ = survey
    with Store(path) as store:
        after = rows(store)
    for kind, amplitude in (("kh", 50.0), ("dcr", 30.0), ("cam", 20.0)):
        put_in = of_rows(getattr(truth, kind), after) / MAS
        corrected = np.stack([np.nan_to_num(after[f"{a}_off_{kind}"]) for a in "xy"], axis=1) / MAS
        affected = np.abs(put_in).max(axis=1) > 0
        was = np.sqrt(np.mean(put_in[affected] ** 2))
        left = np.sqrt(np.mean((put_in + corrected)[affected] ** 2))
        assert np.abs(put_in).max() > 0.9 * amplitude
        assert was > 4.0, kind
        assert left < 2.0, kind
        assert np.all(corrected[~affected] == 0.0)
    total = sum(of_rows(getattr(truth, kind), after) for kind in ("kh", "dcr", "cam")) / MAS
    fixed = np.stack([after[f"{a}_fix"].astype(float) - after[f"{a}_ccd"] for a in "xy"], axis=1)
    assert np.sqrt(np.mean((total + fixed / MAS) ** 2)) < 2.0
    assert fit.rms_after_mas < 0.75 * fit.rms_before_mas


def test_raw_pixels_stay_and_sums_are_exact(survey: tuple) -> None:
    path, _, _, before = survey
    with Store(path) as store:
        after = rows(store)
    order = [np.lexsort((t["det_id"], t["image_id"])) for t in (before, after)]
    for axis in "xy":
        raw = f"{axis}_ccd"
        assert np.array_equal(before[raw][order[0]], after[raw][order[1]])
        parts = [
            np.nan_to_num(after[f"{axis}_off_{k}"].astype(float)) for k in ("kh", "dcr", "cam")
        ]
        want = (after[raw].astype(float) + parts[0] + parts[1] + parts[2]).astype(np.float32)
        assert np.array_equal(after[f"{axis}_fix"], want)


def test_places_and_objects_follow(survey: tuple) -> None:
    """Measures are where corrected pixels are, and objects nearer to the true stars."""
    path, _, _, _ = survey
    r = np.random.default_rng(5)
    stars = make_stars(r, 1500, "edge", 0.36)
    with Store(path) as store:
        view = store.view()
        after = rows(store)
        average, _ = view.read_many(AVERAGE, view.regions(), ["ra", "dec", "number_pos"], once=True)
        images = {n: k for k, n in enumerate(view.images["image_id"].tolist())}
        model = read_model(view.images)
    of = np.array([images[n] for n in after["image_id"].tolist()])
    want = model.to_sky(of, after["x_fix"].astype(float), after["y_fix"].astype(float))
    assert np.array_equal(after["ra"], want[0])
    assert np.array_equal(after["dec"], want[1])
    good = average["number_pos"] >= 15
    ra, dec = average["ra"][good], average["dec"][good]
    far = np.array([separation(np.full(len(stars), a), np.full(len(stars), d), stars.ra, stars.dec)
                    .min() for a, d in zip(ra, dec, strict=True)]) * 3.6e6  # fmt: skip
    assert good.sum() > 300
    assert np.sqrt(np.mean(far**2)) < 7.0  # two axes of 10 mas / sqrt(15 or more) and the rest


def test_errors_are_those_of_the_scatter(survey: tuple) -> None:
    """Values of KH differ from the truth as their errors say, but for straight lines."""
    _, _, fit, _ = survey
    kh = fit.effects.kh
    assert kh is not None
    error = fit.error[: kh.shift.size].reshape(kh.shift.shape)
    # Errors of positions are not known, and count as 100 mas instead of 10.
    known = error[0, :, 0] < 0.1
    off = (kh.shift[0] + kh_shift(kh.mag))[known] / (error[0][known] * NOISE_MAS / 100.0)
    assert 0.5 < np.sqrt(np.mean(off**2)) < 2.0
    # With such errors only the bright end of the chip that has the effect stands out.
    assert 0 < fit.n_significant < kh.shift.size


def test_partition_groups_and_engine_change_nothing(
    survey: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other regions, in other groups, written by another process."""
    path, _, fit, _ = survey
    other = tmp_path / "sky"
    create_store(other, level=5, photcodes=photcodes())
    with Store(other, writable=True) as store:
        add_images(store, exposures(5)[0], batch_rows=20_000)
        monkeypatch.setattr(region_batches, "_MOST_ROWS", 500)
        assert len(store.view().regions()) > 5
        found = fit_effects(store.view(), shapes(store.view().photcodes))
        assert np.max(np.abs(found.effects.values - fit.effects.values)) < 1e-9
        with open_engine("processes", store, workers=1, modules=MODULES) as engine:
            write_offsets(store, fit.effects, engine=engine)
        got = rows(store)
    with Store(path) as store:
        want = rows(store)
    order = [np.lexsort((t["det_id"], t["image_id"])) for t in (got, want)]
    for name in ("ra", "dec", "x_fix", "y_fix", "x_off_kh", "y_off_dcr", "x_off_cam"):
        assert np.array_equal(got[name][order[0]], want[name][order[1]], equal_nan=True), name


def test_hats_are_straight_lines(rng: np.random.Generator) -> None:
    nodes = np.sort(rng.uniform(0, 10, 6))
    values = rng.normal(size=6)
    x = np.concatenate([rng.uniform(-3, 13, 200), nodes])
    index, weight = hat_weights(nodes, x)
    got = (values[index] * weight).sum(axis=1)
    assert np.max(np.abs(got - np.interp(x, nodes, values))) < 1e-12
    _, weight = hat_weights(nodes, np.array([np.nan]))
    assert weight.tolist() == [[0.0, 0.0]]
    _, weight = hat_weights(nodes[:1], np.array([np.nan, 3.0]))
    assert weight.sum(axis=1).tolist() == [0.0, 1.0]


def test_effects_end_at_their_date_and_chip() -> None:
    kh = MagnitudeShifts(np.array([3, 7]), np.array([100.0, np.inf]), np.array([0.0]),
                         np.zeros((2, 1, 2)))  # fmt: skip
    rows = kh.rows(np.array([3, 3, 7, 5]), np.array([99.0, 100.0, 1e12, 0.0]))
    assert rows.tolist() == [0, -1, 1, -1]


def test_corrected_pixels_are_rounded_once() -> None:
    raw = np.array([4000.1, 5.0, 7.0], np.float32)
    parts = [
        np.array([1e-4, np.nan, np.nan], np.float32),
        np.array([2e-4, 0.25, np.nan], np.float32),
    ]
    found = corrected_pixels(raw, *parts)
    exact = float(raw[0]) + float(parts[0][0]) + float(parts[1][0])
    assert found[0] == np.float32(exact)
    assert found[1] == np.float32(5.25)
    assert np.isnan(found[2])


def test_tables_that_do_not_fit_together() -> None:
    with pytest.raises(ShapeError, match="ascend"):
        MagnitudeShifts(np.array([1]), np.array([0.0]), np.array([1.0, 0.0]), np.zeros((1, 2, 2)))
    with pytest.raises(ShapeError, match=r"give shape \(1, 2, 2\)"):
        MagnitudeShifts(np.array([1]), np.array([0.0]), np.array([0.0, 1.0]), np.zeros((1, 3, 2)))
    with pytest.raises(ShapeError, match="2 maps"):
        CameraMaps(np.array([1, 2]), np.zeros((1, 2), int), np.zeros((2, 3, 3, 2)))


SHAPE = {
    "kh": {"ccdnum": [KH_CHIP], "until_mjd": [FIRST_MJD + KH_END - 0.5],
           "mag": np.arange(-14.0, -5.9, 0.5).tolist()},
    "dcr": {"filters": ["r", "g"], "colour": ["g-r", "g-r"], "reference": [0.8, 0.8],
            "term": np.linspace(-2.4, 2.4, 7).tolist()},
    "cam": {"photcodes": ["CAM.*"], "cells": [8, 8]},
}  # fmt: skip

REFRACTION = {"filters": ["g"], "colour": ["g-r"], "reference": [0.0], "term": [0.0]}


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(dvo.cli.setastrom.setastrom, [str(w) for w in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_command_measures_and_corrects(survey: tuple, tmp_path: Path) -> None:
    """What is measured is the same again from a corrected database, for raw pixels are used."""
    path, _, fit, _ = survey
    catdir = Path(shutil.copytree(path, tmp_path / "sky"))
    shape, measured = tmp_path / "shape.json", tmp_path / "measured.json"
    shape.write_text(json.dumps(SHAPE))
    facts = json.loads(run(catdir, "--effects", shape, "--measure", measured, "--json"))
    assert facts["rms_after_mas"] < 0.75 * facts["rms_before_mas"]
    with Store(catdir) as store:
        view = store.view()
        again = read_effects(measured, view.photcodes, EffectImages.read(view))
        before = rows(store)
    assert again.sizes == fit.effects.sizes
    assert np.max(np.abs(again.values - fit.effects.values)) < 1e-3  # pixels, or arcsec
    assert "exists" in str(CliRunner().invoke(
        dvo.cli.setastrom.setastrom, [str(catdir), "--effects", str(shape), "--measure",
                                      str(measured)]).exception)  # fmt: skip
    run(catdir, "--effects", measured)
    with Store(catdir) as store:
        after = rows(store)
    assert np.array_equal(before["x_ccd"], after["x_ccd"])
    assert np.nanmax(np.abs(before["x_fix"] - after["x_fix"])) < 2e-3
    zero = tmp_path / "zero.json"
    zero.write_text(json.dumps(SHAPE))
    run(catdir, "--effects", zero)
    with Store(catdir) as store:
        assert np.isnan(rows(store)["x_fix"]).all(), "corrections of 0 are none"
    run(catdir, "--effects", zero, "--dry-run", code=2)
    run(catdir, "--measure", tmp_path / "out.json", code=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[]", "give an object with any of the keys"),
        ("{", "cannot be read as JSON"),
        ({"kh": {"mag": [0]}}, "'?ccdnum'? is missing"),
        ({"kh": {"ccdnum": [1], "mag": [1, 0]}}, "ascend"),
        ({"kh": {"ccdnum": [1], "magnitudes": [1, 0]}}, "kh has magnitudes; known are"),
        (
            {"dcr": {"filters": ["q"], "colour": ["g-r"], "reference": [0], "term": [0]}},
            "'q' is no",
        ),
        (
            {"dcr": {"filters": ["g"], "colour": ["gr"], "reference": [0], "term": [0]}},
            "such as g-i",
        ),
        ({"cam": {"photcodes": ["X*"], "cells": [2, 2]}}, "no photcode of a detector"),
        ({"cam": {"photcodes": ["CAM.g.C00"], "cells": [2, 2], "shift_pix": [[0.0]]}}, "shape"),
    ],
)
def test_files_that_are_refused(
    survey: tuple, tmp_path: Path, given: dict | str, message: str
) -> None:
    path = tmp_path / "effects.json"
    path.write_text(given if isinstance(given, str) else json.dumps(given))
    with Store(survey[0]) as store:
        view = store.view()
        with pytest.raises((BadCatalogError, PhotcodeError), match=message):
            read_effects(path, view.photcodes, EffectImages.read(view))
