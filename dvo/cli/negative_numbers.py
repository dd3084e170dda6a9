"""Commands whose arguments may be negative numbers, such as declinations."""

from __future__ import annotations

import click

__all__ = ["NumbersCommand"]


class NumbersCommand(click.Command):
    """A command that takes -5.2 for a number, and still knows a mistyped option."""

    ignore_unknown_options = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse unknown options, which click would take for arguments here.

        Parameters
        ----------
        ctx : click.Context
            The context of the call.
        args : list of str
            The words of the command line.

        Returns
        -------
        list of str
            Words that are left over.

        Raises
        ------
        click.NoSuchOption
            If a word begins like an option, and is neither one nor a number.
        """
        known = {o: p for p in self.get_params(ctx) for o in (*p.opts, *p.secondary_opts)}
        n_values = 0
        for word in args:
            if n_values:
                n_values -= 1
            elif word == "--":
                break
            elif word.startswith("-") and word != "-" and not _is_number(word):
                name, given, _ = word.partition("=")
                if not word.startswith("--"):
                    name, given = word[:2], word[2:]
                if name not in known:
                    options = [o for o in known if o.startswith("-")]
                    raise click.NoSuchOption(name, possibilities=options, ctx=ctx)
                found = known[name]
                takes_none = isinstance(found, click.Option) and (found.is_flag or found.count)
                n_values = 0 if takes_none else found.nargs - bool(given)
        return super().parse_args(ctx, args)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
