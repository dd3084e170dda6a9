"""How well objects agree with the true sky of a simulated survey.

Every detection of the simulation has one true star, or none if it is junk. The database
has put every detection into one object. Here the two are laid side by side.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dvo

__all__ = ["COMPLETENESS", "PURITY", "Matched", "compare", "match_truth"]

Array = NDArray[Any]

MIN_SNR = 10.0
_MIN_DETECTIONS = 2
_EDGE_PIX = 10.0

COMPLETENESS = (
    f"Completeness: the share of true stars with {_MIN_DETECTIONS} or more detections of true "
    f"S/N > {MIN_SNR:.0f} at least {_EDGE_PIX:.0f} pixels inside a chip, for which there is an "
    "object that holds more than half of all detections of the star, and of whose chip "
    "detections more than half are of the star."
)
PURITY = (
    f"Purity: the share of objects with {_MIN_DETECTIONS} or more chip detections, all of whose "
    "chip detections are of one true star (a false detection is of no star)."
)


@dataclass(frozen=True)
class Matched:
    """Detections with what is true of them and what the database says, one entry each.

    Parameters
    ----------
    star : ndarray of int64, shape (n,)
        True star; -1 for junk.
    thing : ndarray of int64, shape (n,)
        Object, numbered from 0.
    snr : ndarray of float64, shape (n,)
        True signal to noise.
    is_inside : ndarray of bool, shape (n,)
        Whether it lies well inside its chip.
    mag, true_mag : ndarray of float64, shape (n,)
        Calibrated magnitude in the database, and the true one at that time.
    """

    star: Array
    thing: Array
    snr: Array
    is_inside: Array
    mag: Array
    true_mag: Array


def match_truth(catdir: Path, truth: Path) -> Matched:
    """Find the true star and the object of every chip detection.

    Parameters
    ----------
    catdir : Path
        The database.
    truth : Path
        Folder of the truth tables of the simulation.

    Returns
    -------
    Matched
        One entry a true detection.

    Raises
    ------
    ValueError
        If the database does not hold exactly the detections of the simulation.
    """
    wanted = ["image_id", "det_id", "cat_id", "obj_id", "mag:rel"]
    with dvo.open(catdir) as db:
        numbers = _image_numbers(db, truth)
        pieces = [_chip_rows(batch) for batch in db.scan("measure", wanted)]
    found = pa.Table.from_batches(pieces)
    image = _numpy(found, "image_id").astype(np.int64)
    key = (numbers[image] << 32) | _numpy(found, "det_id").astype(np.int64)
    is_of_simulation = numbers[image] >= 0
    true = pq.read_table(truth / "detections.parquet")
    true_key = (_number(true["exposure"], true["chip"]) << 32) | _numpy(true, "det_id")
    order, true_order = np.argsort(key), np.argsort(true_key)
    order = order[is_of_simulation[order]]
    if not np.array_equal(key[order], true_key[true_order]):
        raise ValueError(
            f"{catdir} holds {len(order)} detections of the simulation, which made {len(true_key)}"
        )
    name = (_numpy(found, "cat_id").astype(np.int64) << 32) | _numpy(found, "obj_id")
    _, thing = np.unique(name[order], return_inverse=True)
    x, y = (_numpy(true, name)[true_order] for name in ("x_true", "y_true"))
    nx, ny = _chip_size(truth)
    inside = (np.minimum(x, nx - x) > _EDGE_PIX) & (np.minimum(y, ny - y) > _EDGE_PIX)
    return Matched(
        star=_numpy(true, "star_id")[true_order],
        thing=thing,
        snr=_numpy(true, "snr_true")[true_order],
        is_inside=inside,
        mag=_numpy(found, "mag:rel")[order],
        true_mag=_numpy(true, "mag_true")[true_order],
    )


def compare(found: Matched) -> dict[str, float]:
    """Completeness, purity and how they are come by.

    Parameters
    ----------
    found : Matched
        What `match_truth` gave.

    Returns
    -------
    dict of str to float
        Counts, and shares between 0 and 1.
    """
    is_star = found.star >= 0
    n_things = int(found.thing.max(initial=-1)) + 1
    n_stars = int(found.star.max(initial=-1)) + 1
    pair, n_shared = np.unique(
        found.star[is_star] * n_things + found.thing[is_star], return_counts=True
    )
    star, thing = pair // n_things, pair % n_things
    n_of_star = np.bincount(found.star[is_star], minlength=n_stars)
    n_of_thing = np.bincount(found.thing, minlength=n_things)

    is_good = is_star & (found.snr > MIN_SNR) & found.is_inside
    is_wanted = np.bincount(found.star[is_good], minlength=n_stars) >= _MIN_DETECTIONS
    is_found = np.zeros(n_stars, np.bool_)
    is_found[star[(2 * n_shared > n_of_star[star]) & (2 * n_shared > n_of_thing[thing])]] = True
    is_exact = np.zeros(n_stars, np.bool_)
    is_exact[star[(n_shared == n_of_star[star]) & (n_shared == n_of_thing[thing])]] = True

    is_counted = n_of_thing >= _MIN_DETECTIONS
    is_pure = np.zeros(n_things, np.bool_)
    is_pure[thing[n_shared == n_of_thing[thing]]] = True
    best = is_star & (found.snr > 5 * MIN_SNR)
    residual = (found.mag - found.true_mag)[best]
    return {
        "n_stars": int(is_wanted.sum()),
        "n_stars_found": int((is_wanted & is_found).sum()),
        "completeness": float(is_found[is_wanted].mean()),
        "n_stars_exact": int((is_wanted & is_exact).sum()),
        "exact": float(is_exact[is_wanted].mean()),
        "n_objects": int(is_counted.sum()),
        "n_objects_pure": int((is_counted & is_pure).sum()),
        "purity": float(is_pure[is_counted].mean()),
        "n_detections": len(found.star),
        "n_junk": int((~is_star).sum()),
        "mag_scatter": float(1.4826 * np.median(np.abs(residual - np.median(residual)))),
    }


def _image_numbers(db: dvo.Database, truth: Path) -> Array:
    """Number of exposure and chip by image_id; -1 for other images."""
    exposures = pq.read_table(truth / "exposures.parquet", columns=["name", "exposure"])
    chips = json.loads((truth / "plan.json").read_text())["chips"]
    names = {
        f"{name}[{chip}]": number * 256 + k
        for name, number in zip(*(c.to_pylist() for c in exposures.columns), strict=True)
        for k, chip in enumerate(chips)
    }
    images = db.images(columns=["image_id", "name"])
    image_ids = images["image_id"].to_pylist()
    out = np.full(max(image_ids, default=0) + 1, -1, np.int64)
    for image_id, name in zip(image_ids, images["name"].to_pylist(), strict=True):
        out[image_id] = names.get(name, -1)
    return out


def _number(exposure: pa.ChunkedArray, chip: pa.ChunkedArray) -> Array:
    return exposure.to_numpy().astype(np.int64) * 256 + chip.to_numpy()


def _chip_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of images, without those of reference catalogs."""
    return batch.filter(pc.greater(batch["image_id"].fill_null(0), 0))


def _chip_size(truth: Path) -> tuple[int, int]:
    camera = json.loads((truth / "plan.json").read_text())["camera"]
    return camera["chip_nx"], camera["chip_ny"]


def _numpy(table: pa.Table, name: str) -> Array:
    return table[name].to_numpy()
