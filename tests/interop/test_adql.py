"""ADQL: another parser, made from the grammar of the standard, reads what we read.

queryparser-python3 (https://github.com/aipescience/queryparser) has no code in common with
sqlglot. What it knows of ADQL 2.0 and 2.1 and we do not, or the other way round, is listed here.
"""

from __future__ import annotations

import random
import re

import pytest
from queryparser.adql import ADQLQueryTranslator
from queryparser.exceptions import QuerySyntaxError

from dvo.errors import QueryError
from dvo.query.adql import parse_query
from dvo.query.names import upload_sources, upload_tables
from dvo.query.plan import plan_query
from dvo.query.sources import sources_of
from dvo.tables.photcode import PhotClass, PhotcodeTable
from tests.unit.query.test_adql import HOSTILE, MISREAD
from tests.unit.query.test_corpus import ORDERED, UNORDERED

CORPUS = [text.format(ra=10.5, dec=-2.25) for text in (*UNORDERED, *ORDERED)]
EXTENSIONS = {
    r"\bLIMIT\b": "ADQL has TOP and, since 2.1, OFFSET",
    r"\bNULLS (FIRST|LAST)\b": "no order of missing values in ADQL",
    r"\bCASE\b": "no CASE in ADQL",
    r"\bCAST\b": "optional in ADQL 2.1, and this parser does without",
    r"\b(COALESCE|NULLIF|GREATEST|LEAST)\(": "no choice between values but COALESCE of ADQL 2.1, "
    "which is optional",
    r"\b(UPPER|LOWER|LENGTH)\(": "optional in ADQL 2.1, and this parser does without",
    r"<<": "no shifts of bits in ADQL",
    r"\bFILTER \(": "no filters of aggregates in ADQL",
    r"\bOVER \(": "no windows in ADQL",
    r"\bCROSS JOIN\b": "written with a comma in ADQL",
    r"(= |, )\(SELECT": "queries are values in IN and EXISTS only",
    r"^((?!FROM).)*$": "every query of ADQL is of a table",
}
"""What ours has besides ADQL, as this parser knows it, and what the standard says instead."""

STANDARD = (
    "SELECT DISTINCT TOP 5 ra, dec FROM average ORDER BY ra DESC, dec ASC OFFSET 5",
    "SELECT ALL ra FROM average",
    'SELECT a.*, m.mag AS "the magnitude" FROM average AS a JOIN measure AS m USING (cat_id)',
    "SELECT a.ra FROM average a LEFT OUTER JOIN measure m ON a.obj_id = m.obj_id",
    "SELECT a.ra FROM average a FULL JOIN measure m ON a.cat_id = m.cat_id AND a.obj_id = m.obj_id",
    "SELECT q.ra FROM (SELECT ra FROM average) AS q",
    "(SELECT ra FROM average) UNION (SELECT ra FROM measure)",
    "SELECT TRUNCATE(ra, 2), MOD(obj_id, 3), ATAN2(ra, dec), COT(ra), CBRT(ra), PI() FROM average",
    "SELECT obj_id ^ 3, ~obj_id, 0x1F FROM average",
    "SELECT 1e5, .5, 5., 1.5E-3, -ra, 'it''s' FROM average WHERE ra <> 5 AND ra != 6",
    "SELECT COUNT(ALL ra), COUNT(DISTINCT ra) FROM average HAVING COUNT(*) > 1",
    "SELECT ROUND(ra, 1) FROM average GROUP BY ROUND(ra, 1)",
    "SELECT ra FROM average WHERE 1 = INTERSECTS(BOX('ICRS', 10, 20, 1, 1), POINT(ra, dec))",
    "SELECT ra FROM average WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(1, 1, 2, 1, 2, 2))",
    "SELECT AREA(CIRCLE(1, 2, 3)), COORDSYS(POINT('ICRS', ra, dec)) FROM average",
)
REFUSED_HERE = {
    "SELECT RAND() FROM average": "no function RAND",
    "SELECT IN_UNIT(ra, 'deg') FROM average": "no function IN_UNIT",
    "SELECT REGION('POSITION ICRS 1 2') FROM average": "no function REGION",
    "SELECT ivo_hasword(ra, 'b') FROM average": "no function IVO_HASWORD",
}
"""Standard functions that we do not have: random; optional; of ADQL 2.0; of the registry."""


def is_adql(text: str) -> bool:
    """Whether the other parser reads a text; it wants an end mark."""
    # It takes what stands behind the first end mark for nothing.
    if ";" in text.rstrip().rstrip(";"):
        return False
    try:
        ADQLQueryTranslator(text).parse()
    except QuerySyntaxError:
        return False
    return True


def is_ours(text: str) -> bool:
    """Whether we can plan a query."""
    codes = PhotcodeTable().add("g", PhotClass.SEC).add("r", PhotClass.SEC)
    places = upload_tables({"places": {"id": [1], "ra": [1.0], "dec": [2.0]}})
    try:
        plan_query(text, {**sources_of(codes), **upload_sources(places)})
    except QueryError:
        return False
    return True


def extensions_in(text: str) -> list[str]:
    return [why for mark, why in EXTENSIONS.items() if re.search(mark, " ".join(text.split()))]


@pytest.mark.parametrize("text", CORPUS)
def test_the_corpus_is_adql_or_a_listed_extension(text):
    assert is_ours(text)
    assert is_adql(text) is not bool(extensions_in(text))


def test_most_of_the_corpus_is_adql():
    n_extended = sum(bool(extensions_in(text)) for text in CORPUS)
    assert len(CORPUS) >= 80
    assert n_extended < len(CORPUS) / 5
    for mark in EXTENSIONS:
        assert any(re.search(mark, " ".join(text.split())) for text in CORPUS), (
            f"nothing has {mark}"
        )


@pytest.mark.parametrize("text", STANDARD)
def test_standard_forms_are_read(text):
    assert is_adql(text)
    assert is_ours(text)


@pytest.mark.parametrize("text", REFUSED_HERE)
def test_functions_that_are_not_here_are_named(text):
    assert is_adql(text)
    with pytest.raises(QueryError, match=REFUSED_HERE[text]):
        parse_query(text)


_NO_FUNCTIONS = "getenv read_text version current_setting nextval pg_sleep repeat xp_cmdshell"
THEIRS = {
    rf"\b({_NO_FUNCTIONS.replace(' ', '|')})\(": "any function may be one of the user",
    r"PERCENT|ra, FROM": "a column called PERCENT or FROM: few words are its own",
    r"\d{16}": "numbers of any size",
    r"5ra": "no space between a number and a name",
    r"[][{}#$\0@]": "characters of no meaning are passed over",
}
"""What the other parser takes and we refuse."""


@pytest.mark.parametrize("text", [*MISREAD, *HOSTILE])
def test_what_we_refuse_is_no_adql(text):
    assert is_adql(text) <= any(re.search(mark, text) for mark in THEIRS)


_WORD = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|[A-Za-z_][A-Za-z0-9_.]*|\d+\.?\d*|<>|!=|<=|>=|\|\||<<|\S"
)


def damaged(text: str, words: list[str], rng: random.Random) -> str:
    """A query with one or two words lost, doubled, changed or in the wrong order."""
    found = _WORD.findall(text)
    for _ in range(rng.choice([1, 1, 1, 2])):
        k = rng.randrange(len(found))
        match rng.randrange(5):
            case 0 if len(found) > 1:
                del found[k]
            case 1:
                found.insert(k, found[k])
            case 2:
                found.insert(k, rng.choice(words))
            case 3:
                found[k] = rng.choice(words)
            case _:
                found[k : k + 2] = found[k : k + 2][::-1]
    return " ".join(found)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_queries_are_refused_by_both(seed):
    """What their grammar refuses and we accept is little more than the extensions."""
    rng = random.Random(seed)
    texts = [text for text in CORPUS if not extensions_in(text)]
    words = sorted({word for text in CORPUS for word in _WORD.findall(text)})
    refused = accepted = 0
    taken = []
    for _ in range(400):
        text = damaged(rng.choice(texts), words, rng)
        if is_adql(text):
            accepted += 1
        else:
            refused += 1
            if is_ours(text) and not extensions_in(text):
                taken.append(text)
    assert accepted > 20
    # Names of functions and types as names of results, NOT and comparisons as values.
    assert len(taken) < 0.03 * refused, "\n".join(taken)
