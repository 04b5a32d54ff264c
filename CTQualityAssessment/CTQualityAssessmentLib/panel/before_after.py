"""What denoising changed, as rows for the table in the scene."""

from __future__ import annotations

from slicer.i18n import tr as _

from CTQualityAssessmentLib.denoising import DenoisingReport, Retention
from CTQualityAssessmentLib.reporting.denoising_words import measure_rows
from CTQualityAssessmentLib.translation import said


def before_after_rows(report: DenoisingReport) -> list[tuple[str, str, str]]:
    """Name, before and after: lesions first, then the physical measures, then how far the HU of tissues moved."""
    rows = [(_retention_name(one), "100 %", _share(one.kept)) for one in report.retention]
    rows += measure_rows(report)
    for tissue, moved in (report.bias or {}).items():
        rows.append((_("Mean HU of {tissue}").format(tissue=said(tissue)), "", f"{moved.bias_hu:+.1f} HU"))
    if report.scores is not None:
        rows.append((_("Mean score"), _number(report.scores.before), _number(report.scores.after)))
    if report.findings is not None:
        counts = (str(len(found)) for found in (report.findings.before, report.findings.after))
        rows.append((_("Boxes of the lesion detector (no diagnosis)"), *counts))
    return rows


def _retention_name(one: Retention) -> str:
    return _("Lesion signal, {diameter:g} mm, {contrast:g} HU, {tissue}").format(
        diameter=one.diameter_mm, contrast=one.contrast_hu, tissue=said(one.tissue)
    )


def _share(kept: float | None) -> str:
    """Rounded down: 89.6 % must not read as the 90 % that is asked for."""
    return _("n/a") if kept is None else f"{int(100 * kept + 1e-6)} %"


def _number(value: float | None) -> str:
    return _("n/a") if value is None else f"{value:.1f}"
