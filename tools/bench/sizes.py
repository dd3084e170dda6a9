"""Bytes on disk after compaction."""

from __future__ import annotations

import databases
from figures import Figure
from stage import Stage

__all__ = ["measure"]


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run; our databases are compacted first.

    Returns
    -------
    list of Figure
        Bytes a row of Measure, whole files; of Average and SecFilt for information.
    """
    figures = []
    for size in stage.sizes:
        sizes, counts = databases.bytes_by_table(stage.compacted(size))
        per = {
            "measure": sizes["measure"] / counts["measures"],
            "average": sizes["average"] / counts["objects"],
            "secfilt": sizes["secfilt"] / counts["objects"],
        }
        total = sum(sizes.values()) / counts["measures"]
        figures.append(
            Figure(
                "measure_bytes", "Measure after compaction, whole files", size, per["measure"],
                "bytes/row", f"{sizes['measure'] / 1e6:.1f} MB", "",
                f"Average {per['average']:.1f} and SecFilt {per['secfilt']:.1f} bytes an object; "
                f"all three {total:.1f} bytes a measure",
                {"bytes": sizes, "counts": counts, "per_row": per},
            )
        )  # fmt: skip
    return figures
