"""Makes the README's pictures from a real run of the command on the shipped sample.

python -m Testing.visual.screenshots
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from CTQualityAssessmentLib.mrml.assessment_nodes import find_assessments
from CTQualityAssessmentLib.mrml.scene import create_bare_scene, nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene

from Testing.visual.render_views import render_slice_views

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Assess the sample, keep the page of figures, and draw the slice views of the saved scene."""
    target = ROOT / "Resources" / "Screenshots"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as out:
        sample = ROOT / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
        command = [sys.executable, "-m", "CTQualityAssessmentLib.cli", "assess", str(sample), "--out", out]
        subprocess.run(command, check=True)
        (Path(out) / "figures.png").replace(target / "figures.png")
        bare = create_bare_scene()
        load_scene(bare.scene, Path(out) / "scene.mrb")
    volumes = nodes_of_class(bare.scene, "vtkMRMLScalarVolumeNode")
    volume, nodes = next((v, found[0]) for v in volumes if (found := find_assessments(bare.scene, v)))
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(350, 40)
    render_slice_views(bare.scene, volume, nodes.quality, target / "slice_views.png")


if __name__ == "__main__":
    main()
