"""What an assessment found, as plain values with a versioned JSON form.

Everything that leaves the package (JSON, CSV, figures, MRML nodes, reports) is rendered from a
:class:`VolumeAssessment`; nothing is computed again downstream.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

#: Raised by a minor step when a field is added, by a major one when a field changes its meaning or goes.
SCHEMA_VERSION = "1.3"

#: Likert grades of LDCTIQAG2023, 0 to 4: word and diagnostic meaning (paraphrased from Lee et al., MedIA 99:103343).
GRADES: tuple[tuple[str, str], ...] = (
    (_("Bad"), _("the structures looked for cannot be seen")),
    (_("Poor"), _("the image cannot be interpreted for diagnosis")),
    (_("Fair"), _("only a limited interpretation is possible")),
    (_("Good"), _("the image is suitable for diagnosis")),
    (_("Excellent"), _("the anatomy is shown plainly")),
)
MAX_SCORE = 4.0
SCORE_STEP = 0.2
FAIR_SCORE = 2.0


def snap_score(score: float) -> float:
    """The score on the radiologists' scale of steps of 0.2, within 0 ... 4 (halves go up)."""
    steps = math.floor(score / SCORE_STEP + 0.5 + 1e-9)  # 1.1 / 0.2 is 5.499...
    return round(min(max(steps, 0), round(MAX_SCORE / SCORE_STEP)) * SCORE_STEP, 1)


def grade(score: float) -> tuple[str, str]:
    """Word and diagnostic meaning of the Likert grade nearest to a score in 0 ... 4 (halves go up)."""
    return GRADES[min(max(math.floor(score + 0.5), 0), len(GRADES) - 1)]


@dataclass(frozen=True)
class Refusal:
    """Why a slice got no score. ``code`` is one of "no-body", "out-of-distribution", "not-ct", "not-run"."""

    code: str
    reason: str


@dataclass(frozen=True)
class SliceAssessment:
    """One slice: a score with its distribution, or a refusal.

    Attributes:
        index: index along the volume's acquisition axis, counted from 0.
        centre_ras: centre of the slice in RAS millimetres.
        score: expected score, 0 (bad) to 4 (excellent); None when refused.
        snapped: the same on the radiologists' scale of steps of 0.2.
        grade: Likert word, one of :data:`GRADES`.
        distribution: probability of each of the 21 scores 0.0, 0.2 ... 4.0; empty when refused, and where the network
            gives a score alone.
        sd: standard deviation of that distribution, in score points; None without one.
        entropy: its entropy in bits, 0 to log2(21) = 4.39; None without one.
        novelty: distance from the training data, 1 = the refusal threshold; None where it was not measured.
        body_fraction: share of the slice's area that is patient, 0 to 1.
        refusal: the reason where there is no score.
        tube_current_ma, exposure_mas, ctdivol_mgy: as the slice's own header says it; None where it does not.
    """

    index: int
    centre_ras: tuple[float, float, float]
    body_fraction: float
    score: float | None = None
    snapped: float | None = None
    grade: str | None = None
    distribution: tuple[float, ...] = ()
    sd: float | None = None
    entropy: float | None = None
    novelty: float | None = None
    refusal: Refusal | None = None
    tube_current_ma: float | None = None
    exposure_mas: float | None = None
    ctdivol_mgy: float | None = None


@dataclass(frozen=True)
class VolumeSummary:
    """The volume in numbers, over its scored slices; scores are None when no slice was scored.

    ``share_below_fair`` is the share of scored slices with an expected score under 2. ``worst`` lists slice indices,
    lowest score first, at most ten. ``scored_range_mm`` is the distance between the first and the last scored slice
    along the acquisition axis.
    """

    slices: int
    scored: int
    refused: int
    mean: float | None = None
    median: float | None = None
    percentile_10: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    share_below_fair: float | None = None
    grade: str | None = None
    meaning: str | None = None
    worst: tuple[int, ...] = ()
    best: int | None = None
    median_slice: int | None = None
    scored_range_mm: float | None = None


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights said it. ``statement`` is shown wherever a score is shown (what the training labels were)."""

    name: str
    version: str
    sha256: str
    window: str
    network: str
    simulated_labels: bool
    statement: str


@dataclass(frozen=True)
class MapKind:
    """What a kind of map is called, what its values are relative to an even spread, and what it must be taken for."""

    title: str
    quantity: str
    note: str


MAP_KINDS = {
    "attention": MapKind(
        _("Attention"),
        _("how much attention a place received"),
        _("Attention shows where the network looked, not where a defect is."),
    ),
    "grad-cam": MapKind(
        _("Grad-CAM"),
        _("how much a place raised or lowered the score (Grad-CAM)"),
        _("Grad-CAM shows what raised or lowered the score, not where a defect is."),
    ),
    "weight": MapKind(
        _("Weight"),
        _("how much a place weighed in the score of the volume"),
        _("The weight shows what the score was taken from, not where a defect is."),
    ),
}


#: What a map of a kind can be called.
MAP_NAMES = (_("scan"), _("read"), _("focus"), _("raises"), _("lowers"), _("map"))


@dataclass(frozen=True)
class AttentionMap:
    """Where the network looked, or what moved its score. Not where a defect is.

    Attributes:
        name: of attention its temperature: "scan" (2.0 at the start of training), "read" (1.0) or "focus" (0.5). Of
            Grad-CAM "raises" or "lowers", what the places did to the score. Of weight "map".
        stage: 1 to 4, from fine to coarse; None where the kind has one grid.
        values: ``(n, rows, columns)`` float32, not negative; relative to an even spread (of attention over its window,
            of Grad-CAM over the slice, of weight over the volume), so 1 is neutral; NaN for refused slices.
        ijk_to_ras: ``(column, row, n, 1)`` to RAS millimetres; the grid lies on the volume's own slices.
        kind: one of :data:`MAP_KINDS`.
    """

    name: str
    stage: int | None
    values: NDArray[np.float32]
    ijk_to_ras: NDArray[np.float64]
    kind: str = "attention"

    @property
    def title(self) -> str:
        """Such as "Attention focus stage 3" or "Grad-CAM lowers"; see :func:`map_of_title`."""
        return " ".join([MAP_KINDS[self.kind].title, self.name, *([f"stage {self.stage}"] if self.stage else [])])

    @property
    def file_stem(self) -> str:
        """Such as "attention-focus-stage3" or "grad-cam-lowers"."""
        return f"{self.kind}-{self.name}" + (f"-stage{self.stage}" if self.stage else "")


@dataclass(frozen=True)
class VolumeMap:
    """What a network that reads whole volumes says about places, on its own coarse grid.

    Attributes:
        name: "score" (0 to 4, as far as the place alone would go; may exceed 4) or "weight" (0 to 1, how much the
            place counts in the score of the volume).
        values: ``(layers, rows, columns)`` float32, not negative.
        ijk_to_ras: ``(column, row, layer, 1)`` to RAS millimetres; the map's own affine, not the volume's.
    """

    name: str
    values: NDArray[np.float32]
    ijk_to_ras: NDArray[np.float64]

    @property
    def title(self) -> str:
        """What it is called in a scene."""
        return {"score": _("Score map"), "weight": _("Weights of the score")}[self.name]


@dataclass(frozen=True)
class UsedPrompt:
    """What a network was told about the volume, and where each part came from.

    Attributes:
        modality, organ: words of ``prompts``, "unknown" included.
        modality_from, organ_from: such as "the user" or "BodyPartExamined"; "nothing" where it is not known.
    """

    modality: str
    organ: str
    modality_from: str
    organ_from: str

    @property
    def text(self) -> str:
        """In words, for example "MR (from the user), extremity (from the series description)"."""
        return _("{modality} (from {modality_from}), {organ} (from {organ_from})").format(**asdict(self))


def map_of_title(title: str) -> tuple[str, str, int | None] | None:
    """Kind, name and stage of a map with this :attr:`AttentionMap.title`; None for any other words."""
    kinds = {known.title: kind for kind, known in MAP_KINDS.items()}
    found = re.fullmatch(rf"({'|'.join(kinds)}) (\w+)(?: stage (\d))?", title)
    if found is None:
        return None
    return kinds[found[1]], found[2], int(found[3]) if found[3] else None


@dataclass(frozen=True)
class Geometry:
    """Grid of the assessed volume: ``shape_kji`` as in numpy, ``ijk_to_ras`` as nested tuples, acquisition axis."""

    shape_kji: tuple[int, int, int]
    ijk_to_ras: tuple[tuple[float, ...], ...]
    acquisition_axis: int


@dataclass(frozen=True)
class VolumeAssessment:
    """The whole result for one volume.

    Attributes:
        partial: True when the run was cancelled; slices it did not reach carry the refusal "not-run".
        facts: the acquisition facts that are known, by name (see ``AcquisitionFacts``).
        versions: of this package, torch, monai, numpy and python.
        timings_s: seconds by stage ("read" where known, "prepare", "network", "total").
        attention: maps, kept out of the JSON.
        volume_score: score of the volume as a whole, 0 to 4, of a network that reads whole volumes; its slices then
            carry the profile along the patient. None of a network that reads slices.
        prompt: what such a network was told; None of one that is told nothing.
        volume_maps: its maps in 3D, kept out of the JSON.
    """

    model: ModelIdentity
    geometry: Geometry
    slices: tuple[SliceAssessment, ...]
    summary: VolumeSummary
    device: str
    versions: dict[str, str]
    timings_s: dict[str, float]
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    partial: bool = False
    attention: tuple[AttentionMap, ...] = ()
    volume_score: float | None = None
    prompt: UsedPrompt | None = None
    volume_maps: tuple[VolumeMap, ...] = ()
    schema_version: str = SCHEMA_VERSION

    def scores(self) -> NDArray[np.float64]:
        """Expected score per slice, NaN where there is none; shape ``(n,)``."""
        return np.array([np.nan if s.score is None else s.score for s in self.slices], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for ``json.dumps(..., allow_nan=False)``; maps are left out."""
        return asdict_without(self, "attention", "volume_maps")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VolumeAssessment:
        """Inverse of :meth:`to_dict`; what a later minor version added is passed over.

        Raises:
            ValueError: the document has another major schema version.
        """
        version = str(data.get("schema_version", ""))
        if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise ValueError(f"assessment schema {version or 'missing'} is not readable by schema {SCHEMA_VERSION}")
        slices = tuple(
            SliceAssessment(
                **{
                    **known_fields(SliceAssessment, item),
                    "centre_ras": tuple(item["centre_ras"]),
                    "distribution": tuple(item["distribution"]),
                    "refusal": Refusal(**known_fields(Refusal, item["refusal"])) if item["refusal"] else None,
                }
            )
            for item in data["slices"]
        )
        geometry = data["geometry"]
        return cls(
            model=ModelIdentity(**known_fields(ModelIdentity, data["model"])),
            geometry=Geometry(
                tuple(geometry["shape_kji"]),
                tuple(tuple(row) for row in geometry["ijk_to_ras"]),
                geometry["acquisition_axis"],
            ),
            slices=slices,
            summary=VolumeSummary(
                **{**known_fields(VolumeSummary, data["summary"]), "worst": tuple(data["summary"]["worst"])}
            ),
            device=data["device"],
            versions=dict(data["versions"]),
            timings_s=dict(data["timings_s"]),
            facts=dict(data["facts"]),
            warnings=tuple(data["warnings"]),
            partial=bool(data["partial"]),
            volume_score=data.get("volume_score"),
            prompt=UsedPrompt(**known_fields(UsedPrompt, data["prompt"])) if data.get("prompt") else None,
            schema_version=version,
        )


def known_fields(kind: type, item: dict[str, Any]) -> dict[str, Any]:
    """The values that a dataclass has a field for; what a later version added is passed over."""
    return {name: item[name] for name in _field_names(kind) if name in item}


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def asdict_without(value: Any, *names: str) -> dict[str, Any]:
    """``dataclasses.asdict`` without the named top-level fields and without copying them."""
    return {name: _plain(one) for name, one in vars(value).items() if name not in names}


def _plain(value: Any) -> Any:
    # Not by dataclasses.asdict, whose deep copies of a volume's slices hold a window for a moment.
    if isinstance(value, (list, tuple)):
        return [one if isinstance(one, float) else _plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(one) for name, one in vars(value).items()}
    return value
