"""Run by the Python of LSDB's own environment: reads tasks, a line each, and answers them.

A task is a JSON list of a function's name and its arguments; nothing of dvo is there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

__all__ = ["crossmatch", "write_back"]


def crossmatch(left: str, right: str, radius_arcsec: str) -> dict[str, Any]:
    """Match every row of one catalog with its nearest of another, into one table in memory.

    Parameters
    ----------
    left, right : str
        HATS collections.
    radius_arcsec : str
        Match radius [arcsec].

    Returns
    -------
    dict
        The number of pairs.
    """
    import lsdb

    one, two = lsdb.open_catalog(left), lsdb.open_catalog(right)
    found = two.crossmatch(
        one, n_neighbors=1, radius_arcsec=float(radius_arcsec), suffixes=("_b", "_a"),
        suffix_method="all_columns",
    ).compute(progress_bar=False)  # fmt: skip
    return {"rows": len(found)}


def write_back(catalog: str, target: str) -> dict[str, Any]:
    """Set one column of all rows, by the image of each, and write the catalog.

    Parameters
    ----------
    catalog : str
        HATS collection of measures; LSDB changes none in place.
    target : str
        Where to write; replaced if it is there.

    Returns
    -------
    dict
        The number of rows.
    """
    import lsdb
    import numpy as np

    offsets = np.random.default_rng(5).normal(0, 0.02, 1000).astype("f4")

    def shift(rows: Any) -> Any:
        rows = rows.copy()
        rows["m_cal"] = offsets[rows["image_id"].to_numpy(dtype="i8")]
        return rows

    shutil.rmtree(target, ignore_errors=True)
    found = lsdb.open_catalog(catalog).map_partitions(shift)
    found.write_catalog(target, catalog_name="written_back", progress_bar=False)
    return {"rows": len(lsdb.open_catalog(target))}


def main() -> None:
    """Answer until the input ends."""
    import dask

    dask.config.set(scheduler="threads", num_workers=os.cpu_count())
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        task, *words = json.loads(line)
        found = {"crossmatch": crossmatch, "write_back": write_back}[task](*words)
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
