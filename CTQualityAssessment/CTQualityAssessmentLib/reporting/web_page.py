"""``index.html``: the result as one page that needs no other file and no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.colours import ATTENTION, QUALITY
from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.measures import TISSUES, PhysicalMeasures
from CTQualityAssessmentLib.reporting.denoising_page import denoising_view
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER, FACT_LABELS
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measure_words import range_text, reason_text, value_text
from CTQualityAssessmentLib.reporting.page_parts import can_draw, css_gradient, data_uri, page_template
from CTQualityAssessmentLib.reporting.words import (
    curve_reading,
    dose_text,
    fact_text,
    headline,
    map_reading,
    modality_word,
    not_the_score,
    slice_words,
    spread_reading,
    told_line,
    verdict_score,
    verdict_sentences,
)
from CTQualityAssessmentLib.results import GRADES, MAX_SCORE, VolumeAssessment
from CTQualityAssessmentLib.volume import Volume

#: Worst slices in the table.
_MOST_WORST = 10


@dataclass(frozen=True)
class _PageSlice:
    """A slice with its pictures: heading, caption, and for each picture data URI, words, width and height."""

    title: str
    caption: str
    pictures: list[tuple[str, str, int, int]]


@dataclass(frozen=True)
class _PagePictures:
    """What the page shows beside words; all of it empty where nothing could be drawn."""

    profile: str | None = None
    profile_left_out: tuple[str, ...] = ()
    spectrum: str | None = None
    slices: tuple[_PageSlice, ...] = ()
    attention_top: float | None = None
    map_reading: str = ""
    window: str = ""


def write_web_page(
    path: Path,
    assessment: VolumeAssessment,
    *,
    volume: Volume | None = None,
    measures: PhysicalMeasures | None = None,
    scene: bool = False,
    dicom: bool = False,
    denoising: DenoisingReport | None = None,
    denoised: Volume | None = None,
) -> None:
    """Write the page to ``path``.

    Args:
        path: where to.
        assessment: what was found.
        volume: the volume that was assessed, for pictures of its worst, median and best slice; None leaves them out.
        measures: what was measured without the network, none if it was not.
        scene: True where a ``scene.mrb`` lies beside the page.
        dicom: True where DICOM files, which name the patient, lie beside the page.
        denoising: what is known of a denoising of the same volume, for a section with the comparison.
        denoised: its result on the grid of ``volume``, for the pictures in that section.

    Without matplotlib there are no charts and no pictures, and the page says so.
    """
    text = page_template("index.html").render(
        assessment=assessment,
        dicom=dicom,
        headline=headline(assessment),
        verdict=verdict_sentences(assessment),
        disclaimer=DISCLAIMER,
        scale=_scale(assessment),
        worst=_worst_rows(assessment, measures),
        refusals=refused_ranges(assessment),
        facts=[(label, fact_text(name, assessment.facts)) for name, label, _ in FACT_LABELS],
        dose=dose_text(assessment),
        pictures=_draw(assessment, volume, measures),
        attention_colours=css_gradient(ATTENTION.rgb(12)),
        spread_reading=spread_reading(assessment),
        curve_reading=curve_reading(assessment),
        modality=modality_word(assessment),
        told=told_line(assessment),
        measures=measures,
        measure_rows=_measure_rows(measures) if measures else [],
        tissue_rows=_tissue_rows(measures) if measures else [],
        not_the_score=not_the_score(assessment),
        scene=scene,
        denoising=denoising and denoising_view(denoising, volume, denoised),
    )
    path.write_text(text, encoding="utf-8")


def _draw(assessment: VolumeAssessment, volume: Volume | None, measures: PhysicalMeasures | None) -> _PagePictures:
    """Charts and pictures, as far as they can be drawn here."""
    if not can_draw():
        return _PagePictures()
    from CTQualityAssessmentLib.reporting.page_charts import profile_svg, spectrum_svg

    profile, left_out = profile_svg(assessment, measures)
    spectrum = spectrum_svg(measures) if measures else None
    drawn = _PagePictures(data_uri("svg+xml", profile), tuple(left_out), spectrum and data_uri("svg+xml", spectrum))
    if volume is None:
        return drawn
    from CTQualityAssessmentLib.assessment.display import window_words
    from CTQualityAssessmentLib.reporting.slice_panels import maps_to_show
    from CTQualityAssessmentLib.reporting.slice_pictures import slice_pictures

    found, top = slice_pictures(volume, assessment)
    slices = tuple(
        _PageSlice(
            f"{one.part.capitalize()} slice",
            slice_words(assessment, one.index, measures),
            [(data_uri("png", p.png), p.shows, p.width, p.height) for p in one.pictures],
        )
        for one in found
    )
    reading = next((map_reading(one) for one in maps_to_show(assessment)), "")
    return replace(drawn, slices=slices, attention_top=top, map_reading=reading, window=window_words(volume))


def _scale(assessment: VolumeAssessment) -> dict[str, Any]:
    """The scale from Bad to Excellent with the volume's mean and range on it, in percent of its length."""
    summary = assessment.summary

    def place(score: float | None) -> float | None:
        return None if score is None else round(100 * score / MAX_SCORE, 2)

    return {
        "colours": css_gradient(QUALITY.rgb(16)),
        "grades": [(word, place(float(n))) for n, (word, _) in enumerate(GRADES)],
        "mean": place(verdict_score(assessment)),
        "low": place(summary.minimum),
        "high": place(summary.maximum),
    }


def _worst_rows(assessment: VolumeAssessment, measures: PhysicalMeasures | None) -> list[list[str]]:
    """Slice, score, grade, SD, novelty, noise and tube current of the worst slices."""

    def text(value: float | None, form: str) -> str:
        return "n/a" if value is None else format(value, form)

    rows = []
    for index in assessment.summary.worst[:_MOST_WORST]:
        one = assessment.slices[index]
        noise = measures.slices[index].noise_hu if measures else None
        rows.append(
            [
                str(index),
                text(one.score, ".2f"),
                one.grade or "n/a",
                text(one.sd, ".2f"),
                text(one.novelty, ".2f"),
                text(noise, ".1f"),
                text(one.tube_current_ma, ".0f"),
            ]
        )
    return rows


def _measure_rows(measures: PhysicalMeasures) -> list[tuple[str, str, str, int, str]]:
    """Label, value or reason, range over the slices, their number, and how to read it."""
    rows = []
    for words in MEASURE_WORDS:
        reason = reason_text(words, measures)
        value = f"n/a: {reason}" if reason else value_text(words, measures.volume)
        count = measures.volume.slices_measured[words.name]
        rows.append((words.label, value, range_text(words, measures.volume), count, words.how_to_read))
    return rows


def _tissue_rows(measures: PhysicalMeasures) -> list[tuple[str, str, str]]:
    """Tissue, mean and standard deviation; n/a where it is not in view."""
    found = measures.volume.tissues
    return [
        (name, f"{found[name].mean_hu:.0f} HU", f"{found[name].sd_hu:.0f} HU")
        if name in found
        else (name, "n/a", "n/a")
        for name in TISSUES
    ]


def refused_ranges(assessment: VolumeAssessment) -> list[tuple[str, str]]:
    """Reasons of refusal with their slices as ranges, for example ``("No patient in view.", "0-3, 40")``."""
    by_reason: dict[str, list[int]] = {}
    for one in assessment.slices:
        if one.refusal:
            by_reason.setdefault(one.refusal.reason, []).append(one.index)
    return [(reason, _ranges(indices)) for reason, indices in by_reason.items()]


def _ranges(indices: list[int]) -> str:
    runs = [[n for _, n in run] for _, run in groupby(enumerate(indices), lambda item: item[1] - item[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
