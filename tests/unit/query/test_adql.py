"""What is read as a query, what is refused, and what the refusals say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvo.errors import QueryError
from dvo.query.adql import parse_query
from dvo.query.evaluator import sql_of
from dvo.query.tree import tree_from_json, tree_to_json
from tests.unit.query.test_corpus import ORDERED, UNORDERED

HOSTILE = (
    "",
    ";",
    "SELECT 1; DROP TABLE average",
    "SELECT 1; SELECT 2",
    "DROP TABLE average",
    "DELETE FROM average",
    "INSERT INTO average VALUES (1)",
    "UPDATE average SET ra = 0",
    "CREATE TABLE t AS SELECT 1",
    "COPY average TO '/tmp/x'",
    "ATTACH '/etc/passwd' AS x",
    "PRAGMA version",
    "SET memory_limit = '1TB'",
    "EXPLAIN SELECT 1",
    "SHOW TABLES",
    "CALL pragma_version()",
    "INSTALL httpfs",
    "EXECUTE p",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM range(1000000000000)",
    "SELECT * FROM generate_series(1, 9)",
    "SELECT getenv('HOME')",
    "SELECT read_text('/etc/passwd')",
    "SELECT version()",
    "SELECT current_setting('memory_limit')",
    "SELECT nextval('x')",
    "SELECT pg_sleep(100)",
    "SELECT repeat('x', 1000000000)",
    "SELECT xp_cmdshell('ls')",
    "SELECT @@version",
    "SELECT ra INTO t FROM average",
    "SELECT ra FROM average FOR UPDATE",
    "SELECT ra FROM average PIVOT (SUM(ra) FOR dec IN (1, 2))",
    "SELECT ra FROM average TABLESAMPLE (10)",
    "SELECT ra FROM average WITH (NOLOCK)",
    "SELECT a FROM average CROSS APPLY f(a)",
    "SELECT * FROM LATERAL (SELECT 1)",
    "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT * FROM t) SELECT * FROM t",
    "SELECT {'a': 1}",
    "SELECT x -> 'a' FROM average",
    "SELECT ra FROM average WHERE",
    "SELECT 'open",
    "SELECT (1",
    "SELECT \0",
    "VALUES (1)",
    "TABLE average",
)


MISREAD = (
    "SELECT ra, FROM average",
    "SELECT ra FROM average,",
    "SELECT , ra FROM average",
    "SELECT ra,, dec FROM average",
    "SELECT AS ra FROM average",
    "SELECT * FROM FROM average",
    "FROM average SELECT ra",
    "SELECT 5ra FROM average",
    "SELECT ra, dec 19 FROM average",
    "SELECT ra FROM average ORDER BY dec 10",
    "SELECT ra FROM average 'a'",
    "SELECT ra FROM average AS",
    "SELECT ra AS 'x' FROM average",
    "SELECT ra FROM average GROUP GROUP BY ra",
    "SELECT ra FROM average *",
    "SELECT * ra FROM average",
    "SELECT SUM(*) FROM average",
    "SELECT COUNT() FROM average",
    "SELECT COUNT(ra, dec) FROM average",
    "SELECT COUNT(DISTINCT) FROM average",
    "SELECT DISTINCT ON (ra) ra FROM average",
    "SELECT TOP 1.5 ra FROM average",
    "SELECT TOP 10 PERCENT ra FROM average",
    "SELECT TOP 10 WITH TIES ra FROM average",
    "SELECT ra FROM average LIMIT 5, 10",
    "SELECT ra FROM average LIMIT 5%",
    "SELECT ra FROM average LIMIT ALL",
    "SELECT ra FROM average OFFSET -5",
    "SELECT ra FROM average GROUP BY",
    "SELECT ra FROM average GROUP BY ALL",
    "SELECT ra FROM average GROUP BY ra WITH ROLLUP",
    "SELECT ra FROM average ORDER BY ra ASC DESC",
    "SELECT ra FROM average a JOIN measure m ON",
    "SELECT ra FROM average a JOIN measure m USING ()",
    "SELECT ra FROM average a JOIN measure m USING (m.cat_id)",
    "SELECT ra FROM average a JOIN measure m (cat_id)",
    "SELECT ra FROM average WHERE ra IN ()",
    "SELECT ra FROM average WHERE ra IN 5",
    "SELECT ra FROM average WHERE 1 < ra < 5",
    "SELECT ra FROM average WHERE ra > > 5",
    "SELECT ra FROM average WHERE ra BETWEEN 3 17 AND 19",
    "SELECT ra FROM average WHERE ra IS NULL NOT NULL",
    "SELECT ra FROM average WHERE ra IS NOT 1",
    "SELECT ra FROM average WHERE ra < NOT 5",
    "SELECT SUM(ra LIMIT 5) FROM average",
    "SELECT SUM(ra ORDER BY dec) FROM average",
    "SELECT ABS(DISTINCT ra) FROM average",
    "SELECT (ra, dec) FROM average",
    "SELECT (ra AS x) * 2 FROM average",
    "SELECT 9223372036854775808 FROM average",
    "SELECT TOP 99999999999999999999 ra FROM average",
    "SELECT ra FROM average LIMIT 18446744073709551616",
    "SELECT 0x8000000000000000 FROM average",
    "SELECT [ra] FROM average",
    "SELECT {fn LOG(1)} FROM average",
    "SELECT $1 FROM average",
    "SELECT #ra FROM average",
    "SELECT 'a' 'b' FROM average",
    "SELECT ra FROM average UNION ALL BY NAME SELECT dec FROM average",
    "WITH x (SELECT ra FROM average) SELECT ra FROM x",
)


@pytest.mark.parametrize("text", MISREAD)
def test_what_nobody_can_have_meant_is_refused(text):
    """The parser takes each of these for another query."""
    with pytest.raises(QueryError, match=r"^query: "):
        parse_query(text)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("SELECT 0x1F", "SELECT 31"),
        ("SELECT nmeasure = 3 FROM average", "SELECT nmeasure = 3 FROM average"),
        ("SELECT COUNT(ALL ra) FROM average", "SELECT COUNT(ra) FROM average"),
        ('SELECT ra AS "select" FROM average', 'SELECT ra AS "select" FROM average'),
        ("SELECT (ra > 1) = (dec > 1) FROM average", "SELECT (ra > 1) = (dec > 1) FROM average"),
        ("SELECT dec FROM average WHERE dec > -5", "SELECT dec FROM average WHERE dec > -5"),
    ],
)
def test_what_is_meant_is_read(text, means):
    assert parse_query(text).sql(dialect="duckdb") == means


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_plain_select_is_refused(text):
    with pytest.raises(QueryError, match=r"^query: "):
        parse_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "-" * 3000 + "1",
        "SELECT " + "NOT " * 3000 + "TRUE",
        "SELECT " + "+".join(["1"] * 30_000),
        "SELECT * FROM " + "(SELECT * FROM " * 400 + "average" + ")" * 400,
        "SELECT ra FROM average WHERE ra IN (" + ",".join("1" * 60_000) + ")",
        "x" * 1_000_000,
    ],
    ids=["parentheses", "signs", "nots", "sums", "subqueries", "list", "megabyte"],
)
def test_what_is_too_long_or_too_deep_is_refused(text):
    with pytest.raises(QueryError, match=r"^query: "):
        parse_query(text)


def test_an_error_shows_where():
    with pytest.raises(QueryError) as caught:
        parse_query("SELECT ra\nFROM average\nWHERE ra >> > 3")
    assert str(caught.value).splitlines() == [
        "query: line 3, column 13: does not expect '>' here",
        "  WHERE ra >> > 3",
        "              ^",
    ] or "line 3" in str(caught.value)


def test_a_function_that_was_probably_meant_is_named():
    with pytest.raises(QueryError, match="no function SQURT; did you mean SQRT"):
        parse_query("SELECT SQURT(ra) FROM average")


@pytest.mark.parametrize("text", [*UNORDERED, *ORDERED])
def test_trees_go_over_a_wire_as_json(text):
    tree = parse_query(text.format(ra=1.5, dec=-2.5))
    again = tree_from_json(json.loads(json.dumps(tree_to_json(tree))))
    assert again == tree
    assert sql_of(again) == sql_of(tree)


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "SELECT 1",
        {},
        {"kind": "Select"},
        {"kind": "Drop", "args": {}},
        {"kind": "Command", "args": {"this": "DROP", "expression": "TABLE x"}},
        {"kind": "maybe_parse", "args": {"sql_or_expression": "1"}},
        {"kind": "Literal", "args": {"this": "1", "is_string": False}},
        {"kind": "Select", "args": {"expressions": [{"kind": "Anonymous", "args": {
            "this": "getenv", "expressions": []}}]}},
        {"kind": "Select", "args": {"expressions": [{"kind": "ReadCSV", "args": {}}]}},
        {"kind": "Select", "args": {"expressions": [{"type": "INT"}]}},
        {"kind": "Select", "args": {"expressions": ["getenv('HOME')"]}},
        {"kind": "Select", "args": {"expressions": [{"kind": "Literal", "args": {
            "this": "getenv('HOME')", "is_string": False}}]}},
        {"kind": "Select", "args": {"expressions": [{"kind": "Column", "args": {
            "this": "getenv('HOME')"}}]}},
        {"kind": "Select", "args": {"expressions": [{"kind": "Cast", "args": {
            "this": {"kind": "Null", "args": {}}, "to": "INT), getenv('HOME'"}}]}},
    ],
)  # fmt: skip
def test_what_is_no_tree_of_a_query_is_refused(given):
    with pytest.raises(QueryError):
        tree_from_json(given)


def is_query(text):
    """Whether a text is read; then its tree can be sent. No other error comes of it."""
    try:
        tree = parse_query(text)
    except QueryError:
        return False
    return tree_from_json(tree_to_json(tree)) == tree or pytest.fail("another tree came back")


VOCABULARY = """
SELECT FROM WHERE GROUP BY ORDER LIMIT TOP ( ) , * = < ra dec average 1 'x' COUNT AVG AND OR NOT
JOIN ON UNION ALL AS CASE WHEN END IN NULL IS BETWEEN CONTAINS POINT CIRCLE
"""


@given(st.text(max_size=200))
def test_any_text_is_a_query_or_refused(text):
    is_query(text)


@given(st.lists(st.sampled_from(VOCABULARY.split()), max_size=25))
def test_any_words_are_a_query_or_refused(words):
    is_query("SELECT " + " ".join(words))
