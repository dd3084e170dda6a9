"""The command ``dvo``: all subcommands, and how errors end."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

import click

import dvo
from dvo.cli.command_group import CommandGroup
from dvo.cli.without_scipy import forbid_scipy
from dvo.errors import DvoError

__all__ = ["dvo_command", "main", "run", "run_program"]

# Subcommand: module that defines it. Modules import only click at the top, so that
# `dvo --help` is quick; what they need they import when they run.
_COMMANDS = {
    "check": "dvo.cli.check",
    "cone": "dvo.cli.cone",
    "copy": "dvo.cli.copy",
    "coverage": "dvo.cli.coverage",
    "delete": "dvo.cli.delete",
    "diff": "dvo.cli.diff",
    "extract": "dvo.cli.extract",
    "export": "dvo.cli.export",
    "fits": "dvo.cli.fits",
    "host": "dvo.cli.host",
    "images": "dvo.cli.images",
    "import": "dvo.cli.import_tables",
    "info": "dvo.cli.info",
    "init": "dvo.cli.init",
    "lightcurve": "dvo.cli.lightcurve",
    "load": "dvo.cli.load",
    "log": "dvo.cli.log",
    "match": "dvo.cli.match",
    "missing": "dvo.cli.missing",
    "overlaps": "dvo.cli.overlaps",
    "photcode": "dvo.cli.photcode",
    "query": "dvo.cli.query",
    "regions": "dvo.cli.regions",
    "relevel": "dvo.cli.relevel",
    "repair": "dvo.cli.repair",
    "resort": "dvo.cli.resort",
    "rollback": "dvo.cli.rollback",
    "secfilt": "dvo.cli.secfilt",
    "shell": "dvo.cli.shell",
    "split": "dvo.cli.split",
    "tag": "dvo.cli.tag",
    "vacuum": "dvo.cli.vacuum",
    "variability": "dvo.cli.variability",
    "wcs": "dvo.cli.wcs",
}

_PROGRAMS = (
    "addstar", "dvomerge", "relphot", "relastro", "ubercal", "setastrom", "setphot", "uniphot",
    "ipptopsps", "psps", "ipp-sim",
)  # fmt: skip


class _LazyGroup(CommandGroup):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        # Functions are called as their modules: `import` cannot be the name of either.
        found: click.Command = getattr(importlib.import_module(module), module.rpartition(".")[2])
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in _PROGRAMS and not ctx.resilient_parsing:
            raise click.UsageError(f"{args[0]} is a program of its own: {args[0]} --help", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, name="dvo")
@click.version_option(dvo.__version__, prog_name="dvo")
@click.option("--verbose", "-v", is_flag=True, help="Log what is done, to stderr.")
def dvo_command(*, verbose: bool) -> None:
    """Keep measurements, objects and images of the sky in step.

    A database is a folder, the CATDIR. Add catalogs to it with the command addstar.
    Exit codes: 0 done, 1 failed, 2 misuse, 3 failed but worth trying again.

    \b
    Example:
      dvo init sky --level 4 --filters g,r,i,z,y
      addstar sky night1/*.smf
      dvo cone sky 56.75 24.12 60
    """
    if verbose:
        from dvo.log import log_to_stderr  # noqa: PLC0415 - keeps `dvo --help` quick

        log_to_stderr()


def run(command: Callable[..., Any]) -> None:
    """Run a click command; a DvoError becomes one line on stderr and an exit code.

    Parameters
    ----------
    command : callable
        The click command.
    """
    try:
        command(standalone_mode=False, help_option_names=["-h", "--help"])
    except click.ClickException as err:
        err.show()
        sys.exit(2 if isinstance(err, click.UsageError) else 1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; what was committed stays", err=True)
        sys.exit(130)
    except DvoError as err:
        click.echo(f"dvo: {err}", err=True)
        sys.exit(3 if err.retryable else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def run_program(command: Callable[..., Any]) -> None:
    """Run a click command that is the whole program.

    Parameters
    ----------
    command : callable
        The click command.
    """
    forbid_scipy()
    # Imports make very many objects and no garbage; looking for it takes 0.04 s.
    gc.set_threshold(50_000)
    run(command)


def main() -> None:
    """Entry point of ``dvo``."""
    run_program(dvo_command)


if __name__ == "__main__":
    main()
