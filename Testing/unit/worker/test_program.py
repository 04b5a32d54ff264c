"""Processes of this package: what lies in the folder of a CT must never run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from CTQualityAssessmentLib.worker.client import worker_command
from CTQualityAssessmentLib.worker.program import module_arguments

MODULES = ["CTQualityAssessmentLib.worker", "CTQualityAssessmentLib.viewer.export"]


@pytest.mark.parametrize("module", MODULES)
def test_modules_of_the_current_folder_are_not_run(tmp_path, module):
    """A ``json.py`` on a disc with images would own the account of whoever opens them."""
    for name in ("json", "runpy", "copy", "CTQualityAssessmentLib"):
        (tmp_path / f"{name}.py").write_text("open('opened', 'w')\nraise SystemExit(9)\n", encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [sys.executable, *module_arguments(module)],
        cwd=tmp_path,
        env=environment,
        input=b"",
        capture_output=True,
        timeout=120,
    )
    assert not (tmp_path / "opened").exists()
    assert done.returncode != 9


def test_slicers_worker_is_started_so():
    assert worker_command()[1] == module_arguments("CTQualityAssessmentLib.worker")
