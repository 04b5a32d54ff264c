"""``index.html`` of a denoising, and the same comparison as a section of the assessment's page."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from CTQualityAssessmentLib.colours import DIFFERENCE
from CTQualityAssessmentLib.denoising import SCORER_WARNING, DenoisingReport, Finding, Findings, Retention
from CTQualityAssessmentLib.measures import TISSUES
from CTQualityAssessmentLib.reporting.denoising_words import (
    DENOISING_DISCLAIMER,
    NOT_THE_DENOISING,
    change_text,
    denoising_headline,
    denoising_sentences,
    finding_counts,
    lesion_text,
    percent_kept,
    signed,
)
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measure_words import number_text
from CTQualityAssessmentLib.reporting.page_parts import can_draw, css_gradient, data_uri, page_template
from CTQualityAssessmentLib.volume import Volume

#: Boxes in the table for each side.
_MOST_FINDINGS = 5


@dataclass(frozen=True)
class _ShownSlice:
    """A slice with its pictures: heading, caption, and for each picture data URI, words, width and height."""

    title: str
    caption: str
    pictures: tuple[tuple[str, str, int, int], ...]


@dataclass(frozen=True)
class DenoisingView:
    """A denoising as the templates show it; see ``templates/denoising_parts.html``.

    Attributes:
        report: what is shown.
        headline, meaning: the guard's verdict.
        guard: a sentence for each of its tests, and whether it is a red flag.
        sentences: what was done and changed.
        lesions: lesion, how many, share kept, interval, lowest tenth, slice of the least.
        figures: label, before, after, change, how to read it.
        tissues: tissue, mean change, area.
        scores: before, after; with ``scorer_warning``.
        findings: boxes of the lesion detector before and after, side by side; None where it was not asked.
        slices: pictures; empty where none could be drawn.
        scale_hu: where the colours of the differences end.
        spectra: the noise power spectra as data URI.
    """

    report: DenoisingReport
    headline: str
    meaning: str
    guard: tuple[tuple[str, bool], ...]
    sentences: tuple[str, ...]
    lesions: tuple[tuple[str, ...], ...]
    figures: tuple[tuple[str, ...], ...]
    tissues: tuple[tuple[str, str, str], ...]
    scores: tuple[str, str] | None
    findings: tuple[tuple[str, str], ...] | None
    finding_counts: str = ""
    slices: tuple[_ShownSlice, ...] = ()
    scale_hu: float | None = None
    window: str = ""
    spectra: str | None = None
    scorer_warning: str = SCORER_WARNING
    disclaimer: str = DENOISING_DISCLAIMER
    limits: tuple[str, ...] = NOT_THE_DENOISING
    colours: str = css_gradient(DIFFERENCE.rgb(13))

    @property
    def flagged(self) -> bool:
        """Whether any of the guard's tests raised its flag."""
        return any(flag for _, flag in self.guard)


def write_denoising_page(
    path: Path,
    report: DenoisingReport,
    *,
    original: Volume | None = None,
    denoised: Volume | None = None,
    files: tuple[str, ...] = (),
    dicom: bool = False,
) -> None:
    """Write the page of a denoising to ``path``.

    Args:
        path: where to.
        report: what was done, and what was found.
        original, denoised: on the same grid, for pictures of a few slices; None leaves them out.
        files: names of the files that lie beside the page.
        dicom: True where a derived series, which names the patient, lies beside the page.

    Without matplotlib there are no pictures, and the page says so.
    """
    view = denoising_view(report, original, denoised)
    path.write_text(page_template("denoising.html").render(d=view, files=files, dicom=dicom), encoding="utf-8")


def denoising_view(
    report: DenoisingReport, original: Volume | None = None, denoised: Volume | None = None
) -> DenoisingView:
    """What the templates show of a denoising; arguments as for :func:`write_denoising_page`."""
    headline, meaning = denoising_headline(report)
    slices, scale_hu, window = _slices(report, original, denoised)
    return DenoisingView(
        report=report,
        headline=headline,
        meaning=meaning,
        guard=tuple((one.sentence(), one.flagged) for one in report.retention),
        sentences=tuple(denoising_sentences(report)),
        lesions=tuple(_lesion_row(one) for one in report.retention),
        figures=_figure_rows(report),
        tissues=_tissue_rows(report),
        scores=None if report.scores is None else (_score(report.scores.before), _score(report.scores.after)),
        findings=None if report.findings is None else _finding_rows(report.findings),
        finding_counts="" if report.findings is None else finding_counts(report.findings),
        slices=slices,
        scale_hu=scale_hu,
        window=window,
        spectra=_spectra(report),
    )


def _slices(
    report: DenoisingReport, original: Volume | None, denoised: Volume | None
) -> tuple[tuple[_ShownSlice, ...], float | None, str]:
    if original is None or denoised is None or not can_draw():
        return (), None, ""
    from CTQualityAssessmentLib.assessment.display import window_words
    from CTQualityAssessmentLib.reporting.denoising_pictures import compared_slices

    found, scale_hu = compared_slices(original, denoised, report)
    shown = tuple(
        _ShownSlice(
            one.part[0].upper() + one.part[1:],
            f"slice {one.index}, root mean square of the change {one.change_hu:.1f} HU",
            tuple((data_uri("png", p.png), p.shows, p.width, p.height) for p in one.pictures),
        )
        for one in found
    )
    return shown, scale_hu, window_words(original)


def _spectra(report: DenoisingReport) -> str | None:
    if report.noise_power is None or not can_draw():
        return None
    from CTQualityAssessmentLib.reporting.page_charts import spectra_svg

    svg = spectra_svg({"before": report.noise_power.before, "after": report.noise_power.after})
    return svg and data_uri("svg+xml", svg)


def _lesion_row(one: Retention) -> tuple[str, ...]:
    if one.kept is None or one.interval is None or one.lowest_tenth is None:
        return (lesion_text(one), "0", "n/a: no room for such a lesion in this volume", "n/a", "n/a", "n/a")
    low, high = (percent_kept(share) for share in one.interval)
    least = "n/a"
    if one.least_slice is not None and one.least_slice_kept is not None:
        least = f"{percent_kept(one.least_slice_kept)} (slice {one.least_slice})"
    kept = f"{percent_kept(one.kept)}{' RED FLAG' if one.flagged else ''}"
    return (
        lesion_text(one),
        f"{one.lesions} in {one.slices}",
        kept,
        f"{low} to {high}",
        percent_kept(one.lowest_tenth),
        least,
    )


def _figure_rows(report: DenoisingReport) -> tuple[tuple[str, ...], ...]:
    rows = []
    for words in MEASURE_WORDS:
        pair = (report.measures or {}).get(words.name)
        if pair is None:
            continue
        before, after = (number_text(words, value) for value in (pair.before, pair.after))
        if pair.reason and pair.before is None:
            before = f"n/a: {pair.reason}"
        elif pair.reason:
            after = f"n/a: {pair.reason}"
        rows.append((words.label, before, after, change_text(pair.before, pair.after), words.how_to_read))
    return tuple(rows)


def _tissue_rows(report: DenoisingReport) -> tuple[tuple[str, str, str], ...]:
    if report.bias is None:
        return ()
    found = report.bias
    return tuple(
        (name, f"{signed(found[name].bias_hu)} HU", f"{found[name].area_mm2 / 100:.0f} cm²")
        if name in found
        else (name, "n/a: not in view", "n/a")
        for name in TISSUES
    )


def _finding_rows(findings: Findings) -> tuple[tuple[str, str], ...]:
    sides = ([_finding(one) for one in side[:_MOST_FINDINGS]] for side in (findings.before, findings.after))
    return tuple(zip_longest(*sides, fillvalue="")) or (("none", "none"),)


def _finding(one: Finding) -> str:
    slices = f"{one.first_slice}-{one.last_slice}" if one.last_slice > one.first_slice else f"{one.first_slice}"
    return f"{slices}, {one.probability:.2f}"


def _score(value: float | None) -> str:
    return "n/a: every slice was refused" if value is None else f"{value:.2f}"
