"""Speed of the FITS codec against fpack and funpack, on one table of 25 columns.

The table is like a Measure table: 2 million rows of 102 bytes, sorted by object, with
noisy floats, repeated per-exposure values, packed ids and flags. Reader and peer work on
the same file, which fpack made; rounds are interleaved and each figure is the median of
the rounds. funpack and fpack go from file to file, as they only can; our reader fills
native columns in memory and our writer starts from them and writes a file, without fsync
as fpack. Prints one JSON object a line.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.fits import Field, TableFile, TableHDU, choose_codecs, write_fits

__all__ = ["measure_table", "run"]

N_ROWS = 2_000_000
FOUR = ["ra", "dec", "mag", "m_err"]
THREADS = 2


def measure_table(n_rows: int = N_ROWS, seed: int = 3) -> dict[str, NDArray[Any]]:
    """Make the columns, sorted by object.

    Parameters
    ----------
    n_rows : int
        Rows, 12 of each object on average.
    seed : int
        Seed of the generator.

    Returns
    -------
    dict of str to ndarray
        25 native columns, 102 bytes a row.
    """
    rng = np.random.default_rng(seed)
    n_objects, n_exposures = max(1, n_rows // 12), 60
    obj = np.sort(rng.integers(0, n_objects, n_rows))
    exposure = rng.integers(0, n_exposures, n_rows)
    mag0 = np.clip(rng.normal(20.5, 1.5, n_objects), 13, 23)
    err = 0.01 + 0.1 * 10 ** (0.4 * (mag0[obj] - 22))
    mag = mag0[obj] + rng.normal(size=n_rows) * err
    mag[rng.random(n_rows) < 0.02] = np.nan
    chip = rng.integers(0, 60, n_rows)
    start = np.sort(rng.integers(0, 2**30, n_exposures))
    good = rng.random(n_rows) < 0.9
    return {
        "ra": rng.uniform(150, 150.7, n_objects)[obj] + rng.normal(0, 1e-5, n_rows),
        "dec": rng.uniform(2, 2.7, n_objects)[obj] + rng.normal(0, 1e-5, n_rows),
        "mag": mag.astype("f4"),
        "m_err": err.astype("f4"),
        "m_cal": np.round(rng.normal(0, 0.02, n_exposures), 4)[exposure].astype("f4"),
        "x_ccd": rng.uniform(0, 4846, n_rows).astype("f4"),
        "y_ccd": rng.uniform(0, 4846, n_rows).astype("f4"),
        "sky": rng.normal(300, 20, n_rows).astype("f4"),
        "psf_qf": np.where(good, 1 - rng.random(n_rows) ** 8 * 0.05, rng.random(n_rows)).astype(
            "f4"
        ),
        "dt": np.full(n_rows, 13.2, "f4"),
        "airmass": rng.uniform(1, 2, n_exposures)[exposure].astype("f4"),
        "time": start[exposure].astype("i4"),
        "ave_ref": obj.astype("i4"),
        "det_id": rng.integers(0, 40000, n_rows).astype("i4"),
        "image_id": (1000 + exposure * 60 + chip).astype("i4"),
        "obj_id": obj + (123456 << 24),
        "ext_id": (exposure.astype("i8") << 40) + rng.integers(0, 2**20, n_rows),
        "db_flags": rng.choice([0, 1, 4, 64, 4096], n_rows, p=[0.6, 0.2, 0.1, 0.05, 0.05]).astype(
            "i4"
        ),
        "phot_flags": rng.choice([0x10, 0x10000010, 0x8010, 0x20018010], n_rows).astype("i4"),
        "photcode": (10000 + 100 * (exposure % 5) + chip).astype("i2"),
        "fwhm_maj": rng.normal(110, 12, n_rows).astype("i2"),
        "fwhm_min": rng.normal(100, 12, n_rows).astype("i2"),
        "theta": rng.integers(-18000, 18000, n_rows).astype("i2"),
        "det_n_pix": rng.integers(3, 60, n_rows).astype("u1"),
        "is_good": good,
    }


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _command(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run(words, check=True, capture_output=True)


def run(n_rows: int = N_ROWS, rounds: int = 5) -> list[dict[str, Any]]:
    """Measure.

    Parameters
    ----------
    n_rows : int
        Rows of the table.
    rounds : int
        Rounds; the first, which compiles, does not count.

    Returns
    -------
    list of dict
        ``name``, ``ratio`` (peer's time over ours), ``ours_s``, ``peer_s`` of each
        figure, and sizes.
    """
    columns = measure_table(n_rows)
    fields = tuple(Field.from_array(name.upper(), values) for name, values in columns.items())
    with tempfile.TemporaryDirectory(dir=os.environ.get("DVO_BENCH_DIR")) as folder:
        return _measure(Path(folder), fields, columns, rounds)


def _measure(
    folder: Path, fields: tuple[Field, ...], columns: dict[str, NDArray[Any]], rounds: int
) -> list[dict[str, Any]]:
    plain, packed, back = folder / "t.fits", folder / "t.fits.fz", folder / "back.fits"
    ours = {"fast": folder / "fast.cpm", "small": folder / "small.cpm"}
    best = {level: tuple(choose_codecs(fields, columns, level)) for level in ("fast", "small")}
    as_fpack = tuple(replace(field, codec=None) for field in fields)
    write_fits(plain, [TableHDU("MEASURE", fields, columns, tile_rows=None)], fsync=False)

    def write(level: Any, chosen: tuple[Field, ...]) -> None:
        ours[level].unlink(missing_ok=True)
        table = TableHDU("MEASURE", chosen, columns)
        write_fits(ours[level], [table], threads=THREADS, level=level, fsync=False)

    def read(path: Path, names: list[str] | None, threads: int = THREADS) -> None:
        with TableFile(path) as table:
            table.read(names, threads=threads)

    steps: dict[str, Callable[[], object]] = {
        "fpack": _command("fpack", "-table", "-O", str(packed), str(plain)),
        "funpack": _command("funpack", "-O", str(back), str(packed)),
        "read_all": lambda: read(packed, None),
        "read_four": lambda: read(packed, FOUR),
        "read_all_one_thread": lambda: read(packed, None, 1),
        "write_as_fpack": lambda: write("fast", as_fpack),
        "write_small": lambda: write("small", best["small"]),
        "write_fast": lambda: write("fast", best["fast"]),
        "read_own_all": lambda: read(ours["fast"], None),
        "read_own_four": lambda: read(ours["fast"], FOUR),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(rounds + 1):
        for name, step in steps.items():
            for file in {"fpack": [packed], "funpack": [back]}.get(name, []):
                file.unlink(missing_ok=True)
            taken = _timed(step)
            if i:
                seconds[name].append(taken)
    results = [
        _ratio(name, seconds, name, "fpack" if "write" in name else "funpack")
        for name in steps
        if name not in ("fpack", "funpack")
    ]
    results.append(_open_time(ours["fast"]))
    sizes = {"plain": plain, "fpack": packed, **ours}
    megabytes = {name: round(path.stat().st_size / 1e6, 2) for name, path in sizes.items()}
    return [*results, {"name": "fits_megabytes", **megabytes}]


def _ratio(name: str, seconds: dict[str, list[float]], own: str, peer: str) -> dict[str, Any]:
    pairs = [p / o for o, p in zip(seconds[own], seconds[peer], strict=True)]
    return {
        "name": f"fits_{name}",
        "ratio": round(statistics.median(pairs), 2),
        "ours_s": round(statistics.median(seconds[own]), 4),
        "peer_s": round(statistics.median(seconds[peer]), 4),
    }


def _open_time(path: Path, n: int = 200) -> dict[str, Any]:
    def work() -> None:
        for _ in range(n):
            TableFile(path).close()

    return {"name": "fits_open", "ours_s": round(min(_timed(work) for _ in range(3)) / n, 6)}


def main() -> None:
    """Print the figures, one JSON object a line."""
    for result in run():
        print(json.dumps(result))


if __name__ == "__main__":
    main()
