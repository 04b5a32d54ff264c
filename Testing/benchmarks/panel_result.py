"""How long the Slicer panel holds its window: ``python -m Testing.benchmarks.panel_result [SLICES] [STAGE]``.

Hands a made-up CT of SLICES (600) slices of 512 x 512 over as the panel does, lets slices and a result arrive in the
form in which the worker sends them, and prints for each phase how much processor time its events took and how much the
longest of them: so long the window does not answer on a machine that does nothing else. STAGE (3) is that of the
attention maps, 1 the finest. The worker itself is not run, and Slicer's own widgets are stand-ins: what Slicer adds
(its views, its table, its subject hierarchy) is not in the figures.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

_GROUP = 16


def main(slices: int = 600, stage: int = 3) -> None:
    """Measure, and print a table."""
    from Testing.module import conftest

    qt = importlib.import_module("qt")  # conftest put it on the path
    with pytest.MonkeyPatch.context() as patch:
        application = qt.QApplication.instance() or qt.QApplication([])
        module = conftest.import_module_file()
        qt.speak_pyside(__name__)
        patch.setattr("CTQualityAssessmentLib.panel.measuring.WAIT_MS", 2**30)
        window = conftest.open_window(module, patch)
        _measure(window, application, slices, stage)
        window.close()


def _measure(window, application, slices: int, stage: int) -> None:
    from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
    from CTQualityAssessmentLib.panel.assess_job import AssessJob, RunRequest
    from CTQualityAssessmentLib.worker.bodies import Bodies
    from CTQualityAssessmentLib.worker.exchange import write_result

    volume = _patient(slices)
    run, heart = window.panel.assess.run, _Heart(application)
    assessment = _assessment(volume, stage)
    node = add_volume(window.scene, volume)
    heart.skip()
    window.ui.inputSelector.setCurrentNode(node)
    heart.until(lambda: True)
    heart.phase("choose the volume")
    run.worker.send = lambda message: None
    job = AssessJob(RunRequest(node, "", "cpu", (stage,)))
    run.begin(job)
    heart.until(lambda: job.asked)
    heart.phase("voxels for the worker")
    write_result(job.path, assessment)
    bodies = Bodies(job.path, volume)
    for index, plane in enumerate(volume.hu):
        bodies.put(index, plane > -500)
    plain = assessment.to_dict()
    heart.skip()
    run.received(job, "begun", {"assessment": {**plain, "slices": []}})
    for first in range(0, slices, _GROUP):
        for one in plain["slices"][first : first + _GROUP]:
            run.received(job, "slice", {"slice": one})
        heart.until(lambda: True)
    heart.phase("slices arrive")
    run.received(job, "done", {"partial": False})
    heart.until(lambda: not run.busy)
    heart.until(lambda: True)  # what was put off to an event of its own
    heart.phase("result into the scene")
    window.panel.overlays.choose("plain")
    heart.until(lambda: True)
    heart.phase("plain image")
    window.ui.removeResultsButton.click()
    heart.until(lambda: True)
    heart.phase("remove the result")


class _Heart:
    """Beats whenever the window could handle an event."""

    def __init__(self, application) -> None:
        self._application = application
        self._gaps: list[float] = []
        self.skip()

    def skip(self) -> None:
        """What came before is not counted."""
        self._last = time.thread_time()

    def until(self, over: Callable[[], bool]) -> None:
        """Let events happen until it is over, and note how long each of them took."""
        while True:
            self._application.processEvents()
            now = time.thread_time()
            self._gaps.append(1000 * (now - self._last))
            self._last = now
            if over():
                return
            time.sleep(0.001)

    def phase(self, name: str) -> None:
        """Print what was noted since the last phase."""
        gaps, self._gaps = sorted(self._gaps) or [0.0], []
        longest = ", ".join(f"{one:.0f}" for one in gaps[-4:][::-1])
        over = sum(one > 50 for one in gaps)
        print(f"{name:24} {sum(gaps) / 1000:7.2f} s, {over:4} over 50 ms, longest {longest} ms", flush=True)
        self.skip()


def _patient(slices: int):
    from CTQualityAssessmentLib.volume import Volume

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:512, :512]
    inside = ((rows - 256) / 150) ** 2 + ((columns - 256) / 220) ** 2 < 1
    plane = np.where(inside, 40 + rng.normal(0, 20, inside.shape), -1000).astype(np.int16)
    return Volume(np.repeat(plane[None], slices, axis=0), np.diag([-0.7, -0.7, 1.0, 1.0]))


def _assessment(volume, stage: int):
    from dataclasses import replace

    from CTQualityAssessmentLib.results import AttentionMap

    from Testing.assessment_factory import make_assessment

    rng = np.random.default_rng(1)
    side = 256 // 2**stage
    grid = volume.canonical_slices().ijk_to_ras @ np.diag([512 / side, 512 / side, 1.0, 1.0])
    maps = [
        AttentionMap(name, stage, rng.gamma(2, 0.5, (volume.slice_count, side, side)).astype(np.float32), grid)
        for name in ("scan", "read", "focus")
    ]
    found = make_assessment(volume, rng.uniform(0, 4, volume.slice_count).tolist(), maps)
    spread = tuple(np.full(21, 1 / 21).tolist())
    return replace(found, slices=tuple(replace(one, distribution=spread) for one in found.slices))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
