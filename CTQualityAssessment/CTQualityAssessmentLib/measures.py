"""What was measured in a volume by physics alone, as plain values with a versioned JSON form.

No network is behind these numbers. Every figure is a number or None, and where it is None, ``missing`` tells why: a
code of :data:`REASONS`. A figure that cannot be measured is never zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

#: Raised by a minor step when a field is added, by a major one when a field changes its meaning or goes.
MEASURES_VERSION = "1.0"

#: Why a figure could not be measured, by code.
REASONS: dict[str, str] = {
    "not-ct": _("The volume is not CT."),
    "too-small": _("The slice has too few pixels."),
    "no-body": _("There is no patient, or too little, in the slice."),
    "no-soft-tissue": _("There is too little soft tissue in the slice to measure its noise."),
    "no-tissue": _("Muscle or fat is not in view."),
    "no-uniform-region": _("There are too few uniform regions of soft tissue to measure the texture of the noise."),
    "no-peak": _(
        "The noise power spectrum has no peak: it is highest at the frequencies where anatomy hides the noise."
    ),
    "no-free-skin": _("Too little of the patient's skin borders on open air in the field of view."),
    "no-open-air": _("Too little open air around the patient is in view."),
    "clipped-air": _("The scanner or an export cut off the values of air."),
    "not-sampled": _("This figure is measured on a part of the slices only."),
    "not-axial": _("The slices are not axial."),
    "no-spacing": _("The size of the pixels is not known."),
    "beyond-field": _("The patient reaches beyond the field of view."),
    "no-ctdivol": _("The headers give no CTDIvol."),
    "no-phantom": _("The headers do not say to which phantom, 16 or 32 cm, CTDIvol refers."),
    "not-trunk": _("The headers do not name a part of the trunk, for which the dose factors are."),
    "head": _("The dose factors used here are for the trunk; those of a head are others (AAPM Report 293)."),
    "outside-fit": _("The diameter lies outside the range that the dose factors were fitted to."),
    "not-run": _("The measurement was cancelled before this slice."),
}

#: Figures that a slice and a volume have alike, in the order in which they are shown.
FIGURES: tuple[str, ...] = (
    "noise_hu",
    "snr",
    "cnr",
    "nps_peak_per_mm",
    "nps_mean_per_mm",
    "edge_10_90_mm",
    "streak_index",
    "water_equivalent_diameter_mm",
    "ssde_mgy",
)

#: Tissues in the order in which they are shown.
TISSUES: tuple[str, ...] = (_("air"), _("lung"), _("fat"), _("muscle"), _("bone"))


@dataclass(frozen=True)
class TissueMeasure:
    """One tissue in view: mean and standard deviation over its pixels in HU, and its area in square millimetres."""

    mean_hu: float
    sd_hu: float
    area_mm2: float


@dataclass(frozen=True)
class SliceMeasures:
    """The figures of one slice.

    Attributes:
        index: along the volume's acquisition axis, counted from 0.
        centre_ras: centre of the slice in RAS millimetres.
        noise_hu: global noise level, the most frequent local standard deviation in soft tissue.
        snr: mean HU of muscle over the noise.
        cnr: difference of muscle and fat over the noise.
        nps_peak_per_mm, nps_mean_per_mm: peak and mean frequency of the noise power spectrum.
        edge_10_90_mm: distance over which the skin's edge rises from 10 % to 90 %; smaller is sharper.
        streak_index: noise of the open air beside the patient over that of soft tissue; about 0.5 without streaks.
        water_equivalent_diameter_mm: after AAPM Report 220.
        ssde_mgy: size-specific dose estimate after AAPM Reports 204 and 220.
        tissues: by name of :data:`TISSUES`; a tissue that is not in view is absent.
        missing: code of :data:`REASONS` for each figure that is None.
    """

    index: int
    centre_ras: tuple[float, float, float]
    noise_hu: float | None = None
    snr: float | None = None
    cnr: float | None = None
    nps_peak_per_mm: float | None = None
    nps_mean_per_mm: float | None = None
    edge_10_90_mm: float | None = None
    streak_index: float | None = None
    water_equivalent_diameter_mm: float | None = None
    ssde_mgy: float | None = None
    tissues: dict[str, TissueMeasure] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NoisePowerSpectrum:
    """Radially averaged noise power spectrum over all uniform regions of a volume.

    ``frequency_per_mm`` are the centres of the bins, ``power`` is in HU squared mm squared, ``regions`` how many were
    averaged.
    """

    frequency_per_mm: tuple[float, ...]
    power: tuple[float, ...]
    regions: int


@dataclass(frozen=True)
class VolumeMeasures:
    """The figures of the volume.

    Noise and spectrum are measured once over all slices together, the other figures are medians over the slices that
    have them; water-equivalent diameter and dose are means, as AAPM Report 220 asks. ``slices_measured`` counts, for
    each figure, the slices that have it, and ``slice_percentiles`` holds the 10th and the 90th percentile of those.
    ``tissues`` are over all pixels of all slices.
    """

    noise_hu: float | None = None
    snr: float | None = None
    cnr: float | None = None
    nps_peak_per_mm: float | None = None
    nps_mean_per_mm: float | None = None
    edge_10_90_mm: float | None = None
    streak_index: float | None = None
    water_equivalent_diameter_mm: float | None = None
    ssde_mgy: float | None = None
    tissues: dict[str, TissueMeasure] = field(default_factory=dict)
    noise_power: NoisePowerSpectrum | None = None
    slices_measured: dict[str, int] = field(default_factory=dict)
    slice_percentiles: dict[str, tuple[float, float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PhysicalMeasures:
    """All measures of one volume.

    Attributes:
        volume: over the whole volume.
        slices: one for each slice along the acquisition axis, in order.
        reasons: the sentence for each code that ``missing`` holds anywhere.
        notes: sentences to read with the figures, for example an assumption that was made.
        seconds: how long it took.
        partial: True when it was cancelled.
    """

    volume: VolumeMeasures
    slices: tuple[SliceMeasures, ...]
    reasons: dict[str, str]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    partial: bool = False
    schema_version: str = MEASURES_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for ``json.dumps(..., allow_nan=False)``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PhysicalMeasures:
        """Inverse of :meth:`to_dict`, also of what JSON made of it.

        Raises:
            ValueError: the document has another major schema version.
        """
        version = str(data.get("schema_version", ""))
        if version.split(".")[0] != MEASURES_VERSION.split(".")[0]:
            raise ValueError(f"measures schema {version or 'missing'} is not readable by schema {MEASURES_VERSION}")
        volume, power = data["volume"], data["volume"]["noise_power"]
        spectrum = power and NoisePowerSpectrum(
            tuple(power["frequency_per_mm"]), tuple(power["power"]), power["regions"]
        )
        return cls(
            volume=VolumeMeasures(
                **{
                    **volume,
                    "tissues": _tissues(volume),
                    "noise_power": spectrum,
                    "slice_percentiles": {name: tuple(pair) for name, pair in volume["slice_percentiles"].items()},
                }
            ),
            slices=tuple(
                SliceMeasures(**{**one, "centre_ras": tuple(one["centre_ras"]), "tissues": _tissues(one)})
                for one in data["slices"]
            ),
            reasons=dict(data["reasons"]),
            notes=tuple(data["notes"]),
            seconds=float(data["seconds"]),
            partial=bool(data["partial"]),
            schema_version=version,
        )


def _tissues(data: dict[str, Any]) -> dict[str, TissueMeasure]:
    return {name: TissueMeasure(**values) for name, values in data["tissues"].items()}
