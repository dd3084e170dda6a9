"""The commands ``dvo wcs`` and ``dvo overlaps``, on an exposure of a simulated camera."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner

import dvo
from dvo.astrometry.header import read_solution
from dvo.astrometry.image_rows import image_coords
from dvo.astrometry.solution import pixel_to_sky
from dvo.cli.main import dvo_command
from dvo.errors import AstrometryError, QueryError, StorageError
from dvo.ingest.addstar import addstar
from dvo.ingest.photcode_text import read_photcodes
from dvo.ingest.photcodes import import_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.sources import catalog_sources
from dvo.partition.polygon import Polygon
from dvo.partition.store import Store, create_store
from dvo.sphere import separation
from dvo.tables.fits.header import Header
from dvo.tables.photcode import PhotClass, PhotcodeTable
from ipp_pipeline.sim import SurveyPlan, simulate


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of two exposures of a camera with chips."""
    folder = tmp_path_factory.mktemp("mosaic")
    made = simulate(SurveyPlan(n_exposures=2, density_per_deg2=300, seed=3), folder / "night")
    filters = PhotcodeTable()
    for name in "grizy":
        filters = filters.add(name, PhotClass.SEC)
    create_store(folder / "sky", level=3, photcodes=filters)
    with Store(folder / "sky", writable=True) as store:
        import_photcodes(store, read_photcodes(made.photcodes), source="sim")
        addstar(store, catalog_sources(made.exposures, photcode=None), AddstarOptions())
    return folder / "sky"


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(dvo_command, [str(w) for w in words])
    if code == 0 and done.exception is not None:
        raise done.exception
    assert done.exit_code == code
    return done.stdout


def chips(catdir: Path) -> tuple[list, list[int]]:
    with dvo.open(catdir) as db:
        images = db.view.images
    rows = np.flatnonzero(images["photcode"] != 0)
    coords = image_coords(images)
    return [(images["image_id"][r], images["name"][r].decode(), coords[r],
             int(images["nx"][r]), int(images["ny"][r])) for r in rows.tolist()], rows  # fmt: skip


# A header without pixels has fewer axes than its WCS, and astropy says so.
@pytest.mark.filterwarnings("ignore:The WCS transformation has more axes")
@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_headers_lead_where_the_database_says(catdir: Path, tmp_path: Path, form: str) -> None:
    for number, name, coords, nx, ny in chips(catdir)[0][::3]:
        x, y = np.random.default_rng(1).uniform(1, nx, (2, 100))
        want = pixel_to_sky(coords, x, y)
        text = run("wcs", catdir, name, "--form", form)
        assert text.endswith("END\n")
        first = WCS(fits.Header.fromstring(text, sep="\n"))
        target = tmp_path / f"{number}.fits"
        facts = json.loads(run("wcs", catdir, number, "--form", form, "--json", "-o", target))
        with fits.open(target) as hdus:
            hdus.verify("exception")
            second = WCS(hdus[0].header)
            assert hdus[0].header["FITERR"] == facts["error_mas"] < 0.1
        assert facts["form"] == form.upper()
        assert (facts["name"], facts["nx"], facts["ny"]) == (name, nx, ny)
        assert facts["cards"]["CTYPE1"] == {"sip": "RA---TAN-SIP", "tpv": "RA---TPV"}[form]
        for wcs in (first, second):
            off = separation(*wcs.all_pix2world(x, y, 1), *want) * 3.6e6
            assert off.max() < facts["error_mas"] + 1e-4


def test_psastro_form_is_exact(catdir: Path, tmp_path: Path) -> None:
    _, name, coords, nx, ny = chips(catdir)[0][0]
    target = tmp_path / "chip.fits"
    facts = json.loads(run("wcs", catdir, name, "--form", "psastro", "--json", "-o", target))
    assert facts["focal_plane"]["CTYPE1"] == "RA---DIS"
    with fits.open(target) as hdus:
        texts = [hdu.header.tostring() for hdu in hdus]
    assert len(texts) == 2
    plane = read_solution(Header(texts[0], "plane"), nx=nx, ny=ny)
    assert plane is not None
    chip = read_solution(Header(texts[1], "chip"), nx=nx, ny=ny, mosaic=plane.coords)
    assert chip is not None
    x, y = np.random.default_rng(1).uniform(1, nx, (2, 100))
    assert np.array_equal(chip.to_sky(x, y), pixel_to_sky(coords, x, y))
    with pytest.raises(StorageError, match="exists"):
        run("wcs", catdir, name, "-o", target)
    run("wcs", catdir, name, "-o", target, "--overwrite")


def test_images_that_are_not_there(catdir: Path) -> None:
    with pytest.raises(QueryError, match="no image is called nobody"):
        run("wcs", catdir, "nobody")
    with dvo.open(catdir) as db:
        images = db.view.images
    plane = int(images["image_id"][np.flatnonzero(images["photcode"] == 0)[0]])
    with pytest.raises(AstrometryError, match="is a focal plane"):
        run("wcs", catdir, plane)
    assert "RA---DIS" in run("wcs", catdir, plane, "--form", "psastro")
    with pytest.raises(AstrometryError, match=r"image \d+ .* limit of 1e-12 mas"):
        run("wcs", catdir, chips(catdir)[0][0][1], "--limit", "1e-12")


def test_astropy_from_python(catdir: Path) -> None:
    number, _, coords, nx, ny = chips(catdir)[0][1]
    with dvo.open(catdir) as db:
        wcs = db.wcs(int(number))
    assert wcs.pixel_shape == (nx, ny)
    want = pixel_to_sky(coords, np.array([1.0, nx]), np.array([1.0, ny]))
    assert separation(*wcs.all_pix2world([1.0, nx], [1.0, ny], 1), *want).max() * 3.6e6 < 0.1


def test_overlaps_of_a_place(catdir: Path) -> None:
    """Each place on a chip is on it, at its pixels, and on no other of the exposure."""
    found, _ = chips(catdir)
    r = np.random.default_rng(2)
    for number, _, coords, nx, ny in found[::2]:
        x, y = r.uniform(1, nx), r.uniform(1, ny)
        ra, dec = pixel_to_sky(coords, np.array([x]), np.array([y]))
        rows = json.loads(run("overlaps", catdir, "--at", ra[0], dec[0], "--json",
                              "--columns", "image_id,x,y,parent_id"))  # fmt: skip
        own = [row for row in rows if row["image_id"] == number]
        assert len(own) == 1
        assert (own[0]["x"], own[0]["y"]) == pytest.approx((x, y), abs=1e-5)
        assert len({row["parent_id"] for row in rows}) == len(rows)


def test_overlaps_of_areas(catdir: Path) -> None:
    found, _ = chips(catdir)
    number, name, coords, nx, ny = found[0]
    ra, dec = pixel_to_sky(coords, np.array([nx / 2]), np.array([ny / 2]))
    with dvo.open(catdir) as db:
        all_of = db.overlaps((float(ra[0]), float(dec[0]), 5 * 3600.0))
        assert sorted(all_of["image_id"].to_pylist()) == sorted(int(c[0]) for c in found)
        assert {"x", "y", "name"} <= set(all_of.column_names)
        own = db.overlaps(name, ["image_id"])["image_id"].to_pylist()
        assert number in own
        assert len(own) < len(found)
        small = Polygon(tuple((float(ra[0]) + a, float(dec[0]) + b)
                              for a, b in ((0, 1e-4), (1e-4, 0), (-1e-4, -1e-4))))  # fmt: skip
        assert number in db.overlaps(small)["image_id"].to_pylist()
        with pytest.raises(QueryError, match="no circle or polygon"):
            db.overlaps(None)
    corners = " ".join(f"{a} {b}" for a, b in small.vertices)
    rows = json.loads(run("overlaps", catdir, "--polygon", corners, "-f", "json"))
    assert number in [row["image_id"] for row in rows]
    for wrong in (["--polygon", "1 2 3"], ["--polygon", "a b"], [], ["--at", 1, 2, "--image", "a"]):
        run("overlaps", catdir, *wrong, code=2)
