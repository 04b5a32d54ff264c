"""A picture of the panel after a real run on the sample: ``python -m Testing.module.screenshot panel.png [MODELS]``.

MODELS is a folder of model bundles; without it the shipped ones are used. Slicer's own widgets (selector, table, plot,
sliders, collapsible groups) are stand-ins, so the picture shows the arrangement and the content, not Slicer's looks.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest


def main(picture: Path, models: str = "") -> None:
    """Open the module, load the sample, assess it and write the picture."""
    if models:
        os.environ["CTQA_MODELS"] = models
    from Testing.module import conftest

    qt = importlib.import_module("qt")  # conftest put it on the path
    with pytest.MonkeyPatch.context() as patch:
        application = qt.QApplication.instance() or qt.QApplication([])
        module = conftest.import_module_file()
        window = conftest.open_window(module, patch)
        window.main_window.resize(620, 1700)
        window.main_window.show()
        window.ui.loadSampleButton.click()
        window.ui.assessButton.click()
        window.wait(lambda: not window.panel.assess.run.busy, seconds=900)
        window.panel.results.jump_to_rank(0)
        window.panel.overlays.choose("Attention focus stage 3")
        application.processEvents()
        window.main_window.grab().save(str(picture))
        print(window.ui.statusLabel.text(), window.ui.verdictLabel.text())
        window.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
