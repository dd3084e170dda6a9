"""Compiled loops of ingest."""

from dvo.ingest.kernels.association import associate, remeasure
from dvo.ingest.kernels.grouping import circle, count_rows, group_rows, near_edge, true_pairs
from dvo.ingest.kernels.means import accumulate_magnitudes
from dvo.ingest.kernels.sky import sky_cells, sky_order

__all__ = [
    "accumulate_magnitudes",
    "associate",
    "circle",
    "count_rows",
    "group_rows",
    "near_edge",
    "remeasure",
    "sky_cells",
    "sky_order",
    "true_pairs",
]
