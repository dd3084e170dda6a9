"""Check the docstrings of public objects with numpydoc.

numpydoc reads the source, not the running objects, and so misses some things that this
script tells it: a dataclass takes its annotated fields as parameters; a property needs no
Returns section; a kernel's arguments are described by its checked wrapper; the docstring
of a click command is its help text. Where no array and no float goes in or out there is no
shape, unit or frame to state, and one line may do. The checks are chosen in pyproject.toml.

Usage: python tools/check_docstrings.py FOLDER...
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from numpydoc.hooks import validate_docstrings as hook

_QUANTITY = re.compile(r"\bfloat\b|NDArray|ndarray|ArrayLike|\b[BCFIU]\d+\b")
_COMMAND_DECORATORS = {"command", "group", "pass_context"}


def _decorators(node: ast.AST) -> set[str]:
    names = set()
    for decorator in getattr(node, "decorator_list", []):
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        names.add(target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", ""))
    return names


def _dataclass_fields(node: ast.ClassDef) -> tuple[str, ...]:
    fields = []
    for child in node.body:
        if not (isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)):
            continue
        is_class_variable = "ClassVar" in ast.unparse(child.annotation)
        is_derived = child.value is not None and "init=False" in ast.unparse(child.value)
        if not (is_class_variable or is_derived or child.target.id.startswith("_")):
            fields.append(child.target.id)
    return tuple(fields)


class _Validator(hook.AstValidator):
    """numpydoc's validator of source trees, with the parameters of dataclasses."""

    @property
    def signature_parameters(self) -> tuple[str, ...]:
        node = self.node
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            if "dataclass" in _decorators(node) or "NamedTuple" in bases:
                if not self.doc["Parameters"] and self.doc["Attributes"]:
                    return ()  # the fields are documented as attributes
                if _is_plain(node):
                    return ()
                return _dataclass_fields(node)
        return super().signature_parameters


class _Visitor(hook.DocstringVisitor):
    """numpydoc's visitor, without commands and what is nested in functions."""

    def visit(self, node: ast.AST) -> None:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and _decorators(node) & _COMMAND_DECORATORS:
            return
        if is_function and any(isinstance(n, ast.FunctionDef) for n in self.stack):
            return
        n_before = len(self.findings)
        if isinstance(node, ast.Module):
            self._visit_module(node)
            return
        super().visit(node)
        if is_function and (_decorators(node) & {"property", "cached_property", "overload"}):
            self._drop(n_before, {"RT01", "PR01"})
        elif self._is_in_kernels() or (is_function and (_is_plain(node) or _refers(node))):
            self._drop(n_before, {"PR01", "RT01"})

    def _is_in_kernels(self) -> bool:
        return "kernels" in Path(self.filepath).with_suffix("").parts

    def _visit_module(self, node: ast.Module) -> None:
        self.stack.append(node)
        for child in node.body:
            self.visit(child)
        self.stack.pop()

    def _drop(self, n_before: int, checks: set[str]) -> None:
        self.findings[n_before:] = [f for f in self.findings[n_before:] if f[2] not in checks]


def _refers(node: ast.AST) -> bool:
    """Whether a method only says whose contract it fulfils: ``See `Area`.``."""
    return (ast.get_docstring(node) or "").startswith("See `")  # type: ignore[arg-type]


def _annotations(node: ast.AST) -> Iterator[ast.expr | None]:
    """Types of what goes in and out of a function, or of a dataclass's fields."""
    if isinstance(node, ast.ClassDef):
        yield from (child.annotation for child in node.body if isinstance(child, ast.AnnAssign))
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
        yield from (a.annotation for a in every)
        yield node.returns


def _is_plain(node: ast.AST) -> bool:
    """Whether one line describes something that needs no shape, unit or frame."""
    doc = ast.get_docstring(node) or ""  # type: ignore[arg-type]
    has_quantity = any(_QUANTITY.search(ast.unparse(a)) for a in _annotations(node) if a)
    return "\n" not in doc and not has_quantity


def main(folders: list[str]) -> int:
    """Print what is wrong, one line each; 1 if anything is."""
    hook.AstValidator = _Validator
    config = hook.parse_config(".")
    n_bad = 0
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            visitor = _Visitor(filepath=str(path), config=config)
            visitor.visit(ast.parse(path.read_text(), str(path)))
            for where, name, check, text in visitor.findings:
                print(f"{where}: {name.rsplit('.', 1)[-1]}: {check} {text}")
                n_bad += 1
    return int(n_bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
