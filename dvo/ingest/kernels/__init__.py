"""Compiled loops of ingest."""

from dvo.ingest.kernels.association import (
    absorb_detections,
    link_detections,
    link_objects,
    move_objects,
    remeasure,
    search_objects,
    settle_rivals,
)
from dvo.ingest.kernels.grouping import (
    circle,
    count_rows,
    distinct_pairs,
    group_rows,
)
from dvo.ingest.kernels.means import accumulate_magnitudes
from dvo.kernels.sky_cells import sky_cells, sky_order

__all__ = [
    "absorb_detections",
    "accumulate_magnitudes",
    "circle",
    "count_rows",
    "distinct_pairs",
    "group_rows",
    "link_detections",
    "link_objects",
    "move_objects",
    "remeasure",
    "search_objects",
    "settle_rivals",
    "sky_cells",
    "sky_order",
]
