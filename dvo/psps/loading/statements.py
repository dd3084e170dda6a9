"""The SQL of the public database, made from the public schema."""

from __future__ import annotations

from collections.abc import Iterator

from dvo.psps.schema.batches import BATCH_TABLES, TABLES, BatchType
from dvo.psps.schema.objects import MEAN_OBJECT, OBJECT_THIN
from dvo.psps.schema.table import PublicColumn, PublicTable, SqlType

__all__ = ["MISCOUNTED", "SETTLE", "SUPERSEDED", "checks", "clear_staging", "create_all",
           "drop_release", "drop_staged", "merge", "publish", "replace", "stage"]  # fmt: skip

_TYPES = {
    SqlType.TINYINT: "UTINYINT", SqlType.SMALLINT: "SMALLINT", SqlType.INT: "INTEGER",
    SqlType.BIGINT: "BIGINT", SqlType.REAL: "REAL", SqlType.FLOAT: "DOUBLE",
    SqlType.VARCHAR: "VARCHAR",
}  # fmt: skip
_ROWS_OF_BATCH = 1_000_000_000
_VIEW = "MeanObjectView"

_LOG = (
    """CREATE TABLE IF NOT EXISTS psps.batch (
    batch_id BIGINT PRIMARY KEY, batch_type VARCHAR NOT NULL, scope VARCHAR NOT NULL,
    db_id VARCHAR NOT NULL, snapshot BIGINT NOT NULL, n_rows BIGINT NOT NULL,
    digest VARCHAR NOT NULL, state VARCHAR NOT NULL)""",
    "CREATE SEQUENCE IF NOT EXISTS psps.release_number",
    """CREATE TABLE IF NOT EXISTS psps.release (
    number BIGINT DEFAULT nextval('psps.release_number'), name VARCHAR NOT NULL,
    published VARCHAR NOT NULL, n_objects BIGINT NOT NULL)""",
)

SUPERSEDED = """SELECT a.batch_id FROM psps.batch AS a WHERE a.state = 'loaded' AND EXISTS (
    SELECT 1 FROM psps.batch AS b WHERE b.batch_type = a.batch_type AND b.scope = a.scope
    AND b.batch_id > a.batch_id)"""
"""Loaded batches that a later one of the same scope takes the place of."""

SETTLE = "UPDATE psps.batch SET state = 'merged' WHERE state = 'loaded'"

MISCOUNTED = f"""SELECT b.batch_id, b.n_rows, COUNT(o.objID)
    FROM psps.batch AS b LEFT JOIN main."{OBJECT_THIN.name}" AS o ON o.batchID = b.batch_id
    WHERE b.batch_type = '{BatchType.OB.value}' AND b.batch_id IN (SELECT unnest(?))
    GROUP BY ALL HAVING COUNT(o.objID) <> b.n_rows"""
"""Object batches, of some, that have other rows in the merged table than were loaded."""


def _names(table: PublicTable) -> str:
    return ", ".join(f'"{name}"' for name in table.names)


def _definition(column: PublicColumn) -> str:
    default = column.default
    word = "" if default is None else f" DEFAULT {repr(default) if default != '' else chr(39) * 2}"
    return f'"{column.name}" {_TYPES[column.sql_type]} NOT NULL{word}'


def create_all() -> Iterator[str]:
    """Make schemas, tables and views that are not there.

    Yields
    ------
    str
        A statement.
    """
    for schema in ("staging", "published", "psps"):
        yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    yield from _LOG
    for table in TABLES.values():
        columns = ", ".join(_definition(c) for c in table.columns)
        for schema in ("main", "staging"):
            yield f'CREATE TABLE IF NOT EXISTS {schema}."{table.name}" ({columns})'
    yield _view("main", "main")


def _view(schema: str, source: str) -> str:
    own = ", ".join(f'm."{n}"' for n in MEAN_OBJECT.names if n not in OBJECT_THIN)
    return (
        f'CREATE OR REPLACE VIEW {schema}."{_VIEW}" AS SELECT o.*, {own} '
        f'FROM {source}."{OBJECT_THIN.name}" AS o JOIN {source}."{MEAN_OBJECT.name}" AS m '
        "ON o.uniquePspsOBid = m.uniquePspsOBid"
    )


def stage(table: PublicTable) -> str:
    """Put the rows of a batch, called ``batch_rows``, into the staging table."""
    names = _names(table)
    return f'INSERT INTO staging."{table.name}" ({names}) SELECT {names} FROM batch_rows'


def drop_staged(table: PublicTable) -> str:
    """Take the rows of one batch of objects, a parameter, out of a staging table."""
    return f'DELETE FROM staging."{table.name}" WHERE uniquePspsOBid // {_ROWS_OF_BATCH} = ?'


def _is_of_objects(table: PublicTable) -> bool:
    return table in BATCH_TABLES[BatchType.OB]


def replace(table: PublicTable) -> str:
    """Take out the merged rows whose place loaded batches take.

    Parameters
    ----------
    table : PublicTable
        The table.

    Returns
    -------
    str
        The statement. Of tables of objects it takes the rows of earlier batches of the same
        scopes, and of objects that have come into other scopes; metadata go as a whole.
    """
    if not _is_of_objects(table):
        return (
            f'DELETE FROM main."{table.name}" WHERE EXISTS (SELECT 1 FROM staging."{table.name}")'
        )
    return (
        f'DELETE FROM main."{table.name}" WHERE uniquePspsOBid // {_ROWS_OF_BATCH} IN ('
        "SELECT a.batch_id FROM psps.batch AS a JOIN psps.batch AS b "
        "ON a.batch_type = b.batch_type AND a.scope = b.scope "
        "WHERE a.state = 'merged' AND b.state = 'loaded') "
        f'OR objID IN (SELECT objID FROM staging."{table.name}")'
    )


def merge(table: PublicTable) -> str:
    """Copy the staged rows to the merged ones."""
    names = _names(table)
    return (
        f'INSERT INTO main."{table.name}" ({names}) SELECT {names} '
        f'FROM staging."{table.name}" ORDER BY ALL'
        if not _is_of_objects(table)
        else f'INSERT INTO main."{table.name}" ({names}) SELECT {names} FROM staging."{table.name}"'
    )


def clear_staging(table: PublicTable) -> str:
    """Empty a staging table."""
    return f'DELETE FROM staging."{table.name}"'


def checks(table: PublicTable) -> Iterator[tuple[str, str]]:
    """Look for merged rows that should not be there.

    Parameters
    ----------
    table : PublicTable
        The table.

    Yields
    ------
    what : str
        What is wrong if there is a row.
    statement : str
        Gives one such value, or no row.
    """
    first = table.key[0]
    twice = (
        f'SELECT "{first}" FROM main."{table.name}" '
        f'WHERE "{first}" IN (SELECT "{first}" FROM staging."{table.name}") '
        f'GROUP BY "{first}" HAVING COUNT(*) > 1 LIMIT 1'
    )
    yield f"{first} is there twice", twice
    for own, other, column in table.references:
        orphan = (
            f'SELECT s."{own}" FROM staging."{table.name}" AS s '
            f'ANTI JOIN main."{other}" AS o ON s."{own}" = o."{column}" LIMIT 1'
        )
        yield f"{own} names a row that {other} does not have", orphan


def publish(name: str) -> Iterator[str]:
    """Copy what is merged to a release, and show it.

    Parameters
    ----------
    name : str
        Name of the release, checked.

    Yields
    ------
    str
        A statement.
    """
    schema = f'"release_{name}"'
    yield f"CREATE SCHEMA {schema}"
    for table in TABLES:
        yield f'CREATE TABLE {schema}."{table}" AS SELECT * FROM main."{table}"'
        yield (f'CREATE OR REPLACE VIEW published."{table}" AS SELECT * FROM {schema}."{table}"')
    yield _view(schema, schema)
    yield f'CREATE OR REPLACE VIEW published."{_VIEW}" AS SELECT * FROM {schema}."{_VIEW}"'
    yield (
        "INSERT INTO psps.release (name, published, n_objects) SELECT "
        f"'{name}', strftime(now() AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S'), COUNT(*) "
        f'FROM main."{OBJECT_THIN.name}"'
    )


def drop_release(name: str) -> Iterator[str]:
    """Delete a release."""
    yield f'DROP SCHEMA "release_{name}" CASCADE'
    yield f"DELETE FROM psps.release WHERE name = '{name}'"
