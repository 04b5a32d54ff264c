"""What the page shows, as plain values for its templates."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.assessment.difference import VolumeDifference
from CTQualityAssessmentLib.colours import ATTENTION, DIFFERENCE, QUALITY
from CTQualityAssessmentLib.denoising import SCORER_WARNING, DenoisingReport, Finding
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER, BundleInfo, installed_bundles, read_bundle
from CTQualityAssessmentLib.models.errors import UnknownBundle
from CTQualityAssessmentLib.reading import SeriesInfo
from CTQualityAssessmentLib.reporting.denoising_words import DENOISING_DISCLAIMER, measure_rows
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER, FACT_LABELS
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measure_words import range_text, reason_text, value_text
from CTQualityAssessmentLib.reporting.web_page import refused_ranges
from CTQualityAssessmentLib.reporting.words import fact_text, headline, verdict_score
from CTQualityAssessmentLib.results import (
    MAP_KINDS,
    MAX_SCORE,
    MapKind,
    SliceAssessment,
    VolumeAssessment,
    grade,
    map_of_title,
)
from CTQualityAssessmentLib.volume import Volume


def palette(map_: str) -> list[str]:
    """Twenty-one colours of "quality", "attention" or "difference" from low to high, for the page's style sheets."""
    colours = {"quality": QUALITY, "attention": ATTENTION, "difference": DIFFERENCE}[map_].rgb(21)
    return ["#" + "".join(f"{round(255 * c):02x}" for c in colour) for colour in colours]


def legend_of(overlay: str, upper: float, title: str, denoised: bool = False) -> dict[str, Any] | None:
    """Title, ends, colours and meaning of an overlay by its name.

    Args:
        overlay: its name; None comes back without one.
        upper: high end of a map.
        title: of the overlay in the scene.
        denoised: whether it lies over the denoised volume, of which it says nothing.
    """
    if not overlay:
        return None
    if overlay == "quality":
        told = {"title": "Quality", "low": "0 Bad", "high": "4 Excellent", "colours": palette("quality"), "note": ""}
    else:
        kind = _kind(title)
        ends = {"low": "1 even", "high": f"{upper:.1f} x", "colours": palette("attention")}
        told = {"title": kind.title, **ends, "note": kind.note}
    if denoised:
        note = "The colours are of the original, not of the denoised image in view."
        told |= {"title": f"{told['title']} of the original", "note": note}
    return told


def _kind(title: str) -> MapKind:
    """The kind of the map that an overlay shows; a renamed one counts as attention, which all were once."""
    named = map_of_title(title)
    return MAP_KINDS[named[0] if named else "attention"]


def threshold_of(overlay: str, upper: float, shown_from: float, shown_to: float, title: str) -> dict[str, Any] | None:
    """The slider that hides what is not looked for: good slices of the quality, low values of a map.

    Args:
        overlay: its name; None comes back without one.
        upper: high end of a map.
        shown_from: lowest value that the display shows.
        shown_to: highest.
        title: of the overlay in the scene.
    """
    if not overlay:
        return None
    quality = overlay == "quality"
    low, high = (0.0, MAX_SCORE) if quality else (1.0, upper)
    value = min(max(shown_to if quality else shown_from, low), high)
    words = "Show scores up to" if quality else f"Show {_kind(title).title} from"
    return {"title": words, "low": low, "high": high, "value": round(value, 2), "unit": "" if quality else " x"}


def series_of(found: Sequence[SeriesInfo], chosen: str | None) -> dict[str, Any]:
    """The DICOM series to choose from, without those that cannot be read, and the number of the one that was read."""
    readable = [[one.number, f"{one.number}: {one.label}"] for one in found if one.problem is None]
    number = int(chosen) if chosen is not None and chosen.isdigit() else 1
    return {"items": readable, "chosen": number}


def comparison_of(first: Volume, second: Volume, difference: VolumeDifference) -> dict[str, Any]:
    """The second volume beside the first: what differs by the headers, what was measured, what to beware of."""
    notes = []
    if difference.resampled:
        notes.append(
            "The second volume has another grid. It was resampled onto the first, which smooths it: the difference "
            "then shows less noise than there is."
        )
    if difference.covered < 0.999:
        notes.append(f"The second volume covers {difference.covered:.0%} of the first; elsewhere nothing is compared.")
    return {
        "title": case_of(second)["title"],
        "notes": notes,
        "facts": [
            [label, one, other]
            for (label, one), (_, other) in zip(_compared_facts(first), _compared_facts(second), strict=True)
            if one != other
        ],
        "whole": None if difference.mean_hu is None else [round(difference.mean_hu, 1), round(difference.sd_hu, 1)],
        "slices": [None if one is None else [round(value, 1) for value in one] for one in difference.slices],
    }


def denoised_of(report: DenoisingReport) -> dict[str, Any]:
    """What a denoising did: the guard's sentences, figures before and after, warnings, with what it was made."""
    strength, scores, findings = report.strength, report.scores, report.findings
    return {
        "strength": [strength.lung, strength.soft_tissue, strength.bone],
        "told": strength.words(),
        "slices": f"{report.slices_denoised} of {report.slices}",
        "examined": bool(report.retention or report.measures),
        "retention": [[one.sentence(), one.flagged] for one in report.retention],
        "flagged": any(one.flagged for one in report.retention),
        "figures": [list(row) for row in measure_rows(report)],
        "bias": [[name, f"{one.bias_hu:+.1f} HU"] for name, one in (report.bias or {}).items()],
        "scores": None if scores is None else [number_of(scores.before), number_of(scores.after), SCORER_WARNING],
        "findings": None if findings is None else [_findings(findings.before), _findings(findings.after)],
        "warnings": [one for one in report.warnings if one != SCORER_WARNING],
        "statement": f"{report.model.statement} {DENOISING_DISCLAIMER}",
        "made": [
            ["Model", f"{report.model.name} {report.model.version}"],
            ["Weights (SHA-256)", report.model.sha256],
            ["Device", report.device],
            ["Seconds", f"{report.seconds:.1f}"],
        ],
    }


def _findings(found: Sequence[Finding]) -> list[list[Any]]:
    """Of each box the slice in its middle and its probability in words."""
    return [[(one.first_slice + one.last_slice) // 2, f"{one.probability:.0%}"] for one in found]


def number_of(score: float | None) -> str:
    """A mean score in the steps of the readers' scale."""
    return "n/a" if score is None else f"{score:.1f}"


def _compared_facts(volume: Volume) -> list[tuple[str, str]]:
    known = volume.facts.known()
    i, j, k = volume.spacing
    return [
        ("Voxels", " x ".join(str(n) for n in reversed(volume.hu.shape))),
        ("Spacing", f"{i:.3g} x {j:.3g} x {k:.3g} mm"),
        *((label, fact_text(name, known)) for name, label, _ in FACT_LABELS),
    ]


def measures_of(measures: PhysicalMeasures) -> dict[str, Any]:
    """The physical measures of the volume and of each slice, in words."""
    volume = measures.volume
    rows = []
    for words in MEASURE_WORDS:
        reason = reason_text(words, measures)
        count, spread = volume.slices_measured[words.name], range_text(words, volume)
        rows.append(
            {
                "label": words.label,
                "value": value_text(words, volume),
                "more": reason or (f"{spread} in 80 % of {count} slices" if spread else ""),
                "how": words.how_to_read,
                "slices": [
                    value_text(words, one)
                    if getattr(one, words.name) is not None
                    else measures.reasons.get(one.missing.get(words.name, ""), "n/a")
                    for one in measures.slices
                ],
            }
        )
    return {
        "rows": rows,
        "tissues": [[name, f"{one.mean_hu:.0f}", f"{one.sd_hu:.0f}"] for name, one in volume.tissues.items()],
        "notes": list(measures.notes),
        "partial": measures.partial,
    }


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
    s, score = assessment.summary, verdict_score(assessment)
    numbers = [["Slices scored", f"{s.scored} of {s.slices}"]]
    if assessment.prompt:
        numbers.append(["Told the network", assessment.prompt.text])
    if s.mean is not None:
        numbers += [
            ["Median", f"{s.median:.1f}"],
            ["10th percentile", f"{s.percentile_10:.1f}"],
            ["Range", f"{s.minimum:.1f} to {s.maximum:.1f}"],
            ["Under 2 (Fair)", f"{s.share_below_fair:.0%}"],
            ["Length scored", f"{s.scored_range_mm:.0f} mm"],
        ]
    model = assessment.model
    return {
        "score": None if score is None else f"{score:.1f}",
        "grade": title if score is None else grade(score)[0],
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


def denoisers_of() -> tuple[list[dict[str, Any]], str]:
    """The denoisers to choose from, without those that cannot be read, and the one to begin with."""
    found = []
    for name, bundle in installed_bundles("denoise").items():
        with contextlib.suppress(CTQAError):  # the list of scorers tells what is wrong with a bundle
            info = read_bundle(bundle)
            found.append({**model_of(name, info), "detector": "detector_config" in info.metadata["ctqa"]})
    named = [one["name"] for one in found]
    return found, DEFAULT_DENOISER if DEFAULT_DENOISER in named else next(iter(named), "")


def models_of(model: str | None) -> tuple[list[dict[str, Any]], str, dict[str, str] | None]:
    """The models to choose from, the one to begin with, and what is wrong with one that is left out.

    Args:
        model: name or folder of the model to begin with; None for the default.

    Raises:
        UnknownBundle: there is no such model.
        CTQAError: its folder holds no sound bundle.
    """
    models, error = [], None
    for name, bundle in installed_bundles("score").items():
        try:
            models.append(model_of(name, read_bundle(bundle)))
        except CTQAError as problem:  # the others can still be used
            error = {"problem": problem.problem, "advice": problem.advice}
    named = {one["name"] for one in models}
    if model is not None and model not in named:
        if not Path(model).is_dir():
            raise UnknownBundle("There is no model of that name.", "See 'ctqa models' for the list.")
        models.append(model_of(model, read_bundle(Path(model))))
    default = DEFAULT_BUNDLE if DEFAULT_BUNDLE in named else next(iter(sorted(named)), "")
    return models, model or default, error


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
