"""A group of commands that says what there is when it is asked for what there is not."""

from __future__ import annotations

import difflib

import click

__all__ = ["CommandGroup"]

_MOST_LISTED = 8


class CommandGroup(click.Group):
    """A group of commands; an unknown one is an error that names those meant, or all."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, as click does."""
        word, known = args[0], self.list_commands(ctx)
        if word in known or word.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(word, known)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        if not near and len(known) <= _MOST_LISTED:
            hint = f" There are {', '.join(known)}."
        raise click.UsageError(f"No such command '{word}'.{hint}", ctx)
