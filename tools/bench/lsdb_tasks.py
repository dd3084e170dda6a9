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

__all__ = ["crossmatch", "scan_all", "scan_some", "write_back"]


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


def scan_some(catalog: str, code: str) -> dict[str, Any]:
    """Count the rows and average the magnitudes of one photcode by image, with conditions.

    Parameters
    ----------
    catalog : str
        HATS collection of measures.
    code : str
        The photcode.

    Returns
    -------
    dict
        The number of rows in all groups.
    """
    import lsdb
    import pandas as pd

    def group(rows: Any) -> Any:
        kept = pd.DataFrame(rows[rows["phot_flags"] < 128])
        return kept.groupby("image_id")["mag"].agg(["count", "sum"]).reset_index()

    columns = ["photcode", "phot_flags", "mag", "image_id"]
    conditions = [("photcode", "==", int(code)), ("mag", "<", 20)]
    found = lsdb.open_catalog(catalog, columns=columns, filters=conditions)
    kinds = {"image_id": "uint32", "count": "int64", "sum": "float64"}
    parts = found.map_partitions(group, meta=_like(kinds)).compute(progress_bar=False)
    groups = parts.groupby("image_id").sum()
    groups["mean"] = groups["sum"] / groups["count"]
    return {"rows": int(groups["count"].sum())}


def scan_all(catalog: str, _code: str) -> dict[str, Any]:
    """Group all rows by photcode: count, mean, least and greatest values.

    Parameters
    ----------
    catalog : str
        HATS collection of measures.

    Returns
    -------
    dict
        The number of rows in all groups.
    """
    import lsdb
    import pandas as pd

    def group(rows: Any) -> Any:
        grouped = pd.DataFrame(rows).groupby("photcode")
        return grouped.agg(
            count=("mag", "count"), sum=("mag", "sum"), least=("mag_err", "min"),
            most=("x_ccd", "max"),
        ).reset_index()  # fmt: skip

    columns = ["photcode", "mag", "mag_err", "x_ccd"]
    found = lsdb.open_catalog(catalog, columns=columns)
    kinds = {"photcode": "uint16", "count": "int64", "sum": "float64", "least": "float32",
             "most": "float32"}  # fmt: skip
    parts = found.map_partitions(group, meta=_like(kinds)).compute(progress_bar=False)
    groups = parts.groupby("photcode").agg({"count": "sum", "sum": "sum", "least": "min",
                                            "most": "max"})  # fmt: skip
    groups["mean"] = groups["sum"] / groups["count"]
    return {"rows": int(groups["count"].sum())}


def _like(kinds: dict[str, str]) -> Any:
    """A table of these columns without rows."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def main() -> None:
    """Answer until the input ends."""
    import dask

    dask.config.set(scheduler="threads", num_workers=os.cpu_count())
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        task, *words = json.loads(line)
        found = _TASKS[task](*words)
        print(json.dumps(found), file=answers, flush=True)


_TASKS = {f.__name__: f for f in (crossmatch, write_back, scan_some, scan_all)}

if __name__ == "__main__":
    main()
