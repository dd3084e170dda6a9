"""Write docs/reference/commands.md from the help of the commands.

Usage: python tools/docs_commands.py [--check]

With --check nothing is written; the exit code is 1 when the page is not up to date.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import click

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"
PROGRAMS = {
    "dvo": "dvo.cli.main",
    "addstar": "dvo.cli.addstar",
    "dvomerge": "dvo.cli.dvomerge",
    "relphot": "dvo.cli.relphot",
    "relastro": "dvo.cli.relastro",
    "ubercal": "dvo.cli.ubercal",
    "setastrom": "dvo.cli.setastrom",
    "setphot": "dvo.cli.setphot",
    "uniphot": "dvo.cli.uniphot",
    "ipptopsps": "dvo.cli.ipptopsps",
    "psps": "dvo.cli.psps",
    "ipp-sim": "ipp_pipeline.cli",
}
INTRODUCTION = """\
# Commands

<!-- Made by tools/docs_commands.py (make fmt) from the commands' own help; do not edit. -->

Every command prints this text with `--help`. Exit codes: 0 done, 1 failed, 2 misuse,
3 worth trying again.
"""


def commands_of(module: str, program: str) -> Iterator[tuple[click.Context, click.Command]]:
    """Every command of a program, the program itself first."""
    main = importlib.import_module(module).main
    if not isinstance(main, click.Command):
        found = [v for v in vars(sys.modules[module]).values() if isinstance(v, click.Command)]
        groups = [c for c in found if isinstance(c, click.Group)]
        main = (groups or found)[0]
    context = click.Context(main, info_name=program, terminal_width=90, max_content_width=90)
    yield from _walk(context, main)


def _walk(
    context: click.Context, command: click.Command
) -> Iterator[tuple[click.Context, click.Command]]:
    yield context, command
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _walk(click.Context(child, parent=context, info_name=name), child)


def page() -> str:
    """Text of the whole page."""
    parts = [INTRODUCTION]
    for program, module in PROGRAMS.items():
        try:
            is_present = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            is_present = False
        if not is_present:
            continue
        for context, command in commands_of(module, program):
            lines = [line.rstrip() for line in command.get_help(context).strip().splitlines()]
            mark = "##" if context.parent is None else "###"
            parts.append(
                f"{mark} {context.command_path}\n\n```text\n" + "\n".join(lines) + "\n```\n"
            )
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    text = page()
    if "--check" in arguments:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"docs/reference/{PAGE.name} is not up to date: run make fmt", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
