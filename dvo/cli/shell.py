"""``dvo shell``: SQL and the words of DVO, at a prompt or from a script."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.output import FORMATS, Output
from dvo.cli.snapshot_option import snapshot_option

if TYPE_CHECKING:
    import pyarrow as pa

    from dvo.query.session import Database
    from dvo.shell.screen import Screen
    from dvo.shell.session import Shell

__all__ = ["shell"]

_ROWS_AT_PROMPT = 1000


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("-c", "--command", "commands", multiple=True, metavar="TEXT",
              help="Carry this out and end; repeatable, in order.")  # fmt: skip
@click.option("-f", "-i", "--file", "files", multiple=True, type=click.Path(path_type=Path),
              help="Carry out a script and end; repeatable, after -c.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(FORMATS), default="table",
              show_default=True, help="Form of results, as .mode sets it.")  # fmt: skip
@click.option("--engine", type=click.Choice(["inline", "processes", "hosts", "parsl"]),
              default="inline", show_default=True, help="Where queries are worked on.")  # fmt: skip
@snapshot_option
def shell(
    catdir: Path,
    *,
    commands: tuple[str, ...],
    files: tuple[Path, ...],
    form: str,
    engine: str,
    snapshot: int | str | datetime | None,
) -> None:
    """Ask the database CATDIR in SQL, or in the words of the original DVO shell.

    Without -c and -f, a prompt at a terminal, and else what comes on stdin. A script ends at
    its first error, with exit code 1. Nothing is changed in the database.

    \b
    Examples:
      dvo shell sky
      dvo shell sky -c "SELECT COUNT(*) AS n FROM average"
      dvo shell sky -c "skyregion 56 57 24 25; avextract ra,dec,g where (g < 18); vstat g"
      dvo shell sky -f script.dvo
    """
    from dvo.partition.layout import MANIFEST  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.shell.background import Background  # noqa: PLC0415

    at_prompt = not commands and not files and sys.stdin.isatty()

    def open_database() -> Database:
        import dvo  # noqa: PLC0415
        import dvo.shell.session  # noqa: PLC0415 - while the first line is typed

        return dvo.open(catdir, snapshot=snapshot)

    background = Background(open_database)
    if at_prompt and (catdir / MANIFEST).is_file():
        from dvo.shell.prompt import run_prompt  # noqa: PLC0415

        run_prompt(
            catdir.resolve().name, background,
            lambda: _make(catdir, background, form, engine, prompt=True),
            lambda text: click.echo(text, err=True),
        )  # fmt: skip
        return
    made = _make(catdir, background, form, engine, prompt=False)
    try:
        _ = made.database
        _carry_out(made, commands, files)
    finally:
        made.close()


def _carry_out(made: Shell, commands: tuple[str, ...], files: tuple[Path, ...]) -> None:
    from dvo.shell.language_words import QuitError  # noqa: PLC0415

    try:
        for text in commands:
            made.run(text, "-c" if len(commands) > 1 or files else "")
        for path in files:
            if str(path) in FORMATS and not path.exists():
                raise click.UsageError(f"-f {path}: -f is a script here; say --format {path}")
            made.interpreter.run_file(path)
        if not commands and not files:
            made.run(_stdin())
    except QuitError:
        return


def _stdin() -> str:
    from dvo.errors import StorageError  # noqa: PLC0415
    from dvo.shell.script import MOST_CHARACTERS  # noqa: PLC0415

    try:
        return sys.stdin.buffer.read(MOST_CHARACTERS * 4).decode("utf-8")  # more is refused
    except UnicodeDecodeError as err:
        raise StorageError("stdin: is no text in UTF-8") from err


def _make(catdir: Path, background: Any, form: str, engine: str, *, prompt: bool) -> Shell:
    from dvo.shell.session import Shell as Session  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.shell.settings import Settings  # noqa: PLC0415

    settings = Settings(
        mode=form, engine=engine, max_rows=_ROWS_AT_PROMPT if prompt else 0, pager=prompt,
        expanded="auto" if sys.stdout.isatty() else "off",
    )  # fmt: skip
    return Session(catdir, background, _screen(prompt=prompt), settings)


def _progress() -> Callable[[str], None]:
    """A line on stderr that is written over and over, and leaves nothing behind."""
    is_terminal, is_shown = sys.stderr.isatty(), False

    def show(text: str) -> None:
        nonlocal is_shown
        if is_terminal and (text or is_shown):
            click.echo(f"\r\033[K{text}", err=True, nl=False)
        is_shown = bool(text)

    return show


def _screen(*, prompt: bool) -> Screen:
    from dvo.shell.screen import Screen as Ways  # noqa: PLC0415 - keeps `dvo --help` quick

    def write(table: pa.Table, form: str, file: Any, width: int | None) -> None:
        Output(form, None, width).write_to(table, (), file)

    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return Ways(
        say=click.echo,
        tell=lambda text: click.echo(text, err=True),
        progress=_progress(),
        write=write,
        page=click.echo_via_pager,
        width=lambda: shutil.get_terminal_size().columns,
        height=lambda: shutil.get_terminal_size().lines,
        has_colours=colours,
        is_interactive=prompt,
    )
