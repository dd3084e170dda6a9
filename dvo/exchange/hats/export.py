"""A snapshot as a HATS collection.

Positions are read first, to find how to cut the sky; then the rows of each region are dealt
out to the pixels, and a pixel is written when all its rows are there. Regions are taken in
the order of the pixels, so that few pixels are open at a time.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError, QueryError
from dvo.exchange.extract import Extract
from dvo.exchange.hats.catalog import PLACE, Catalog, provenance, write_properties
from dvo.exchange.hats.margin import find_margin, margin_order, uniq_pixel
from dvo.exchange.hats.shards import Shards
from dvo.exchange.hats.tiling import RowCounts, Tiling, cut_sky, healpix_29
from dvo.exchange.new_path import folder_bytes, new_folder
from dvo.exchange.report import ExportReport, Progress

__all__ = ["HatsOptions", "export_hats"]

Array = NDArray[Any]
T = TypeVar("T")

_FINEST = 10  # 3.4 arcmin: finer pixels than this are not made
_HELD_BYTES = 512 * 2**20  # of rows that wait for their pixel, and as much of margins
_GROUP_ROWS = 50_000  # few, so that most groups lie in one pixel and need no copy
_THREADS = 2
_MARKS = ("collection.properties",)


@dataclass(frozen=True, slots=True)
class HatsOptions:
    """How a collection is cut.

    Parameters
    ----------
    max_rows : int
        Rows that a pixel may hold.
    margin_arcsec : float
        Width of the margins; 0 for no margin cache [arcsec].
    """

    max_rows: int = 1_000_000
    margin_arcsec: float = 5.0

    def __post_init__(self) -> None:
        if self.max_rows < 1:
            raise ConfigError(f"{self.max_rows} rows a pixel; give a number above 0")

    @property
    def margin_order(self) -> int | None:
        """Order of the small pixels that make the margins; None without."""
        return margin_order(self.margin_arcsec) if self.margin_arcsec else None

    @property
    def finest(self) -> int:
        """Finest order of pixels: those of margins are finer."""
        order = self.margin_order
        return _FINEST if order is None else min(_FINEST, order - 1)


def export_hats(
    extract: Extract,
    target: Path,
    options: HatsOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write an extract as a HATS collection: a catalog and its margin cache.

    Parameters
    ----------
    extract : Extract
        What goes out; ra and dec are among its columns.
    target : Path
        The folder; it appears when it is whole.
    options : HatsOptions, optional
        How it is cut.
    overwrite : bool
        Whether it may replace an earlier collection.
    progress : callable, optional
        Called with the report so far.

    Returns
    -------
    ExportReport
        What was written; ``more`` has partitions and margin_rows.

    Raises
    ------
    QueryError
        If there are no rows, of which no catalog can be made.
    StorageError
        If the target exists and may not be replaced, or cannot be written.
    """
    began = time.perf_counter()
    report = ExportReport("hats", extract.table, str(target))
    with new_folder(target, _MARKS, overwrite=overwrite) as beside:
        run = _Run(extract, beside, options or HatsOptions(), report)

        def tell() -> None:
            report.seconds = time.perf_counter() - began
            if progress is not None:
                progress(report)

        run.write(tell)
        run.finish(_catalog_name(target))
        report.bytes = folder_bytes(beside)
    report.seconds = time.perf_counter() - began
    return report


def _catalog_name(target: Path) -> str:
    """Name of the catalog: that of the folder, as one word."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", target.name).strip("._") or "dvo"


class _Run:
    """A collection on its way."""

    def __init__(
        self, extract: Extract, folder: Path, options: HatsOptions, report: ExportReport
    ) -> None:
        self._extract = extract
        self._folder = folder
        self._options = options
        self._report = report
        self._counts = RowCounts(options.finest)
        about = report.about(extract.view)
        self._main = Catalog(folder / "main", extract.columns, about)
        self._margin = Catalog(folder / "margin", extract.columns, about)

    def write(self, tell: Callable[[], None]) -> None:
        """Write the rows of all pixels, and of their margins."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="dvo-hats") as pool:
            regions = self._count(pool)
            tiling = cut_sky(self._counts, self._options.max_rows)
            if not len(tiling):
                raise QueryError("no rows to write; HATS has no empty catalogs")
            dealer = _Dealer(tiling, self._options.margin_order, self._main.names)
            shards = Shards(self._folder / "rows", self._main.names, _HELD_BYTES)
            margins = Shards(self._folder / "margins", self._main.names, _HELD_BYTES)
            groups = self._extract.groups(regions, _GROUP_ROWS)
            dealt = _ahead(pool, dealer.deal, (self._extract.read(g) for g in groups))
            writes: deque[Future[None]] = deque()
            for pieces, at_edges in dealt:
                for k, piece in pieces:
                    heap = shards.add(k, piece)
                    if heap.n_rows == tiling.n_rows[k]:
                        pixel = int(tiling.orders[k]), int(tiling.pixels[k])
                        write = self._main.write_pixel
                        writes.append(pool.submit(write, *pixel, shards.take(k)))
                for number, piece in at_edges:
                    margins.add(number, piece)
                while len(writes) > _THREADS:
                    writes.popleft().result()
                self._report.rows += sum(len(p[PLACE.name]) for _, p in pieces)
                tell()
            writes += [
                pool.submit(self._margin.write_pixel, *uniq_pixel(n), margins.take(n))
                for n in margins.keys()  # noqa: SIM118 - no dict
            ]
            for done in writes:
                done.result()
        assert not shards.keys(), "pixels that lack rows"

    def _count(self, pool: ThreadPoolExecutor) -> list[int]:
        """Count the rows in fine pixels; gives the regions in the order of the pixels."""
        extract = self._extract
        positions = (extract.positions(g) for g in extract.groups(most_rows=_GROUP_ROWS))
        for places in _ahead(pool, lambda p: healpix_29(*p), positions):
            self._counts.add(places)
        regions = np.array(extract.regions, np.int64)
        if not len(regions):
            return []
        bounds = extract.view.sky.bounds(regions)
        middle = 0.5 * (bounds[:, 0] + bounds[:, 1]), 0.5 * (bounds[:, 2] + bounds[:, 3])
        return [int(r) for r in regions[np.argsort(healpix_29(*middle), kind="stable")]]

    def finish(self, name: str) -> None:
        """Write what describes the catalogs and the collection."""
        view = self._extract.view
        is_one_each = self._extract.table in ("object", "average", "starpar")
        kind = "object" if is_one_each else "source"
        source = {"dvo_table": self._extract.table, "dvo_snapshot": view.snapshot.id}
        self._main.finish(
            {
                "obs_collection": name,
                "dataproduct_type": kind,
                "hats_max_rows": self._options.max_rows,
                "obs_description": self._report.about(view),
                **source,
            },
            self._counts,
        )
        (self._folder / "main").rename(self._folder / name)
        collection: dict[str, object] = {"obs_collection": name, "hats_primary_table_url": name}
        if self._options.margin_arcsec:
            margin = f"{name}_margin_{self._options.margin_arcsec:g}arcsec"
            self._margin.finish(
                {
                    "obs_collection": margin,
                    "dataproduct_type": "margin",
                    "hats_primary_table_url": name,
                    "hats_margin_threshold": float(self._options.margin_arcsec),
                    **source,
                }
            )
            (self._folder / "margin").rename(self._folder / margin)
            collection |= {"all_margins": margin, "default_margin": margin}
        else:
            (self._folder / "margin" / "dataset").rmdir()
            (self._folder / "margin").rmdir()
        for left in ("rows", "margins"):
            if (self._folder / left).exists():
                (self._folder / left).rmdir()
        facts = {**collection, **provenance()}
        write_properties(self._folder / "collection.properties", "HATS collection", facts)
        self._report.rows = self._main.n_rows
        self._report.more = {
            "partitions": len(self._main.pixels),
            "margin_rows": self._margin.n_rows,
        }


@dataclass(frozen=True)
class _Dealer:
    """Deals rows out to pixels."""

    tiling: Tiling
    margin_order: int | None
    names: tuple[str, ...]

    def deal(
        self, values: dict[str, Array]
    ) -> tuple[list[tuple[int, dict[str, Array]]], list[tuple[int, dict[str, Array]]]]:
        """Rows by number of their pixel in the tiling, and those in margins by `uniq`."""
        places = healpix_29(values["ra"], values["dec"])
        values = {PLACE.name: places, **values}
        tile = np.searchsorted(self.tiling.starts, places, "right") - 1
        if len(tile) and tile.min() == tile.max():  # most often: nothing has to be copied
            pieces = [(int(tile[0]), values)]
        else:
            numbers = np.unique(tile).tolist()
            pieces = [(k, self._pick(values, np.flatnonzero(tile == k))) for k in numbers]
        if self.margin_order is None:
            return pieces, []
        rows, targets = find_margin(places, self.tiling, self.margin_order)
        by_target = np.argsort(targets, kind="stable")
        numbers, first = np.unique(targets[by_target], return_index=True)
        runs = np.split(rows[by_target], first[1:]) if len(numbers) else []
        margins = [(int(n), self._pick(values, r)) for n, r in zip(numbers, runs, strict=True)]
        return pieces, margins

    def _pick(self, values: dict[str, Array], rows: Array) -> dict[str, Array]:
        return {name: values[name][rows] for name in self.names}


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Any], T], inputs: Iterator[Any]
) -> Iterator[T]:
    """Results of work on each input, in order; inputs are made while the work is done."""
    waiting: deque[Future[T]] = deque()
    for one in inputs:
        waiting.append(pool.submit(work, one))
        if len(waiting) > _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
