"""A snapshot as a folder that the original DVO could have written.

A catalog is three files, and one more for each satellite table that it has rows of, in the order
of their objects; PSF widths of images are in arcseconds there, and so need the astrometry.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import image_coords
from dvo.astrometry.solution import pixel_scale
from dvo.errors import ConfigError
from dvo.exchange.new_path import folder_bytes, new_folder
from dvo.exchange.original.encode import old_table
from dvo.exchange.original.formats import (
    AVERAGE_V6,
    IMAGE_V6,
    MEASURE_V6,
    PHOTCODE_V6,
    SECFILT_V6,
    SKY_REGION,
)
from dvo.exchange.original.satellite_formats import HEADER_KEYS, SATELLITES_V6
from dvo.exchange.report import ExportReport, Progress
from dvo.partition.bounds import Area
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables import skyregion
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import TableHDU, write_fits
from dvo.tables.image import IMAGE, N_POLYTERMS
from dvo.tables.links import sort_catalogs
from dvo.tables.magnitudes import ZERO_POINT
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE
from dvo.tables.satellites import SATELLITES, sort_satellites
from dvo.tables.secfilt import SECFILT

__all__ = ["export_catdir"]

Array = NDArray[Any]

_FORMAT = "PS1_V6"
_FORMATS = {
    AVERAGE.name: AVERAGE_V6, SECFILT.name: SECFILT_V6, MEASURE.name: MEASURE_V6, **SATELLITES_V6
}  # fmt: skip
_MARKS = ("SkyTable.fits", "Images.dat", "Photcodes.dat")
_THREADS = 2
_MANIFEST_REGIONS = 5000  # whose facts are asked of the manifest at once
_MOST_C = 32.767  # magnitudes, of which 16 bits hold thousandths


def export_catdir(
    store: Store,
    view: View,
    target: Path,
    area: Area | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a snapshot in the plain file layout of the original DVO.

    Parameters
    ----------
    store : Store
        The database.
    view : View
        A snapshot of it.
    target : Path
        The folder; it appears when it is whole.
    area : Area, optional
        Only catalogs of regions that may touch it, whole; images come all.
    overwrite : bool
        Whether it may replace an earlier export of this kind.
    progress : callable, optional
        Called with the report so far.

    Returns
    -------
    ExportReport
        What was written; ``rows`` are measures.

    Raises
    ------
    ConfigError
        If a photcode does not fit.
    StorageError
        If the target exists and may not be replaced, or cannot be written.
    """
    began = time.perf_counter()
    report = ExportReport("catdir", "all", str(target))
    regions = view.regions(area)
    with new_folder(target, _MARKS, overwrite=overwrite) as beside:
        _write_sky(view, beside)
        _write_photcodes(view, beside)
        _write_images(store, view, beside)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="dvo-export") as pool:
            writes: deque[Future[None]] = deque()
            for i, region in enumerate(regions):
                if i % _MANIFEST_REGIONS == 0:
                    view.foresee(regions[i : i + _MANIFEST_REGIONS])
                tables = _sorted_catalog(view, region)
                writes.append(pool.submit(_write_catalog, view, region, tables, beside))
                report.rows += len(tables[2])
                report.seconds = time.perf_counter() - began
                if len(writes) > _THREADS:
                    writes.popleft().result()
                if progress is not None:
                    progress(report)
            for write in writes:
                write.result()
        report.bytes = folder_bytes(beside)
    report.more = {"catalogs": len(regions), "images": len(view.images)}
    report.seconds = time.perf_counter() - began
    return report


def _write_sky(view: View, folder: Path) -> None:
    columns: dict[str, Array] = {n.lower(): v for n, v in view.partition.columns().items()}
    n_rows = len(columns["index"])
    table = old_table(SKY_REGION, skyregion.SKY_REGION, columns, n_rows)
    _write(folder / "SkyTable.fits", [table], {"HOSTS": ("HostTable.dat", "partition hosts")})


def _write_photcodes(view: View, folder: Path) -> None:
    for photcode in view.photcodes:
        numbers = (photcode.zero_point, photcode.zero_point_offset, photcode.color_offset)
        if any(abs(n) > _MOST_C for n in numbers):
            raise ConfigError(
                f"photcode {photcode.name}: zero point, offset and colour offset are {numbers}, "
                f"and the original holds up to {_MOST_C} mag in each; it cannot be written"
            )
    columns = view.photcodes.to_columns()
    table = old_table(PHOTCODE_V6, PHOTCODE, columns, len(view.photcodes))
    _write(folder / "Photcodes.dat", [table], {})


def _write_images(store: Store, view: View, folder: Path) -> None:
    images = view.images
    columns: dict[str, Array] = {name: images[name] for name in IMAGE.stored_names}
    # There a term has both axes beside each other.
    terms = columns["polyterms"].reshape(-1, 2, N_POLYTERMS // 2)
    columns["polyterms"] = np.ascontiguousarray(terms.swapaxes(1, 2)).reshape(-1, N_POLYTERMS)
    sizes = zip(image_coords(images), images["nx"].tolist(), images["ny"].tolist(), strict=True)
    scale = np.array([np.nan if c is None else pixel_scale(c, nx, ny) for c, nx, ny in sizes])
    for name in ("fwhm_x", "fwhm_y"):
        columns[name] = columns[name] * (scale if len(scale) else 1.0)
    table = old_table(IMAGE_V6, IMAGE, columns, len(images))
    header = {
        "NIMAGES": (len(images), "number of images"),
        "ZERO_PT": (ZERO_POINT, "zero point of stored magnitudes"),
        "DVO_DBID": (store.db_id, "identifier of the database"),
        "FORMAT": (_FORMAT, "format of the table"),
    }
    _write(folder / "Images.dat", [table], header)


def _sorted_catalog(view: View, region: int) -> list[ColumnTable]:
    """Tables of a region, measures and rows of satellites in the order of their objects."""
    average = view.read(AVERAGE, region)
    secfilt = view.read(SECFILT, region)
    measure = view.read(MEASURE, region)
    found = [s for s in SATELLITES if view.n_rows(s.schema, region)]
    satellites = [view.read(s.schema, region) for s in found]
    if view.catalog(region).is_sorted:
        return [average, secfilt, measure, *satellites]
    edges, objects = np.array([0, len(average)]), measure["ave_ref"].astype(np.int64)
    average, secfilt, measure, _ = sort_catalogs(average, secfilt, measure, edges, objects)
    for k, satellite in enumerate(found):
        satellites[k], _ = sort_satellites(average, edges, satellite, satellites[k])
    return [average, secfilt, measure, *satellites]


def _write_catalog(view: View, region: int, tables: list[ColumnTable], folder: Path) -> None:
    average, _, measure, *satellites = tables
    where = view.sky.region(region)
    path = folder / f"{where.name}.cpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    root = path.name.removesuffix(".cpt")
    header = {
        "RA0": where.ra_min, "RA1": where.ra_max, "DEC0": where.dec_min, "DEC1": where.dec_max,
        "CATID": (region, "number of the region"),
        "OBJID": (view.catalog(region).next_obj_id, "number of the next object"),
        "DATE": (datetime.now(UTC).strftime("%Y/%m/%d,%H:%M:%S"), "UTC"),
        "MEASURE": f"{root}.cpm", "MISSING": f"{root}.cpn", "SECFILT": f"{root}.cps",
        "NSTARS": (len(average), "objects"),
        "NMEAS": (len(measure), "measures"),
        "NMISS": (0, "missing measures"),
        "NSECFILT": (view.n_secfilt, "average filters"),
        "SORTED": (True, "measures are in the order of objects"),
    }  # fmt: skip
    for table in satellites:
        # Without its keyword a table counts as empty.
        name, count = HEADER_KEYS[table.schema.name]
        header[name] = f"{root}.{table.schema.suffix}"
        header[count] = (len(table), f"rows of {table.schema.name}")
    for table in tables:
        schema = table.schema
        columns = {name: table[name] for name in table}
        made = old_table(_FORMATS[schema.name], schema, columns, len(table))
        facts = header if schema is AVERAGE else {}
        _write(path.with_name(f"{root}.{schema.suffix}"), [made], facts)


def _write(path: Path, hdus: list[TableHDU], header: dict[str, Any]) -> None:
    write_fits(path, hdus, primary=header, fsync=False)  # the folder is synced as a whole
