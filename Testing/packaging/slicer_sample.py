"""The sample as the one file that Slicer's Sample Data module loads; ``python -m Testing.packaging.slicer_sample``.

Made from ``Resources/SampleData/CTQA-phantom/dicom``: the same voxels, and beside them what the headers say.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DICOM = ROOT / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
FOLDER = ROOT / "CTQualityAssessment" / "Resources" / "SampleData"
VOLUME = FOLDER / "CTQA-phantom.nrrd"
DESCRIPTION = FOLDER / "CTQA-phantom.json"


def write_sample() -> None:
    """Write volume and description, each whole or not at all."""
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
    from CTQualityAssessmentLib.reading import read_volume

    FOLDER.mkdir(parents=True, exist_ok=True)
    volume = read_volume(DICOM)
    bare = create_bare_scene()
    node = add_volume(bare.scene, volume, "CTQA-phantom")
    unfinished = VOLUME.with_name(f"unfinished-{VOLUME.name}")
    storage = node.GetStorageNode()
    storage.SetFileName(str(unfinished))
    storage.SetCompressionParameter("gzip_max_compression")
    assert storage.WriteData(node)
    os.replace(unfinished, VOLUME)
    description = {
        "sha256": hashlib.sha256(VOLUME.read_bytes()).hexdigest(),
        "acquisition_axis": volume.acquisition_axis,
        "facts": volume.facts.known(),
    }
    DESCRIPTION.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_sample()
