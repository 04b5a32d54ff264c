"""What is looked at once a volume is denoised: lesions, figures before and after, findings, scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.assessment.denoising.comparison import (
    before_and_after,
    spectra_before_and_after,
    tissue_bias,
)
from CTQualityAssessmentLib.assessment.denoising.engine import Denoising
from CTQualityAssessmentLib.assessment.denoising.findings import find_lesions
from CTQualityAssessmentLib.assessment.denoising.guard import lesions_kept, slice_denoiser
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.assessment.volume_scoring import assess_volume, software_versions
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.denoising import SCORER_WARNING, BeforeAfter, DenoisingReport, Findings, Strength
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import LoadedDenoiser, LoadedModel


@dataclass(frozen=True)
class Examination:
    """What to look at.

    Attributes:
        guard: whether lesions that are put in survive.
        measures: physical measures and HU of each tissue before and after.
        findings: the lesion detector's boxes before and after.
        scorer: loads the model for scores before and after; None for no scores.
    """

    guard: bool = True
    measures: bool = True
    findings: bool = False
    scorer: Callable[[], LoadedModel] | None = None


def report_of(volume: Volume, found: Denoising, strength: Strength) -> DenoisingReport:
    """The report of a denoising that nobody has looked at yet."""
    return DenoisingReport(
        model=found.model,
        strength=strength,
        slices=volume.slice_count,
        slices_denoised=sum(found.denoised),
        partial=found.partial,
        device=found.device,
        seconds=found.seconds,
        versions=software_versions(),
        warnings=volume.warnings + found.warnings,
    )


def examine(
    report: DenoisingReport,
    original: Volume,
    result: Volume,
    model: LoadedDenoiser,
    wanted: Examination,
    *,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> DenoisingReport:
    """The report with what was looked at; what a cancel leaves undone is not in it.

    Args:
        report: of :func:`report_of`.
        original, result: on the same grid; ``result`` has the report's strength.
        model: what denoised it.
        wanted: what to look at.
        progress: called with (steps done, steps, message).
        cancelled: asked between slices.
    """
    calls = {"progress": progress, "cancelled": cancelled}
    report = replace(report, input_sha256=original.voxel_sha256(), result_sha256=result.voxel_sha256())
    if wanted.guard and not cancelled():
        report = replace(report, retention=lesions_kept(original, slice_denoiser(model, report.strength), **calls))
    if wanted.measures and not cancelled():
        before, after = measure_volume(original, **calls), measure_volume(result, **calls)
        bias = tissue_bias(original, result, **calls)
        if not (before.partial or after.partial or cancelled()):
            spectra = spectra_before_and_after(before, after)
            report = replace(report, measures=before_and_after(before, after), noise_power=spectra, bias=bias)
    if wanted.findings and not cancelled():
        sides = [find_lesions(one, model, **calls) for one in (original, result)]
        if not cancelled():
            report = replace(report, findings=Findings(*sides))
    if wanted.scorer is not None and not cancelled():
        scorer = wanted.scorer()
        scored = [assess_volume(one, scorer, **calls) for one in (original, result)]
        if not any(one.partial for one in scored):
            scores = BeforeAfter(*(one.summary.mean for one in scored))
            report = replace(report, scores=scores, warnings=(*report.warnings, SCORER_WARNING))
    return report
