"""Peak memory of an assessment over the volume's own: ``python -m Testing.benchmarks.memory [--slices 300]``.

The promise is that assessing holds the volume and at most 600 MB more, libraries included. Each case runs in a process
of its own, because a process never gives its peak back. The slices are those of the shipped sample, repeated.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
LIMIT_MB = 600
#: What is held to the limit: attention stages of each case.
CASES = {"scores": (), "scores and attention of stage 3, as in 'ctqa assess'": (3,)}


SCENE = "the same, and scene.mrb written (not held to the limit)"


def one_case(slices: int, stages: tuple[int, ...], scene: bool) -> None:
    """Assess in this process; prints the megabytes of the volume and of the process at its peak."""
    import numpy as np
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle
    from CTQualityAssessmentLib.reading import read_volume
    from CTQualityAssessmentLib.result_files import _write_scene
    from CTQualityAssessmentLib.volume import Volume

    sample = read_volume(SAMPLE)
    hu = np.empty((slices, *sample.hu.shape[1:]), sample.hu.dtype)
    for first in range(0, slices, len(sample.hu)):
        hu[first : first + len(sample.hu)] = sample.hu[: slices - first]
    volume = Volume(hu, sample.ijk_to_ras, sample.acquisition_axis)
    found = assess_volume(volume, load_bundle(DEFAULT_BUNDLE, device="cpu"), attention_stages=stages)
    if found.summary.scored != slices:
        raise SystemExit(f"only {found.summary.scored} of {slices} slices were scored")
    if scene:
        with tempfile.TemporaryDirectory() as folder:
            _write_scene(Path(folder) / "scene.mrb", volume, found)
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
    print(f"{hu.nbytes / 1e6:.0f} {peak:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--case", choices=[*CASES, SCENE], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        one_case(options.slices, CASES.get(options.case, (3,)), options.case == SCENE)
        return
    worst = 0
    for case in (*CASES, SCENE):
        command = [sys.executable, "-m", "Testing.benchmarks.memory", "--slices", str(options.slices), "--case", case]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        volume, peak = (int(n) for n in line)
        worst = max(worst, peak - volume) if case in CASES else worst
        print(f"{case}: volume {volume} MB, peak {peak} MB, {peak - volume} MB more", flush=True)
    if worst > LIMIT_MB:
        raise SystemExit(f"more than {LIMIT_MB} MB beside the volume")


if __name__ == "__main__":
    main()
