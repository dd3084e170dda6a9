"""The model of many images: against astropy, against finite differences, and back."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.image_rows import COORD_COLUMNS, coords_columns, model_columns, read_model
from dvo.astrometry.model import AstromModel
from dvo.astrometry.residual_maps import ResidualMaps
from dvo.astrometry.solution import pixel_to_sky
from dvo.errors import ShapeError
from dvo.sphere import separation
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from tests.unit.astrometry.mosaics import NX, NY, camera, exposure


@pytest.fixture
def model(rng: np.random.Generator) -> AstromModel:
    return AstromModel.of(camera(rng))


@pytest.fixture
def mapped(model: AstromModel, rng: np.random.Generator) -> AstromModel:
    """The model with a map of any shape on every image but some."""
    shape = rng.integers(1, 7, (10, 2))
    values = rng.normal(size=(10, 2, 6, 6)) * 0.5
    maps = ResidualMaps(values, shape, shape / [NX, NY])
    return model.with_maps(maps, rng.integers(-1, 10, len(model)))


def places(r: np.random.Generator, n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return r.integers(0, 16, n), r.uniform(-100, NX + 100, n), r.uniform(-100, NY + 100, n)


def test_planes_are_shared(model: AstromModel) -> None:
    assert model.plane.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3, -1, -1]
    assert len(model.planes) == 4


def test_many_are_as_each(rng: np.random.Generator) -> None:
    coords = camera(rng)
    model = AstromModel.of(coords)
    image, x, y = places(rng)
    ra, dec = model.to_sky(image, x, y)
    for i, own in enumerate(coords[:16]):
        assert own is not None
        some = image == i
        want = pixel_to_sky(own, x[some], y[some])
        assert np.array_equal(ra[some], want[0])
        assert np.array_equal(dec[some], want[1])


def test_linear_chip_against_astropy(rng: np.random.Generator) -> None:
    """A chip without curved terms is a TAN that astropy knows."""
    plane = AstromCoords("RA---DIS", (150.0, 2.0), cdelt=(-7e-5, 7e-5))
    chip = AstromCoords("RA---WRP", (3000.0, -800.0), (10.0, 20.0), (1.0, 1.0),
                        (0.99, 0.02, -0.03, 1.01), mosaic=plane)  # fmt: skip
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    m = np.array([[0.99, 0.02], [-0.03, 1.01]])
    wcs.wcs.cd = np.diag([-7e-5, 7e-5]) @ m
    wcs.wcs.crpix = np.array([10.0, 20.0]) - np.linalg.solve(m, [3000.0, -800.0])
    x, y = rng.uniform(0, 5000, (2, 200))
    got = AstromModel.of([chip]).to_sky(np.zeros(200, np.int64), x, y)
    want = wcs.all_pix2world(x, y, 1)
    assert np.max(separation(*got, *want)) * 3600e6 < 1.0  # microarcsec


def test_terms_by_hand(rng: np.random.Generator) -> None:
    """Every term of every order, from the definition, with numpy's own polynomials."""
    chip = replace(exposure(rng, (50.0, 20.0), 1)[0], npolyterms=3)
    x, y = rng.uniform(0, NX, (2, 100))

    def step(c: AstromCoords, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        u, v = (x - c.crpix[0]) * c.cdelt[0], (y - c.crpix[1]) * c.cdelt[1]
        found = []
        for a in range(2):
            t, power = np.zeros((4, 4)), ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
            t[1, 0], t[0, 1] = c.pc[2 * a], c.pc[2 * a + 1]
            for value, (i, j) in zip(c.polyterms[7 * a : 7 * a + 7], power, strict=True):
                t[i, j] = value
            found.append(np.polynomial.polynomial.polyval2d(u, v, t))
        return found

    first, second = step(chip, x, y)
    assert chip.mosaic is not None
    want = step(chip.mosaic, first + chip.crval[0], second + chip.crval[1])
    got = AstromModel.of([chip]).to_tangent_plane(np.zeros(100, np.int64), x, y)
    assert np.max(np.abs(np.array(got) - np.array(want))) < 1e-13


@pytest.mark.parametrize("which", ["model", "mapped"])
def test_there_and_back(which: str, request: pytest.FixtureRequest,
                        rng: np.random.Generator) -> None:  # fmt: skip
    model = request.getfixturevalue(which)
    image, x, y = places(rng)
    ra, dec = model.to_sky(image, x, y)
    assert np.all((ra >= 0.0) & (ra < 360.0))
    back = model.to_pixels(image, ra, dec)
    assert np.max(np.hypot(back[0] - x, back[1] - y)) < 1e-6  # 0.25 microarcsec


@pytest.mark.parametrize("which", ["model", "mapped"])
def test_slopes_are_those_of_finite_differences(
    which: str, request: pytest.FixtureRequest, rng: np.random.Generator
) -> None:
    model = request.getfixturevalue(which)
    image, x, y = places(rng)
    h = 1e-2
    found = model.derivatives(image, x, y)
    assert np.array_equal(found.xi, model.to_tangent_plane(image, x, y)[0])
    for b, (dx, dy) in enumerate([(h, 0.0), (0.0, h)]):
        above = model.to_tangent_plane(image, x + dx, y + dy)
        below = model.to_tangent_plane(image, x - dx, y - dy)
        off = [(above[a] - below[a]) / (2 * h) - found.by_pixel[:, a, b] for a in range(2)]
        # A map has an edge between cells; there the difference is a mean of both sides.
        is_near = np.abs(off) > 1e-12
        assert is_near.mean() < (1e-3 if which == "mapped" else 1e-9)


def test_derivatives_by_terms(mapped: AstromModel, rng: np.random.Generator) -> None:
    image, x, y = places(rng, 300)
    before = np.array(mapped.to_tangent_plane(image, x, y))
    found = mapped.derivatives(image, x, y)
    for k in range(10):
        for b in range(2):
            chips = mapped.chips.terms.copy()
            step = 1e-4 / max(1.0, np.abs(found.chip_basis[:, k]).max())
            chips[:, b, k] += step
            moved = replace(mapped, chips=replace(mapped.chips, terms=chips))
            got = (np.array(moved.to_tangent_plane(image, x, y)) - before) / step
            want = (found.by_focal_plane[:, :, b] * found.chip_basis[:, k, None]).T
            scale = np.abs(found.chip_basis[:, k]).max() * 1e-4
            assert np.max(np.abs(got - want)) < 1e-6 * max(scale, 1e-4)
            planes = mapped.planes.terms.copy()
            planes[:, b, k] += 1e-3
            moved = replace(mapped, planes=replace(mapped.planes, terms=planes))
            got = (np.array(moved.to_tangent_plane(image, x, y)) - before) / 1e-3
            want = np.zeros_like(before)
            want[b] = found.plane_basis[:, k]
            assert np.max(np.abs(got - want)) < 1e-11


def test_maps_against_a_plain_loop(mapped: AstromModel, rng: np.random.Generator) -> None:
    image, x, y = places(rng, 200)
    maps = mapped.maps
    got = maps.moved(mapped.map[image], x, y)
    for n, i in enumerate(image):
        k = mapped.map[i]
        want = [x[n], y[n]]
        if k >= 0:
            nx, ny = maps.shape[k]
            nodes = [(np.arange(m) + 0.5) * size / m for m, size in ((nx, NX), (ny, NY))]
            for a in range(2):
                grid = maps.values[k, a, :ny, :nx]
                rows = [line(x[n], nodes[0], grid[j]) for j in range(ny)]
                want[a] += line(y[n], nodes[1], np.array(rows))
        assert np.hypot(got[0][n] - want[0], got[1][n] - want[1]) < 1e-10


def line(x: float, nodes: np.ndarray, values: np.ndarray) -> float:
    """Straight lines between nodes, the first and last of them going on."""
    if len(nodes) == 1:
        return float(values[0])
    i = min(max(int(np.searchsorted(nodes, x)) - 1, 0), len(nodes) - 2)
    f = (x - nodes[i]) / (nodes[i + 1] - nodes[i])
    return float(values[i] + f * (values[i + 1] - values[i]))


def test_what_is_missing_is_nan(model: AstromModel) -> None:
    image = np.array([0, 16, 17, -1, 0])
    x = np.array([100.0, 1.0, 1.0, 1.0, np.nan])
    ra, _ = model.to_sky(image, x, np.full(5, 7.0))
    assert np.isnan(ra).tolist() == [False, True, True, True, True]
    back = model.to_pixels(image, np.full(5, 123.0), np.full(5, 89.9))
    assert np.isnan(back[0]).tolist() == [False, True, True, True, False]
    found = model.derivatives(image, x, np.full(5, 7.0))
    assert np.isnan(found.by_pixel[:, 0, 0]).tolist() == [False, True, True, True, True]
    assert len(model.to_sky([], [], [])[0]) == 0
    assert np.isnan(AstromModel.of([]).to_sky([-1], [1.0], [1.0])[0]).all()


def test_the_other_side_of_the_sky_has_no_pixel(model: AstromModel) -> None:
    x, _ = model.to_pixels([10, 10], [20.0, 200.0], [-5.0, 5.0])
    assert np.isnan(x).tolist() == [True, False]


def test_numbers_that_are_not_there_are_refused(model: AstromModel) -> None:
    with pytest.raises(ShapeError, match="image 18 of a model of 18"):
        model.to_sky([18], [0.0], [0.0])
    with pytest.raises(ShapeError, match="1 maps"):
        model.with_maps(ResidualMaps.of(np.zeros((1, 2, 3, 3)), NX, NY), np.full(18, 1))
    with pytest.raises(ShapeError, match="1 to 6"):
        ResidualMaps.of(np.zeros((1, 2, 7, 3)), NX, NY)


def image_table(coords: list[AstromCoords | None]) -> ColumnTable:
    """Rows of Image with these astrometries; focal planes come last."""
    planes = list({id(c.mosaic): c.mosaic for c in coords if c and c.mosaic}.values())
    number = {id(p): len(coords) + 1 + i for i, p in enumerate(planes)}
    rows = [*coords, *planes]
    wide = {"polyterms": np.zeros(14), "astrom_map": np.full(72, np.nan)}
    blank = {c: IMAGE[c].nulls(1)[0] for c in COORD_COLUMNS} | wide
    values = [blank | (coords_columns(c) if c else {}) for c in rows]
    columns = {
        c: np.array([v[c] for v in values], dtype=IMAGE[c].numpy_dtype) for c in COORD_COLUMNS
    }
    parents = [number[id(c.mosaic)] if c and c.mosaic else 0 for c in rows]
    columns["image_id"] = np.arange(1, len(rows) + 1, dtype=np.uint32)
    columns["parent_id"] = np.array(parents, np.uint32)
    columns["nx"] = np.full(len(rows), NX, np.uint32)
    columns["ny"] = np.full(len(rows), NY, np.uint32)
    return ColumnTable(IMAGE, columns, len(rows))


def test_rows_of_image_and_back(rng: np.random.Generator) -> None:
    coords = camera(rng)
    table = image_table(coords)
    model = read_model(table)
    image, x, y = places(rng)
    assert np.array_equal(model.to_sky(image, x, y), AstromModel.of(coords).to_sky(image, x, y))
    assert model.plane[16:18].tolist() == [-1, -1]
    written = model_columns(model, table)
    for name, values in written.items():
        if name == "polyterms":  # those above the order of a row are not kept
            continue
        assert np.array_equal(values, table[name], equal_nan=True), name
    again = ColumnTable(IMAGE, {n: table[n] for n in table.schema.names if n in table} | written)
    assert np.array_equal(read_model(again).to_sky(image, x, y), model.to_sky(image, x, y))


def test_constants_of_planes_go_into_the_reference_pixel(rng: np.random.Generator) -> None:
    table = image_table(camera(rng))
    model = read_model(table)
    model.planes.terms[:, :, 0] = rng.normal(size=(4, 2)) * 1e-3  # 3.6 arcsec
    model.chips.terms[:15, :, 0] += rng.normal(size=(15, 2))
    written = model_columns(model, table)
    again = read_model(
        ColumnTable(IMAGE, {n: table[n] for n in table.schema.names if n in table} | written)
    )
    assert np.all(again.planes.terms[:, :, 0] == 0.0)
    image, x, y = places(rng)
    off = separation(*again.to_sky(image, x, y), *model.to_sky(image, x, y))
    assert np.max(off) * 3600e6 < 0.01  # microarcsec


def test_maps_come_from_rows_and_go_back(mapped: AstromModel, rng: np.random.Generator) -> None:
    table = image_table(camera(np.random.default_rng(1)))
    own = read_model(table)
    of_image = np.full(len(own), -1)
    of_image[:15] = rng.integers(-1, 10, 15)
    model = own.with_maps(mapped.maps, of_image)
    columns = {n: table[n] for n in table.schema.names if n in table} | model_columns(model, table)
    again = read_model(ColumnTable(IMAGE, columns, len(table)))
    image, x, y = places(rng)
    assert np.array_equal(again.to_sky(image, x, y), model.to_sky(image, x, y))
    assert (again.map >= 0).tolist() == (of_image >= 0).tolist()
