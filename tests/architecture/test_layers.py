"""Every package is known to the contracts that import-linter checks."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.architecture.source_tree import MODULES, ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = SETTINGS["tool"]["importlinter"]["contracts"]


def placed() -> dict[str, set[str]]:
    """Names that have a place, by container."""
    found: dict[str, set[str]] = {}
    for contract in CONTRACTS:
        for container in contract.get("containers", []):
            names = re.findall(r"[a-z_0-9]+", " ".join(contract["layers"]))
            found.setdefault(container, set()).update(names)
    return found


@pytest.mark.parametrize("container", sorted(placed()))
def test_every_module_has_its_layer(container):
    prefix = container + "."
    children = {name[len(prefix) :].split(".")[0] for name in MODULES if name.startswith(prefix)}
    missing = children - placed()[container]
    assert not missing, f"give {sorted(missing)} a place in the layers of {container}"


def test_layer_lists_are_exhaustive():
    loose = [c["id"] for c in CONTRACTS if c["type"] == "layers" and "containers" in c]
    loose = [i for i in loose if not next(c for c in CONTRACTS if c["id"] == i).get("exhaustive")]
    assert not loose
