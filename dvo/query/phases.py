"""A SELECT in two phases: what is done in each group of regions, and what with all of them.

Counts, sums, means and scatters are put together from those of the groups; the first rows
in some order are the first of the first rows of each group. What cannot be put together so
(medians, distinct counts, windows) has its rows brought together first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sqlglot import exp

from dvo.errors import QueryError

__all__ = ["PARTS", "Phases", "split"]

PARTS = "parts"
"""Name of the table of all groups together, in the second phase."""

_SCATTER: tuple[type[exp.Func], ...] = (
    exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop,
)  # fmt: skip
_POPULATION = (exp.StddevPop, exp.VariancePop)
_ROOT = (exp.Stddev, exp.StddevPop, exp.StddevSamp)


@dataclass(frozen=True)
class Phases:
    """A SELECT, split.

    Parameters
    ----------
    first : sqlglot.exp.Select
        For each group of regions, over the tables of the SELECT.
    last : sqlglot.exp.Select or None
        Over `PARTS`, the results of all groups one after the other; None if these are the
        result.
    limit : int or None
        Rows after which no further group is needed, where `last` is None.
    """

    first: exp.Select
    last: exp.Select | None
    limit: int | None = None


def split(select: exp.Select) -> Phases:
    """Split a SELECT.

    Parameters
    ----------
    select : sqlglot.exp.Select
        A SELECT whose names are resolved, without geometry. It is not changed.

    Returns
    -------
    Phases
        The two phases. The columns of the result are those of the SELECT, in its order.
    """
    select = _plain_references(select.copy())
    aggregates = [a for e in _outputs(select) for a in e.find_all(exp.AggFunc)]
    is_windowed = any(e.find(exp.Window) for e in _outputs(select))
    is_grouped = bool(aggregates) or select.args.get("group") is not None
    if select.args.get("distinct") is not None and not is_grouped and not is_windowed:
        group = exp.Group(expressions=[_bare(p).copy() for p in select.expressions])
        select.set("distinct", None)
        select.set("group", group)
        is_grouped = True
    if is_windowed or not all(_is_partial(a) for a in aggregates) or select.args.get("distinct"):
        return _gather_rows(select)
    return _group_twice(select) if is_grouped else _order_twice(select)


def _outputs(select: exp.Select) -> list[exp.Expr]:
    """Expressions of a SELECT that see its groups, where there are any."""
    clauses = [select.args.get("having"), select.args.get("order")]
    return [*select.expressions, *(c for c in clauses if c is not None)]


def _bare(node: exp.Expr) -> exp.Expr:
    return cast("exp.Expr", node.this) if isinstance(node, exp.Alias) else node


def _plain_references(select: exp.Select) -> exp.Select:
    """Replace numbers and names of results in GROUP BY, HAVING and ORDER BY by what they are."""
    results = {p.alias_or_name.lower(): _bare(p) for p in select.expressions}

    def meant(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in results:
            return exp.paren(results[node.name.lower()].copy())
        return node

    for clause in ("group", "order"):
        found = select.args.get(clause)
        for key in found.expressions if found is not None else ():
            holder = key if isinstance(key, exp.Ordered) else None
            value = holder.this if holder is not None else key
            if isinstance(value, exp.Literal) and not value.is_string:
                value.replace(_bare(_numbered(select, value)).copy())
    for clause in ("group", "having", "order"):
        found = select.args.get(clause)
        if found is not None:
            select.set(clause, found.transform(meant))
    return select


def _numbered(select: exp.Select, number: exp.Expr) -> exp.Expr:
    k = int(number.name) if number.name.isdigit() else 0
    if not 1 <= k <= len(select.expressions):
        raise QueryError(f"query: there is no result {number.name} to group or order by")
    return cast("exp.Expr", select.expressions[k - 1])


def _is_partial(node: exp.AggFunc) -> bool:
    """Whether an aggregate can be put together from those of groups."""
    if isinstance(node.parent, exp.Filter):
        return False
    if isinstance(node, exp.Count):
        return not isinstance(node.this, exp.Distinct) and not node.expressions
    plain = isinstance(node, (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.AnyValue, *_SCATTER))
    return plain and not isinstance(node.this, exp.Distinct) and not node.expressions


class _Columns:
    """Columns that the first phase hands to the second."""

    def __init__(self) -> None:
        self.made: list[exp.Expr] = []
        self._centred: dict[str, exp.Column] = {}

    def add(self, node: exp.Expr) -> exp.Column:
        """Have an expression made; gives the column of the second phase."""
        for k, known in enumerate(self.made):
            if known == node:
                return _column(k)
        self.made.append(node.copy())
        return _column(len(self.made) - 1)

    def centre(self, column: exp.Column) -> exp.Column:
        """Have the mean of a column over the parts with the same keys beside each part."""
        name = f"centre_of_{column.name}"
        self._centred[name] = column
        return exp.column(name, table=PARTS)

    def parts(self, keys: Sequence[exp.Column]) -> exp.From:
        """What the second phase selects from."""
        if not self._centred:
            return exp.From(this=exp.to_table(PARTS))
        by = [key.copy() for key in keys]
        means = [
            exp.alias_(exp.Window(this=exp.Avg(this=c.copy()), partition_by=by, over="OVER"), name)
            for name, c in self._centred.items()
        ]
        rows = exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier(PARTS)), *means)
        return exp.From(this=rows.from_(PARTS).subquery(PARTS))

    def aliased(self) -> list[exp.Expr]:
        """What the first phase selects."""
        return [exp.alias_(node.copy(), f"c{k}") for k, node in enumerate(self.made)]


def _column(k: int) -> exp.Column:
    return exp.column(f"c{k}", table=PARTS)


def _core(select: exp.Select, columns: _Columns) -> exp.Select:
    """The first phase without an order: the same tables and conditions, other results."""
    kept = {k: v for k, v in select.args.items() if k in ("from_", "joins", "where")}
    core = exp.Select(**{k: v.copy() if not isinstance(v, list) else [j.copy() for j in v]
                         for k, v in kept.items() if v})  # fmt: skip
    core.set("expressions", columns.aliased())
    return core


def _over_parts(select: exp.Select, change: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
    """The second phase: the same results, order and limit, with other expressions."""
    last = exp.Select()
    results = [(p.alias_or_name, change(_bare(p).copy())) for p in select.expressions]
    last.set("expressions", [exp.alias_(value, name, quoted=True) for name, value in results])
    last.set("from_", exp.From(this=exp.to_table(PARTS)))
    for clause in ("having", "order"):
        found = select.args.get(clause)
        if found is not None:
            last.set(clause, change(found.copy()))
    for clause in ("distinct", "limit", "offset"):
        found = select.args.get(clause)
        if found is not None:
            last.set(clause, found.copy())
    return last


def _gather_rows(select: exp.Select) -> Phases:
    columns = _Columns()

    def change(node: exp.Expr) -> exp.Expr:
        return node.transform(lambda n: columns.add(n) if isinstance(n, exp.Column) else n)

    last = _over_parts(select, change)
    group = select.args.get("group")
    if group is not None:
        keys = [_not_numbered(_bare_paren(change(k.copy()))) for k in group.expressions]
        last.set("group", exp.Group(expressions=keys))
    if not columns.made:
        columns.add(exp.Literal.number(1))
    return Phases(_core(select, columns), last)


def _order_twice(select: exp.Select) -> Phases:
    columns = _Columns()
    for projection in select.expressions:
        columns.made.append(_bare(projection).copy())  # also where two are the same
    n_results = len(columns.made)
    order, wanted = select.args.get("order"), _rows_wanted(select)
    keys = [columns.add(key.this) for key in order.expressions] if order is not None else []
    core = _core(select, columns)
    if order is None and select.args.get("offset") is None:
        return Phases(core, None, wanted)
    last = exp.Select()
    names = [p.alias_or_name for p in select.expressions]
    last.set("expressions", [exp.alias_(_column(k), n, quoted=True) for k, n in enumerate(names)])
    last.set("from_", exp.From(this=exp.to_table(PARTS)))
    if order is not None:
        sorted_by = order.copy()
        for key, column in zip(sorted_by.expressions, keys, strict=True):
            key.set("this", column.copy())
        last.set("order", sorted_by)
    for clause in ("limit", "offset"):
        if select.args.get(clause) is not None:
            last.set(clause, select.args[clause].copy())
    if wanted is not None and order is not None:
        core.set("order", order.copy())
        core.set("limit", exp.Limit(expression=exp.Literal.number(wanted)))
    assert n_results <= len(columns.made)
    return Phases(core, last)


def _rows_wanted(select: exp.Select) -> int | None:
    """Rows up to the last one that is wanted; None if all are."""
    limit, offset = select.args.get("limit"), select.args.get("offset")
    if limit is None:
        return None
    return _whole_number(limit) + (0 if offset is None else _whole_number(offset))


def _whole_number(clause: exp.Expr) -> int:
    value = clause.args.get("expression") or clause.args.get("count")
    if not isinstance(value, exp.Literal) or value.is_string or not value.name.isdigit():
        raise QueryError(f"query: {clause.sql().strip()}: has to be a whole number")
    return int(value.name)


def _group_twice(select: exp.Select) -> Phases:
    columns = _Columns()
    group = select.args.get("group")
    keys = [_bare_paren(k) for k in group.expressions] if group is not None else []
    key_columns = [columns.add(key) for key in keys]

    def change(node: exp.Expr) -> exp.Expr:
        return node.transform(replaced)

    def replaced(node: exp.Expr) -> exp.Expr:
        for key, column in zip(keys, key_columns, strict=True):
            if node == key:
                return column.copy()
        return _combined(node, columns) if isinstance(node, exp.AggFunc) else node

    last = _over_parts(select, change)
    for clause in ("expressions", "having", "order"):
        for node in _listed(last.args.get(clause)):
            _assert_grouped(node)
    last.set("from_", columns.parts(key_columns))
    core = _core(select, columns)
    if keys:
        last.set("group", exp.Group(expressions=[c.copy() for c in key_columns]))
        core.set("group", exp.Group(expressions=[_not_numbered(k) for k in keys]))
    return Phases(core, last)


def _not_numbered(key: exp.Expr) -> exp.Expr:
    """A key that is a number itself, as the evaluator would not read it: the first result."""
    value = key.this if isinstance(key, exp.Neg) else key
    is_number = isinstance(value, exp.Literal) and not value.is_string
    return exp.cast(key.copy(), "double") if is_number else key.copy()


def _bare_paren(node: exp.Expr) -> exp.Expr:
    return _bare_paren(node.this) if isinstance(node, exp.Paren) else node


def _listed(found: object) -> list[exp.Expr]:
    if isinstance(found, list):
        return found
    return [found] if isinstance(found, exp.Expr) else []


def _assert_grouped(node: exp.Expr) -> None:
    for column in node.find_all(exp.Column):
        if column.table != PARTS:
            raise QueryError(
                f"query: column {column.sql()} must be in GROUP BY, or inside an aggregate such "
                "as AVG"
            )


def _combined(node: exp.AggFunc, columns: _Columns) -> exp.Expr:
    """The aggregate of all rows from those of the groups."""
    if isinstance(node, exp.Count):
        total = exp.Sum(this=columns.add(node))
        return exp.cast(exp.Coalesce(this=total, expressions=[exp.Literal.number(0)]), "bigint")
    if isinstance(node, exp.Min | exp.Max | exp.Sum | exp.AnyValue):
        return type(node)(this=columns.add(node))
    n = columns.add(exp.Count(this=node.this.copy()))
    if isinstance(node, exp.Avg):
        added = columns.add(exp.Sum(this=exp.cast(node.this.copy(), "double")))
        return _ratio(exp.Sum(this=added), exp.Sum(this=n))
    return _scatter(node, columns, n)


def _scatter(node: exp.AggFunc, columns: _Columns, n: exp.Column) -> exp.Expr:
    """Variance from the numbers, means and squared deviations of the groups."""
    value = exp.cast(node.this.copy(), "double")
    mean = columns.add(exp.Avg(this=value))
    spread = columns.add(
        exp.Mul(this=exp.VariancePop(this=value.copy()), expression=exp.Count(this=value.copy()))
    )
    total = exp.Sum(this=n.copy())
    # From a value among them: squares of what is far from 0 would leave no digits.
    off = exp.paren(exp.Sub(this=mean.copy(), expression=columns.centre(mean)))
    weighted = exp.Mul(this=n.copy(), expression=off)
    squares = exp.Sum(this=exp.Mul(this=weighted.copy(), expression=off.copy()))
    first = exp.Sum(this=weighted)
    between = exp.Sub(
        this=squares, expression=_ratio(exp.Mul(this=first, expression=first.copy()), total)
    )
    deviations = exp.Add(
        this=exp.Sum(this=spread),
        expression=exp.Greatest(this=exp.paren(between), expressions=[exp.Literal.number(0)]),
    )
    least = 0 if isinstance(node, _POPULATION) else 1
    number = exp.Sub(this=total.copy(), expression=exp.Literal.number(least))
    variance = _ratio(exp.paren(deviations), exp.paren(number))
    return exp.Sqrt(this=variance) if isinstance(node, _ROOT) else variance


def _ratio(one: exp.Expr, two: exp.Expr) -> exp.Expr:
    """A quotient that is null where there is nothing to divide by."""
    return exp.Div(
        this=exp.paren(one), expression=exp.Nullif(this=two, expression=exp.Literal.number(0))
    )
