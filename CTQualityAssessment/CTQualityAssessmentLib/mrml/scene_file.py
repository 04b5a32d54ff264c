"""Whole scenes as ``.mrb`` bundles: zip files with one folder that holds the scene and its data."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import slicer

from CTQualityAssessmentLib.mrml.errors import SceneFileError
from CTQualityAssessmentLib.mrml.scene import register_node_classes
from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)


def save_scene(scene: slicer.vtkMRMLScene, path: Path) -> None:
    """Write the scene to ``path``, which should end in ``.mrb``, replacing it only once the new one is complete.

    The scene writes its files, and the packing is done here: MRML's own packing lists every path on the terminal, and
    leaves the temporary folder, which may hold the user's name, in the comments of colour files.

    Raises:
        SceneFileError: the folder cannot be written or the disk is full.
    """
    path = Path(path).absolute()  # MRML takes no relative folder
    failure = SceneFileError(_("The scene could not be saved."), _("Check that the folder exists and has space left."))
    try:
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=path.parent) as folder:
            content = Path(folder) / path.stem
            content.mkdir()
            if not scene.SaveSceneToSlicerDataBundleDirectory(str(content)):
                raise failure
            bundle = Path(folder) / path.name
            _pack(content, bundle)
            bundle.replace(path)
    except OSError as error:
        raise failure from error


def load_scene(scene: slicer.vtkMRMLScene, path: Path) -> None:
    """Add everything in a ``.mrb`` bundle to the scene.

    Raises:
        SceneFileError: the file is missing, damaged or not a scene bundle.
    """
    register_node_classes(scene)
    # A cut-off archive is noticed here, before VTK prints the path on the terminal.
    if not zipfile.is_zipfile(path) or not scene.ReadFromMRB(str(path)):
        raise SceneFileError(_("The scene could not be opened."), _("Choose a .mrb file that was saved completely."))


def _pack(content: Path, bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "w") as archive:
        for file in sorted(p for p in content.rglob("*") if p.is_file()):
            name = file.relative_to(content.parent).as_posix()
            if file.suffix == ".nrrd":  # compressed already
                archive.write(file, name, zipfile.ZIP_STORED)
            else:
                data = file.read_bytes().replace(f"{content.as_posix()}/Data/".encode(), b"")
                archive.writestr(name, data, zipfile.ZIP_DEFLATED)
