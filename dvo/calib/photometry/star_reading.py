"""Stars read for a solve, here or where an engine works: in partition hosts, in other processes.

What comes of a group of regions does not depend on who read it, and groups are cut by their
numbers of measures: so parameters are the same, to the last bit, whatever the engine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.measures import StarLimits, StarMeasures, read_star_measures
from dvo.calib.photometry.terms import ChipCells
from dvo.partition.operations import Job, register
from dvo.partition.region_batches import region_batches
from dvo.partition.view import View
from dvo.partition.write_operations import Runner

__all__ = ["StarReading"]

_OPERATION = "calibrate-stars"


@dataclass(frozen=True)
class StarReading:
    """Which measures are read for a solve.

    Parameters
    ----------
    filters : tuple of int
        Filters of their images, by their numbers in SecFilt.
    limits : StarLimits
        Which measures count.
    times : tuple of int, optional
        First second of images, and the first after them [s since 1970 UTC].
    flat_cells : int
        Cells of flat fields that are solved for, of a chip in each direction; 0 for none.
    """

    filters: tuple[int, ...]
    limits: StarLimits
    times: tuple[int, int] | None = None
    flat_cells: int = 0

    def images(self, view: View) -> PhotImages:
        """Read the images.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        PhotImages
            With those wanted that have a part in the solve.
        """
        images = PhotImages.read(view, self.filters)
        if self.times is None:
            return images
        when = images.table["time"]
        return images.only((when >= self.times[0]) & (when < self.times[1]))

    def read(
        self,
        view: View,
        regions: Sequence[int],
        *,
        engine: Runner | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> Iterator[StarMeasures]:
        """Read the measures of regions.

        Parameters
        ----------
        view : View
            The snapshot.
        regions : sequence of int
            Which regions, ascending.
        engine : Runner, optional
            Where they are read; None for here.
        say : callable
            Called with what has been done.

        Yields
        ------
        StarMeasures
            Those of some regions that lie together, in the order of the regions.
        """
        groups, done = list(region_batches(view, regions)), 0
        found = (
            self._here(view, groups) if engine is None else self._elsewhere(engine, view, groups)
        )
        for group, stars in zip(groups, found, strict=True):
            yield stars
            done += len(group)
            say(f"{done} of {len(regions)} regions read")

    def _here(self, view: View, groups: Sequence[Sequence[int]]) -> Iterator[StarMeasures]:
        images = self.images(view)
        for group in groups:
            yield self.read_group(view, group, images)

    def _elsewhere(
        self, engine: Runner, view: View, groups: Sequence[Sequence[int]]
    ) -> Iterator[StarMeasures]:
        job = Job(_OPERATION, asdict(self), groups, snapshot=view.snapshot.id)
        yield from map(_from_arrow, engine.run(job))

    def read_group(self, view: View, regions: Sequence[int], images: PhotImages) -> StarMeasures:
        """Read the measures of some regions, in this process.

        Parameters
        ----------
        view : View
            The snapshot.
        regions : sequence of int
            Which regions, ascending.
        images : PhotImages
            What `images` gave.

        Returns
        -------
        StarMeasures
            Their measures that count.
        """
        cells = ChipCells.of_images(images.table, self.flat_cells) if self.flat_cells else None
        return read_star_measures(view, regions, images, self.limits, cells)


def _read_group(
    view: View, regions: Sequence[int], request: Mapping[str, Any], _: Mapping[str, pa.Table]
) -> pa.Table:
    """The operation: a row a measure, with the number of its star."""
    times = request["times"]
    reading = StarReading(
        tuple(request["filters"]),
        StarLimits(**request["limits"]),
        None if times is None else (int(times[0]), int(times[1])),
        int(request["flat_cells"]),
    )
    found = reading.read_group(view, regions, reading.images(view))
    star = np.repeat(np.arange(len(found.edges) - 1, dtype=np.int32), np.diff(found.edges))
    columns = {"star": star} | {n: getattr(found, n) for n in ("y", "sigma", "image", "cell")}
    return pa.table(columns)


def _from_arrow(table: pa.Table) -> StarMeasures:
    columns = {name: table[name].to_numpy() for name in table.column_names}
    counts = np.bincount(columns.pop("star"))
    return StarMeasures(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), **columns)


register(_OPERATION, _read_group)
