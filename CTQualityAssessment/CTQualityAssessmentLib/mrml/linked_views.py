"""Slice views whose sizes change, and slice views that show the same place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import slicer


class SteadyView:
    """Keeps in view what was in view when the window of a slice view changes its size.

    MRML keeps one side of the field of view, and which one depends on the sizes, so that going back and forth between
    two sizes zooms in. Here the shorter side keeps its millimetres. Windows below ``_SMALLEST`` pixels are hidden ones.
    """

    _SMALLEST = 16

    def __init__(self, view: slicer.vtkMRMLSliceNode) -> None:
        self._view, self._observer = view, view.AddObserver("ModifiedEvent", self._modified)
        self.keep()

    def release(self) -> None:
        """Leave the view to itself; it may outlive this object only after this."""
        self._view.RemoveObserver(self._observer)

    def keep(self) -> None:
        """What is in view now is what to keep; to be called after the view was fitted to its content."""
        self._size = self._view.GetDimensions()[:2]
        self._shorter = min(self._view.GetFieldOfView()[:2])

    def resized(self) -> None:
        """To be called when a change of the window's size is over: within its own event a view node cannot be moved."""
        size = self._view.GetDimensions()[:2]
        if size == self._size or min(size) < self._SMALLEST:
            return
        self._size = size
        scale = self._shorter / min(size)
        self._view.SetFieldOfView(scale * size[0], scale * size[1], self._view.GetFieldOfView()[2])

    def _modified(self, view: slicer.vtkMRMLSliceNode, _event: str) -> None:
        size = view.GetDimensions()[:2]
        if min(size) < self._SMALLEST:
            self._size = size  # or the way back to the former size would pass for a zoom
        elif size == self._size:
            self._shorter = min(view.GetFieldOfView()[:2])


class LinkedViews:
    """Views of which each follows whichever of them was moved last, while ``active``.

    Args:
        views: the first is followed at the beginning.
    """

    def __init__(self, views: Sequence[slicer.vtkMRMLSliceNode]) -> None:
        self._active = False
        self._views = tuple(views)
        self._leader = self._views[0]
        self._sizes = {view.GetID(): view.GetDimensions() for view in self._views}
        self._following = False
        self._observers = [(view, view.AddObserver("ModifiedEvent", self._modified)) for view in self._views]

    def release(self) -> None:
        """Link no more; the views may outlive this object only after it."""
        for view, observer in self._observers:
            view.RemoveObserver(observer)

    @property
    def active(self) -> bool:
        """Whether they are linked; turned on, all go where the first is."""
        return self._active

    @active.setter
    def active(self, active: bool) -> None:
        self._active, self._leader = active, self._views[0]
        self.align()

    def align(self) -> None:
        """Bring all to where the one is that was moved last."""
        if not self._active or self._following:
            return
        self._following = True
        try:
            for view in self._views:
                if view is not self._leader:
                    follow(self._leader, view)
        finally:
            self._following = False

    def _modified(self, view: slicer.vtkMRMLSliceNode, _event: str) -> None:
        size = view.GetDimensions()
        if size == self._sizes[view.GetID()]:
            if self._active and not self._following:
                self._leader = view
        else:  # a window that changes its size is not a move
            self._sizes[view.GetID()] = size
        self.align()


def follow(source: slicer.vtkMRMLSliceNode, view: slicer.vtkMRMLSliceNode) -> None:
    """Give ``view`` the plane, the centre and the scale of ``source``: all that this shows, if windows differ in size.

    A view without a size is left as it is.
    """
    columns, rows, _ = view.GetDimensions()
    source_columns, source_rows, _ = source.GetDimensions()
    if min(columns, rows, source_columns, source_rows) < 1:
        return
    width, height, depth = source.GetFieldOfView()
    scale = max(width / columns, height / rows)
    field = (scale * columns, scale * rows, depth)
    if _stands_like(view, source, field):  # else two views that follow each other would ask for pictures for ever
        return
    changing = view.StartModify()
    view.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
    view.SetXYZOrigin(*source.GetXYZOrigin())
    view.SetFieldOfView(*field)
    view.UpdateMatrices()
    view.EndModify(changing)


def _stands_like(view: slicer.vtkMRMLSliceNode, source: slicer.vtkMRMLSliceNode, field: tuple[float, ...]) -> bool:
    def numbers(node: slicer.vtkMRMLSliceNode, shown: tuple[float, ...]) -> list[float]:
        matrix = node.GetSliceToRAS()
        return [*(matrix.GetElement(n // 4, n % 4) for n in range(16)), *node.GetXYZOrigin(), *shown]

    pairs = zip(numbers(view, view.GetFieldOfView()), numbers(source, field), strict=True)
    return all(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) for one, other in pairs)
