"""``index.html``: the result as one page that needs no other file and no network."""

from __future__ import annotations

import base64
from itertools import groupby
from pathlib import Path

from CTQualityAssessmentLib.reporting.words import DISCLAIMER, FACT_LABELS, fact_text, headline, summary_line
from CTQualityAssessmentLib.results import VolumeAssessment

_TEMPLATES = Path(__file__).with_name("templates")


def write_web_page(path: Path, assessment: VolumeAssessment, figures: Path | None = None, scene: bool = False) -> None:
    """Write the page to ``path``.

    Args:
        path: where to.
        assessment: what was found.
        figures: the PNG to show in the page, none if it was not drawn.
        scene: True where a ``scene.mrb`` lies beside the page.
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
        figures=base64.b64encode(figures.read_bytes()).decode("ascii") if figures else None,
        scene=scene,
    )
    path.write_text(text, encoding="utf-8")


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
