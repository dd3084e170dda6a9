"""CURVE keys: made, read, and the list of those that may come in.

A key pair is two files: ``NAME.secret`` with both halves, for its owner alone, and
``NAME.public`` to be handed out. A host has a list of public keys with a role each.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from dvo.errors import ConfigError, NotAuthorisedError, StorageError
from dvo.partition.host_table import is_key
from dvo.partition.operations import ROLES, Role

__all__ = ["Authority", "KeyPair", "make_keys", "own_keys", "read_keys"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, each half as 40 characters of Z85."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public!r}, ...)"  # secrets do not belong in logs


def make_keys(path: Path) -> KeyPair:
    """Make a key pair and write it to ``PATH.secret`` and ``PATH.public``.

    Each file is there whole or not at all. If only the secret one is, because that was
    interrupted, its public half is written and the pair is the one that was made then.

    Parameters
    ----------
    path : Path
        Where, without the ending.

    Returns
    -------
    KeyPair
        The keys.

    Raises
    ------
    StorageError
        If one of the files is there, or cannot be written.
    ConfigError
        If only the secret file is there, and is no key pair.
    """
    secret_path = path.with_name(f"{path.name}.secret")
    public_path = path.with_name(f"{path.name}.public")
    about = f"# CURVE key pair {path.name} of dvo"
    try:
        if secret_path.exists() and not public_path.exists():
            keys = read_keys(secret_path)
        else:
            keys = KeyPair(*(half.decode("ascii") for half in zmq.curve_keypair()))
            for there in (secret_path, public_path):
                _refuse_if_there(there)
            _write_new(
                secret_path,
                f'{about}: keep this file to yourself\npublic = "{keys.public}"\n'
                f'secret = "{keys.secret}"\n',
                0o600,
            )
        _write_new(public_path, f'{about}\npublic = "{keys.public}"\n', 0o644)
    except OSError as err:
        hint = (
            "name other files" if path.parent.is_dir() else f"make the folder {path.parent} first"
        )
        raise StorageError(f"{err.filename}: cannot be written ({err.strerror}); {hint}") from err
    return keys


def _refuse_if_there(path: Path) -> None:
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there: all of it or nothing, whatever interrupts that."""
    _refuse_if_there(path)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # of one that was killed
    try:
        # Never open for others, not even for the moment between making and chmod.
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.link(beside, path)  # unlike a rename, it replaces nothing
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def read_keys(path: Path) -> KeyPair:
    """Read a key pair from its secret file.

    Parameters
    ----------
    path : Path
        The file ``NAME.secret``.

    Returns
    -------
    KeyPair
        The keys.

    Raises
    ------
    ConfigError
        If anybody else may read the file, or it is a public key or no key pair.
    """
    if path.suffix == ".public":
        raise ConfigError(f"{path}: is a public key; give the secret file beside it")
    text = _read_guarded(path, 0o077, "read by others; run: chmod 600")
    try:
        found = tomllib.loads(text.decode("utf-8"))
        public, secret = str(found["public"]), str(found["secret"])
    except (ValueError, KeyError) as err:  # of TOML, or of its letters
        raise ConfigError(
            f"{path}: is no key pair ({err}); make one with: dvo host keygen NAME"
        ) from err
    for half in (public, secret):
        if not is_key(half):
            raise ConfigError(f"{path}: has a key that is not 40 characters of Z85")
    if zmq.curve_public(secret.encode()).decode() != public:
        raise ConfigError(f"{path}: its two halves do not belong together")
    return KeyPair(public, secret)


def own_keys() -> KeyPair | None:
    """Read the keys of who runs this program: the secret file that ``DVO_KEY`` names.

    Returns
    -------
    KeyPair or None
        The keys; None if the variable is not set.

    Raises
    ------
    ConfigError
        As `read_keys`.
    """
    path = os.environ.get("DVO_KEY")
    return read_keys(Path(path)) if path else None


def _read_guarded(path: Path, refused: int, why: str) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & refused:
                raise ConfigError(f"{path}: mode {mode & 0o777:o}: it can be {why} {path}")
            return file.read()
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read ({err})") from err


class Authority:
    """Says who may come in, and as what.

    Parameters
    ----------
    path : Path
        Lines of role, public key and name, such as ``read <40 characters> alice``; lines
        that begin with # are comments. It is read at every new connection, so that a key
        can be taken away. While a line is wrong nobody comes in, and the log says which.

    Raises
    ------
    ConfigError
        If it cannot be read, others may write it, or a line is wrong: it is no text of
        UTF-8, no such line, its key is none, or was there before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read()

    def _read(self) -> dict[str, tuple[Role, str]]:
        text = _read_guarded(self._path, 0o022, "written by others; run: chmod go-w")
        found: dict[str, tuple[Role, str]] = {}
        # By the ends of lines that editors show: others, such as a form feed, may be in a name.
        for number, line in enumerate(text.split(b"\n"), 1):
            try:
                entry = _entry(line.decode("utf-8"))
                if entry is None:
                    continue
                public, role, name = entry
                if public in found:
                    raise ConfigError(f"the key of {name} is there twice; remove one of the lines")
            except (UnicodeDecodeError, ConfigError) as err:
                raise ConfigError(f"{self._path}, line {number}: {err}") from err
            found[public] = (role, name)
        return found

    def role_of(self, public: str) -> tuple[Role, str]:
        """Find what the owner of a key may do.

        Parameters
        ----------
        public : str
            Public key.

        Returns
        -------
        role : {'read', 'ingest', 'admin'}
            The role.
        name : str
            Name of the owner.

        Raises
        ------
        NotAuthorisedError
            If the key is not in the list.
        """
        found = self._read().get(public)
        if found is None:
            raise NotAuthorisedError(f"{self._path}: does not have the key {public}")
        return found

    def reply(self, request: Sequence[bytes]) -> list[bytes]:
        """Answer a request of ZeroMQ's authentication protocol (ZAP 1.0).

        Parameters
        ----------
        request : sequence of bytes
            Version, id, domain, address, identity, mechanism and the key.

        Returns
        -------
        list of bytes
            Version, id, status, text, user (``ROLE NAME``) and no metadata.
        """
        version, sequence = (*request, b"", b"")[:2]
        try:
            if len(request) != 7 or version != b"1.0" or request[5] != b"CURVE":
                raise NotAuthorisedError("only keys open this host")
            role, name = self.role_of(z85.encode(request[6]).decode("ascii"))
        except (NotAuthorisedError, ConfigError) as err:
            # Who is refused is not told why, so that who runs the host has to be.
            log.warning("refused a connection reason=%s", err)
            return [b"1.0", sequence, b"400", _short(str(err)), b"", b""]
        return [b"1.0", sequence, b"200", b"OK", _short(f"{role} {name}"), b""]


def _entry(line: str) -> tuple[str, Role, str] | None:
    """Key, role and name of a line, or None if it is empty or a comment."""
    words = line.split(maxsplit=2)
    # Keys may hold a #, so that only whole lines can be comments.
    if not words or words[0].startswith("#"):
        return None
    advice = f"give a role ({', '.join(ROLES)}), a public key of 40 characters and a name"
    if words[0] not in ROLES:
        raise ConfigError(f"{words[0]!r} is no role; {advice}")
    if len(words) < 2 or not is_key(words[1]):
        raise ConfigError(f"{' '.join(words[1:2])!r} is no public key; {advice}")
    if len(words) < 3 or not words[2].strip().isprintable():
        raise ConfigError(f"has no name that can be shown; {advice}")
    return words[1], words[0], words[2].strip()


def _short(text: str) -> bytes:
    """Text as ZeroMQ takes it: up to 255 bytes of UTF-8, with no half of a letter."""
    return text.encode()[:255].decode(errors="ignore").encode()
