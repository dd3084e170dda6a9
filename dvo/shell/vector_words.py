"""Words that work on vectors: create, subset, sort, histogram, vstat and their like."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dvo.errors import StorageError
from dvo.shell.call import Call, Word
from dvo.shell.scope import MOST_ELEMENTS

__all__ = ["WORDS"]

_MOST_CHARACTERS = 500_000_000


def _create(call: Call) -> None:
    name, first, last, *steps = call.need(3, 4)
    start, stop = call.number(first), call.number(last)
    step = call.number(steps[0]) if steps else 1.0
    if step == 0.0 or not np.isfinite([start, stop, step]).all():
        raise call.error("never ends: give a step that is not 0")
    count = max(0.0, np.ceil((stop - start) / step))
    if count > MOST_ELEMENTS:
        raise call.error(f"would have {count:.0f} elements, at most {MOST_ELEMENTS} are possible")
    call.shell.scope.set_vector(call.new_name(name), start + step * np.arange(int(count)))


def _delete(call: Call) -> None:
    is_quiet = call.take_flag("-q")
    scope = call.shell.scope
    for part in call.parts:
        if scope.vectors.pop(part.text, None) is None and not is_quiet:
            raise call.error(f"there is no vector {part.text!r}", part)


def _subset(call: Call) -> None:
    at = next((p for p in call.parts if p.text == "if"), None)
    text = call.place.text
    if at is None or "=" not in text[: at.start]:
        raise call.misuse()
    sign = text.index("=")
    name = text[call.parts[0].start : sign].strip()
    values = call.expression(sign + 1, at.start)
    kept = call.expression(at.end)
    if not isinstance(values, np.ndarray):
        raise call.error("a vector is needed before 'if'")
    rows = np.broadcast_to(np.asarray(kept) != 0, values.shape) if np.ndim(kept) == 0 else kept
    if len(np.asarray(rows)) != len(values):
        raise call.error(
            f"the condition has {len(np.asarray(rows))} elements and the vector {len(values)}", at
        )
    made = values[np.asarray(rows) != 0]
    call.shell.scope.set_vector(name, made)


def _sort(call: Call) -> None:
    is_down = call.take_flag("-r")
    parts = call.need(1, 100)
    key = call.vector(parts[0])
    order = np.argsort(key, kind="stable")
    others = [call.vector(part) for part in parts]
    for part, values in zip(parts, others, strict=True):
        if len(values) != len(key):
            raise call.error(f"has {len(values)} elements, and {parts[0].text} {len(key)}", part)
    for part, values in zip(parts, others, strict=True):
        call.shell.scope.set_vector(part.text, values[order[::-1] if is_down else order])


def _uniq(call: Call) -> None:
    source, target = call.need(2)
    call.shell.scope.set_vector(call.new_name(target), np.unique(call.vector(source)))


def _concat(call: Call) -> None:
    source, target = call.need(2)
    scope = call.shell.scope
    added = scope.vectors.get(source.text)
    values = np.atleast_1d(call.number(source)) if added is None else added
    name = call.new_name(target)
    old = scope.vectors.get(name)
    if old is not None and (old.dtype.kind in "US") != (values.dtype.kind in "US"):
        raise call.error("vectors hold numbers or text, not both", source)
    scope.set_vector(name, values if old is None else np.concatenate([old, values]))


def _reindex(call: Call) -> None:
    texts = call.texts
    if len(texts) != 5 or texts[1] != "=" or texts[3].lower() != "using":
        raise call.misuse()
    values, index = call.vector(call.parts[2]), call.floats(call.parts[4])
    rows = index.astype(np.int64)
    if not np.array_equal(rows, index) or (len(rows) and not (
        -len(values) <= rows.min() and rows.max() < len(values)
    )):  # fmt: skip
        raise call.error(f"{texts[4]} does not count elements of {texts[2]}", call.parts[4])
    call.shell.scope.set_vector(call.new_name(call.parts[0]), values[rows])


def _vstat(call: Call) -> None:
    is_quiet = call.take_flag("-q")
    (part,) = call.need(1)
    values = call.floats(part)
    good = values[np.isfinite(values)]
    found = {"NPTS": float(len(good)), "NNAN": float(len(values) - len(good))}
    names = ("MIN", "MAX", "MEAN", "MEDIAN", "SIGMA", "TOTAL")
    if len(good):
        numbers = (good.min(), good.max(), good.mean(), np.median(good), good.std(), good.sum())
    else:
        numbers = (np.nan,) * 5 + (0.0,)
    found |= {n: float(v) for n, v in zip(names, numbers, strict=True)}
    for name, value in found.items():
        call.shell.scope.set_number(name, value)
    if not is_quiet:
        call.shell.screen.say("  ".join(f"{n} {v:.8g}" for n, v in found.items()))


def _histogram(call: Call) -> None:
    source, target, low, high, *steps = call.need(4, 5)
    start, stop = call.number(low), call.number(high)
    step = call.number(steps[0]) if steps else 1.0
    if not (step > 0.0 and stop > start and np.isfinite([start, stop]).all()):
        raise call.misuse()
    count = np.ceil((stop - start) / step)
    if count > MOST_ELEMENTS:
        raise call.error(f"would have {count:.0f} bins, at most {MOST_ELEMENTS} are possible")
    edges = start + step * np.arange(int(count) + 1)
    values = call.floats(source)
    found, _ = np.histogram(values[np.isfinite(values) & (values < edges[-1])], edges)
    call.shell.scope.set_vector(call.new_name(target), found)


def _vectors(call: Call) -> None:
    call.need(0)
    kinds = {"i": "int", "f": "float"}
    lines = [
        f"{name:24s} {len(v):10d} {kinds.get(v.dtype.kind, 'text')}"
        for name, v in sorted(call.shell.scope.vectors.items())
    ]
    call.shell.screen.say("\n".join(lines) if lines else "no vectors")


def _write(call: Call) -> None:
    path, *names = call.need(2, 200)
    columns = [call.vector(part) for part in names]
    if len({len(c) for c in columns}) > 1:
        raise call.error("the vectors have different lengths")
    lines = (" ".join(str(v) for v in row) + "\n" for row in zip(*columns, strict=True))
    try:
        with Path(path.text).open("x", encoding="utf-8") as file:
            file.writelines(lines)
    except FileExistsError:
        raise StorageError(f"{path.text}: exists already; take another name") from None
    except (OSError, ValueError) as err:
        raise StorageError(
            f"{path.text}: cannot be written ({getattr(err, 'strerror', None) or err})"
        ) from err


def _read(call: Call) -> None:
    path, *pairs = call.need(3, 201)
    if len(pairs) % 2:
        raise call.misuse()
    numbers = [call.number(part) for part in pairs[1::2]]
    if any(n < 1 or n != int(n) for n in numbers):
        raise call.error("columns are counted from 1")
    try:
        with Path(path.text).open(encoding="utf-8") as file:
            text = file.read(_MOST_CHARACTERS + 1)  # a device may have no end
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or "is no text"
        raise StorageError(f"{path.text}: cannot be read ({reason})") from err
    if len(text) > _MOST_CHARACTERS:
        raise StorageError(f"{path.text}: has more than {_MOST_CHARACTERS} characters; use SQL")
    lines = text.split("\n")
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    for part, number in zip(pairs[::2], numbers, strict=True):
        k = int(number) - 1
        words = [row[k] if k < len(row) else "nan" for row in rows]
        try:
            values = np.array(words, np.float64)
        except ValueError:
            values = np.array(words, str)
        call.shell.scope.set_vector(call.new_name(part), values)


WORDS = (
    Word("concat", "VECTOR|NUMBER TARGET", "put elements behind those of another vector", _concat),
    Word("create", "VECTOR START STOP [STEP]", "numbers from START, below STOP", _create),
    Word("vcreate", "VECTOR START STOP [STEP]", "the same as create", _create),
    Word("delete", "[-q] VECTOR ...", "forget vectors", _delete),
    Word("histogram", "VECTOR TARGET LOW HIGH [STEP]", "count values in bins", _histogram),
    Word("read", "FILE VECTOR COLUMN ...", "read columns of a text file", _read),
    Word("reindex", "TARGET = VECTOR using INDEX", "take elements by their numbers", _reindex),
    Word("sort", "[-r] VECTOR [OTHER ...]", "sort vectors by the first", _sort),
    Word("subset", "TARGET = EXPRESSION if (CONDITION)", "elements for which a condition holds",
         _subset),
    Word("uniq", "VECTOR TARGET", "the different values of a vector, in order", _uniq),
    Word("vectors", "", "list the vectors", _vectors),
    Word("vstat", "[-q] VECTOR", "set $MIN $MAX $MEAN $MEDIAN $SIGMA $TOTAL $NPTS $NNAN", _vstat),
    Word("vstats", "[-q] VECTOR", "the same as vstat", _vstat),
    Word("write", "FILE VECTOR ...", "write vectors to a text file", _write),
)  # fmt: skip
