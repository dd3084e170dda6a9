"""The association step in memory, against k-d trees of SciPy on the same arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import databases
import numpy as np
import pyarrow.parquet as pq
import scipy_peer
from figures import Figure
from numpy.typing import NDArray
from stage import Stage
from timing import median, pair_ratio, take_turns
from workload import COLUMN_MAP, N_STRIPS, RADIUS_ARCSEC, Inputs

from dvo.ingest.associate import associate_batch
from dvo.ingest.batch import Batch, BatchImage
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.detections import InputImage
from dvo.ingest.exposures import read_exposure, read_exposure_list
from dvo.ingest.match import match_batch
from dvo.ingest.objects import ObjectSet
from dvo.partition.store import Store
from dvo.partition.view import View

__all__ = ["measure"]

Array = NDArray[Any]
_BATCH_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Work:
    """A workload in memory, in the forms that the two sides start from."""

    images: list[BatchImage]
    exposures: list[tuple[int, Array]]
    star: Array


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        The kernel against the peer: both from arrays exposure by exposure to the object
        of every detection, ours with its sky sort. For information the whole step, with
        regions, places and ids of new objects. Batches are as large as those of addstar.
    """
    stage.warm_up()
    catdir = databases.create(stage.scratch / "empty.catdir")
    with Store(catdir, writable=False) as store:
        view = store.view()
        return [f for size in stage.sizes for f in _measure_size(stage.inputs(size), view)]


def _read(inputs: Inputs, view: View) -> _Work:
    column_map = parse_column_map(COLUMN_MAP)
    images, exposures, stars = [], [], []
    found: InputImage
    for i, exposure in enumerate(read_exposure_list(inputs.listing)):
        found = read_exposure(exposure, column_map)
        code = view.photcodes.get(exposure.meta.photcode)
        mjd = exposure.meta.mjd
        images.append(BatchImage(found, code, i + 1, RADIUS_ARCSEC, mjd))
        points = scipy_peer.unit_vectors(found.detections.ra, found.detections.dec)
        exposures.append((i % N_STRIPS, points))
        stars.append(pq.read_table(exposure.path, columns=["obj_true"])["obj_true"].to_numpy())
    return _Work(images, exposures, np.concatenate(stars))


def _measure_size(inputs: Inputs, view: View) -> list[Figure]:
    work = _read(inputs, view)
    labels: dict[str, Array] = {}

    def ours() -> None:
        labels["ours"] = _associate(work.images, view)

    def kernel() -> None:
        labels["kernel"] = _match(work.images, view)

    def peer() -> None:
        labels["peer"] = scipy_peer.associate(work.exposures, RADIUS_ARCSEC / 3600.0)

    steps: dict[str, Callable[[], object]] = {"kernel": kernel, "peer": peer, "ours": ours}
    seconds = take_turns(steps, 3 if inputs.size == "medium" else 5)
    rate = {who: inputs.n_rows / median(s) / 1e6 for who, s in seconds.items()}
    score = {who: databases.association_score(labels[who], work.star) for who in steps}
    words = ", ".join(
        f"{who} {s['objects_whole']:.5f} / {s['groups_pure']:.5f}" for who, s in score.items()
    )
    return [
        Figure(
            goal,
            what,
            inputs.size,
            pair_ratio(seconds["peer"], seconds[who]),
            "x faster",
            f"{rate[who]:.2f} M rows/s",
            f"{rate['peer']:.2f} M rows/s",
            f"stars whole / groups pure: {words}",
            {"seconds": seconds, "score": score},
        )
        for goal, what, who in (
            ("association", 'association kernel, 1", vs cKDTree', "kernel"),
            ("association step", "the same with regions and ids, vs cKDTree", "ours"),
        )
    ]


def _groups(images: list[BatchImage]) -> Iterator[list[BatchImage]]:
    """Images in batches as large as those of addstar."""
    group: list[BatchImage] = []
    for image in images:
        group.append(image)
        if sum(len(g.source.detections) for g in group) >= _BATCH_ROWS:
            yield group
            group = []
    if group:
        yield group


def _match(images: list[BatchImage], view: View) -> Array:
    """Object of each detection, in the order of the input, by the kernel alone."""
    objects = ObjectSet(view)
    out = []
    for group in _groups(images):
        batch = Batch(group)
        objects.reserve(batch.n)
        times = np.array([i.match_time_s for i in group])
        radii = np.array([i.radius_arcsec for i in group])
        found, objects.n = match_batch(batch, objects, times, radii, one_to_one=True)
        label = np.empty(batch.n, np.int64)
        label[batch.order] = found
        out.append(label)
    return np.concatenate(out)


def _associate(images: list[BatchImage], view: View) -> Array:
    """Object of each detection, in the order of the input, with all that objects need."""
    objects = ObjectSet(view)
    out = []
    for group in _groups(images):
        batch = Batch(group)
        found = associate_batch(batch, objects, view, one_to_one=True, kinds=[])
        label = np.empty(batch.n, np.int64)
        label[batch.order] = found.objects
        out.append(label)
    return np.concatenate(out)
