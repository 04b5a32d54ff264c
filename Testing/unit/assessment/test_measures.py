"""Physical measures find what was put into an image, and say why where they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.assessment.measures.nps import noise_power, radial_spectrum
from CTQualityAssessmentLib.assessment.measures.size import size_specific_dose
from CTQualityAssessmentLib.measures import FIGURES, REASONS, PhysicalMeasures
from CTQualityAssessmentLib.volume import SliceExposure, Volume
from scipy import ndimage

from Testing.measures_factory import (
    AIR_HU,
    BLUR_MM,
    FAT_HU,
    FAT_MM,
    HALF_AXES_MM,
    MUSCLE_HU,
    SPACING_MM,
    as_volume,
    noisy,
    patient_slice,
)

NOISE = 12.0


@pytest.fixture(scope="module")
def patient():
    return patient_slice()


@pytest.fixture(scope="module")
def volume(patient):
    return as_volume(
        [noisy(patient, NOISE, seed) for seed in range(3)], ctdivol_mgy=10.0, ctdi_phantom_cm=32, body_part="ABDOMEN"
    )


@pytest.fixture(scope="module")
def measures(volume):
    return measure_volume(volume)


def test_noise_contrast_and_tissues_are_what_was_put_in(measures):
    """A physicist compares these with a phantom; 3 % of noise is what Christianson's method reaches on one."""
    found = measures.volume
    assert found.noise_hu == pytest.approx(NOISE, rel=0.04)
    assert found.cnr == pytest.approx((MUSCLE_HU - FAT_HU) / NOISE, rel=0.05)
    assert found.snr == pytest.approx(MUSCLE_HU / NOISE, rel=0.05)
    for name, hu in (("air", AIR_HU), ("fat", FAT_HU), ("muscle", MUSCLE_HU)):
        assert found.tissues[name].mean_hu == pytest.approx(hu, abs=0.5), name
    assert found.tissues["muscle"].sd_hu == pytest.approx(NOISE, rel=0.04)
    assert "bone" not in found.tissues and "lung" not in found.tissues
    assert all(one.noise_hu == pytest.approx(NOISE, rel=0.08) for one in measures.slices)


@pytest.mark.parametrize("blur_mm", [0.8, 1.6])
def test_edge_follows_a_known_blur(blur_mm):
    """10-90 % of a Gaussian edge is 2.563 standard deviations; a softer kernel must show in the figure."""
    found = measure_volume(as_volume([noisy(patient_slice(blur_mm), NOISE, 1)])).volume
    assert found.edge_10_90_mm == pytest.approx(2.563 * blur_mm, rel=0.08)


def test_water_equivalent_diameter_and_dose(measures):
    """Area times attenuation of the ellipse is known; the dose factor is Report 204's for 32 cm (1.16 at 316 mm)."""
    a, b = HALF_AXES_MM
    core = (a - FAT_MM) * (b - FAT_MM)
    attenuation = np.pi * ((1 + MUSCLE_HU / 1000) * core + (1 + FAT_HU / 1000) * (a * b - core))
    diameter = 2 * np.sqrt(attenuation / np.pi)
    assert measures.volume.water_equivalent_diameter_mm == pytest.approx(diameter, rel=0.003)
    assert measures.volume.ssde_mgy == pytest.approx(size_specific_dose(10.0, diameter), rel=0.003)
    assert size_specific_dose(1.0, 316.0) == pytest.approx(1.16, abs=0.01)  # Report 204, table 1D
    assert size_specific_dose(1.0, 160.0, phantom_cm=16) == pytest.approx(1.01, abs=0.01)  # table 2D
    assert "32 cm" in measures.notes[0]


def test_dose_refers_to_the_phantom_that_the_headers_name(volume, measures):
    """A child's scan is often given for the 16 cm phantom: with the factors for 32 cm its dose would be told double."""
    small = measure_volume(replace(volume, facts=replace(volume.facts, ctdi_phantom_cm=16))).volume
    diameter = measures.volume.water_equivalent_diameter_mm
    assert small.ssde_mgy == pytest.approx(10.0 * 1.874799 * np.exp(-0.03871313 * diameter / 10), rel=1e-4)
    assert measures.volume.ssde_mgy / small.ssde_mgy > 1.8


def test_dose_follows_the_dose_of_each_slice(volume, measures):
    """Where the scanner turned the dose down, the patient's dose there is lower; a slice without CTDIvol has none."""
    exposures = (SliceExposure(ctdivol_mgy=10.0), SliceExposure(ctdivol_mgy=5.0), SliceExposure(tube_current_ma=80.0))
    found = measure_volume(replace(volume, exposures=exposures))
    assert found.slices[0].ssde_mgy == pytest.approx(measures.slices[0].ssde_mgy)
    assert found.slices[1].ssde_mgy == pytest.approx(measures.slices[1].ssde_mgy / 2)
    assert found.slices[2].ssde_mgy is None and found.slices[2].missing["ssde_mgy"] == "no-ctdivol"
    assert "each slice's own CTDIvol" in found.notes[0] and "32 cm" in found.notes[0]


def test_spectrum_of_noise_with_a_known_spectrum():
    """Peak and mean frequency tell kernels apart; the curve's integral over the plane is the variance."""
    rng = np.random.default_rng(5)
    size, spacing = 32, 0.8
    frequency = np.fft.fftfreq(512, spacing)
    radius = np.hypot(frequency[:, None], frequency)
    shape = radius * np.exp(-((radius / 0.25) ** 2))
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(512, 512))) * np.sqrt(shape)).real
    regions = field.reshape(16, size, 16, size).swapaxes(1, 2).reshape(-1, size, size)
    power = noise_power(regions, (spacing, spacing))
    found = radial_spectrum(power, (spacing, spacing), len(regions))
    truth = found.frequency_per_mm * np.exp(-((found.frequency_per_mm / 0.25) ** 2))
    assert found.mean_per_mm == pytest.approx((found.frequency_per_mm * truth).sum() / truth.sum(), rel=0.03)
    assert found.peak_per_mm == pytest.approx(0.25 / np.sqrt(2), abs=0.02)
    assert power.sum() / (size * spacing) ** 2 == pytest.approx(field.var(), rel=0.06)


def test_white_noise_has_the_mean_of_all_frequencies(measures):
    """A flat spectrum has the mean of all frequencies, half the Nyquist frequency and half a bin."""
    spectrum = measures.volume.noise_power
    assert spectrum.frequency_per_mm[-1] == pytest.approx(0.5 / SPACING_MM)
    assert measures.volume.nps_mean_per_mm == pytest.approx(np.mean(spectrum.frequency_per_mm), rel=0.05)
    assert spectrum.regions >= 9


def test_streaks_raise_the_index_and_noise_does_not(patient):
    """Missing views or metal must not pass for noise, nor low dose for streaks."""
    index = {sd: measure_volume(as_volume([noisy(patient, sd, 3)])).volume.streak_index for sd in (8.0, 32.0)}
    assert index[8.0] == pytest.approx(0.5, rel=0.1) and index[32.0] == pytest.approx(0.5, rel=0.1)
    y, x = np.indices(patient.shape)
    streaks = (15.0 * np.sin((0.3 * x + y) * 1.9)).astype(np.float32)
    assert measure_volume(as_volume([noisy(patient, 8.0, 3) + streaks])).volume.streak_index > 0.8


def test_clipped_air_gives_no_streak_index(patient):
    """Many exports cut at -1000 HU; half the noise of air is then gone and the index would look good."""
    found = measure_volume(as_volume([np.maximum(noisy(patient, NOISE, 1), -1000)])).volume
    assert found.streak_index is None and found.missing["streak_index"] == "clipped-air"


def test_simulated_noise_and_views():
    """The whole chain from photons to HU: noise as two readings say it, streaks with fewer views."""
    pytest.importorskip("astra")
    from Training.simulation.ct import simulate_ladder
    from Training.simulation.theory import water_disc

    spacing, diameter = 2.4, 200.0
    disc = water_disc(128, spacing, diameter)
    one, two = (simulate_ladder(disc, spacing, doses=(1.0,), views=(720, 120), seed=seed) for seed in (1, 2))
    found = {
        views: measure_volume(Volume(one[1.0, views][None], np.diag([-spacing, -spacing, 5.0, 1.0]))).volume
        for views in (720, 120)
    }
    axis = (np.arange(128) - 63.5) * spacing
    inside = np.hypot(axis[:, None], axis) < 0.8 * diameter / 2
    # Noise falls towards the skin; the truth of the most frequent level is the median over the disc.
    squares = ndimage.uniform_filter((one[1.0, 720] - two[1.0, 720]) ** 2 / 2, 7)
    assert found[720].noise_hu == pytest.approx(np.sqrt(np.median(squares[inside])), rel=0.1)
    assert found[720].water_equivalent_diameter_mm == pytest.approx(diameter, rel=0.005)
    assert found[120].streak_index > 1.3 * found[720].streak_index


def test_geometry_of_storage_does_not_matter(volume, measures):
    """A sagittally stored or mirrored file of the same patient must not measure differently."""
    matrix = volume.ijk_to_ras[:, [2, 0, 1, 3]]
    turned = Volume(np.ascontiguousarray(volume.hu.transpose(1, 2, 0)), matrix, 0, volume.facts)
    found = measure_volume(turned)
    assert [one.noise_hu for one in found.slices] == [one.noise_hu for one in measures.slices]
    assert found.volume == measures.volume


@pytest.mark.parametrize(
    ("change", "figure", "reason"),
    [
        (lambda v: replace(v, facts=replace(v.facts, modality="MR")), "noise_hu", "not-ct"),
        (lambda v: replace(v, hu=np.full_like(v.hu, -1000.0)), "noise_hu", "no-body"),
        (lambda v: replace(v, hu=v.hu[:, :12, :12]), "noise_hu", "too-small"),
        (lambda v: replace(v, hu=v.hu[:, 30:194, 50:174]), "water_equivalent_diameter_mm", "beyond-field"),
        (lambda v: replace(v, hu=v.hu[:, 30:194, 50:174]), "ssde_mgy", "beyond-field"),
        (lambda v: replace(v, facts=replace(v.facts, ctdivol_mgy=None)), "ssde_mgy", "no-ctdivol"),
        (lambda v: replace(v, facts=replace(v.facts, ctdi_phantom_cm=None)), "ssde_mgy", "no-phantom"),
        (lambda v: replace(v, facts=replace(v.facts, body_part="HEAD")), "ssde_mgy", "head"),
        (lambda v: replace(v, facts=replace(v.facts, body_part="KNEE")), "ssde_mgy", "not-trunk"),
        (lambda v: replace(v, facts=replace(v.facts, body_part=None)), "ssde_mgy", "not-trunk"),
        (lambda v: replace(v, ijk_to_ras=v.ijk_to_ras[[2, 1, 0, 3]]), "water_equivalent_diameter_mm", "not-axial"),
        (lambda v: replace(v, units="challenge"), "edge_10_90_mm", "no-spacing"),
    ],
)
def test_what_cannot_be_measured_has_a_reason_and_no_number(volume, change, figure, reason):
    """A zero or a guess in a dose table is worse than n/a."""
    found = measure_volume(change(volume))
    assert getattr(found.volume, figure) is None and found.volume.missing[figure] == reason
    assert found.reasons[reason] == REASONS[reason]


def test_every_figure_is_a_number_or_has_a_reason(volume, measures):
    """A reader of the table never meets an empty cell without a why."""
    for one in (measures.volume, *measures.slices):
        assert set(one.missing) == {name for name in FIGURES if getattr(one, name) is None}
        assert set(one.missing.values()) <= set(measures.reasons)


def test_cancel_keeps_what_was_measured(patient):
    """Cancelling a long series must not pass a part off as the whole."""
    volume = as_volume([noisy(patient, NOISE, 1)] * 40)
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 1

    found = measure_volume(volume, cancelled=cancelled)
    assert found.partial and found.slices[0].noise_hu is not None
    assert set(found.slices[-1].missing.values()) == {"not-run"} and found.slices[-1].noise_hu is None


def test_document_comes_back_equal(measures):
    """What a department files can be read again; another major version is refused rather than misread."""
    assert PhysicalMeasures.from_dict(measures.to_dict()) == measures
    with pytest.raises(ValueError, match="schema 2"):
        PhysicalMeasures.from_dict({**measures.to_dict(), "schema_version": "2.0"})


def test_blur_is_told_in_the_factory():
    """Guards the edge test: the default patient is as sharp as its name says."""
    assert measure_volume(as_volume([patient_slice()])).volume.edge_10_90_mm == pytest.approx(2.563 * BLUR_MM, rel=0.08)
