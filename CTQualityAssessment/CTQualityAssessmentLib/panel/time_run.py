"""A run over all time points of a sequence: one run after the other, and one result at the end."""

from __future__ import annotations

from dataclasses import replace

from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.time_series import Sequence, add_time_series
from CTQualityAssessmentLib.panel.run import RunEnd, RunRequest
from CTQualityAssessmentLib.results import VolumeAssessment


class TimeRun:
    """What is left to do and what was found.

    Attributes:
        stopped: set by the user's cancel; the time point that is being assessed is then dropped.
    """

    def __init__(self, request: RunRequest, sequence: Sequence) -> None:
        self._request, self._sequence = replace(request, attention_stages=()), sequence
        self._count = sequence.count
        self._found: dict[int, VolumeAssessment] = {}
        self.stopped = False

    def next_request(self) -> RunRequest:
        """The run for the next time point."""
        return replace(self._request, time_point=self._sequence.volume(len(self._found)))

    def place(self) -> str:
        """Which time point is being assessed."""
        return _("Time point {done} of {total}").format(done=len(self._found) + 1, total=self._count)

    def take(self, end: RunEnd) -> bool:
        """Take in the end of one run; True when another time point is to follow."""
        if end.assessment is None or end.assessment.partial:
            self.stopped = True
            return False
        self._found[len(self._found)] = end.assessment
        return len(self._found) < self._count and not self.stopped and _still_shown(self._sequence)

    def end(self, last: RunEnd) -> RunEnd:
        """Put the complete time points into the scene and say how it ended.

        Nothing is put there where the scene or the volume is gone.
        """
        node = self._request.node
        if not self._found or last.abandoned or not _still_shown(self._sequence):
            gone = "" if _still_shown(self._sequence) else _("The sequence was removed, so the run was stopped.")
            return RunEnd(message=last.message or gone or _("Cancelled."), log=last.log)
        add_time_series(node.GetScene(), node, self._sequence, self._found)
        done = _("{done} of {total} time points were assessed.").format(done=len(self._found), total=self._count)
        return RunEnd(message=f"{last.message} {done}".strip(), log=last.log)


def _still_shown(sequence: Sequence) -> bool:
    return sequence.sequence.GetScene() is not None and sequence.browser.GetScene() is not None
