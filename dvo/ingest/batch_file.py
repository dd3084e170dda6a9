"""Images and their detections as one piece of memory, to be added by another process.

A row of Arrow streams, one behind the other: for each image its detections, then the bands and
the satellite rows that it has. What is no column stands in the metadata of the first of them.
Both ends are the same version of dvo; the bytes are compared with a digest on the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import OperationError
from dvo.ingest.batch import BatchImage
from dvo.ingest.detections import BandColumns, Detections, ImageMeta, InputImage, RefSource
from dvo.ingest.satellite_input import SatelliteRows
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.satellites import find_satellite

__all__ = ["pack_images", "unpack_images"]

Array = NDArray[Any]

_FACTS = b"dvo"
# Columns of detections that are no columns of Measure to a reader.
_FIXED = ("ra", "dec", "ra_err", "dec_err")
_MEASURED = "measured"


def pack_images(images: Iterable[BatchImage]) -> pa.Buffer:
    """Put images and their detections into one piece of memory.

    Parameters
    ----------
    images : iterable of BatchImage
        The images.

    Returns
    -------
    pyarrow.Buffer
        What `unpack_images` reads. The astrometry of the images is not in it.
    """
    sink = pa.BufferOutputStream()
    for image in images:
        source = image.source
        found = source.detections
        fixed = {name: getattr(found, name) for name in _FIXED}
        columns = {k: v for k, v in fixed.items() if v is not None} | found.columns
        _write(sink, columns, _facts_of(image))
        for band in found.bands:
            _write(sink, {_MEASURED: band.measured.astype(np.uint8)} | band.columns,
                   {"photcode": band.photcode})  # fmt: skip
        for rows in source.satellites:
            _write(sink, {"det_id": rows.det_id} | rows.columns, {"table": rows.schema.name})
    return sink.getvalue()


def _facts_of(image: BatchImage) -> dict[str, Any]:
    meta = image.source.meta
    # Focal planes and astrometry are written by the process that commits.
    plain = replace(meta, coords=None, parent=None) if isinstance(meta, ImageMeta) else meta
    return {
        "kind": type(meta).__name__,
        "meta": asdict(plain),
        "photcode": image.photcode.code,
        "image_id": image.image_id,
        "radius_arcsec": image.radius_arcsec,
        "match_mjd": image.match_mjd,
        "parent_id": image.parent_id,
        "n_bands": len(image.source.detections.bands),
        "n_satellites": len(image.source.satellites),
    }


def _write(sink: pa.NativeFile, columns: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    # Numbers that are not finite are written as Python reads them.
    table = pa.table(cast("Any", columns), metadata={_FACTS: json.dumps(facts).encode()})
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)


def unpack_images(data: pa.Buffer, photcodes: PhotcodeTable) -> list[BatchImage]:
    """Read images and their detections.

    Parameters
    ----------
    data : pyarrow.Buffer
        What `pack_images` gave.
    photcodes : PhotcodeTable
        The photcodes of the database.

    Returns
    -------
    list of BatchImage
        The images, their columns copied.

    Raises
    ------
    OperationError
        If it is something else.
    """
    try:
        return _read_all(data, photcodes)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as err:
        raise OperationError(
            f"detections to be added cannot be read ({err}); use one version of dvo everywhere"
        ) from err


def _read_all(data: pa.Buffer, photcodes: PhotcodeTable) -> list[BatchImage]:
    source = pa.BufferReader(data)
    images: list[BatchImage] = []
    while source.tell() < data.size:
        columns, facts = _read(source)
        bands = [_band(*_read(source)) for _ in range(facts["n_bands"])]
        satellites = [_satellite(*_read(source)) for _ in range(facts["n_satellites"])]
        fixed = {name: columns.pop(name, None) for name in _FIXED}
        kind = {"ImageMeta": ImageMeta, "RefSource": RefSource}[facts["kind"]]
        given = InputImage(
            kind(**facts["meta"]), Detections(**fixed, columns=columns, bands=bands),  # type: ignore[arg-type]
            satellites=satellites,
        )  # fmt: skip
        images.append(
            BatchImage(
                given, photcodes.get_code(facts["photcode"]), facts["image_id"],
                facts["radius_arcsec"], facts["match_mjd"], facts["parent_id"],
            )
        )  # fmt: skip
    return images


def _read(source: pa.NativeFile) -> tuple[dict[str, Array], dict[str, Any]]:
    table = pa.ipc.open_stream(source).read_all()
    # Kernels want contiguous arrays of their own.
    columns = {name: np.array(table[name].to_numpy()) for name in table.column_names}
    return columns, json.loads((table.schema.metadata or {})[_FACTS])


def _band(columns: dict[str, Array], facts: dict[str, Any]) -> BandColumns:
    return BandColumns(facts["photcode"], columns.pop(_MEASURED).astype(np.bool_), columns)


def _satellite(columns: dict[str, Array], facts: dict[str, Any]) -> SatelliteRows:
    satellite = find_satellite(facts["table"])
    if satellite is None:
        raise ValueError(f"no satellite table {facts['table']!r}")
    return SatelliteRows(satellite.schema, columns.pop("det_id"), columns)
