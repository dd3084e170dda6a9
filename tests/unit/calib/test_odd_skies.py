"""Programs of calibration on skies that tell little or nothing: defined answers, sound data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dvo.cli.photcode import photcode
from dvo.cli.relphot import relphot
from dvo.cli.setphot import setphot
from dvo.cli.ubercal import ubercal
from dvo.cli.uniphot import uniphot
from dvo.errors import DvoError
from dvo.ingest.detections import InputImage
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.check import check
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.flags import ImageFlag, SecFiltFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, make_database, make_images

BAD = 0x800  # phot_flags


def of_columns(image: InputImage, **columns: np.ndarray) -> InputImage:
    found = image.detections
    return replace(image, detections=replace(found, columns={**found.columns, **columns}))


def only(image: InputImage, rows: np.ndarray) -> InputImage:
    found = image.detections
    columns = {name: values[rows] for name, values in found.columns.items()}
    return replace(image, detections=type(found)(found.ra[rows], found.dec[rows], columns))


def one_image() -> list[InputImage]:
    return make_images(3, 40, 1)


def one_of_each_filter() -> list[InputImage]:
    return make_images(3, 40, 2)


def without_stars() -> list[InputImage]:
    """Images of one filter see stars, one sees none."""
    images = make_images(3, 40, 6)
    return [*images[:4], only(images[4], np.empty(0, int)), images[5]]


def stars_of_one_measure() -> list[InputImage]:
    """Each image sees a stripe of its own."""
    images = make_images(3, 60, 6)
    edges = np.quantile(images[0].detections.dec, np.linspace(0, 1, 7))
    bands = pairwise(edges)
    return [only(image, (image.detections.dec > low) & (image.detections.dec < high))
            for image, (low, high) in zip(images, bands, strict=True)]  # fmt: skip


def no_numbers() -> list[InputImage]:
    """No magnitude of one image is a number, and of the others half are not, or errors are none."""
    out = []
    for k, image in enumerate(make_images(3, 60, 8)):
        mag, err = (image.detections.columns[n].copy() for n in ("mag", "mag_err"))
        mag[:: 1 if k == 2 else 2] = np.nan
        err[1::4] = np.nan
        err[3::8] = 0.0
        out.append(of_columns(image, mag=mag, mag_err=err))
    return out


def all_bad() -> list[InputImage]:
    """All measures have a flag that makes them bad."""
    return [of_columns(image, phot_flags=np.full(len(image.detections), BAD, np.uint32))
            for image in make_images(3, 60, 8)]  # fmt: skip


def two_patches() -> list[InputImage]:
    return [*make_images(3, 60, 8, "middle"), *make_images(4, 60, 8, "wrap", first=8)]


SKIES: dict[str, Callable[[], list[InputImage]]] = {
    "empty": list, "one image": one_image, "one image a filter": one_of_each_filter,
    "image without stars": without_stars, "stars of one measure": stars_of_one_measure,
    "no numbers": no_numbers, "all bad": all_bad, "two patches": two_patches,
}  # fmt: skip


def make_sky(folder: Path, what: str) -> Path:
    path = make_database(folder / "sky")
    with Store(path, writable=True) as store:
        table = store.view().photcodes
        masked = tuple(replace(p, photom_bad_mask=BAD) if p.kind is PhotClass.DEP else p
                       for p in table)  # fmt: skip
        put_photcodes(store, PhotcodeTable(masked), "test", {})
        images = SKIES[what]()
        if images:
            add_images(store, images)
    return path


def given(path: Path) -> Path:
    table = path.with_suffix(".points.csv")
    with Store(path) as store:
        ids = store.view().read(IMAGE, ALL_SKY, ["image_id"])["image_id"]
    table.write_text("image_id,mcal_psf\n" + "".join(f"{i},0.1\n" for i in ids))
    return table


def stars(path: Path) -> Path:
    """A reference table of the stars of all skies."""
    table = path.with_suffix(".stars.csv")
    rows = ["ra,dec,g,r"]
    for images in (make_images(3, 60, 1), two_patches()):
        found = images[0].detections
        rows += [f"{ra},{dec},{mag},{mag}" for ra, dec, mag in
                 zip(found.ra, found.dec, found.columns["mag"], strict=True)]  # fmt: skip
    table.write_text("\n".join(rows) + "\n")
    return table


def run(program: object, *words: object) -> Result:
    return CliRunner().invoke(program, [str(word) for word in words])


PROGRAMS: dict[str, Callable[[Path], Result]] = {
    "images": lambda p: run(relphot, p, "--filters", "g,r", "--json"),
    "levels": lambda p: run(relphot, p, "--filters", "g,r", "--solve", "nights,exposures,images",
                            "--json"),
    "alternate": lambda p: run(relphot, p, "--filters", "g,r", "--solver", "alternate", "--loops",
                               "5", "--json"),
    "averages": lambda p: run(relphot, p, "--filters", "g,r", "--averages", "--json"),
    "ubercal": lambda p: run(ubercal, p, "--filters", "g,r", "--json"),
    "setphot": lambda p: run(setphot, p, given(p), "--json"),
    "uniphot": lambda p: run(uniphot, p, "--reference", stars(p), "--json"),
    "fit": lambda p: run(photcode, "fit", p, "SYNTH.g.C00", "g", "--color", "g-r", "--json"),
}  # fmt: skip
CANNOT = {"fit"}
"""Where nothing can be said this is an error, in words."""


def strictly(text: str) -> dict[str, object]:
    """JSON as the standard has it: no NaN."""

    def refuse(what: str) -> float:
        raise AssertionError(f"{what} is no JSON")

    found: dict[str, object] = json.loads(text, parse_constant=refuse)
    return found


@pytest.mark.parametrize("what", list(SKIES))
@pytest.mark.parametrize("name", list(PROGRAMS))
def test_programs_say_what_is_so_and_leave_sound_data(tmp_path, what, name):
    path = make_sky(tmp_path, what)
    done = PROGRAMS[name](path)
    if done.exit_code and name in CANNOT:
        assert isinstance(done.exception, DvoError), done.exception
    else:
        assert done.exit_code == 0, (done.output, done.exception)
        strictly(done.stdout)
    assert check(path, deep=True).faults == []
    with Store(path) as store:
        view = store.view()
        images = view.read(IMAGE, ALL_SKY)
        solved = (images["flags"] & np.uint32(ImageFlag.IMAGE_PHOTCAL | ImageFlag.MOSAIC_PHOTCAL
                                              | ImageFlag.TGROUP_PHOTCAL)) != 0  # fmt: skip
        assert np.isfinite(images["mcal_psf"][solved]).all()
        if name in ("images", "levels"):
            assert np.isfinite(images["dmcal"][solved]).all()
            assert (images["dmcal"][solved] > 0).all()
        for region in view.regions():
            secfilt = view.read(SECFILT, region)
            used = secfilt["nused"] > 0
            assert np.isfinite(secfilt["mag"][used]).all()
            assert (secfilt["mag_err"][used] > 0).all()
            assert np.isfinite(
                view.read(MEASURE, region)["m_cal"][
                    np.isin(view.read(MEASURE, region)["image_id"], images["image_id"][solved])
                ]
            ).all()


@pytest.mark.parametrize(("what", "expected"), [
    ("empty", (0, 0, 0)), ("one image", (0, 1, 0)), ("one image a filter", (0, 2, 0)),
    ("image without stars", (5, 1, 2)), ("stars of one measure", (0, 6, 0)),
    ("no numbers", (7, 1, 2)), ("all bad", (0, 8, 0)), ("two patches", (16, 0, 4)),
])  # fmt: skip
def test_relphot_counts_what_it_could_not_solve_for(tmp_path, what, expected):
    """Images solved for and not, and sets of images that stars connect."""
    path = make_sky(tmp_path, what)
    said = strictly(run(relphot, path, "--filters", "g,r", "--json").stdout)
    assert (said["n_images"], said["n_unsolved"], said["components"]) == expected
    with Store(path) as store:
        view = store.view()
        flags = view.read(IMAGE, ALL_SKY, ["flags"])["flags"]
        few = (flags & np.uint32(ImageFlag.PHOTOM_FEW)) != 0
        assert few.sum() >= expected[1]
        if what == "all bad":  # means are made of bad measures where there are no others
            for region in view.regions():
                rows = view.read(SECFILT, region)
                rank = rows["flags"] & np.uint32(SecFiltFlag.RANK_0)
                assert (rank == 0).all()
                assert (rows["nused"] > 0).any()
