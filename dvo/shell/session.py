"""The shell itself: a database, what a script knows, and how statements are carried out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvo.shell.background import Background
from dvo.shell.interpreter import Interpreter
from dvo.shell.results import Results
from dvo.shell.scope import Scope
from dvo.shell.screen import Screen
from dvo.shell.settings import ENGINES, FORMS, Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from dvo.query.session import Database
    from dvo.query.watch import Watch
    from dvo.shell.completion import Known
    from dvo.shell.display import Display
    from dvo.shell.sky_selection import SkyBox

__all__ = ["Shell"]


class Shell:
    """A session at the prompt, or of a script.

    Parameters
    ----------
    catdir : Path
        The database directory.
    background : Background
        The thread that holds the database.
    screen : Screen
        What it says, and how.
    settings : Settings
        How it answers.
    """

    def __init__(
        self, catdir: Path, background: Background, screen: Screen, settings: Settings
    ) -> None:
        self.catdir = catdir
        self.screen = screen
        self.settings = settings
        self.scope = Scope()
        self.sky: SkyBox | None = None
        self.last: pa.Table | None = None
        self.results = Results(screen, settings)
        self.interpreter = Interpreter(self)
        self.background = background

    @property
    def database(self) -> Database:
        """The database."""
        return self.background.database

    @cached_property
    def display(self) -> Display:
        """The picture that words such as ``images`` and ``plot`` draw on."""
        from dvo.shell.display import Display  # noqa: PLC0415 - keeps the start quick

        return Display()

    def run(self, text: str, name: str = "") -> None:
        """Carry out what was typed, or a script.

        Parameters
        ----------
        text : str
            The text.
        name : str
            Name of the file, for messages.

        Raises
        ------
        DvoError
            At the first statement that fails; those before it have been carried out.
        """
        self.interpreter.run(text, name)

    def query(self, sql: str, *, uploads: Mapping[str, Any] | None = None) -> pa.Table:
        """Answer a query of a word: all its rows, with progress, and stopped by Ctrl-C.

        Parameters
        ----------
        sql : str
            The query.
        uploads : mapping of str to table, optional
            Tables that go with it.

        Returns
        -------
        pyarrow.Table
            The rows.
        """
        engine = self.settings.engine

        def work(database: Database, watch: Watch) -> pa.Table:
            return database.sql(sql, uploads=uploads, engine=engine, watch=watch)

        try:
            return self.background.run(work, self.show_progress)
        finally:
            self.screen.progress("")

    def show_progress(self, watch: Watch, seconds: float) -> None:
        """Show how far a query has come, once it takes a while.

        Parameters
        ----------
        watch : Watch
            How far it has come.
        seconds : float
            Time since it began [s].
        """
        if seconds < 0.5:
            return
        done, groups = watch.groups_done, watch.groups
        if not groups:
            self.screen.progress(f"{watch.rows} rows, {seconds:.0f} s (Ctrl-C stops)")
            return
        share = done / groups
        bar = ("#" * round(20 * share)).ljust(20, ".")
        self.screen.progress(
            f"[{bar}] {done}/{groups} groups of regions, {watch.rows} rows, {seconds:.0f} s "
            "(Ctrl-C stops)"
        )

    def answer(self, sql: str) -> None:
        """Answer a query of the user's, and show the rows.

        Parameters
        ----------
        sql : str
            The query; EXPLAIN before it, or the setting, has it explained, EXPLAIN ANALYZE
            also measured.
        """
        from dvo.query.explain_word import split_explain  # noqa: PLC0415 - keeps the start quick

        rest, asked = split_explain(sql)
        if asked is not None or self.settings.explain:
            self.explain(rest, analyze=asked == "analyze")
            return
        began = time.perf_counter()
        sink = self.results.sink()
        engine = self.settings.engine

        def work(database: Database, watch: Watch) -> None:
            for piece in database.sql_batches(sql, engine=engine, watch=watch):
                if not sink.take(piece):
                    return  # leaving the iterator behind cancels the rest

        try:
            self.background.run(work, self.show_progress)
        except BaseException:
            sink.give_up()
            raise
        finally:
            self.screen.progress("")
        self.last = sink.finish()
        if self.settings.timer:
            self.screen.tell(f"{time.perf_counter() - began:.3f} s, {sink.n_rows} rows")

    def explain(self, sql: str, *, analyze: bool = False) -> None:
        """Say how a query would be answered.

        Parameters
        ----------
        sql : str
            The query.
        analyze : bool
            Whether to answer it, and say what each step took; else nothing is read.
        """
        engine = self.settings.engine

        def work(database: Database, watch: Watch) -> str:
            return str(database.explain(sql, analyze=analyze, engine=engine, watch=watch))

        try:
            text = self.background.run(work, self.show_progress)
        finally:
            self.screen.progress("")
        self.screen.say(text)

    def show(self, table: pa.Table) -> None:
        """Show a table that a word made, as the rows of a query are shown."""
        sink = self.results.sink()
        sink.take(table)
        self.last = sink.finish()

    def known(self) -> Known:
        """List the names there are, for completion."""
        from dvo.query.functions import AGGREGATES, FUNCTIONS, GEOMETRY  # noqa: PLC0415
        from dvo.query.sources import sources_of  # noqa: PLC0415 - keeps the start quick
        from dvo.shell.completion import Known  # noqa: PLC0415
        from dvo.shell.fields import field_names  # noqa: PLC0415
        from dvo.tables.magnitude_field import PARTS  # noqa: PLC0415

        photcodes = self.database.photcodes
        sources = sources_of(photcodes)
        tables = {n: {c.name: c.meaning for c in s.columns.values()} for n, s in sources.items()}
        of_words = {"avextract": "average", "mextract": "measure", "imextract": "image",
                    "avmatch": "average", "mmatch": "measure"}  # fmt: skip
        return Known(
            words={n: w.summary for n, w in self.interpreter.words.items()}
            | {n: about for n, (_, about) in self.interpreter.keywords.items()}
            | dict.fromkeys(self.scope.macros, "macro"),
            dots={n: w.summary for n, w in self.interpreter.dots.items()},
            choices={".mode": FORMS, ".engine": ENGINES, ".schema": tuple(tables),
                     ".timer": ("on", "off"), ".explain": ("on", "off"), ".pager": ("on", "off")},
            tables=tables,
            fields={word: field_names(table) for word, table in of_words.items()},
            photcodes=[p.name for p in photcodes],
            parts=PARTS,
            functions=sorted(AGGREGATES | FUNCTIONS | GEOMETRY),
            vectors=sorted(self.scope.vectors),
            variables=sorted(self.scope.variables),
        )  # fmt: skip

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self.results.close()
        self.background.close()
