"""Rules that every module keeps: size, names, exports, and one home for each third party."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source_tree import MODULES, imported, tree

MAX_LINES = 600
BANNED_NAMES = {"common", "core", "helpers", "manager", "misc", "util", "utils"}

# Modules (with all below them) that may import a third party.
HOMES = {
    "click": ("dvo.cli", "ipp_pipeline.cli"),
    "duckdb": ("dvo.query.evaluator", "dvo.database.convert", "dvo.psps.loading"),
    "fitsio": ("dvo.tables.fits", "dvo.ingest", "ipp_pipeline"),
    "lark": ("dvo.shell.expression",),
    "numba": ("dvo.jit",),
    "pandas": ("dvo.tables.convert",),
    "parsl": ("dvo.partition.engines",),
    "pickle": (),
    "prompt_toolkit": ("dvo.shell.prompt",),
    "pygments": ("dvo.shell.prompt",),
    "sqlglot": ("dvo.query",),
    "sqlite3": ("dvo.partition.manifest", "dvo.psps.batch_states"),
    "zmq": ("dvo.partition.hosts",),
}

PUBLIC = [name for name in MODULES if not name.rsplit(".", 1)[-1].startswith("_")]


def is_package(name: str) -> bool:
    return MODULES[name].name == "__init__.py"


def test_modules_are_at_most_600_lines():
    n_lines = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in MODULES.items()}
    long = {name: n for name, n in n_lines.items() if n > MAX_LINES}
    assert not long, "split them by what they hold"


def test_modules_are_named_by_what_they_hold():
    assert not [name for name in MODULES if name.rsplit(".", 1)[-1] in BANNED_NAMES]


def says_what_it_exports(name):
    return any(
        isinstance(node, ast.Assign | ast.AnnAssign)
        and "__all__" in {getattr(t, "id", "") for t in getattr(node, "targets", [])}
        for node in tree(name).body
    )


def test_public_modules_say_what_they_export():
    modules = [name for name in PUBLIC if not is_package(name)]
    assert modules
    assert not [name for name in modules if not says_what_it_exports(name)], "have no __all__"


def test_every_exported_name_exists():
    missing = {name: found for name in MODULES if (found := missing_exports(name))}
    assert not missing, "modules export names that they do not have"


def missing_exports(name):
    """Names that a module exports and does not have."""
    module = tree(name)
    exported: list[str] = []
    defined: set[str] = set()
    is_lazy = False
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            defined.add(node.name)
            is_lazy |= node.name == "__getattr__"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined.update((a.asname or a.name).split(".")[0] for a in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                defined.update(n.id for n in ast.walk(target) if isinstance(n, ast.Name))
            if "__all__" in {getattr(t, "id", "") for t in targets}:
                try:
                    exported = list(ast.literal_eval(node.value))
                except (TypeError, ValueError):
                    is_lazy = True
    if is_lazy:
        return []
    # a package may export its own modules
    return [e for e in exported if e not in defined and f"{name}.{e}" not in MODULES]


@pytest.mark.parametrize("third_party", HOMES)
def test_a_third_party_has_one_home(third_party):
    homes = HOMES[third_party]
    strangers = [
        name
        for name in MODULES
        if any(i.split(".")[0] == third_party for i in imported(name))
        and not any(name == home or name.startswith(home + ".") for home in homes)
    ]
    assert not strangers, f"{third_party} belongs in {homes}, but is imported by {strangers}"


def test_kernels_import_only_numpy_math_and_kernels():
    allowed = {
        "__future__",
        "collections.abc",
        "dvo.jit",
        "math",
        "numpy",
        "numpy.typing",
        "typing",
    }
    wrong = {}
    for name in MODULES:
        if "kernels" not in name.split("."):
            continue
        strange = {i for i in imported(name) if i not in allowed and "kernels" not in i.split(".")}
        if strange:
            wrong[name] = strange
    assert not wrong
