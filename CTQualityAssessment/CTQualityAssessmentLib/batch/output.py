"""The output folder of a batch: which studies are done, and how a study's results come to lie in it.

A study is done when the folder ``studies/NAME`` holds its record with the fingerprint of what is asked for. That folder
is written under another name and renamed as a whole, so that neither a kill nor a power cut leaves half of one.
"""

from __future__ import annotations

import hmac
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

from CTQualityAssessmentLib.batch.errors import KeyFileError, NotABatchError, OutputBusyError, StaleRunError
from CTQualityAssessmentLib.batch.records import FAILED, StudyRecord
from CTQualityAssessmentLib.reporting.folder import OutputFolderError

RECORD = "study.json"
_LEDGER = ".ctqa-batch"
_SCRATCH, _SWEPT = ".ctqa-", ".ctqa-swept-"
_KEY_BYTES = 32
#: Of the environment: a file with the key of new folders.
KEY_FILE = "CTQA_KEY_FILE"
#: How often a study's folder may be taken away while it is being replaced: each time another worker published it.
_PUBLISH_TRIES = 5


class BatchFolder:
    """An output folder, in this process or on a worker that sees the same disk.

    Names of studies are keyed hashes of what the scanner identifies them by. The key is random, stays in the output
    folder and is readable by its owner only: without it nobody can test whether a known UID or folder is among them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.studies = path / "studies"
        self._ledger = path / _LEDGER

    @property
    def exists(self) -> bool:
        """Whether a batch was begun here, and this computer can see it."""
        return (self._ledger / "key").is_file()

    @property
    def run(self) -> str | None:
        """Which run of the program has the folder, or had it last; None where it cannot be told."""
        try:
            return (self._ledger / "run").read_text(encoding="utf-8")
        except OSError:
            return None

    @property
    def looked(self) -> date | None:
        """When an archive was looked at first, or later everything that it had was done; None where nobody watched."""
        try:
            return date.fromisoformat((self._ledger / "looked").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def note_look(self, day: date) -> None:
        """Write down the day of such a look.

        Raises:
            OutputFolderError: it cannot be written.
        """
        if self.looked != day:
            try:
                self._write_ledger("looked", day.isoformat().encode())
            except OSError as error:
                raise _cannot_write(error) from error

    @property
    def work(self) -> Path:
        """Where processes of this run keep what goes with them, such as unpacked images."""
        return self._ledger / "work"

    @contextmanager
    def opened(self) -> Iterator[str]:
        """Begin or go on with a batch here, alone; what a killed run left half-written goes.

        Workers elsewhere may still be busy for a run that was killed. They lose their scratch folders, and since the
        folder belongs to another run, what they have to say of it is not written down.

        Yields:
            What identifies this run.

        Raises:
            OutputBusyError: another process has it open.
            OutputFolderError: it cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self._ledger / "lock", timeout=0, mode=0o600)
        try:
            self._ledger.mkdir(parents=True, exist_ok=True)
            self.studies.mkdir(exist_ok=True)
            lock.acquire()
            self._create_key()
            run = secrets.token_hex(4)
            self._write_ledger("run", run.encode(), mode=0o644)  # for workers of another user too
            self._sweep()
            self.work.mkdir(mode=0o700, exist_ok=True)
        except Timeout:
            raise OutputBusyError from None
        except KeyFileError:
            lock.release()
            raise
        except OSError as error:
            lock.release()
            raise _cannot_write(error) from error
        try:
            yield run
        finally:
            # Where the scheduler was lost, workers may still be busy for this run, and lose their scratch folders here.
            # What they have to say of that must not be written down.
            with suppress(OSError):
                self._write_ledger("run", secrets.token_hex(4).encode(), mode=0o644)
            self._sweep()  # a worker that died in this run left its scratch folder too
            lock.release()

    def name_of(self, identity: bytes) -> str:
        """Pseudonym of a study in this folder; where no batch was begun yet, one that no study has.

        Raises:
            NotABatchError: the key was damaged.
        """
        key = (self._ledger / "key").read_bytes() if self.exists else secrets.token_bytes(_KEY_BYTES)
        if len(key) != _KEY_BYTES:
            raise NotABatchError
        return hmac.digest(key, identity, "sha256").hex()[:16]

    def record_of(self, name: str) -> StudyRecord | None:
        """The record of a study that is done, whatever it was done with; None where there is none."""
        try:
            return StudyRecord.from_json((self.studies / name / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def names(self) -> set[str]:
        """Names of all studies that lie here."""
        return {path.parent.name for path in self.studies.glob(f"[!.]*/{RECORD}")}

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder in which a study's results are written; it goes unless :meth:`publish` took it.

        Raises:
            OutputFolderError: it cannot be created.
        """
        try:
            folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.studies))
            folder.chmod(0o777 & ~_umask())  # mkdtemp closes it to everyone else, which suits no result
        except OSError as error:
            raise _cannot_write(error) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, scratch: Path, record: StudyRecord) -> StudyRecord:
        """Make a scratch folder the results of the study, in place of older ones, and return the record that now holds.

        Where two workers did the same study, as after the loss of a connection, the first one's results stay.

        Raises:
            StaleRunError: the folder was given to another run meanwhile, and nothing was published.
            OutputFolderError: the disk is full or was taken away.
        """
        try:
            (scratch / RECORD).write_text(record.to_json(), encoding="utf-8")
            for file in scratch.rglob("*"):
                _settle(file)
            _settle(scratch)
            for attempt in range(_PUBLISH_TRIES):
                if self.run != record.run:
                    raise StaleRunError
                known = self.record_of(record.name)
                if known is not None and known.fingerprint == record.fingerprint and known.state != FAILED:
                    return known
                try:
                    self._replace(scratch, self.studies / record.name)
                    break
                except OSError:
                    # Another worker published the same study, or took its older results away, just now.
                    if attempt + 1 == _PUBLISH_TRIES or not scratch.is_dir():
                        raise
            _settle(self.studies)
        except OSError as error:
            if self.run != record.run:
                raise StaleRunError from None
            raise _cannot_write(error) from error
        return record

    def _replace(self, scratch: Path, destination: Path) -> None:
        if destination.exists():
            # No rename replaces a folder that is not empty; between the two renames the study is just not done.
            with self.scratch() as older:
                destination.rename(older / "old")
        scratch.rename(destination)

    def _create_key(self) -> None:
        if not self.exists:
            self._write_ledger("key", _common_key() or secrets.token_bytes(_KEY_BYTES))

    def _write_ledger(self, name: str, content: bytes, mode: int = 0o600) -> None:
        unfinished = self._ledger / f"{_SCRATCH}{secrets.token_hex(4)}"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._ledger / name)

    def _sweep(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        for unfinished in self._ledger.glob(f"{_SCRATCH}*"):
            unfinished.unlink(missing_ok=True)
        for folder in self.studies.glob(f"{_SCRATCH}*"):
            # At once, so that a worker that is still busy with it cannot publish what is left of it.
            swept = folder.with_name(f"{_SWEPT}{secrets.token_hex(4)}")
            with suppress(OSError):
                folder.rename(swept)
                shutil.rmtree(swept, ignore_errors=True)


def _common_key() -> bytes | None:
    """The key that several folders share, so that a study has one pseudonym in all of them; None for one of its own.

    Raises:
        KeyFileError: the file that the environment names holds no key.
    """
    if not (named := os.environ.get(KEY_FILE)):
        return None
    try:
        key = Path(named).read_bytes()
    except OSError:
        raise KeyFileError from None
    if len(key) != _KEY_BYTES:
        raise KeyFileError
    return key


def write_whole(path: Path, text: str) -> None:
    """Write a file that is either the old one or the new one, whatever happens.

    Raises:
        OutputFolderError: it cannot be written.
    """
    unfinished = path.with_name(f"{_SCRATCH}{path.name}")
    try:
        _write_through(unfinished, text)
        unfinished.replace(path)
    except OSError as error:
        raise _cannot_write(error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _settle(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a rename must not get there before them."""
    if path.is_file():
        with path.open("r+b") as opened:
            os.fsync(opened.fileno())
    elif path.is_dir() and os.name == "posix":  # elsewhere a folder cannot be opened
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _cannot_write(error: OSError) -> OutputFolderError:
    return OutputFolderError(
        f"The output folder cannot be written ({error.strerror or type(error).__name__}).",
        "Choose with --out a folder that you may write to and that is not a file.",
    )
