"""What the page shows, as plain values for its templates."""

from __future__ import annotations

from typing import Any

from CTQualityAssessmentLib.colours import ATTENTION, QUALITY
from CTQualityAssessmentLib.models import BundleInfo
from CTQualityAssessmentLib.reporting.web_page import refused_ranges
from CTQualityAssessmentLib.reporting.words import DISCLAIMER, FACT_LABELS, fact_text, headline
from CTQualityAssessmentLib.results import SliceAssessment, VolumeAssessment
from CTQualityAssessmentLib.volume import Volume


def palette(map_: str) -> list[str]:
    """Twenty-one colours of a map from low to high, for the page's style sheets."""
    colours = (QUALITY if map_ == "quality" else ATTENTION).rgb(21)
    return ["#" + "".join(f"{round(255 * c):02x}" for c in colour) for colour in colours]


def legend_of(overlay: str, upper: float) -> dict[str, Any] | None:
    """Title, ends and colours of an overlay by its name; ``upper`` is the high end of an attention map."""
    if overlay == "quality":
        return {"title": "Quality", "low": "0 Bad", "high": "4 Excellent", "colours": palette("quality")}
    if overlay:
        return {"title": "Attention", "low": "1 even", "high": f"{upper:.1f} x", "colours": palette("attention")}
    return None


def case_of(volume: Volume) -> dict[str, Any]:
    """The volume: nothing that names the patient."""
    i, j, k = volume.spacing
    known = volume.facts.known()
    return {
        "slices": volume.slice_count,
        "title": f"{'CT' if volume.facts.modality in (None, 'CT') else volume.facts.modality}, {volume.slice_count} "
        f"slices, {' x '.join(str(n) for n in reversed(volume.hu.shape))}, {i:.3g} x {j:.3g} x {k:.3g} mm",
        "facts": [[label, fact_text(name, known)] for name, label, _ in FACT_LABELS],
        "warnings": list(volume.warnings),
    }


def row_of(one: SliceAssessment) -> list[Any]:
    """A row of the table: slice, score, standard deviation, grade, novelty, reason of a refusal."""
    numbers = [None if value is None else round(value, 3) for value in (one.score, one.sd)]
    novelty = None if one.novelty is None else round(one.novelty, 2)
    return [one.index, *numbers, one.grade, novelty, one.refusal.reason if one.refusal else None]


def result_of(assessment: VolumeAssessment) -> dict[str, Any]:
    """The summary with everything that must stand beside a score."""
    title, meaning = headline(assessment)
    s = assessment.summary
    numbers = [["Slices scored", f"{s.scored} of {s.slices}"]]
    if s.mean is not None:
        numbers += [
            ["Median", f"{s.median:.1f}"],
            ["10th percentile", f"{s.percentile_10:.1f}"],
            ["Range", f"{s.minimum:.1f} to {s.maximum:.1f}"],
            ["Below Fair (2)", f"{s.share_below_fair:.0%}"],
            ["Length scored", f"{s.scored_range_mm:.0f} mm"],
        ]
    model = assessment.model
    return {
        "score": None if s.mean is None else f"{s.mean:.1f}",
        "grade": s.grade or title,
        "meaning": meaning,
        "numbers": numbers,
        "partial": assessment.partial,
        "simulated": model.simulated_labels,
        "statement": model.statement,
        "disclaimer": DISCLAIMER,
        "refusals": [list(pair) for pair in refused_ranges(assessment)],
        "warnings": list(assessment.warnings),
        "made": [
            ["Model", f"{model.name} {model.version}"],
            ["Network", model.network],
            ["Window", model.window],
            ["Weights (SHA-256)", model.sha256],
            ["Device", assessment.device],
            ["Versions", ", ".join(f"{name} {version}" for name, version in assessment.versions.items())],
            ["Seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in assessment.timings_s.items())],
        ],
    }


def model_of(name: str, info: BundleInfo) -> dict[str, Any]:
    """A model for the list, with its card where the bundle has one."""
    card = info.folder / "docs" / "README.md"
    return {
        "name": name,
        "title": f"{info.name} {info.version}",
        "description": info.description,
        "statement": info.statement,
        "simulated": info.simulated_labels,
        "card": card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "",
    }
