"""CT: the patient moves while the tube turns, to and fro as in breathing; rigid and within the slice."""

from __future__ import annotations

import numpy as np

from Training.data.volume_degradations.ct_scan import CTScan


def move(scan: CTScan, amplitude_mm: float, *, cycles: float = 1.5, phase: float = 0.0) -> CTScan:
    """The scan of a patient who moves up and down by ``amplitude_mm sin(2 pi cycles t + phase)``, t = 0 to 1.

    A shift ``d`` of the patient shifts a view at angle ``a`` by ``d sin(a)`` along the detector, which is exact in
    parallel geometry; it is done as a phase of the view's spectrum, so that nothing is smoothed.

    Args:
        scan: noise-free; noise does not move with the patient.
        amplitude_mm: 0 or more.
        cycles: in the half turn that the views take.
        phase: radians.

    Raises:
        ValueError: an amplitude below zero.
    """
    if amplitude_mm < 0:
        raise ValueError("an amplitude is zero or more")
    time = np.arange(len(scan.angles)) / len(scan.angles)
    moved = amplitude_mm / scan.spacing_mm * np.sin(2 * np.pi * cycles * time + phase)
    samples = scan.integrals.shape[2]
    shift = np.exp(-2j * np.pi * np.fft.rfftfreq(samples) * (moved * np.sin(scan.angles))[:, None])
    if samples % 2 == 0:
        shift[:, -1] = shift[:, -1].real  # the Nyquist sample of a real signal is real
    integrals = np.fft.irfft(np.fft.rfft(scan.integrals, axis=2) * shift, samples, axis=2)
    return scan.with_integrals(integrals.astype(np.float32))
