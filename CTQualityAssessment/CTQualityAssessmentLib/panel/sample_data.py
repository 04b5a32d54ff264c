"""The sample CT in Slicer's Sample Data module, from a file that the extension carries: nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.volume_nodes import ACQUISITION_AXIS
from CTQualityAssessmentLib.panel.volume_facts import keep_facts
from CTQualityAssessmentLib.volume import AcquisitionFacts
from CTQualityAssessmentLib.windows import WINDOWS

SAMPLE_NAME = "CTQAPhantom"
_FILE = "CTQA-phantom.nrrd"


class SampleError(CTQAError):
    """The sample is missing or is not the file that it should be."""


def sample_file(resources: Path) -> Path:
    """The volume in the module's folder Resources."""
    return resources / "SampleData" / _FILE


def register_sample(resources: Path) -> None:
    """Make the sample known to the Sample Data module, with its SHA-256; harmless when repeated.

    Call it once the application has started: that module may be loaded after this one.
    """
    import SampleData

    if not sample_file(resources).is_file():
        return
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=_("CT Quality Assessment"),
        sampleName=SAMPLE_NAME,
        uris=sample_file(resources).as_uri(),  # a bare path is not taken
        fileNames=_FILE,
        nodeNames=SAMPLE_NAME,
        thumbnailFileName=str(resources / "Icons" / "CTQualityAssessment.png"),
        loadFileType="VolumeFile",
        checksums=f"SHA256:{_description(resources)['sha256']}",
    )


def load_sample(resources: Path) -> slicer.vtkMRMLScalarVolumeNode:
    """Load the sample through the Sample Data module, which compares the checksum.

    Raises:
        SampleError: the file is missing, damaged, or the module could not load it.
    """
    import SampleData

    register_sample(resources)
    logic = SampleData.SampleDataLogic()
    source = logic.sourceForSampleName(SAMPLE_NAME)
    nodes = logic.downloadFromSource(source) if source is not None else []
    if not nodes:  # that is all it says of a wrong checksum
        raise SampleError(_("The sample could not be loaded."), _("Install the extension again."))
    (node, *_others) = nodes
    description = _description(resources)
    keep_facts(node, AcquisitionFacts(**description["facts"]))  # the headers of the scan, which the file cannot hold
    node.SetAttribute(ACQUISITION_AXIS, str(description["acquisition_axis"]))
    window = WINDOWS["soft-tissue"]
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevel(window.width, window.level)
    return node


def _description(resources: Path) -> dict[str, Any]:
    return json.loads(sample_file(resources).with_suffix(".json").read_text(encoding="utf-8"))
