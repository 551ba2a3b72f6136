"""The basestation's database: its tables, its version, and how SQLite is opened so that two processes can use it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from homeport.errors import StorageError

SCHEMA_VERSION = 1
_BUSY_TIMEOUT_MS = 5000  # writers take turns; each holds the database for milliseconds

metadata = MetaData()

meta = Table("meta", metadata, Column("schema_version", Integer, nullable=False))

devices = Table(
    "devices",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at_s", Integer, nullable=False),
    Column("key_changed_at_s", Integer, nullable=False),
)

# One row for each change of `devices`, so that the running basestation learns what changed without reading it all.
changes = Table(
    "changes",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("device_id", String(40), nullable=False),
    sqlite_autoincrement=True,
)


def _owner() -> Column[str]:
    return Column("device_id", String(40), ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)


# What the operator may want to know about a device; written by the running basestation only.
sightings = Table(
    "sightings",
    metadata,
    _owner(),
    Column("attached_at_s", Integer),
    Column("endpoint", String(21)),
    Column("lost_at_s", Integer),
    Column("refused_at_s", Integer),
    Column("refusal", String(120)),
)

# Sealed keys of live attachments, so that a restart does not make devices wait for 65 s.
attachments = Table(
    "attachments",
    metadata,
    _owner(),
    Column("sealed", LargeBinary, nullable=False),
)


def create_database(path: Path) -> None:
    """Create an empty database at `path`, readable by this user alone; raise StorageError."""
    with storage_errors(path):
        # SQLite gives its journal files the mode of the database, so this one settles all three.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        engine = _engine(path)
        with engine.execution_options(write=True).begin() as connection:
            metadata.create_all(connection)
            connection.execute(insert(meta).values(schema_version=SCHEMA_VERSION))
        engine.dispose()


def open_database(path: Path) -> Engine:
    """Open the database at `path`; raise StorageError if it is missing, no database, or of another version."""
    if not path.exists():
        raise StorageError(f"no database at {path}; run: homeport basestation init {path.parent}")
    engine = _engine(path)
    with storage_errors(path), engine.connect() as connection:
        found = connection.scalar(select(meta.c.schema_version)) if inspect(connection).has_table("meta") else None
    if found != SCHEMA_VERSION:
        engine.dispose()
        raise StorageError(f"{path} has schema version {found}; this program reads version {SCHEMA_VERSION}")
    return engine


@contextlib.contextmanager
def writing(engine: Engine, path: Path) -> Iterator[Connection]:
    """One transaction that writes: all of it or, after an exception, nothing."""
    with storage_errors(path), engine.execution_options(write=True).begin() as connection:
        yield connection


@contextlib.contextmanager
def reading(engine: Engine, path: Path) -> Iterator[Connection]:
    """One transaction that reads a consistent state."""
    with storage_errors(path), engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the database or file system raises into StorageError; parameters (secrets) stay out of the text."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or type(error).__name__
        raise StorageError(f"{path}: {cause}") from None
    except OSError as error:
        raise StorageError(f"cannot use {path}: {error.strerror}") from error


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",  # the command line reads and writes while the basestation runs
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that will write takes its lock at once: upgrading later can fail without waiting.
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
