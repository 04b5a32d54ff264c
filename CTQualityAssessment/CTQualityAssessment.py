"""The 3D Slicer module: four classes that Slicer looks for; what they do is in CTQualityAssessmentLib."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import unittest
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import slicer
from CTQualityAssessmentLib.assessment import body_mask
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER
from CTQualityAssessmentLib.mrml.assessment_nodes import AssessmentNodes, add_assessment
from CTQualityAssessmentLib.mrml.denoised_nodes import keep_examination, put_denoised
from CTQualityAssessmentLib.mrml.volume_nodes import image_of, volume_from_node
from CTQualityAssessmentLib.panel.before_after import before_after_rows
from CTQualityAssessmentLib.panel.compare_section import register_compare_layouts
from CTQualityAssessmentLib.panel.language import speak_application_language
from CTQualityAssessmentLib.panel.panel import Panel
from CTQualityAssessmentLib.panel.report_section import export_report
from CTQualityAssessmentLib.panel.sample_data import register_sample
from CTQualityAssessmentLib.panel.self_test import PanelSelfTest
from CTQualityAssessmentLib.panel.volume_facts import acquisition_facts
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.worker.client import run_in_worker
from CTQualityAssessmentLib.worker.exchange import read_denoised, read_result, write_volume
from CTQualityAssessmentLib.worker.protocol import AssessRequest, DenoiseRequest
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

speak_application_language()


class CTQualityAssessment(ScriptedLoadableModule):
    """Name, place in the menu and help."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CT Quality Assessment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = []
        self.parent.contributors = ["CTQualityAssessment contributors"]
        self.parent.helpText = _(
            "Scores the image quality of every slice of a CT from 0 (bad) to 4 (excellent) without a reference image, "
            "and shows where the network looked. All data stay on this computer. A research tool, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "The scale of scores follows LDCTIQAG2023 (Lee et al., Medical Image Analysis 99:103343, 2025)."
        )
        slicer.app.connect("startupCompleted()", _on_startup)


def _on_startup() -> None:
    """Register what other parts of the application must know before the panel is opened for the first time."""
    register_compare_layouts()  # a scene that was saved in one of them would else open with empty views
    with contextlib.suppress(ImportError):  # Slicer can be built or started without its Sample Data module
        register_sample(Path(__file__).parent / "Resources")


class CTQualityAssessmentWidget(ScriptedLoadableModuleWidget):
    """Makes the panel and tells it what happens to the module."""

    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic: CTQualityAssessmentLogic | None = None
        self.panel: Panel | None = None

    def setup(self) -> None:
        """Load the .ui file; also called on reload, where no enter follows."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/CTQualityAssessment.ui"))
        widget.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(widget)
        ui = slicer.util.childWidgetVariables(widget)
        self.logic = CTQualityAssessmentLogic()
        self.panel = Panel(ui, self.logic.getParameterNode, Path(self.resourcePath("")))
        if getattr(self.parent, "isEntered", False):
            self.panel.enter()

    def enter(self) -> None:
        """The user opens the module."""
        self.panel.enter()

    def exit(self) -> None:
        """The user leaves the module."""
        self.panel.exit()

    def cleanup(self) -> None:
        """The module is reloaded or the application quits."""
        if self.panel is not None:
            self.panel.cleanup()

    def onReload(self) -> None:
        """Load the library anew as well; Slicer reloads this file only."""
        library = "CTQualityAssessmentLib"
        for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class CTQualityAssessmentLogic(ScriptedLoadableModuleLogic):
    """Everything without a panel, for scripts and ``Slicer --no-main-window --python-script``.

    Networks run in a process of their own, as from the panel: a torch that ends its process does not end Slicer. For a
    network in this process call the library, ``CTQualityAssessmentLib.assessment``. Example::

        import slicer
        from CTQualityAssessment import CTQualityAssessmentLogic

        logic = CTQualityAssessmentLogic()
        node = slicer.util.loadVolume("ct.nrrd")
        assessment = logic.assess(node)
        print(assessment.summary.mean, assessment.summary.worst)
        logic.show(node, assessment)
        logic.export(assessment, "report")
        denoised, report = logic.denoise(node)
        print(*(one.sentence() for one in report.retention), sep="\n")
        slicer.util.saveScene("ct-quality.mrb")
    """

    def assess(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        model: str = DEFAULT_BUNDLE,
        device: str = "auto",
        attentionStages: Sequence[int] = (3,),
        progress: Progress = no_progress,
        cancelled: Cancelled = never,
    ) -> VolumeAssessment:
        """Score a volume; see :func:`CTQualityAssessmentLib.assessment.assess_volume`. Waits for the end.

        Args:
            volumeNode: a CT in HU.
            model: name or folder of a bundle.
            device: "auto", "cpu", "cuda".
            attentionStages: stages 1 to 4 whose attention maps are wanted.
            progress: called with (slices done, slices, message).
            cancelled: asked between batches; True returns what is there, marked partial.

        Raises:
            CTQAError: volume, model or device cannot be used, a package is missing (the panel installs them), or it was
                cancelled before there was anything to keep.
        """
        volume = replace(volume_from_node(volumeNode), facts=acquisition_facts(volumeNode)[0])
        with tempfile.TemporaryDirectory(prefix="ctqa-", ignore_cleanup_errors=True) as folder:
            request = AssessRequest(
                id="1",
                folder=folder,
                model=model,
                device=device,
                attention_stages=list(attentionStages),
                **write_volume(Path(folder) / "hu.npy", volume),
            )
            run_in_worker(request, progress=progress, cancelled=cancelled)
            return read_result(Path(folder))

    def show(self, volumeNode: slicer.vtkMRMLScalarVolumeNode, assessment: VolumeAssessment) -> AssessmentNodes:
        """Add overlays, tables, chart and the exact result to the scene of the volume."""
        slices = volume_from_node(volumeNode, assessment.geometry.acquisition_axis).canonical_slices()
        columns_mm, rows_mm = (float((slices.ijk_to_ras[:3, axis] ** 2).sum() ** 0.5) for axis in (0, 1))
        body = body_mask(slices.hu, (rows_mm, columns_mm))
        return add_assessment(volumeNode.GetScene(), volumeNode, assessment, body)

    def denoise(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        model: str = DEFAULT_DENOISER,
        device: str = "auto",
        strength: Strength = Strength(),  # noqa: B008  frozen
        findings: bool = False,
        scores: bool = False,
        progress: Progress = no_progress,
        cancelled: Cancelled = never,
    ) -> tuple[slicer.vtkMRMLScalarVolumeNode, DenoisingReport]:
        """Put a copy with less noise beside a volume, and look whether lesions survive.

        Args:
            volumeNode: a CT in HU; not changed.
            model: name or folder of a denoiser's bundle.
            device: "auto", "cpu", "cuda".
            strength: share of the denoising in each tissue.
            findings: whether the lesion detector looks at both volumes; its boxes come as ROI nodes.
            scores: whether the default model scores both volumes; read the report's warnings then.
            progress: called with (steps done, steps, message).
            cancelled: asked between slices.

        Raises:
            CTQAError: volume, model or device cannot be used, a package is missing (the panel installs them), or it was
                cancelled before the volume was whole.
        """
        volume = replace(volume_from_node(volumeNode), facts=acquisition_facts(volumeNode)[0])
        with tempfile.TemporaryDirectory(prefix="ctqa-", ignore_cleanup_errors=True) as folder:
            request = DenoiseRequest(
                id="1",
                folder=folder,
                model=model,
                device=device,
                findings=findings,
                scores=scores,
                **asdict(strength),
                **write_volume(Path(folder) / "hu.npy", volume),
            )
            run_in_worker(request, progress=progress, cancelled=cancelled)
            result, report = read_denoised(Path(folder), volume)
        scene = volumeNode.GetScene()
        nodes = put_denoised(scene, volumeNode, image_of(result.hu), volume.acquisition_axis, report)
        keep_examination(scene, volumeNode, report, before_after_rows(report), volume)
        return nodes.volume, report

    def export(self, assessment: VolumeAssessment, folder: str | Path) -> list[str]:
        """Write slices.csv, assessment.json and, with jinja2, index.html; returns their names."""
        return export_report(assessment, Path(folder))


class CTQualityAssessmentTest(PanelSelfTest, ScriptedLoadableModuleTest):
    """Tests inside the application, see :class:`PanelSelfTest`; all but one need no package."""

    def runTest(self) -> None:
        """What the button Reload & Test runs."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            with contextlib.suppress(unittest.SkipTest):
                getattr(self, name)()
