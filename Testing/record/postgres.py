"""A real PostgreSQL on a socket in a folder of its own, for one test session; it listens to no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import URL, create_engine, text

_PROGRAMS = Path("/usr/lib/postgresql")
#: The server refuses to run as root; this user has no right to anything.
_NOBODY = "nobody"


def _program(name: str) -> str | None:
    """Debian keeps them out of the path, in a folder for each version."""
    found = sorted(_PROGRAMS.glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def missing() -> str | None:
    """Why the tests cannot run here; None where they can."""
    return None if _program("initdb") else "PostgreSQL is not installed (Debian package postgresql)"


class Postgres:
    """A server without a network; every test has a database of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ctqa-pg-", dir="/tmp"))  # a socket's path must be short
        self._as = {"user": _NOBODY, "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, _NOBODY, "nogroup")
        self._run("initdb", "-D", self.folder / "data", "-U", "ctqa", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        self._databases = 0

    def start(self) -> Postgres:
        """Start it, and wait until it answers."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-o", options, "-l", self.folder / "log", "start")
        return self

    def stop(self) -> None:
        """End it at once."""
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """End it, and take its folder away."""
        pid = self.folder / "data" / "postmaster.pid"
        if pid.exists():
            os.kill(int(pid.read_text().split()[0]), signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """URL of an empty database."""
        self._databases += 1
        name = f"d{self._databases}"
        admin = URL.create("postgresql+psycopg", "ctqa", query={"host": str(self.folder)}, database="postgres")
        engine = create_engine(admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return f"postgresql://ctqa@/{name}?host={self.folder}"

    def _run(self, name: str, *arguments: object) -> None:
        # To a file: a server that inherits a pipe would keep it open.
        with (Path(tempfile.gettempdir()) / f"{self.folder.name}.out").open("w+") as out:
            done = subprocess.run(
                [_program(name), *map(str, arguments)], stdout=out, stderr=out, cwd="/", check=False, **self._as
            )
            out.seek(0)
            told = out.read()
        Path(out.name).unlink()
        assert done.returncode == 0, told
