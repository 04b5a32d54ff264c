"""Tests that run inside the application: the panel, results in the scene, their removal; networks where installed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import slicer

from CTQualityAssessmentLib.assessment import summarise
from CTQualityAssessmentLib.mrml.compare_layout import WITH_DIFFERENCE
from CTQualityAssessmentLib.mrml.difference import find_differences
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from CTQualityAssessmentLib.panel.packages import packages_present
from CTQualityAssessmentLib.panel.parameters import PLAIN
from CTQualityAssessmentLib.results import (
    Geometry,
    ModelIdentity,
    SliceAssessment,
    VolumeAssessment,
    grade,
    snap_score,
)
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel
    from CTQualityAssessmentLib.panel.worker_run import WorkerRun

_MODULE = "CTQualityAssessment"


class PanelSelfTest:
    """The tests of the module's test class, which brings the assertions.

    No TestCase itself: Slicer's runner would find it in the module file and run everything once more.
    """

    def open_panel(self) -> Panel:
        """The panel of the module, opened in an empty scene."""
        slicer.mrmlScene.Clear()
        slicer.util.selectModule(_MODULE)
        return slicer.util.getModuleWidget(_MODULE).panel

    def wait_for(self, run: WorkerRun) -> None:
        """Let events happen until a run in a process of its own is over; at most five minutes."""
        end = time.monotonic() + 300
        while run.busy and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)

    def test_input_is_taken_described_and_forgotten(self) -> None:
        """The panel follows the scene: volume added, described, scene closed."""
        panel = self.open_panel()
        self.assertFalse(panel.ui.assessButton.enabled)
        panel.parameters.inputVolume = add_volume(slicer.mrmlScene, made_up_volume())
        self.assertIn("40 × 40 × 9 voxels", panel.ui.factsLabel.text)
        slicer.mrmlScene.Clear()
        self.assertIsNone(panel.parameters.inputVolume)
        self.assertFalse(panel.ui.assessButton.enabled)

    def test_a_module_that_was_left_lets_go_of_its_widgets(self) -> None:
        """Their ties to the parameters are cut, and tied again."""
        panel = self.open_panel()
        panel.exit()
        panel.ui.opacitySlider.value = 0.9
        panel.enter()
        self.assertAlmostEqual(panel.parameters.opacity, 0.4)
        panel.ui.opacitySlider.value = 0.7
        self.assertAlmostEqual(panel.parameters.opacity, 0.7)

    def test_result_is_shown_reached_by_rank_and_removed_without_a_trace(self) -> None:
        """Table, overlay, jump to the worst slice, plain image, removal."""
        panel = self.open_panel()
        volume = made_up_volume()
        node = add_volume(slicer.mrmlScene, volume)
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        panel.parameters.inputVolume = node
        before = len(nodes_of_class(slicer.mrmlScene, "vtkMRMLNode"))
        slicer.util.getModuleWidget(_MODULE).logic.show(node, made_up_assessment(volume))
        panel.refresh()
        self.assertEqual(panel.results.views.table.GetNumberOfRows(), volume.slice_count)
        self.assertIn("of 4", panel.ui.verdictLabel.text)
        panel.jumps.jump_to_rank(0)
        self.assertEqual(panel.jumps.current_slice(), 4)
        panel.jumps.step_rank(1)
        self.assertEqual(panel.jumps.current_slice(), 3)
        foregrounds = [v.GetForegroundVolumeID() for v in nodes_of_class(slicer.mrmlScene, "vtkMRMLSliceCompositeNode")]
        self.assertIn(panel.results.nodes.quality.GetID(), foregrounds)
        panel.overlays.choose(PLAIN)
        self.assertFalse(
            any(v.GetForegroundVolumeID() for v in nodes_of_class(slicer.mrmlScene, "vtkMRMLSliceCompositeNode"))
        )
        panel.removal.remove()
        self.assertEqual(len(nodes_of_class(slicer.mrmlScene, "vtkMRMLNode")), before)
        self.assertEqual(panel.ui.verdictLabel.text, "")

    def test_two_volumes_are_compared_and_the_layout_goes_back(self) -> None:
        """Linked views in our layout, the exact difference, the usual layout again."""
        panel = self.open_panel()
        manager = slicer.app.layoutManager()
        before = manager.layout
        first, other = made_up_volume(), made_up_volume()
        other.hu[:] += 7
        panel.parameters.inputVolume = add_volume(slicer.mrmlScene, first, "first")
        panel.parameters.compareVolume = add_volume(slicer.mrmlScene, other, "second")
        panel.refresh()
        panel.ui.differenceButton.click()
        self.wait_for(panel.compare.run)
        self.assertEqual(manager.layout, WITH_DIFFERENCE, panel.ui.compareLabel.text)
        (node,) = find_differences(slicer.mrmlScene, panel.parameters.inputVolume)
        self.assertTrue((slicer.util.arrayFromVolume(node) == 7).all())
        for name in panel.compare.view_names():
            composite = manager.sliceWidget(name).mrmlSliceCompositeNode()
            self.assertTrue(composite.GetBackgroundVolumeID())
            self.assertTrue(composite.GetLinkedControl())
        panel.ui.usualLayoutButton.click()
        self.assertEqual(manager.layout, before)
        panel.removal.remove()
        self.assertEqual(find_differences(slicer.mrmlScene, panel.parameters.inputVolume), [])

    def test_the_sample_is_registered_and_loads(self) -> None:
        """Through the Sample Data module, with its checksum."""
        panel = self.open_panel()
        panel.ui.loadSampleButton.click()
        node = panel.parameters.inputVolume
        self.assertIsNotNone(node)
        self.assertEqual(node.GetImageData().GetDimensions(), (512, 512, 30))
        self.assertIn("kV", panel.ui.factsLabel.text)

    def test_physical_measures_come_by_themselves(self) -> None:
        """In a process of their own, with Slicer's Python and nothing installed."""
        panel = self.open_panel()
        panel.parameters.inputVolume = add_volume(slicer.mrmlScene, made_up_volume())
        panel.refresh()
        measuring = panel.measures.measuring
        self.wait_for(measuring)
        self.assertIsNotNone(measuring.state.measures, measuring.state.message)

    def test_networks_score_and_denoise_in_their_own_process(self) -> None:
        """The way of a user: Assess, then Denoise; only where their packages are installed."""
        panel = self.open_panel()
        if not packages_present(panel.resource("requirements.txt")):
            self.skipTest("torch or another package is not installed")
        hu = np.full((4, 64, 64), -1000, dtype=np.int16)
        hu[:, 12:43, 12:43] = 40
        node = add_volume(slicer.mrmlScene, Volume(hu, np.diag([-1.5, -1.5, 4.0, 1.0])))
        panel.parameters.inputVolume = node
        panel.refresh()
        panel.ui.assessButton.click()
        self.wait_for(panel.assess.run)
        self.assertIsNotNone(panel.results.assessment, panel.ui.statusLabel.text)
        self.assertEqual(len(panel.results.assessment.slices), 4)
        panel.ui.denoiseButton.click()
        self.wait_for(panel.denoise.run)
        self.assertIsNotNone(panel.denoise.nodes, panel.ui.denoiseStatusLabel.text)
        self.assertTrue((slicer.util.arrayFromVolume(node) == hu).all())
        self.assertEqual(slicer.util.arrayFromVolume(panel.denoise.nodes.volume).shape, hu.shape)
        panel.removal.remove()
        self.assertIsNone(panel.denoise.nodes)


def made_up_volume() -> Volume:
    """Nine oblique slices of air with a box of soft tissue."""
    hu = np.full((9, 40, 40), -1000, dtype=np.int16)
    hu[:, 8:32, 8:32] = 40
    c, s = np.cos(0.3), np.sin(0.3)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[-1, 0, 0], [0, -c, -s], [0, -s, c]]) * (2.0, 2.0, 5.0)
    return Volume(hu, matrix)


def made_up_assessment(volume: Volume) -> VolumeAssessment:
    """Scores that are lowest in the middle of the volume."""
    scores = [1.0 + 0.5 * abs(n - volume.slice_count // 2) for n in range(volume.slice_count)]
    slices = tuple(
        SliceAssessment(n, volume.slice_centre_ras(n), 0.4, score, snap_score(score), grade(score)[0], (1.0,), 0.1, 0.0)
        for n, score in enumerate(scores)
    )
    return VolumeAssessment(
        model=ModelIdentity("made-up", "0", "0" * 64, "ldctiqa", "none", True, "Made up for a test."),
        geometry=Geometry(volume.hu.shape, tuple(map(tuple, volume.ijk_to_ras.tolist())), volume.acquisition_axis),
        slices=slices,
        summary=summarise(slices),
        device="cpu",
        versions={},
        timings_s={},
    )
