"""What a denoising was, what it changed and what it kept, as plain values with a versioned JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from CTQualityAssessmentLib.measures import NoisePowerSpectrum
from CTQualityAssessmentLib.results import ModelIdentity, known_fields
from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

#: Raised by a minor step when a field is added, by a major one when a field changes its meaning or goes.
DENOISING_VERSION = "1.1"
#: Below this share of a lesion's signal the guard raises its flag.
LEAST_KEPT = 0.9
#: Shown wherever scores of a denoised volume are shown.
SCORER_WARNING = _(
    "The scorer was never trained on denoised images and rewards what takes noise away: a higher score is no proof of "
    "a better image. Look at the lesion signal and the residual."
)


@dataclass(frozen=True)
class Strength:
    """Share of the denoising in each tissue: 0 is the original, 1 the network's answer.

    Tissues are told by the denoised HU: lung up to -500, soft tissue from -250 to 200, bone and dense contrast medium
    from 350; between them the strength changes evenly, so that no edge appears.
    """

    lung: float = 1.0
    soft_tissue: float = 1.0
    bone: float = 1.0

    def __post_init__(self) -> None:
        if not all(0 <= one <= 1 for one in (self.lung, self.soft_tissue, self.bone)):
            raise ValueError("a strength lies between 0 and 1")

    @property
    def full(self) -> bool:
        """Whether it leaves the network's answer as it is."""
        return (self.lung, self.soft_tissue, self.bone) == (1.0, 1.0, 1.0)

    def words(self) -> str:
        """For people: 'lung 50 %, soft tissue 100 %, bone 0 %'."""
        shares = {name: f"{share:.0%}".replace("%", " %") for name, share in asdict(self).items()}
        return _("lung {lung}, soft tissue {soft_tissue}, bone {bone}").format(**shares)


@dataclass(frozen=True)
class Retention:
    """How much of a lesion's signal is left after denoising.

    Attributes:
        diameter_mm, contrast_hu, tissue: of the lesions that were put in; half of them have the contrast with a minus.
        lesions, slices: how many, in how many slices; 0 where there was no room.
        kept: mean share of the signal, 1 is all of it; None without a lesion.
        interval: 95 % bootstrap interval of it over the lesions.
        lowest_tenth: the 10th percentile over the lesions.
        least_slice, least_slice_kept: the slice along the acquisition axis whose lesions kept least, and the mean share
            that they kept; None without a lesion.
    """

    diameter_mm: float
    contrast_hu: float
    tissue: str
    lesions: int = 0
    slices: int = 0
    kept: float | None = None
    interval: tuple[float, float] | None = None
    lowest_tenth: float | None = None
    least_slice: int | None = None
    least_slice_kept: float | None = None

    @property
    def flagged(self) -> bool:
        """Whether less than 90 % is left."""
        return self.kept is not None and self.kept < LEAST_KEPT

    def sentence(self) -> str:
        """For people: 'Lesion signal kept 93 % (4 mm, 20 HU, soft tissue; 48 lesions)'."""
        values = {"diameter": f"{self.diameter_mm:g}", "contrast": f"{self.contrast_hu:g}", "tissue": self.tissue}
        if self.kept is None:
            return _(
                "Lesion signal not measured ({diameter} mm, {contrast} HU, {tissue}): there is no room for such a "
                "lesion in this volume."
            ).format(**values)
        # Rounded down: 89.6 % must not read as the 90 % that is asked for.
        values |= {"kept": str(math.floor(100 * self.kept + 1e-6)), "lesions": str(self.lesions)}
        if self.flagged:
            return _(
                "RED FLAG: Lesion signal kept {kept} % ({diameter} mm, {contrast} HU, {tissue}; {lesions} lesions). "
                "Such lesions may be lost: lower the strength."
            ).format(**values)
        return _("Lesion signal kept {kept} % ({diameter} mm, {contrast} HU, {tissue}; {lesions} lesions).").format(
            **values
        )


@dataclass(frozen=True)
class TissueBias:
    """Mean of denoised minus original in one tissue, in HU, over ``area_mm2`` of the slices that were looked at."""

    bias_hu: float
    area_mm2: float


@dataclass(frozen=True)
class BeforeAfter:
    """One figure of the original and of the denoised volume; None where it was not measured, and ``reason`` why."""

    before: float | None
    after: float | None
    reason: str | None = None


@dataclass(frozen=True)
class SpectraBeforeAfter:
    """The noise power spectrum of the original and of the denoised volume; None where it could not be measured."""

    before: NoisePowerSpectrum | None
    after: NoisePowerSpectrum | None


@dataclass(frozen=True)
class Finding:
    """A box in which the lesion detector saw something: no diagnosis.

    Attributes:
        first_slice, last_slice: along the acquisition axis, both included.
        left, top, right, bottom: in pixels of the slice in radiological view; pixel n covers [n, n + 1].
        probability: the detector's highest, in (0, 1].
    """

    first_slice: int
    last_slice: int
    left: float
    top: float
    right: float
    bottom: float
    probability: float


@dataclass(frozen=True)
class Findings:
    """What the lesion detector marks in the original and in the denoised volume, most probable first."""

    before: tuple[Finding, ...]
    after: tuple[Finding, ...]


@dataclass(frozen=True)
class DenoisingReport:
    """Everything that is told about a denoising.

    Attributes:
        model: which weights did it.
        strength: how much of it was kept.
        slices, slices_denoised: along the acquisition axis; slices without a patient are left as they are.
        partial: True when it was cancelled.
        device, seconds, versions: where, how long, with what.
        retention: the guard's findings; empty where it did not run.
        measures: physical measures before and after, by name of :data:`~CTQualityAssessmentLib.measures.FIGURES`.
        noise_power: the noise power spectra, where the measures were taken.
        bias: by tissue.
        scores: mean score of the volume before and after, where it was asked for.
        findings: boxes of the lesion detector before and after, where it was asked for.
        warnings: sentences to read first.
        input_sha256, result_sha256: of the voxels before and after, see
            :meth:`~CTQualityAssessmentLib.volume.Volume.voxel_sha256`; None where they are not known.
    """

    model: ModelIdentity
    strength: Strength
    slices: int
    slices_denoised: int
    partial: bool
    device: str
    seconds: float
    versions: dict[str, str]
    retention: tuple[Retention, ...] = ()
    measures: dict[str, BeforeAfter] | None = None
    noise_power: SpectraBeforeAfter | None = None
    bias: dict[str, TissueBias] | None = None
    scores: BeforeAfter | None = None
    findings: Findings | None = None
    warnings: tuple[str, ...] = ()
    input_sha256: str | None = None
    result_sha256: str | None = None
    schema_version: str = DENOISING_VERSION

    def unexamined(self) -> DenoisingReport:
        """The same without what was found by looking at the result."""
        nothing = dict.fromkeys(
            ("measures", "noise_power", "bias", "scores", "findings", "input_sha256", "result_sha256")
        )
        return replace(self, retention=(), **nothing)

    def at_strength(self, strength: Strength) -> DenoisingReport:
        """The report of the same denoising with another strength, at which nobody has looked yet."""
        warnings = tuple(one for one in self.warnings if one != SCORER_WARNING)
        return replace(self.unexamined(), strength=strength, warnings=warnings)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for ``json.dumps(..., allow_nan=False)``."""
        plain = asdict(self)
        for one, found in zip(plain["retention"], self.retention, strict=True):
            one["flagged"] = found.flagged
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> DenoisingReport:
        """Inverse of :meth:`to_dict`; what a later minor version added is passed over.

        Raises:
            KeyError, TypeError, ValueError: not such a dictionary, or of another major schema version.
        """
        version = str(plain.get("schema_version", ""))
        if version.split(".")[0] != DENOISING_VERSION.split(".")[0]:
            raise ValueError(f"denoising schema {version or 'missing'} is not readable by schema {DENOISING_VERSION}")
        given = known_fields(cls, dict(plain))
        given["model"] = ModelIdentity(**known_fields(ModelIdentity, given["model"]))
        given["strength"] = Strength(**known_fields(Strength, given["strength"]))
        given["retention"] = tuple(_retention(one) for one in given["retention"])
        given["warnings"] = tuple(given["warnings"])
        if given["measures"] is not None:
            given["measures"] = {name: _pair(one) for name, one in given["measures"].items()}
        if given.get("noise_power") is not None:
            given["noise_power"] = SpectraBeforeAfter(*(_spectrum(given["noise_power"][one]) for one in _SIDES))
        if given["bias"] is not None:
            given["bias"] = {name: TissueBias(**known_fields(TissueBias, one)) for name, one in given["bias"].items()}
        if given["scores"] is not None:
            given["scores"] = _pair(given["scores"])
        if given.get("findings") is not None:
            given["findings"] = Findings(
                *(tuple(Finding(**known_fields(Finding, one)) for one in given["findings"][side]) for side in _SIDES)
            )
        return cls(**given)


_SIDES = ("before", "after")


def _pair(plain: Mapping[str, Any]) -> BeforeAfter:
    return BeforeAfter(**known_fields(BeforeAfter, dict(plain)))


def _spectrum(plain: Mapping[str, Any] | None) -> NoisePowerSpectrum | None:
    if plain is None:
        return None
    return NoisePowerSpectrum(tuple(plain["frequency_per_mm"]), tuple(plain["power"]), plain["regions"])


def _retention(plain: Mapping[str, Any]) -> Retention:
    given = known_fields(Retention, dict(plain))
    if given["interval"] is not None:
        given["interval"] = tuple(given["interval"])
    return Retention(**given)
