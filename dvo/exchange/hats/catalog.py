"""The files of a HATS catalog beside its rows: properties, list of pixels, metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dvo
from dvo.database.arrow import OutputColumn, to_arrow
from dvo.exchange.hats.shards import Heap
from dvo.exchange.hats.tiling import ORDER, RowCounts
from dvo.exchange.new_path import folder_bytes
from dvo.exchange.parquet import ROW_GROUP, arrow_schema, packing
from dvo.tables.fits import Field, TableHDU, write_fits
from dvo.tables.schema import Column

__all__ = ["PLACE", "Catalog", "write_properties"]

I64 = NDArray[np.int64]

PLACE = Column("_healpix_29", "i8", "HEALPix pixel of order 29, nested", "", "pos.healpix")
"""Column that the rows of a pixel are in the order of."""

_SKYMAP_ORDER = 8


@dataclass
class Catalog:
    """A catalog that is being written.

    Parameters
    ----------
    folder : Path
        Its folder, empty.
    columns : sequence of OutputColumn
        Its columns, without `PLACE`.
    about : str
        One line on it, for people.
    """

    folder: Path
    columns: Sequence[OutputColumn]
    about: str
    _written: dict[tuple[int, int], Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        (self.folder / "dataset").mkdir(parents=True)
        self._all = [OutputColumn(PLACE.name, PLACE), *self.columns]
        self._schema = arrow_schema(self._all, self.about)
        self._sorting = pq.SortingColumn.from_ordering(self._schema, [(PLACE.name, "ascending")])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, `PLACE` first."""
        return tuple(c.name for c in self._all)

    @property
    def n_rows(self) -> int:
        """Rows written so far."""
        return sum(footer.num_rows for footer in self._written.values())

    @property
    def pixels(self) -> list[tuple[int, int]]:
        """Order and number of the pixels written so far, in the order of the sky."""
        return sorted(self._written, key=lambda p: (p[1] << 2 * (ORDER - p[0]), p[0]))

    @property
    def sky_fraction(self) -> float:
        """Share of the sky that the pixels cover."""
        return sum(1.0 / (12.0 * 4.0**order) for order, _ in self._written)

    def write_pixel(self, order: int, pixel: int, heap: Heap) -> None:
        """Write the rows of a pixel; several threads may do so at once.

        Parameters
        ----------
        order, pixel : int
            The pixel.
        heap : Heap
            Its rows, `PLACE` among the columns, in any order.
        """
        path = f"Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"
        target = self.folder / "dataset" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        found: list[Any] = []
        table = to_arrow(self._all, heap.join(PLACE.name)).cast(self._schema)
        options = packing(table, sorted_by=PLACE.name) | {"sorting_columns": self._sorting}
        with pq.ParquetWriter(target, self._schema, metadata_collector=found, **options) as out:
            out.write_table(table, row_group_size=ROW_GROUP)
        found[0].set_file_path(path)
        self._written[order, pixel] = found[0]

    def finish(self, facts: Mapping[str, object], counts: RowCounts | None = None) -> None:
        """Write everything but the rows.

        Parameters
        ----------
        facts : mapping of str to object
            What the properties say beside what follows from the rows.
        counts : RowCounts, optional
            How the rows lie on the sky.
        """
        dataset = self.folder / "dataset"
        pixels = self.pixels
        footers = [self._written[p] for p in pixels]
        pq.write_metadata(self._schema, str(dataset / "_common_metadata"))
        pq.write_metadata(self._schema, str(dataset / "_metadata"), metadata_collector=footers)
        lines = ["Norder,Npix", *(f"{order},{pixel}" for order, pixel in pixels)]
        (self.folder / "partition_info.csv").write_text("\n".join(lines) + "\n")
        made: dict[str, object] = {
            "hats_nrows": self.n_rows,
            "hats_col_ra": "ra",
            "hats_col_dec": "dec",
            "hats_col_healpix": PLACE.name,
            "hats_col_healpix_order": ORDER,
            "hats_npix_suffix": ".parquet",
            "hats_order": max((order for order, _ in pixels), default=0),
            "moc_sky_fraction": f"{self.sky_fraction:.5f}",
        }
        if counts is not None:
            made["hats_skymap_order"] = self._write_skymap(counts)
        made["hats_estsize"] = folder_bytes(self.folder) // 1024
        text = {**facts, **made, **provenance()}
        for name in ("hats.properties", "properties"):
            write_properties(self.folder / name, "HATS catalog", text)

    def _write_skymap(self, counts: RowCounts) -> int:
        """Write how many rows there are in each pixel of a coarse order; gives the order."""
        order = min(_SKYMAP_ORDER, counts.order)
        pixels, n_rows = counts.totals()
        cells, which = np.unique(pixels >> 2 * (counts.order - order), return_inverse=True)
        total = np.bincount(which, n_rows).astype(np.int64)
        # By hand: the library of HATS wants 64-bit pixels, which healpy does not write.
        columns = {"pixel": cells, "value": total}
        fields = tuple(Field.from_array(n.upper(), v) for n, v in columns.items())
        header = {
            "PIXTYPE": "HEALPIX", "INDXSCHM": "EXPLICIT", "ORDERING": "NESTED", "COORDSYS": "C",
            "NSIDE": 1 << order, "OBS_NPIX": len(cells),
        }  # fmt: skip
        table = TableHDU("SKYMAP", fields, columns, header, tile_rows=None)
        write_fits(self.folder / "skymap.fits", [table], fsync=False)
        return order


def provenance() -> dict[str, object]:
    """Properties that say what made a catalog, and by which version of HATS."""
    return {
        "hats_builder": f"dvo v{dvo.__version__}",
        "hats_creation_date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MUTC"),
        "hats_release_date": "2025-08-22",
        "hats_version": "v1.0",
    }


def write_properties(path: Path, title: str, facts: Mapping[str, object]) -> None:
    """Write a file of properties.

    Parameters
    ----------
    path : Path
        The file.
    title : str
        Its first line.
    facts : mapping of str to object
        Values by key; text of one line.
    """
    lines = [f"#{title}", *(f"{key}={value}" for key, value in facts.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
