"""Commands start at once, explain themselves with an example, and are finished."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import MODULES

HEAVY = {"astropy", "fitsio", "healpy", "matplotlib", "numba", "numpy", "pandas", "pyarrow", "zmq"}
PROGRAMS = {
    "dvo": "dvo.cli.main",
    "addstar": "dvo.cli.addstar",
    "setphot": "dvo.cli.setphot",
    "ubercal": "dvo.cli.ubercal",
    "uniphot": "dvo.cli.uniphot",
    "ipptopsps": "dvo.cli.ipptopsps",
    "psps": "dvo.cli.psps",
    "ipp-sim": "ipp_pipeline.cli",
}
PRESENT = {name: module for name, module in PROGRAMS.items() if module in MODULES}


def heavy_modules_after(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return HEAVY & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module", ["dvo", "ipp_pipeline", "dvo.shell.prompt", "dvo.shell.background", *PRESENT.values()]
)
def test_import_is_light(module):
    assert not heavy_modules_after(f"import {module}")


def test_help_is_light():
    for program, module in PRESENT.items():
        call = (
            f"from {module} import main\n"
            f"sys.argv = [{program!r}, '--help']\n"
            "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
        )
        assert not heavy_modules_after(call), program


def commands() -> Iterator[tuple[str, object]]:
    """Every command of every program, with its full name."""
    import click

    def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None, f"{name} lists {child} but does not have it"
                yield from walk(f"{name} {child}", found)

    for program, module in PRESENT.items():
        main = importlib.import_module(module).main
        command = main if isinstance(main, click.Command) else find_command(module)
        yield from walk(program, command)


def find_command(module: str) -> object:
    """The click command of a module whose `main` is a function around it."""
    import click

    candidates = [
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, click.Command)
    ]
    assert candidates, f"{module} has no click command"
    groups = [c for c in candidates if isinstance(c, click.Group)]
    return (groups or candidates)[0]


def help_text(name: str, command: object) -> str:
    import click

    assert isinstance(command, click.Command)
    return command.get_help(click.Context(command, info_name=name))


def test_every_command_has_an_example():
    import click

    without = [
        name
        for name, command in commands()
        if not isinstance(command, click.Group) and "Example" not in help_text(name, command)
    ]
    assert not without, f"no example in the help of {without}"


def test_every_command_is_finished():
    marks = ("not implemented", "not yet implemented", "todo", "coming soon")
    unfinished = [
        name
        for name, command in commands()
        if any(mark in help_text(name, command).lower() for mark in marks)
    ]
    assert not unfinished


def test_every_option_has_help():
    import click

    silent = [
        f"{name} {parameter.opts[0]}"
        for name, command in commands()
        if isinstance(command, click.Command)
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert not silent
