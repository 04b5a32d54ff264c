"""The package can be imported where its heavy dependencies are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch monai einops safetensors scipy skimage pydicom highdicom SimpleITK nibabel tifffile PIL "
    "slicer vtk vtkmodules qt ctk matplotlib jinja2 trame trame_slicer typer rich dask distributed filelock psutil "
    "requests dicomweb_client pynetdicom tenacity keyring sqlalchemy alembic psycopg pyarrow"
).split()
LIGHT = ["CTQualityAssessmentLib"] + [
    f"CTQualityAssessmentLib.{name}"
    for name in (
        "errors volume results windows colours calls reading models assessment reporting mrml worker worker.loop pacs "
        "record"
    ).split()
]


def _import_with_blocked(blocked: list[str], modules: list[str]) -> subprocess.CompletedProcess[str]:
    # None in sys.modules makes Python raise ModuleNotFoundError for that name, as if it were not installed.
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n" + "\n".join(f"import {m}" for m in modules)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "CTQualityAssessment", capture_output=True, text=True, check=False
    )


def test_import_needs_numpy_only():
    """Slicer opens its module list, and the worker its error messages, before torch or pydicom are installed."""
    done = _import_with_blocked(HEAVY, LIGHT)
    assert done.returncode == 0, done.stderr


def test_help_needs_no_heavy_package():
    """`ctqa --help` answers at once and also on a half-finished installation."""
    blocked = [name for name in HEAVY if name not in ("typer", "rich")]
    done = _import_with_blocked(blocked, ["CTQualityAssessmentLib.cli"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["numpy", "typer"])
def test_blocking_blocks(module):
    """Guards the two tests above: a blocked import must really fail."""
    done = _import_with_blocked([module], ["CTQualityAssessmentLib.volume", "CTQualityAssessmentLib.cli"])
    assert done.returncode != 0 and module in done.stderr
