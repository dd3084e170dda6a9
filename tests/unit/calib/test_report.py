"""Reports of calibrations: sums in bins against all rows, and what the page holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.report.figures import FIGURES, ImagePoints
from dvo.calib.report.page import filter_figures, write_report
from dvo.calib.report.sky_grid import FieldGrid, WholeSky, grid_of_images
from dvo.calib.report.tally import MAG_EDGES, Residuals, ResidualTally
from dvo.cli.relphot import relphot as command
from dvo.errors import StorageError
from dvo.partition.store import Store
from tests.synth import add_images, make_database, make_images

_GRID = FieldGrid(150.0, 2.0, 1.0)


def make_residuals(rng, n, *, sigma=0.02, size_pix=5000.0):
    mag = rng.uniform(14, 21, n)
    error = np.full(n, sigma)
    return Residuals(
        rng.normal(0, error), error, mag, rng.integers(0, 2, n), rng.integers(0, 4, n),
        rng.uniform(149.2, 150.8, n), rng.uniform(1.2, 2.8, n),
        rng.uniform(0, size_pix, n), rng.uniform(0, size_pix, n),
    )  # fmt: skip


def part(found, rows):
    return Residuals(*(getattr(found, name)[rows] for name in vars(found)))


def tally_of(*each, grid=_GRID):
    tally = ResidualTally(["g", "r"], ["XY00", "XY01", "XY10", "XY11"], grid)
    for found in each:
        tally.add(found)
    return tally


def test_scatter_and_pulls_are_those_of_the_noise(rng):
    tally = tally_of(make_residuals(rng, 200_000))
    np.testing.assert_allclose(tally.robust_scatter(), 0.02, rtol=0.03)
    np.testing.assert_allclose(tally.pull_widths(), 1.0, rtol=0.02)
    scatter, stated, n = tally.scatter()
    many = n > 1000
    np.testing.assert_allclose(scatter[many], 0.02, rtol=0.1)
    np.testing.assert_allclose(stated[many], 0.02, rtol=1e-9)
    assert n.sum() == 200_000


def test_each_bin_counts_its_own(rng):
    found = make_residuals(rng, 5000)
    tally = tally_of(found)
    for band in (0, 1):
        mine = found.band == band
        of_mag = np.histogram(found.mag[mine], MAG_EDGES)[0]
        np.testing.assert_array_equal(tally.sizes[band].sum(axis=-1), of_mag)
        assert tally.n_measures[band] == mine.sum() == tally.pulls[band].sum()


def test_batches_add_up(rng):
    found = make_residuals(rng, 4000)
    # Places grow from part to part, so that cells have to be joined on the way.
    order = np.argsort(found.x + found.y)
    whole, parts = tally_of(found), tally_of(*(part(found, r) for r in np.array_split(order, 7)))
    np.testing.assert_array_equal(whole.pulls, parts.pulls)
    np.testing.assert_allclose(whole.sky_means(), parts.sky_means(), atol=1e-12)
    np.testing.assert_allclose(whole.chip_plane.means()[0], parts.chip_plane.means()[0], atol=1e-12)
    assert whole.chip_plane.cell_pix == parts.chip_plane.cell_pix == 256.0


def test_maps_show_the_pattern_that_is_there(rng):
    found = make_residuals(rng, 300_000, sigma=0.01, size_pix=500.0)
    slope = 0.02 * (found.x / 500 - 0.5) * (found.chip == 2) + 0.01 * (found.dec - 2.0)
    tally = tally_of(replace(found, residual=found.residual + slope))
    of_chip, cell_pix = tally.chip_plane.means()
    assert cell_pix == 16.0
    assert of_chip.shape == (2, 4, 32, 32)
    middle = (np.arange(32) + 0.5) * 16 / 500 - 0.5
    np.testing.assert_allclose(of_chip[:, 2, :-1].mean(axis=1)[:, :-1],
                               np.tile(0.02 * middle, (2, 1))[:, :-1], atol=2e-3)  # fmt: skip
    assert np.nanmax(np.abs(of_chip[:, 0].mean(axis=1))) < 3e-3
    inner = slice(8, -8)  # the field reaches as far as 0.8 of the map
    rows = tally.sky_means()[0][inner, inner].mean(axis=1)
    north = (np.arange(64) + 0.5) / 32 - 1
    np.testing.assert_allclose(rows, 0.01 * north[inner], atol=1e-3)


def test_the_map_is_a_field_or_the_whole_sky():
    near = grid_of_images(np.array([359.5, 0.5]), np.array([10.0, 10.0]), np.array([0.5, 0.5]))
    assert isinstance(near, FieldGrid)
    assert near.half_deg == pytest.approx(1.0, rel=0.02)
    cells = near.cells(np.array([359.1, 0.9]), np.array([10.0, 10.0])) % 64
    assert cells[0] < 5
    assert cells[1] > 58
    far = grid_of_images(np.array([0.0, 90.0]), np.array([0.0, 0.0]), np.array([1.0, 1.0]))
    assert isinstance(far, WholeSky)
    assert grid_of_images(np.empty(0), np.empty(0), np.empty(0)) == WholeSky()


def make_points(rng, n=30):
    return ImagePoints(57000 + np.arange(n, dtype=float), rng.normal(0.1, 0.02, n),
                       np.full(n, 0.002), np.arange(n) % 2, np.arange(n) % 7 == 0)  # fmt: skip


class Sources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize("grid", [_GRID, WholeSky(8)], ids=["field", "sky"])
def test_page_is_self_contained(rng, tmp_path, grid):
    tally = tally_of(make_residuals(rng, 20_000), grid=grid)
    write_report(tmp_path, "A <title>", {"n_images": 3, "note": "a < b"}, tally, make_points(rng))
    page = (tmp_path / "index.html").read_text()
    sources = Sources()
    sources.feed(page)
    assert len(sources.found) == len(FIGURES)
    assert all(s.startswith("data:image/png;base64,") for s in sources.found)
    assert not re.search(r"https?://|<script|@import|url\(", page)
    assert "a &lt; b" in page
    assert "<title>A &lt;title&gt;" in page
    for picture in FIGURES:
        pixels = matplotlib.image.imread(tmp_path / f"{picture.name}.png")
        assert pixels[..., :3].std() > 0.01, f"{picture.name} is blank"
    said = json.loads((tmp_path / "report.json").read_text())
    assert [row["filter"] for row in said["filters"]] == ["g", "r"]


def test_nothing_to_show_is_no_error(tmp_path, rng):
    empty = np.empty(0)
    none = ImagePoints(empty, empty, empty, np.empty(0, np.int64), np.empty(0, bool))
    tally = tally_of()
    write_report(tmp_path, "Nothing", {}, tally, none)
    assert not list(tmp_path.glob("*.png"))
    row = filter_figures(tally, none)[0]
    assert row["residual_scatter"] is None
    assert row["n_measures"] == 0


def test_cells_are_joined_where_there_are_few_measures(rng):
    found = make_residuals(rng, 4000, size_pix=500.0)
    of_chip, cell_pix = tally_of(found).chip_plane.means()
    # 500 measures a chip and filter: 8 x 8 cells of 64 pixels are what gets nearest to 20.
    assert cell_pix == 64.0
    assert of_chip.shape == (2, 4, 8, 8)
    mine = (found.band == 1) & (found.chip == 3) & (found.x < 64) & (found.y >= 64)
    mine &= (found.y < 128) & (np.abs(found.residual) < 0.1)
    assert of_chip[1, 3, 1, 0] == pytest.approx(found.residual[mine].mean())


@pytest.fixture
def sky(tmp_path):
    made = make_database(tmp_path / "sky")
    with Store(made, writable=True) as store:
        add_images(store, make_images(5, 150, 16))
    return made


@pytest.mark.parametrize("dry", [True, False])
def test_relphot_reports_what_it_found(sky, tmp_path, dry):
    folder = tmp_path / "new" / "report"
    with Store(sky, writable=not dry) as store:
        relphot(store, RelphotOptions(("g", "r"), dry_run=dry, report=folder))
    said = json.loads((folder / "report.json").read_text())
    for row in said["filters"]:
        assert row["n_images"] == 8
        # The errors of these magnitudes are right: 0.02 mag, less what 8 zero points took up.
        assert row["residual_scatter"] == pytest.approx(0.02, rel=0.08)
        assert row["pull_width"] == pytest.approx(1.0, rel=0.08)
    assert said["n_images"] == 16
    assert sum(row["n_measures"] for row in said["filters"]) == said["n_measures"]


@pytest.mark.parametrize("n_each", [3, 5])
def test_few_measures_a_star_do_not_make_them_look_better(tmp_path, n_each):
    """About robust means the scatter of 3 measures would be too small by 9 per cent."""
    made = make_database(tmp_path / "sky")
    with Store(made, writable=True) as store:
        add_images(store, make_images(7, 5000, 2 * n_each))
        relphot(store, RelphotOptions(("g", "r"), dry_run=True, report=tmp_path / "out"))
    for row in json.loads((tmp_path / "out" / "report.json").read_text())["filters"]:
        assert row["n_measures"] > 4000 * n_each
        assert row["pull_width"] == pytest.approx(1.0, abs=0.025)
        assert row["residual_scatter"] == pytest.approx(0.02, rel=0.03)


def test_a_folder_that_cannot_be_is_told_before_the_work(sky, tmp_path):
    (tmp_path / "file").write_text("")
    with Store(sky) as store, pytest.raises(StorageError, match="name another"):
        relphot(store, RelphotOptions(("g",), dry_run=True, report=tmp_path / "file" / "report"))


def test_command_writes_the_report(sky, tmp_path):
    words = [str(sky), "--filters", "g", "--dry-run", "--report", str(tmp_path / "out")]
    run = CliRunner().invoke(command, words)
    assert run.exit_code == 0, run.output
    assert (tmp_path / "out" / "index.html").is_file()
