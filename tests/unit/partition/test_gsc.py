"""The generated GSC layout against counts, a digest, and the true table when at hand."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from dvo.partition.gsc import BANDS, CUTS, gsc_regions, pole_layout

TRUE_TABLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "gsc_regions.csv"
LIMITS = ("ra_min", "ra_max", "dec_min", "dec_max")


def test_regions_per_band() -> None:
    # Published counts of the GSC zones; the first of each hemisphere at the equator.
    north = [593, 584, 551, 530, 522, 465, 406, 362, 280, 198, 123, 48]
    south = [597, 578, 574, 577, 534, 499, 442, 376, 294, 212, 144, 48]
    names = gsc_regions()["name"]
    counts = [sum(name.startswith(band) for name in names) for band in BANDS]
    assert counts == north + south
    assert sum(map(len, CUTS)) == 732


def test_layout_is_what_it_was() -> None:
    pure = gsc_regions()
    limits = np.stack([pure[column] for column in LIMITS], axis=1).astype("<f8")
    digest = hashlib.sha256(limits.tobytes() + "\n".join(pure["name"]).encode())
    assert digest.hexdigest() == (
        "42099336243e2effe15f275c879831264c207fba09a03d65d9a190e2c05838b3"
    )


@pytest.mark.skipif(not TRUE_TABLE.exists(), reason="no ../shared/data/gsc_regions.csv here")
def test_equals_the_true_table() -> None:
    pure = gsc_regions()
    with TRUE_TABLE.open() as stream:
        true = list(csv.DictReader(stream))
    assert [row["name"] for row in true] == pure["name"]
    assert [int(row["large_region"]) for row in true] == pure["large"].tolist()
    assert [int(row["k"]) for row in true] == pure["cut"].tolist()
    for column in LIMITS:
        # The table is printed with ten digits.
        assert pure[column] == pytest.approx([float(row[column]) for row in true], abs=1e-7)


def test_pure_layout_covers_the_sphere_once() -> None:
    pure = gsc_regions()
    south, north = np.radians(pure["dec_min"]), np.radians(pure["dec_max"])
    area = np.radians(pure["ra_max"] - pure["ra_min"]) * (np.sin(north) - np.sin(south))
    assert area.sum() == pytest.approx(4 * np.pi, rel=1e-12)


def test_levels_of_the_pole_layout() -> None:
    assert np.diff(pole_layout().level_start).tolist() == [1, 24, 734, 9499, 151984, 3799600]
