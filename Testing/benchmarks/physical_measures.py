"""Time of the physical measures: ``python -m Testing.benchmarks.physical_measures [PATH] [--slices 300] [--profile]``.

The volume (the shipped sample by default) is repeated until it has the asked number of slices. The measures run one
slice in a thread, so the CPU time of the whole process over two is what two idle cores need; unlike the time on the
clock it does not grow with what else the computer does. The aim is 5 s for 300 slices of 512 x 512 pixels.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import Volume

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
_CORES = 2
_AIM_S = 5.0


def repeated(volume: Volume, slices: int) -> Volume:
    """The slices of a volume over and over again, along its third axis."""
    order = np.arange(slices) % volume.slice_count
    exposures = tuple(volume.exposures[n] for n in order) if volume.exposures else ()
    return replace(volume, hu=volume.hu[order], exposures=exposures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--profile", action="store_true", help="where the time goes, one thread, not the times")
    options = parser.parse_args()
    volume = read_volume(options.path)
    if volume.acquisition_axis != 2:
        parser.error("the slices of the volume must lie along its third axis")
    if options.profile:
        _profile(volume)
        return
    measure_volume(repeated(volume, 4))  # imports and first use
    long = repeated(volume, options.slices)
    clock, cpu = time.perf_counter(), time.process_time()
    measure_volume(long)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    rows, columns = long.canonical_slices().hu.shape[1:]
    print(
        f"{long.slice_count} slices of {columns} x {rows}: {cpu:.2f} s CPU, {1000 * cpu / long.slice_count:.1f} ms a "
        f"slice; {cpu / _CORES:.2f} s on {_CORES} idle cores (aim: {_AIM_S:g} s for 300); {clock:.2f} s on the clock"
    )


def _profile(volume: Volume) -> None:
    """Where the time goes, slice after slice on one thread."""
    from CTQualityAssessmentLib.assessment.measures import volume_measures

    spacing = np.linalg.norm(volume.canonical_slices().ijk_to_ras[:3, :2], axis=0)
    profile = cProfile.Profile(time.process_time)
    measure_volume(repeated(volume, 4))  # imports and first use
    for k, hu in enumerate(volume.canonical_slices().hu):
        profile.runcall(
            volume_measures._measure_slice, volume, hu, k, (float(spacing[1]), float(spacing[0])), k % 5 == 0
        )
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
