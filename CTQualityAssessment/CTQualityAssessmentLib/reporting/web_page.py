"""``index.html``: the result as one page that needs no other file and no network."""

from __future__ import annotations

import base64
from itertools import groupby
from pathlib import Path

from CTQualityAssessmentLib.measures import TISSUES, PhysicalMeasures
from CTQualityAssessmentLib.reporting.measure_words import MEASURE_WORDS, range_text, reason_text, value_text
from CTQualityAssessmentLib.reporting.words import DISCLAIMER, FACT_LABELS, fact_text, headline, summary_line
from CTQualityAssessmentLib.results import VolumeAssessment

_TEMPLATES = Path(__file__).with_name("templates")


def write_web_page(
    path: Path,
    assessment: VolumeAssessment,
    figures: Path | None = None,
    scene: bool = False,
    measures: PhysicalMeasures | None = None,
    profile: Path | None = None,
) -> None:
    """Write the page to ``path``.

    Args:
        path: where to.
        assessment: what was found.
        figures: the PNG to show in the page, none if it was not drawn.
        scene: True where a ``scene.mrb`` lies beside the page.
        measures: what was measured without the network, none if it was not.
        profile: the PNG of score, noise and size along the patient, none if it was not drawn.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("index.html").render(
        assessment=assessment,
        headline=headline(assessment),
        summary_line=summary_line(assessment),
        disclaimer=DISCLAIMER,
        worst=[assessment.slices[n] for n in assessment.summary.worst],
        refusals=refused_ranges(assessment),
        facts=[(label, fact_text(name, assessment.facts)) for name, label, _ in FACT_LABELS],
        figures=_inline(figures),
        measures=measures,
        measure_rows=_measure_rows(measures) if measures else [],
        tissue_rows=_tissue_rows(measures) if measures else [],
        profile=_inline(profile),
        scene=scene,
    )
    path.write_text(text, encoding="utf-8")


def _inline(picture: Path | None) -> str | None:
    return base64.b64encode(picture.read_bytes()).decode("ascii") if picture else None


def _measure_rows(measures: PhysicalMeasures) -> list[tuple[str, str, str, str]]:
    """Label, value or reason, range over the slices with their number, and how to read it."""
    rows = []
    for words in MEASURE_WORDS:
        reason = reason_text(words, measures)
        value = f"n/a: {reason}" if reason else value_text(words, measures.volume)
        spread = range_text(words, measures.volume)
        count = measures.volume.slices_measured[words.name]
        rows.append((words.label, value, f"{spread} ({count} slices)" if spread else "", words.how_to_read))
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
