"""The scene itself: what a host without the Slicer application has to set up before MRML works fully."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import slicer


@dataclass(frozen=True)
class BareScene:
    """A scene outside the application, with the helpers that must live as long as it does.

    Attributes:
        scene: the ``vtkMRMLScene``.
        helpers: logics and managers that observe the scene; VTK does not keep them alive.
    """

    scene: slicer.vtkMRMLScene
    helpers: tuple[Any, ...]


def create_bare_scene() -> BareScene:
    """A scene in which colours, legends and ``.mrb`` files work, for hosts without ``slicer.app``.

    The application does all of this itself at its start: never call this there.
    """
    scene = slicer.vtkMRMLScene()
    register_node_classes(scene)
    colours = slicer.vtkMRMLColorLogic()  # adds the built-in colour nodes that default display nodes refer to
    colours.SetMRMLScene(scene)
    return BareScene(scene, (colours, *attach_file_handling(scene)))


def attach_file_handling(scene: slicer.vtkMRMLScene) -> tuple[Any, ...]:
    """Make ``.mrb`` files readable in a scene outside the application; keep what comes back as long as the scene."""
    cache_folder = tempfile.TemporaryDirectory(prefix="ctqa-")
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(cache_folder.name)  # bundles are unpacked there; without it they cannot be read
    files = slicer.vtkDataIOManager()
    files.SetCacheManager(cache)
    scene.SetDataIOManager(files)
    return cache_folder, cache, files


def register_node_classes(scene: slicer.vtkMRMLScene) -> None:
    """Make the scene know the node classes that live in modules instead of the core; harmless when repeated."""
    if not scene.IsNodeClassRegistered("vtkMRMLColorLegendDisplayNode"):
        scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())


@contextmanager
def batch(scene: slicer.vtkMRMLScene) -> Iterator[None]:
    """Add or remove many nodes with one update of the views at the end."""
    scene.StartState(scene.BatchProcessState)
    try:
        yield
    finally:
        scene.EndState(scene.BatchProcessState)


def nodes_of_class(scene: slicer.vtkMRMLScene, class_name: str) -> list[slicer.vtkMRMLNode]:
    """All nodes of a class and its subclasses, in scene order."""
    found = scene.GetNodesByClass(class_name)
    found.UnRegister(None)  # the scene hands over a reference that Python would never release
    return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]
