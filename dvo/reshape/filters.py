"""Average filters added to a database, or dropped: SecFilt is laid out anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dvo.errors import PhotcodeError
from dvo.partition.region_batches import region_batches
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.photcode import PHOTCODE, PhotClass, PhotcodeTable
from dvo.tables.secfilt import SECFILT

__all__ = ["add_filter", "drop_filter"]

_FORESEEN = 2000


def add_filter(store: Store, name: str, after: str | None = None) -> int:
    """Add an average filter, in one commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    name : str
        Name of the filter.
    after : str, optional
        Filter that it is to follow; None for the last.

    Returns
    -------
    int
        The newest snapshot now.

    Raises
    ------
    PhotcodeError
        If the name is taken, or there is no such filter to follow.
    """
    view = store.view()
    if name in {p.name for p in view.photcodes}:
        raise PhotcodeError(
            f"there is a photcode {name!r} already (dvo photcode list); name the filter otherwise"
        )
    longer = view.photcodes.add(name, PhotClass.SEC)
    *rest, new = longer.photcodes
    last = view.photcodes.sec[-1].name if after is None else after
    before = view.photcodes.get(last, PhotClass.SEC)
    if before.kind is not PhotClass.SEC:
        raise PhotcodeError(f"{last} is no average filter, so {name} cannot follow it")
    at = rest.index(before) + 1
    table = PhotcodeTable((*rest[:at], new, *rest[at:]))
    return _lay_out(store, view, table, {"add": name, "after": last})


def drop_filter(store: Store, name: str) -> int:
    """Drop an average filter and its means (SecFilt, LensObj), in one commit; measures stay.

    Photcodes that belonged to it stay, too, and belong to no average.

    Parameters
    ----------
    store : Store
        Open for writing.
    name : str
        Name of the filter.

    Returns
    -------
    int
        The newest snapshot now.

    Raises
    ------
    PhotcodeError
        If there is no such filter, it is the only one, or a colour term needs it.
    """
    view = store.view()
    gone = view.photcodes.get(name, PhotClass.SEC)
    if gone.kind is not PhotClass.SEC:
        raise PhotcodeError(f"{name} is no average filter")
    if len(view.photcodes.sec) == 1:
        raise PhotcodeError(f"{name} is the only average filter; a database needs one")
    users = [p.name for p in view.photcodes if gone.code in p.color_codes and p.color_terms]
    if users:
        raise PhotcodeError(
            f"colour terms of {', '.join(users)} are made with {name}; change these first"
        )
    kept = []
    for photcode in view.photcodes:
        if photcode == gone or (photcode.kind is PhotClass.ALT and photcode.code == gone.code):
            continue
        kept.append(replace(photcode, equiv=0) if photcode.equiv == gone.code else photcode)
    return _lay_out(store, view, PhotcodeTable(tuple(kept)), {"drop": name}, dropped=gone.code)


def _lay_out(
    store: Store, view: View, table: PhotcodeTable, params: dict[str, str], *, dropped: int = 0
) -> int:
    """Write SecFilt of every region for other filters; `dropped` is the code of one that goes."""
    old = [p.name for p in view.photcodes.sec]
    # Row of the old filter that each new one takes over; -1 for none.
    source = np.array([old.index(p.name) if p.name in old else -1 for p in table.sec])
    with store.begin("secfilt", params, view) as change:
        columns = {n.lower(): v for n, v in table.to_columns().items()}
        change.put_global(ColumnTable(PHOTCODE, columns), "Photcodes", replace_all=True)
        # Means of objects are fewer than measures, so batches of these are small enough.
        for i, some in enumerate(region_batches(view, view.regions())):
            parts = view.part_table(some)
            change.drop_parts(parts.take(parts.are(table=SECFILT.name)))
            stored, edges = view.read_many(SECFILT, some, SECFILT.stored_names)
            rows = _with_filters(stored, view.n_secfilt, source)
            change.add_rows(rows, some, edges // view.n_secfilt * len(source), label=f"f{i}")
            change.wait()
        if dropped:
            _drop_lensing_means(change, view, dropped)
        return change.commit().id


def _with_filters(stored: ColumnTable, n_old: int, source: NDArray[np.int64]) -> ColumnTable:
    """Lay out the means of objects for other filters."""
    n_objects, n_new = len(stored) // n_old, len(source)
    columns = {}
    for name, values in stored.columns.items():
        out = SECFILT[name].nulls(n_objects * n_new).reshape(n_objects, n_new)
        out[:, source >= 0] = values.reshape(n_objects, n_old)[:, source[source >= 0]]
        columns[name] = out.ravel()
    return ColumnTable(SECFILT, columns, n_objects * n_new)


def _drop_lensing_means(change: Transaction, view: View, code: int) -> None:
    """Drop the rows of LensObj in a filter; `code` is its photcode."""
    regions = view.regions()
    for start in range(0, len(regions), _FORESEEN):
        parts = view.part_table(regions[start : start + _FORESEEN])
        parts = parts.take(parts.are(table=LENSOBJ.name))
        some = np.unique(parts.regions).tolist()
        if not some:
            continue
        table, runs = view.read_many(LENSOBJ, some, LENSOBJ.stored_names)
        stays = table["photcode"] != code
        change.drop_parts(parts)
        label = f"f{start}"
        edges = np.concatenate([[0], np.cumsum(stays)])[runs]
        change.add_rows(table.take(stays), some, edges, label=label)
        # Objects are numbered through the regions.
        starts = np.cumsum([0, *(row.n_average for row in view.catalogs(some).values())])
        objects = np.repeat(starts[:-1], np.diff(runs)) + table["ave_ref"]
        counts = np.bincount(objects[stays], minlength=int(starts[-1]))
        had = np.unique(objects)
        edges = np.searchsorted(had, starts)
        patch = ColumnTable(AVERAGE, {"nlensobj": counts[had].astype(np.uint32)})
        ave_ref = had - np.repeat(starts[:-1], np.diff(edges))
        change.patch_rows(ave_ref, patch, some, edges, label=f"{label}.{LENSOBJ.suffix}")
        change.wait()
