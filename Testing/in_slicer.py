"""Runs the module's own tests inside 3D Slicer and ends it with their outcome: 0 all passed, 1 one failed.

``Slicer --testing --no-splash --additional-module-paths CTQualityAssessment --python-script Testing/in_slicer.py``.
Writes a picture of the whole window, with the panel on the sample, to the file that ``$CTQA_PICTURE`` names.
"""

from __future__ import annotations

import os
import traceback
import unittest

import slicer
import slicer.util


def main() -> int:
    """Run the tests, take the picture, and tell the exit code."""
    import CTQualityAssessment

    found = unittest.TestLoader().loadTestsFromTestCase(CTQualityAssessment.CTQualityAssessmentTest)
    outcome = unittest.TextTestRunner(verbosity=2).run(found)
    picture = os.environ.get("CTQA_PICTURE")
    if picture:
        slicer.util.selectModule("CTQualityAssessment")
        slicer.util.getModuleWidget("CTQualityAssessment").panel.ui.loadSampleButton.click()
        slicer.app.processEvents()
        slicer.util.mainWindow().grab().save(picture)
    return 0 if outcome.wasSuccessful() and outcome.testsRun else 1


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except Exception:
        traceback.print_exc()
    slicer.util.exit(code)
