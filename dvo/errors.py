"""The one tree of exceptions that dvo raises on purpose.

Every class has a stable ``code``, which may cross a wire or end in a JSON report, and
says whether trying the same thing again can help (``retryable``). A message says what
was wrong, where, which value was found, and what to do.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AstrometryError",
    "BadCatalogError",
    "CatdirExistsError",
    "CatdirLockedError",
    "ConfigError",
    "CorruptTableError",
    "DuplicateImageError",
    "DvoError",
    "EngineError",
    "FormatVersionError",
    "HostBusyError",
    "HostError",
    "HostLostError",
    "IngestError",
    "JobTimeoutError",
    "NotACatdirError",
    "NotAuthorisedError",
    "OperationError",
    "PartitionError",
    "PhotcodeError",
    "ProtocolError",
    "ProtocolVersionError",
    "QueryCancelledError",
    "QueryError",
    "SchemaError",
    "ScriptError",
    "ShapeError",
    "StorageError",
    "TagExistsError",
    "UnknownColumnError",
    "UnknownOperationError",
    "UnknownPhotcodeError",
    "UnknownRegionError",
    "UnknownSnapshotError",
    "WorkerLostError",
    "error_of",
]


class DvoError(Exception):
    """Base of all errors that dvo raises on purpose."""

    code: ClassVar[str] = "dvo"
    retryable: ClassVar[bool] = False


class ConfigError(DvoError):
    """A setting is unknown, missing or out of range."""

    code = "config"


class SchemaError(DvoError, ValueError):
    """Columns do not fit the schema of their table."""

    code = "schema"


class ShapeError(DvoError, ValueError):
    """Arrays that belong together differ in shape or type."""

    code = "shape"


class StorageError(DvoError, OSError):
    """A database directory or one of its files cannot be used."""

    code = "storage"


class NotACatdirError(StorageError):
    """The folder named is no DVO database."""

    code = "not-a-catdir"


class CatdirExistsError(StorageError):
    """A database would be made where something already is."""

    code = "catdir-exists"


class CorruptTableError(StorageError):
    """A FITS table is damaged, or lies about itself."""

    code = "corrupt-table"


class CatdirLockedError(StorageError):
    """Another writer holds the database."""

    code = "locked"
    retryable = True


class FormatVersionError(StorageError):
    """The database was written in a format this version does not read."""

    code = "format-version"


class UnknownSnapshotError(StorageError, LookupError):
    """The snapshot asked for never was, or has been vacuumed away."""

    code = "unknown-snapshot"


class TagExistsError(StorageError):
    """A tag names another snapshot already."""

    code = "tag-exists"


class PartitionError(DvoError, LookupError):
    """A sky position or region has no place in the SkyTable."""

    code = "partition"


class UnknownRegionError(PartitionError):
    """No region has that name or index."""

    code = "unknown-region"


class IngestError(DvoError):
    """A catalog cannot be added to the database."""

    code = "ingest"


class BadCatalogError(IngestError):
    """An input catalog is malformed or lacks what is needed."""

    code = "bad-catalog"


class AstrometryError(DvoError):
    """An astrometric solution cannot be written or applied in the form that was asked for."""

    code = "astrometry"


class DuplicateImageError(IngestError):
    """An image is already in the database with other content."""

    code = "duplicate-image"


class PhotcodeError(IngestError):
    """The photcode table, or an entry of it, is wrong."""

    code = "photcode"


class UnknownPhotcodeError(PhotcodeError, LookupError):
    """A photcode is not in the photcode table."""

    code = "unknown-photcode"


class QueryError(DvoError):
    """A query cannot be answered as it stands."""

    code = "query"


class UnknownColumnError(QueryError, LookupError):
    """A query names a column that its table does not have."""

    code = "unknown-column"


class QueryCancelledError(QueryError):
    """A query was cancelled, or took longer than it may."""

    code = "cancelled"
    retryable = True


class ScriptError(QueryError):
    """A line of the shell cannot be understood or carried out; the message shows where."""

    code = "script"


class EngineError(DvoError):
    """An engine could not run a job."""

    code = "engine"


class UnknownOperationError(EngineError, LookupError):
    """No operation is registered under that name."""

    code = "unknown-operation"


class OperationError(EngineError):
    """An operation failed in a way that it does not know itself."""

    code = "operation"


class JobTimeoutError(EngineError, TimeoutError):
    """A job was not done in the time it was given."""

    code = "timeout"
    retryable = True


class WorkerLostError(EngineError):
    """A worker process ended in the middle of its work, and its successor did too."""

    code = "worker-lost"
    retryable = True


class HostError(EngineError):
    """A partition host cannot do what it is asked."""

    code = "host"


class HostLostError(HostError):
    """A partition host does not answer."""

    code = "host-lost"
    retryable = True


class HostBusyError(HostError):
    """A partition host takes no work now."""

    code = "host-busy"
    retryable = True


class NotAuthorisedError(HostError):
    """A partition host does not know a key, or its owner may not do that."""

    code = "not-authorised"


class ProtocolError(HostError):
    """A message is not as the protocol says."""

    code = "protocol"


class ProtocolVersionError(ProtocolError):
    """Somebody speaks another version of the protocol."""

    code = "protocol-version"


def error_of(code: str, message: str) -> DvoError:
    """Make an error again that came from another process as its code and message.

    Parameters
    ----------
    code : str
        Code of its class.
    message : str
        Its message.

    Returns
    -------
    DvoError
        An error of the class that has the code; an `OperationError` if none has.
    """
    known: list[type[DvoError]] = [DvoError]
    for kind in known:
        if kind.code == code and kind.__module__ == __name__:
            return kind(message)
        known += kind.__subclasses__()
    return OperationError(message)
