"""A volume on its way through an assessment: its voxels, the slices that came, the picture that they fill."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from CTQualityAssessmentLib.assessment.volume_scoring import fill_assessment
from CTQualityAssessmentLib.mrml.live_scores import LiveScores
from CTQualityAssessmentLib.mrml.quality_image import QualityImage
from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_ras, ijk_to_world
from CTQualityAssessmentLib.panel.volume_facts import acquisition_facts
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelTransfer
from CTQualityAssessmentLib.panel.worker_run import Job
from CTQualityAssessmentLib.results import Refusal, SliceAssessment, VolumeAssessment
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.bodies import BodiesReader
from CTQualityAssessmentLib.worker.protocol import AssessRequest


@dataclass(frozen=True)
class RunRequest:
    """What the user chose: the volume and how to assess it.

    ``time_point`` is a volume of the sequence whose proxy ``node`` is: its voxels are assessed instead, and the result
    is handed back without nodes.
    """

    node: slicer.vtkMRMLScalarVolumeNode
    model: str
    device: str
    attention_stages: tuple[int, ...]
    time_point: slicer.vtkMRMLScalarVolumeNode | None = None

    @property
    def source(self) -> slicer.vtkMRMLScalarVolumeNode:
        """The node that holds the voxels."""
        return self.time_point if self.time_point is not None else self.node


class AssessJob(Job):
    """A volume that is being assessed."""

    def __init__(self, request: RunRequest) -> None:
        super().__init__(request.node)
        self.request = request
        self.live = LiveScores(request.node.GetScene())
        self.unshown = False
        self.begun: VolumeAssessment | None = None
        self.found: dict[int, SliceAssessment] = {}
        self._volume: Volume | None = None
        self._quality: QualityImage | None = None
        self._bodies: BodiesReader | None = None
        self._undrawn: deque[int] = deque()
        self.ending: Generator[None, None, object] | None = None

    def open(self) -> None:
        """Make the folder and the transfer."""
        super().open()
        node, parent = self.request.node, None
        if self.request.time_point is not None:
            # The nodes of a sequence have no parent transform; that of the proxy holds for all of them.
            parent = ijk_to_world(node) @ np.linalg.inv(ijk_to_ras(node))
        self.transfers = [VoxelTransfer(self.request.source, self.file("hu"), parent)]

    def message(self) -> dict[str, Any]:
        """What the worker is asked."""
        facts = acquisition_facts(self.request.node)[0]
        self._volume = self.transfers[0].volume(facts)
        return AssessRequest(
            id=self.id,
            folder=str(self.path),
            model=self.request.model or None,
            device=self.request.device,
            attention_stages=list(self.request.attention_stages),
            preview=True,
            **self.transfers[0].described(facts),
        ).to_message()

    def release(self) -> None:
        """Let go of mapped files, and leave steps that were not taken."""
        super().release()
        if self.ending is not None:
            self.ending.close()
        self._volume = self._bodies = self._quality = self.ending = None

    def add(self, found: dict[str, Any]) -> None:
        """Take in a slice, once: after a lack of memory the worker starts again from the first."""
        index = found["index"]
        if index in self.found:
            return
        refusal = Refusal(**found["refusal"]) if found["refusal"] else None
        lists = {name: tuple(found[name]) for name in ("centre_ras", "distribution")}
        self.found[index] = SliceAssessment(**{**found, **lists, "refusal": refusal})
        self.live.append(self.found[index])
        self.unshown = True
        if found["score"] is not None and self.request.time_point is None:
            self._undrawn.append(index)

    def draw(self) -> Generator[None, None, None]:
        """Fill the patient of the slices that came with their score, a slice a step.

        Raises:
            ExchangeError: what the worker wrote cannot be read.
        """
        while self._undrawn:
            if self._bodies is None:
                self._bodies = BodiesReader(self.path, self._volume.canonical_slices().hu.shape)
            index = self._undrawn.popleft()
            self.quality().put(index, self.found[index].score, self._bodies.get(index))
            yield

    def quality(self) -> QualityImage:
        """The slices that were drawn so far."""
        if self._quality is None:
            self._quality = QualityImage(self.begun.geometry)
        return self._quality

    def so_far(self) -> VolumeAssessment | None:
        """What came before the worker fell silent, without attention maps; None before the first slice."""
        if self.begun is None or not self.found:
            return None
        return fill_assessment(self.begun, self._volume, self.found)
