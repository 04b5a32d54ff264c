"""A ``denoise`` request: the voxels first, so that a window can show them, then what was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.errors import is_out_of_memory
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.worker.exchange import read_denoised, read_volume_file, write_denoised, write_denoising
from CTQualityAssessmentLib.worker.protocol import BadRequestError, DenoiseRequest, RunCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from CTQualityAssessmentLib.calls import Cancelled, Progress
    from CTQualityAssessmentLib.models import LoadedDenoiser, LoadedModel
    from CTQualityAssessmentLib.volume import Volume

_ = marks_of(__file__)


class DenoisingWork:
    """Serves ``denoise`` requests; keeps the denoiser of the last one."""

    def __init__(self) -> None:
        self._model: tuple[tuple[str | None, str], LoadedDenoiser] | None = None

    def serve(
        self,
        request: DenoiseRequest,
        scorer: Callable[[], LoadedModel],
        *,
        progress: Progress,
        cancelled: Cancelled,
        on_voxels: Callable[[], None],
        on_note: Callable[[str], None],
    ) -> bool:
        """Write the request's files; True when it was cancelled after the voxels were there.

        Args:
            request: what to do.
            scorer: loads the model for scores before and after.
            progress: called with (steps done, steps, message).
            cancelled: asked between slices.
            on_voxels: called once the folder holds the denoised voxels.
            on_note: called with a sentence for the user.

        Raises:
            RunCancelledError: cancelled before there were voxels.
            BadRequestError: ``earlier`` is of another model.
        """
        from CTQualityAssessmentLib.assessment.denoising import Examination, blend, examine

        if cancelled():
            raise RunCancelledError
        folder = Path(request.folder)
        volume = read_volume_file(request)
        strength = Strength(request.lung, request.soft_tissue, request.bone)
        progress(0, 0, _("Loading the model"))
        if request.earlier is not None:
            full, report = self._again(request, request.earlier, volume, strength)
        else:
            full, report = self._denoised(request, volume, strength, progress, cancelled, on_note)
        result = full if strength.full else blend(volume, full, strength)
        write_denoised(folder, result, report, full if request.earlier is None and not strength.full else None)
        on_voxels()
        wanted = Examination(request.guard, request.measures, request.findings, scorer if request.scores else None)
        model = self._loaded(request.model, report.device)
        report = examine(report, volume, result, model, wanted, progress=progress, cancelled=cancelled)
        write_denoising(folder, report)
        return cancelled()

    def _denoised(
        self,
        request: DenoiseRequest,
        volume: Volume,
        strength: Strength,
        progress: Progress,
        cancelled: Cancelled,
        on_note: Callable[[str], None],
    ) -> tuple[Volume, DenoisingReport]:
        """The network's answer; on the CPU when the graphics card has too little memory, and it says so."""
        from dataclasses import replace

        from CTQualityAssessmentLib.assessment.denoising import denoise_volume, report_of

        notes: tuple[str, ...] = ()
        device = request.device
        while True:
            model = self._loaded(request.model, device)
            try:
                found = denoise_volume(volume, model, progress=progress, cancelled=cancelled)
                break
            except Exception as error:
                if not is_out_of_memory(error) or model.device.type == "cpu":
                    raise
                error.__traceback__ = None  # it holds the tensors that did not fit
            device, self._model = "cpu", None
            notes = (_("The memory of the graphics card was short, so the slices were denoised on the CPU."),)
            on_note(notes[0])
        if found.partial:
            raise RunCancelledError
        report = report_of(volume, found, strength)
        return found.volume, replace(report, warnings=(*report.warnings, *notes))

    def _again(
        self, request: DenoiseRequest, earlier: str, volume: Volume, strength: Strength
    ) -> tuple[Volume, DenoisingReport]:
        """The network's answer of an earlier request, and its report as nobody had looked at it yet."""
        full, report = read_denoised(Path(earlier), volume, full=True)
        model = self._loaded(request.model, report.device)
        if report.model.sha256 != model.identity.sha256:
            raise BadRequestError(_("the earlier result is of another model"))
        return full, report.at_strength(strength)

    def _loaded(self, name: str | None, device: str) -> LoadedDenoiser:
        from CTQualityAssessmentLib.models import DEFAULT_DENOISER, load_denoiser

        if self._model is None or self._model[0] != (name, device):
            self._model = None  # free the old one before the new one needs its place
            self._model = ((name, device), load_denoiser(name or DEFAULT_DENOISER, device=device))
        return self._model[1]
