"""``index.html``: the result as one page that needs no other file and no network."""

from __future__ import annotations

import base64
import importlib.util
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from CTQualityAssessmentLib.colours import ATTENTION, QUALITY
from CTQualityAssessmentLib.measures import TISSUES, PhysicalMeasures
from CTQualityAssessmentLib.reporting.measure_words import MEASURE_WORDS, range_text, reason_text, value_text
from CTQualityAssessmentLib.reporting.words import (
    DISCLAIMER,
    FACT_LABELS,
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

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES = Path(__file__).with_name("templates")
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
) -> None:
    """Write the page to ``path``.

    Args:
        path: where to.
        assessment: what was found.
        volume: the volume that was assessed, for pictures of its worst, median and best slice; None leaves them out.
        measures: what was measured without the network, none if it was not.
        scene: True where a ``scene.mrb`` lies beside the page.
        dicom: True where DICOM files, which name the patient, lie beside the page.

    Without matplotlib there are no charts and no pictures, and the page says so.
    """
    text = _template().render(
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
        attention_colours=_gradient(ATTENTION.rgb(12)),
        spread_reading=spread_reading(assessment),
        curve_reading=curve_reading(assessment),
        modality=modality_word(assessment),
        told=told_line(assessment),
        measures=measures,
        measure_rows=_measure_rows(measures) if measures else [],
        tissue_rows=_tissue_rows(measures) if measures else [],
        not_the_score=not_the_score(assessment),
        scene=scene,
    )
    path.write_text(text, encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> Template:
    """Compiled once: a batch writes hundreds of pages in one process."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html")


def _draw(assessment: VolumeAssessment, volume: Volume | None, measures: PhysicalMeasures | None) -> _PagePictures:
    """Charts and pictures; 3D Slicer has no matplotlib unless someone installed it."""
    if importlib.util.find_spec("matplotlib") is None:
        return _PagePictures()
    from CTQualityAssessmentLib.reporting.page_charts import profile_svg, spectrum_svg

    profile, left_out = profile_svg(assessment, measures)
    spectrum = spectrum_svg(measures) if measures else None
    drawn = _PagePictures(_data("svg+xml", profile), tuple(left_out), spectrum and _data("svg+xml", spectrum))
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
            [(_data("png", p.png), p.shows, p.width, p.height) for p in one.pictures],
        )
        for one in found
    )
    reading = next((map_reading(one) for one in maps_to_show(assessment)), "")
    return replace(drawn, slices=slices, attention_top=top, map_reading=reading, window=window_words(volume))


def _data(kind: str, content: bytes | str) -> str:
    raw = content.encode("utf-8") if isinstance(content, str) else content
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode('ascii')}"


def _gradient(colours: Any) -> str:
    """A CSS gradient from left to right through colours of ``(n, 3)`` in 0 ... 1."""
    steps = ", ".join("#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in colours)
    return f"linear-gradient(to right, {steps})"


def _scale(assessment: VolumeAssessment) -> dict[str, Any]:
    """The scale from Bad to Excellent with the volume's mean and range on it, in percent of its length."""
    summary = assessment.summary

    def place(score: float | None) -> float | None:
        return None if score is None else round(100 * score / MAX_SCORE, 2)

    return {
        "colours": _gradient(QUALITY.rgb(16)),
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
