"""What there is to do in a tree of folders, what is done, and what is left out with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import FAILED, SKIPPED, Job, Settings, Study, StudyRecord
from CTQualityAssessmentLib.reading import FoundInput


@dataclass(frozen=True)
class Entry:
    """One series of the input.

    Attributes:
        study: what to do for it; None where there is nothing to read.
        label: as :attr:`FoundInput.label`.
        where, protocol: as in :class:`FoundInput`; they may identify a patient.
        record: of the study where it is done, or of the reason why there is nothing to read.
        left: what is left to do where there is no record.
    """

    study: Job | None
    label: str
    where: str
    protocol: str | None
    record: StudyRecord | None
    left: str = "to do"

    @property
    def name(self) -> str | None:
        """Pseudonym of the study in the output folder; None where there is no study."""
        done = self.record or self.study
        return done.name if done else None


def make_plan(
    found: Sequence[FoundInput], folder: BatchFolder, settings: Settings, retry: bool = False
) -> tuple[Entry, ...]:
    """One entry for each input, in their order.

    Args:
        found: the inputs.
        folder: where the results lie or will lie.
        settings: how the studies are to be done. Those done with others, or whose files changed since, are done anew.
        retry: whether those that failed are done again too.
    """
    return tuple(_entry(one, folder, settings, retry) for one in found)


def _entry(one: FoundInput, folder: BatchFolder, settings: Settings, retry: bool) -> Entry:
    name = folder.name_of(one.identity)
    if reason := one.skipped or one.damaged:
        record = StudyRecord(name, "", "", SKIPPED if one.skipped else FAILED, reason)
        return Entry(None, one.label, one.where, one.protocol, record)
    study = Study(name, settings.fingerprint(one.state), tuple(str(file.absolute()) for file in one.files), one.series)
    record = folder.record_of(name)
    if record and (record.fingerprint != study.fingerprint or (retry and record.state == FAILED)):
        record = None
    return Entry(study, one.label, one.where, one.protocol, record)
