"""Results of a run become rows of the record, also those that an earlier run could not enter."""

from __future__ import annotations

from collections.abc import Iterable

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import SCORED, SKIPPED, WAITING, Settings, StudyRecord
from CTQualityAssessmentLib.record.errors import RecordLostError
from CTQualityAssessmentLib.record.store import Record, Result

_WORD = b"which key is this?"


class Filing:
    """Enters what is done. The folder stays the truth: what could not be entered is, by the next call or run.

    Args:
        record: opened.
        folder: the output folder, opened.
        settings: how its studies are done.

    Raises:
        OtherKeyError, RecordLostError: see :meth:`~.store.Record.check_key`.
    """

    def __init__(self, record: Record, folder: BatchFolder, settings: Settings) -> None:
        self._record, self._settings = record, settings
        self._waiting: dict[str, StudyRecord] = {}
        record.check_key(folder.name_of(_WORD))

    def enter(self, done: StudyRecord) -> None:
        """Enter a study; where the database does not answer, it waits for :meth:`settle`."""
        self._waiting[done.name] = done
        try:
            self._put()
        except RecordLostError:
            pass

    def settle(self, done: Iterable[StudyRecord]) -> None:
        """Enter all that is not there yet: of these, and what waits.

        Raises:
            RecordLostError: the database does not answer.
        """
        there = self._record.digests(self._settings.model_sha256, self._settings.scoring())
        for one in done:
            if there.get(one.name) != self._result(one).digest():
                self._waiting.setdefault(one.name, one)
        self._put()

    def _put(self) -> None:
        wanted = [self._result(one) for one in self._waiting.values() if one.state not in (SKIPPED, WAITING)]
        if wanted:
            self._record.put(wanted)
        self._waiting.clear()

    def _result(self, done: StudyRecord) -> Result:
        settings = self._settings
        reason = None if done.state == SCORED else done.reason  # that it was not sent back yet is no part of the result
        return Result(done.name, settings.model_sha256, settings.scoring(), done.state, reason, done.values)
