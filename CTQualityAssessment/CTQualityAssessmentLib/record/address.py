"""Where the record is. A password stands in the environment or libpq's own files, never in an argument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from CTQualityAssessmentLib.batch.addresses import is_loopback
from CTQualityAssessmentLib.record.errors import RecordAddressError

if TYPE_CHECKING:
    from sqlalchemy import URL

#: Of the environment: where the record is; unlike an argument it may hold a password.
RECORD = "CTQA_RECORD"
FILE_NAME = "record.sqlite"
_CONNECT_S = 10
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}


def record_url(argument: str | None, folder: Path | None = None) -> URL:
    """The database that an argument, the environment, or an output folder names, in this order.

    Args:
        argument: a file of SQLite, or a URL such as ``postgresql://host/database``.
        folder: an output folder, which has a record of its own.

    Raises:
        RecordAddressError: it is none, holds a password, or nothing is named.
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    named = argument or os.environ.get(RECORD)
    if not named:
        if folder is None:
            raise RecordAddressError("No record is named.", f"Give --record, or set {RECORD}.")
        named = str(folder / FILE_NAME)
    if "://" not in named:
        return URL.create(_DRIVERS["sqlite"], database=str(Path(named).absolute()))
    try:
        url = make_url(named)
    except (ArgumentError, ValueError):  # a port that is no number
        raise _no_url() from None
    if url.drivername not in _DRIVERS or not url.database:
        raise _no_url()
    if argument and (url.password or "password" in url.query):
        raise RecordAddressError(
            "The URL of the record holds a password, and everyone on this computer can read arguments.",
            f"Set PGPASSWORD or PGPASSFILE, or {RECORD} to the whole URL.",
        )
    return url.set(drivername=_DRIVERS[url.drivername])


def connection_arguments(url: URL) -> dict[str, Any]:
    """What the driver is told beside the URL. A database on another computer has to prove who it is."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": 60}
    found: dict[str, Any] = {"connect_timeout": _CONNECT_S, "application_name": "ctqa"}
    host = url.host or url.query.get("host") or os.environ.get("PGHOST") or ""
    ours = not host or str(host).startswith("/") or is_loopback(str(host))
    if not ours and "sslmode" not in url.query and not os.environ.get("PGSSLMODE"):
        found["sslmode"] = "verify-full"
    return found


def _no_url() -> RecordAddressError:
    return RecordAddressError(
        "The record is neither a file of SQLite nor a PostgreSQL database.",
        "Write --record record.sqlite or --record postgresql://host/database.",
    )
