"""``dvo host``: partition hosts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.without_scipy import allow_scipy

if TYPE_CHECKING:
    from dvo.partition.hosts.keys import KeyPair
    from dvo.partition.hosts.server import HostServer

__all__ = ["host", "key_option", "read_key"]

_catdir = click.argument("catdir", type=click.Path(path_type=Path))
key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    envvar="DVO_KEY",
    help="File NAME.secret of your key, for hosts that want one; else that of DVO_KEY.",
)


def read_key(path: Path | None) -> KeyPair | None:
    """Read the key of an option, if one was given."""
    from dvo.partition.hosts.keys import read_keys  # noqa: PLC0415 - keeps `dvo --help` quick

    return None if path is None else read_keys(path)


@click.group(cls=CommandGroup)
def host() -> None:
    """Run partition hosts: processes that read and write catalogs for commands (--engine hosts).

    On one machine start-local does all. For several, write CATDIR/HostTable.dat, make keys,
    and run serve on each machine (see the operators' guide).

    \b
    Example:
      dvo host start-local sky -n 2
      dvo host status sky
      dvo host stop sky
    """


@host.command(name="keygen")
@click.argument("name", type=click.Path(path_type=Path))
def keygen_command(name: Path) -> None:
    """Make a key pair: NAME.secret for its owner alone, and NAME.public.

    Prints the line that lets the key in at a host (see serve --authorized).

    \b
    Example:
      dvo host keygen keys/alice
    """
    from dvo.partition.hosts.keys import make_keys  # noqa: PLC0415

    keys = make_keys(name)
    click.echo(f"wrote {name}.secret and {name}.public", err=True)
    click.echo(f"read {keys.public} {name.name}")


@host.command(name="serve")
@_catdir
@click.option(
    "--number", type=click.IntRange(1, 65535), required=True, help="Its number in HostTable.dat."
)
@click.option("--endpoint", help="Where to listen; that of HostTable.dat if not given.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="File NAME.secret with the keys of this host."
)
@click.option(
    "--authorized",
    type=click.Path(path_type=Path),
    help="File of those who may come in: lines of role (read, ingest, admin), key and name.",
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="Groups of regions that are worked on at a time.")  # fmt: skip
@click.option("--sources", multiple=True,
              type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of databases that may be merged from; may be repeated.")  # fmt: skip
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False),
              help="File for the log; at 4 MiB it becomes FILE.1, and that FILE.2.")  # fmt: skip
@click.option("--until-left", is_flag=True, hidden=True,
              help="For start-local: end when stdin does, unless it says to stay.")  # fmt: skip
def serve_command(
    catdir: Path,
    *,
    number: int,
    endpoint: str | None,
    key: Path | None,
    authorized: Path | None,
    threads: int,
    sources: tuple[Path, ...],
    log: Path | None,
    until_left: bool,
) -> None:
    """Serve the database CATDIR as host NUMBER, until stopped.

    Where other machines can connect, --key and --authorized have to be given.

    \b
    Example:
      dvo host serve /data/sky --number 3 --key keys/node3.secret --authorized keys/authorized
    """
    import signal  # noqa: PLC0415

    allow_scipy()  # calibration has sparse matrices
    from dvo.partition.host_table import get_host  # noqa: PLC0415
    from dvo.partition.hosts.keys import Authority  # noqa: PLC0415
    from dvo.partition.hosts.server import HostServer  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    _write_log(log)
    where = endpoint or get_host(catdir, number).endpoint
    authority = None if authorized is None else Authority(authorized)
    with (
        Store(catdir) as store,
        HostServer(
            store, number, where, threads=threads, keys=read_key(key), authority=authority,
            sources=sources,
        ) as server,
    ):  # fmt: skip
        for word in (signal.SIGTERM, signal.SIGINT):
            signal.signal(word, lambda *_: server.stop())
        if until_left:
            _end_with_starter(server)
        click.echo(f"host {number} serves {catdir} at {server.endpoint}", err=True)
        server.run()


def _write_log(path: Path | None) -> None:
    from dvo.errors import StorageError  # noqa: PLC0415
    from dvo.log import log_to_file  # noqa: PLC0415

    if path is None:
        return
    try:
        log_to_file(path)
    except OSError as err:
        raise StorageError(f"{path}: cannot be written ({err.strerror})") from err


def _end_with_starter(server: HostServer) -> None:
    """Stop when who holds the other end of stdin has ended and has not said that we may stay."""
    import threading  # noqa: PLC0415

    from dvo.partition.hosts.local import STAY  # noqa: PLC0415

    def wait() -> None:
        if sys.stdin.buffer.readline() != STAY:
            server.stop()

    threading.Thread(target=wait, daemon=True).start()


@host.command(name="start-local")
@_catdir
@click.option("-n", "n", type=click.IntRange(1, 256), default=2, show_default=True,
              help="How many hosts.")  # fmt: skip
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Groups of regions that each works on at a time; shares out the processors if not given.",
)
@click.option("--no-backups", is_flag=True, help="Give no catalog a second host.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a host.")
def start_command(
    catdir: Path, *, n: int, threads: int | None, no_backups: bool, as_json: bool
) -> None:
    """Start N hosts of CATDIR on this machine, in the background.

    They are written to CATDIR/HostTable.dat, and all catalogs are assigned to them at random.
    Logs are in CATDIR/hosts. Nobody but you can connect.

    \b
    Example:
      dvo host start-local sky -n 2
    """
    import json  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.partition.hosts.local import start_local  # noqa: PLC0415

    entries = start_local(
        catdir, n, threads=threads, backups=not no_backups,
        told=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    for entry in entries if as_json else ():
        click.echo(json.dumps(asdict(entry)))


@host.command(name="status")
@_catdir
@key_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a host.")
def status_command(catdir: Path, *, key: Path | None, as_json: bool) -> None:
    """Ask all hosts of CATDIR how they are; exit code 3 if one does not answer.

    A host of another database, or with another number, that listens where one of CATDIR
    should be counts as down.

    \b
    Example:
      dvo host status sky
    """
    import json  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.partition.hosts.status import look_at_hosts  # noqa: PLC0415

    states = look_at_hosts(catdir, keys=read_key(key))
    for state in states:
        if as_json:
            up = {"up": not state.problem, "problem": state.problem}
            click.echo(json.dumps({**asdict(state.entry), **up, **state.facts}))
        elif state.problem:
            click.echo(f"down  {state.problem}")
        else:
            facts = state.facts
            click.echo(
                f"{'up' if facts['state'] == 'serving' else facts['state']:5s} {state.entry}: "
                f"{facts['clients']} clients, {facts['groups']} groups, "
                f"{facts['kept_bytes'] >> 20} MiB of results, process {facts['pid']}, "
                f"since {facts['since']}"
            )
    if not states:
        click.echo(f"{catdir} has no hosts; start some with: dvo host start-local {catdir}")
    sys.exit(3 if any(state.problem for state in states) else 0)


@host.command(name="assign")
@_catdir
@click.option("--by", type=click.Choice(["random", "load"]), default="random", show_default=True,
              help="As many catalogs for each host, or as many rows.")  # fmt: skip
@click.option("--no-backups", is_flag=True, help="Give no catalog a second host.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of what is random.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def assign_command(
    catdir: Path, *, by: Literal["random", "load"], no_backups: bool, seed: int, as_json: bool
) -> None:
    """Assign all catalogs of CATDIR to the hosts of its HostTable.dat, anew.

    \b
    Example:
      dvo host assign sky --by load
    """
    import json  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415

    from dvo.partition.host_table import read_host_table  # noqa: PLC0415
    from dvo.partition.hosts.assign import assign  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    numbers = [entry.number for entry in read_host_table(catdir)]
    with Store(catdir, cache_bytes=0) as store:
        found = assign(
            store, numbers, by=by, backups=not no_backups, rng=np.random.default_rng(seed)
        )
    if as_json:
        facts = {str(k): {"catalogs": n, "rows": rows} for k, (n, rows) in found.items()}
        click.echo(json.dumps(facts))
        return
    for number, (n_catalogs, n_rows) in found.items():
        click.echo(f"host {number}: {n_catalogs} catalogs, {n_rows} rows")


@host.command(name="drain")
@_catdir
@click.argument("number", type=int)
@key_option
def drain_command(catdir: Path, number: int, *, key: Path | None) -> None:
    """Have host NUMBER of CATDIR finish what it is at and take nothing new.

    Its catalogs are then read by their second hosts. It serves again when it is started anew.

    \b
    Example:
      dvo host drain sky 2
    """
    from dvo.partition.host_table import get_host  # noqa: PLC0415
    from dvo.partition.hosts.calling import call_host  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    entry = get_host(catdir, number)
    with Store(catdir, cache_bytes=0) as store:
        facts = call_host(entry, "drain", store.db_id, keys=read_key(key)).header
    click.echo(f"{entry} takes nothing new; {facts['groups']} groups are left")


@host.command(name="stop")
@_catdir
@click.option("--number", type=int, help="This one only, on whatever machine it is.")
@key_option
def stop_command(catdir: Path, *, number: int | None, key: Path | None) -> None:
    """Stop the hosts of CATDIR that start-local has started.

    \b
    Example:
      dvo host stop sky
      dvo host stop sky --number 3 --key keys/admin.secret
    """
    from dvo.errors import NotACatdirError  # noqa: PLC0415
    from dvo.partition.host_table import get_host  # noqa: PLC0415
    from dvo.partition.hosts.calling import call_host  # noqa: PLC0415
    from dvo.partition.hosts.local import stop_local  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if number is None:
        stopped = stop_local(catdir)
        if not stopped and not catdir.is_dir():
            raise NotACatdirError(f"{catdir}: there is no such folder; name a database")
        click.echo(f"stopped {len(stopped)} hosts" if stopped else "no host was running")
        return
    entry = get_host(catdir, number)
    with Store(catdir, cache_bytes=0) as store:
        call_host(entry, "stop", store.db_id, keys=read_key(key))
    click.echo(f"{entry} stops")
