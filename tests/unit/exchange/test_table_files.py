"""Tables in one file: values, nulls, units, UCDs and meanings come back from each form."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from astropy.io.votable.exceptions import VOWarning
from astropy.table import Table
from astropy.units import Unit

from dvo.errors import ConfigError, StorageError
from dvo.exchange.extract import Extract
from dvo.exchange.report import ExportReport
from dvo.exchange.selection import select
from dvo.exchange.table_file import KINDS, export_file
from dvo.partition.store import Store
from dvo.tables.fits import TableFile, verify
from tests import synth

TABLES = ["object", "average", "measure", "secfilt", "image", "photcode"]
ENDINGS = {"parquet": "parquet", "fits": "fits", "votable": "vot", "csv": "csv", "ecsv": "ecsv"}


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.filled_database(tmp_path_factory.mktemp("files") / "sky", n_stars=150)


def export(catdir: Path, kind: str, target: Path, table: str = "object", **more: Any) -> Any:
    """Export a table; gives what was to go out, and the report."""
    with Store(catdir) as store:
        extract = select(store, store.view(), table, more.pop("columns", None))
        report = export_file(extract, kind, target, **more)
        nothing = {c.name: c.like.nulls(0) for c in extract.columns}
        values = [nothing, *(extract.read(g) for g in extract.groups())]
    return extract, {n: np.concatenate([v[n] for v in values]) for n in extract.names}, report


def read(kind: str, path: Path) -> Table:
    """A file of ours as astropy reads it."""
    if kind == "parquet":
        return Table({n: _plain(c) for n, c in _columns(pq.read_table(path)).items()})
    if kind == "csv":
        return Table({n: _plain(c) for n, c in _columns(pa.csv.read_csv(path)).items()})
    form = {"ecsv": "ascii.ecsv", "votable": "votable", "fits": "fits"}[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Table.read(path, format=form)


def _columns(table: pa.Table) -> dict[str, Any]:
    return dict(zip(table.column_names, table.columns, strict=True))


def _plain(column: Any) -> Any:
    values = column.to_pylist()
    if pa.types.is_floating(column.type):
        return np.array([np.nan if v is None else v for v in values], column.type.to_pandas_dtype())
    if pa.types.is_integer(column.type):
        kind = column.type.to_pandas_dtype()
        return np.ma.array([v or 0 for v in values], kind, mask=[v is None for v in values])
    return ["" if v is None else v for v in values]


def assert_values(extract: Extract, values: dict[str, Any], found: Table) -> None:
    """Fail unless a file holds all values, and is null where they are."""
    assert list(found.colnames) == extract.names
    for column in extract.columns:
        like, ours, theirs = column.like, values[column.name], found[column.name]
        if like.dtype[0] == "S":
            words = np.char.decode(ours, "ascii").astype(str)
            assert [str(w) for w in np.ma.filled(theirs, "")] == words.tolist(), column.name
        elif like.shape > 1:
            lists = [
                np.array(eval(v, {"NaN": np.nan}) if isinstance(v, str) else v) for v in theirs
            ]
            np.testing.assert_allclose(np.array(lists, float), ours, rtol=1e-15)
        elif like.dtype[0] == "f":
            np.testing.assert_array_equal(
                np.ma.filled(np.ma.asarray(theirs, like.dtype), np.nan), ours, column.name
            )
        else:
            known = ~like.is_null(ours)
            mask = np.ma.getmaskarray(np.ma.asarray(theirs))
            # FITS has no mark for nulls of unsigned columns; there they are the null itself.
            assert not mask[known].any(), column.name
            np.testing.assert_array_equal(np.asarray(theirs)[known], ours[known], column.name)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_nulls_come_back(catdir: Path, tmp_path: Path, kind: str, table: str) -> None:
    path = tmp_path / f"out.{ENDINGS[kind]}"
    extract, values, report = export(catdir, kind, path, table)
    found = read(kind, path)
    assert_values(extract, values, found)
    assert report.rows == len(found) == extract.count()
    assert report.bytes == path.stat().st_size
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_integer_nulls_are_null(catdir: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"out.{ENDINGS[kind]}"
    columns = ["obj_id", "time_range", "g_ubercal_dist", "tess_id", "u_ra"]
    export(catdir, kind, path, columns=columns)
    found = read(kind, path)
    for name in ("time_range", "g_ubercal_dist", "tess_id"):
        if kind == "csv":  # a column of empty cells has no type
            assert set(found[name]) == {""}
        else:
            assert np.ma.getmaskarray(found[name]).all(), name
    assert not np.ma.getmaskarray(found["obj_id"]).any()


@pytest.mark.parametrize("kind", ["parquet", "fits", "votable", "ecsv"])
@pytest.mark.parametrize("table", ["object", "measure", "image"])
def test_units_ucds_and_meanings_come_back(
    catdir: Path, tmp_path: Path, kind: str, table: str
) -> None:
    path = tmp_path / f"out.{ENDINGS[kind]}"
    extract, _, _ = export(catdir, kind, path, table)
    found = described(kind, path)
    for column in extract.columns:
        like = column.like
        unit, ucd, meaning = found[column.name]
        # astropy spells some units in another way: pix, arcsec / yr.
        assert Unit(unit) == Unit(like.unit), column.name
        assert ucd == like.ucd, column.name
        assert meaning == like.meaning, column.name


def described(kind: str, path: Path) -> dict[str, tuple[str, str, str]]:
    """Unit, UCD and meaning of each column."""
    if kind == "parquet":
        facts = {f.name: f.metadata for f in pq.read_schema(path)}
        keys = (b"unit", b"ucd", b"description")
        return {n: tuple(m.get(k, b"").decode() for k in keys) for n, m in facts.items()}
    if kind == "fits":
        with TableFile(path, 1) as table:
            return {f.ttype: (f.unit, f.ucd, f.meaning) for f in table.fields}
    if kind == "ecsv":
        table = Table.read(path, format="ascii.ecsv")
        return {
            c.name: (str(c.unit or ""), c.meta.get("ucd", ""), c.description)
            for c in table.itercols()
        }
    return of_votable(path.read_bytes())


def of_votable(document: bytes) -> dict[str, tuple[str, str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)
        fields = votable.parse(io.BytesIO(document)).get_first_table().fields
    return {
        f.name: (str(f.unit or ""), f.ucd or "", " ".join(str(f.description).split()))
        for f in fields
    }


def test_parquet_files_are_described_as_voparquet_has_it(catdir: Path, tmp_path: Path) -> None:
    path = tmp_path / "o.parquet"
    extract, _, _ = export(catdir, "parquet", path)
    facts = pq.read_schema(path).metadata
    assert facts[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    document = facts[b"IVOA.VOTable-Parquet.content"]
    assert b"<DATA>" not in document
    found = of_votable(document)
    assert list(found) == extract.names
    assert found["ra"][:2] == ("deg", "pos.eq.ra;meta.main")
    assert found["g_mag"][2] == "mean PSF magnitude of chip images, filter g"


def test_fits_files_are_sound(catdir: Path, tmp_path: Path) -> None:
    export(catdir, "fits", tmp_path / "o.fits")
    verify(tmp_path / "o.fits")


@pytest.mark.parametrize("kind", KINDS)
def test_tables_without_rows_are_tables(tmp_path: Path, kind: str) -> None:
    catdir = synth.make_database(tmp_path / "sky")
    path = tmp_path / f"out.{ENDINGS[kind]}"
    extract, _, report = export(catdir, kind, path, "measure")
    assert report.rows == 0
    assert list(read(kind, path).colnames) == extract.names


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_leaves_nothing_behind(
    catdir: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_text("precious")

    def fail(self: Extract, regions: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Extract, "read", fail)
    with pytest.raises(MemoryError):
        export(catdir, kind, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert path.read_text() == "precious"


def test_files_are_not_replaced_unasked(catdir: Path, tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("precious")
    with pytest.raises(StorageError, match="exists already; say --overwrite"):
        export(catdir, "csv", path)
    assert path.read_text() == "precious"
    export(catdir, "csv", path, overwrite=True)
    assert path.read_text().startswith("ra,dec,")


def test_impossible_targets_are_named(catdir: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no folder"):
        export(catdir, "csv", tmp_path / "nowhere" / "o.csv")
    with pytest.raises(StorageError, match="is a folder"):
        export(catdir, "csv", tmp_path, overwrite=True)
    with pytest.raises(ConfigError, match="no form 'excel'"):
        export(catdir, "excel", tmp_path / "o.xls")


def test_progress_is_told_group_by_group(catdir: Path, tmp_path: Path) -> None:
    told: list[int] = []

    def tell(report: ExportReport) -> None:
        told.append(report.rows)

    _, values, _ = export(catdir, "csv", tmp_path / "o.csv", progress=tell)
    assert told == sorted(told)
    assert told[-1] == len(values["ra"])
