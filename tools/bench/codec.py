"""The FITS codec's figures as lines of the report."""

from __future__ import annotations

import math
import shutil

import fits_codec
from figures import Figure
from stage import Stage

__all__ = ["measure"]

_LINES = {
    "fits_read_all": ("fits_read_all", "read 25 columns, vs funpack"),
    "fits_read_four": ("fits_read_four", "read 4 of 25 columns, vs funpack"),
    "fits_write_fast": ("fits_write", "write 25 columns as ingest does, vs fpack"),
    "fits_write_as_fpack": (
        "fits_write_as_fpack",
        "write 25 columns with fpack's codecs, vs fpack",
    ),
    "fits_write_small": ("fits_write_small", "write 25 columns as compaction does, vs fpack"),
}


def measure(stage: Stage) -> list[Figure]:
    """Measure against fpack and funpack.

    Parameters
    ----------
    stage : Stage
        Where to run; a tiny workload gets a small table.

    Returns
    -------
    list of Figure
        Reading and writing; skipped where fpack or funpack is not installed.
    """
    missing = [name for name in ("fpack", "funpack") if shutil.which(name) is None]
    if missing:
        note = f"no {' and no '.join(missing)} on this machine (Debian: libcfitsio-bin)"
        return [
            Figure(key, what, "", math.nan, "x faster", note=note) for key, what in _LINES.values()
        ]
    is_tiny = stage.sizes == ["tiny"]
    found = fits_codec.run(50_000, 1) if is_tiny else fits_codec.run(rounds=3)
    by_name = {entry["name"]: entry for entry in found}
    return [
        Figure(
            key, what, "", by_name[name]["ratio"], "x faster",
            f"{by_name[name]['ours_s']:.3f} s", f"{by_name[name]['peer_s']:.3f} s", "",
            by_name[name],
        )
        for name, (key, what) in _LINES.items()
    ]  # fmt: skip
