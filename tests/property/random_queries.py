"""Queries made at random.

Joins, conditions with NULL in all its forms, areas and distances, groups, sets, and queries in
queries. The same seed makes the same query.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["Query", "RandomQueries"]

COLUMNS = {
    "measure": ("mag", "mag_err", "m_kron", "ra", "dec", "time", "image_id", "obj_id", "photcode"),
    "average": ("ra", "dec", "obj_id", "nmeasure", "ra_err"),
    "secfilt": ("mag", "mag_err", "obj_id", "photcode"),
    "image": ("image_id", "exptime", "time", "ra_center"),
    "upload.places": ("id", "ra", "dec", "x"),
}
WITH_PLACES = ("measure", "average", "upload.places")
OUTER = ("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
AGGREGATES = (
    "COUNT(*)", "COUNT({c})", "SUM({c})", "AVG({c})", "MIN({c})", "MAX({c})", "STDDEV({c})",
    "VAR_POP({c})", "COUNT(DISTINCT {c})", "MEDIAN({c})", "MAX({c}) - MIN({c})",
    "QUANTILE_CONT({c}, 0.25)", "AVG({c} + 1) * 2", "COUNT({c}) FILTER (WHERE {c} > {v})",
    "SUM(CASE WHEN {c} > {v} THEN 1 ELSE 0 END)",
)  # fmt: skip
CONDITIONS = (
    "{c} {op} {v}", "{c} {op} {v}", "{c} BETWEEN {v} AND {w}", "{c} NOT BETWEEN {v} AND {w}",
    "{c} IN ({v}, {w})", "{c} NOT IN ({v}, {w})", "{c} NOT IN ({v}, NULL)", "{c} IS NULL",
    "{c} IS NOT NULL", "({c} < {v}) IS NULL", "({c} < {v}) IS NOT TRUE",
    "COALESCE({c}, {v}) < {w}",
    "CASE WHEN {c} < {v} THEN 1 WHEN {c} > {w} THEN NULL ELSE 0 END = 1",
    "{c} IN (SELECT image_id FROM measure WHERE mag < {w})",
)  # fmt: skip
JOINS = ((2.0, "object"), (1.0, "image"), (1.5, "place"))

Aliases = list[tuple[str, str]]
"""Names in a query, and their tables."""


@dataclass(frozen=True)
class Query:
    """One query.

    Parameters
    ----------
    text : str
        The query.
    is_ordered : bool
        Whether the order of the rows is said.
    """

    text: str
    is_ordered: bool


@dataclass(frozen=True)
class RandomQueries:
    """Makes queries about a field of the sky.

    Parameters
    ----------
    random : random.Random
        Where choices come from.
    ra, dec : float
        Middle of the field [deg].
    """

    random: Random
    ra: float
    dec: float

    def query(self) -> Query:
        """Make one query."""
        kind = self.random.random()
        if kind < 0.8:
            return self.select()
        if kind < 0.92:
            n = self.random.randint(1, 2)
            one, two = (self.select(n, may_order=False).text for _ in range(2))
            word = self.random.choice(("UNION", "UNION ALL", "INTERSECT", "EXCEPT"))
            return Query(f"{one} {word} {two}", False)
        inner = self.select(2).text
        outer = f"SELECT q.c0, COUNT(*) AS n, MAX(q.c1) AS m FROM ({inner}) AS q GROUP BY q.c0"
        return Query(outer, False)

    def select(self, n_results: int | None = None, *, may_order: bool = True) -> Query:
        """Make one SELECT, with results that are called c0, c1, ..."""
        aliases, tables = self.tables()
        where = ""
        if self.random.random() < 0.75:
            found = [self.condition(aliases) for _ in range(self.random.choice((1, 1, 2)))]
            where = f" WHERE {' AND '.join(found)}"
        n = n_results or self.random.randint(1, 3)
        results = [self.column(aliases) for _ in range(n)]
        end = ""
        if self.random.random() < 0.5:
            n_keys = self.random.randint(0, n - 1)
            end = f" GROUP BY {', '.join(results[:n_keys])}" if n_keys else ""
            results[n_keys:] = [self.aggregate(aliases) for _ in range(n - n_keys)]
            if end and self.random.random() < 0.3:
                end += " HAVING COUNT(*) > 1"
        elif may_order and self.random.random() < 0.5:
            end = self.order(n)
        named = ", ".join(f"{text} AS c{k}" for k, text in enumerate(results))
        return Query(f"SELECT {named} FROM {tables}{where}{end}", "ORDER BY" in end)

    def order(self, n: int) -> str:
        """Order by all results, so that rows that change places are the same."""
        ways = ("", " DESC", " NULLS FIRST", " DESC NULLS FIRST")
        keys = ", ".join(f"{k + 1}{self.random.choice(ways)}" for k in range(n))
        limit = f" LIMIT {self.random.randint(0, 12)}" if self.random.random() < 0.6 else ""
        offset = f" OFFSET {self.random.randint(0, 9)}" if self.random.random() < 0.3 else ""
        return f" ORDER BY {keys}{limit}{offset}"

    def tables(self) -> tuple[Aliases, str]:
        """Make what stands behind FROM."""
        if self.random.random() < 0.35:
            table = self.random.choice(list(COLUMNS))
            return [("a", table)], f"{table} AS a"
        weights, kinds = zip(*JOINS, strict=True)
        kind = self.random.choices(kinds, weights)[0]
        side = self.random.choice(OUTER)
        if kind == "place":
            table = self.random.choice(("average", "measure"))
            aliases = [("u", "upload.places"), ("a", table)]
            radius = self.random.choice(("0.01", "0.1", "u.x / 100", "5"))
            on = f"DISTANCE(u.ra, u.dec, a.ra, a.dec) < {radius}"
        elif kind == "image":
            aliases, on = [("a", "measure"), ("b", "image")], "a.image_id = b.image_id"
        else:
            aliases = [("a", self.random.choice(("average", "measure")))]
            aliases.append(("b", self.random.choice(("measure", "secfilt", "average"))))
            on = "a.cat_id = b.cat_id AND a.obj_id = b.obj_id"
        if self.random.random() < 0.4:
            on += f" AND {self.condition(aliases)}"
        (one, first), (two, second) = aliases
        return aliases, f"{first} AS {one} {side} {second} AS {two} ON {on}"

    def condition(self, aliases: Aliases, depth: int = 0) -> str:
        """Make something that is true, false or NULL."""
        kind = self.random.random()
        if depth < 2 and kind < 0.2:
            one, two = (self.condition(aliases, depth + 1) for _ in range(2))
            return f"({one} {self.random.choice(('AND', 'OR'))} {two})"
        if depth < 2 and kind < 0.3:
            return f"NOT ({self.condition(aliases, depth + 1)})"
        placed = [alias for alias, table in aliases if table in WITH_PLACES]
        if placed and kind < 0.5:
            return self.place(self.random.choice(placed), aliases)
        column = self.column(aliases)
        given = {"c": column, "v": self.value(column), "w": self.value(column)}
        operator = self.random.choice(("<", "<=", ">", ">=", "=", "<>"))
        return self.random.choice(CONDITIONS).format(**given, op=operator)

    def place(self, alias: str, aliases: Aliases) -> str:
        """Make a condition about where a row lies."""
        ra, dec, radius = self.near(0.3), self.dec_near(0.2), self.random.choice((0, 0.1, 0.3, 5))
        point, is_in = f"{alias}.ra, {alias}.dec", self.random.choice((0, 1, 1))
        kinds = ("circle", "distance", "box", "q3c")
        kind = self.random.choice(kinds if (alias, "upload.places") not in aliases else kinds[:2])
        if kind == "distance":
            return f"DISTANCE({point}, {ra}, {dec}) < {radius}"
        if kind == "q3c":
            return f"q3c_radial_query({point}, {ra}, {dec}, {radius})"
        if kind == "box":
            width, height = self.random.choice((0.1, 0.4, 90, 359.5)), self.random.choice((0.1, 1))
            return f"CONTAINS(POINT({point}), BOX({ra}, {dec}, {width}, {height})) = {is_in}"
        return f"CONTAINS(POINT({point}), CIRCLE({ra}, {dec}, {radius})) = {is_in}"

    def column(self, aliases: Aliases) -> str:
        """Choose a column."""
        alias, table = self.random.choice(aliases)
        return f"{alias}.{self.random.choice(COLUMNS[table])}"

    def aggregate(self, aliases: Aliases) -> str:
        """Make an aggregate."""
        column = self.column(aliases)
        return self.random.choice(AGGREGATES).format(c=column, v=self.value(column))

    def value(self, column: str) -> str:
        """Make a number that some rows of a column lie below and some above."""
        name = column.partition(".")[2]
        if name in ("mag", "m_kron", "x"):
            return str(round(self.random.uniform(12, 24), 2))
        if name in ("mag_err", "ra_err"):
            return self.random.choice(("0.01", "0.02", "0.05"))
        if name in ("ra", "ra_center"):
            return str(self.near(0.4))
        if name == "dec":
            return str(self.dec_near(0.3))
        if name == "time":
            return str(1_262_332_800 + self.random.randint(-2, 8) * 86_400)
        return str(self.random.randint(0, 7))

    def near(self, reach: float) -> float:
        """A right ascension in the field [deg]."""
        return round((self.ra + self.random.uniform(-reach, reach)) % 360.0, 4)

    def dec_near(self, reach: float) -> float:
        """A declination in the field [deg]."""
        return round(min(90.0, self.dec + self.random.uniform(-reach, reach)), 4)
