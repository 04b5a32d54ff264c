"""Slice views whose sizes change, and slice views that show the same place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import slicer

#: Ratio of sides up to which two windows have the same shape.
_SAME_SHAPE = 1.01


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
        """To be called when a change of the window's size is over: within its own event a view node cannot be moved.

        In linked views it belongs into :meth:`LinkedViews.still`, because a new size is no move.
        """
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

    @contextmanager
    def still(self) -> Iterator[None]:
        """What moves a view in here makes nobody follow it; afterwards all stand again where the leader does."""
        before, self._following = self._following, True
        try:
            yield
        finally:
            self._following = before
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
        if size != self._sizes[view.GetID()]:  # a window that changes its size is not a move
            self._sizes[view.GetID()] = size
        elif self._active and not self._following and not stands_like(self._leader, view):
            self._leader = view  # a node is also modified by what moves nothing
        self.align()


def follow(source: slicer.vtkMRMLSliceNode, view: slicer.vtkMRMLSliceNode) -> None:
    """Give ``view`` the plane, the centre and the scale of ``source``: all that this shows, if windows differ in size.

    A view without a size is left as it is.
    """
    field = _field_of_view(source, view)
    if field is None or stands_like(source, view):  # else two views would ask each other for pictures for ever
        return
    changing = view.StartModify()
    view.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
    view.SetXYZOrigin(*source.GetXYZOrigin())
    view.SetFieldOfView(*field)
    view.UpdateMatrices()
    view.EndModify(changing)


def stands_like(source: slicer.vtkMRMLSliceNode, view: slicer.vtkMRMLSliceNode) -> bool:
    """Whether ``view`` shows what :func:`follow` would make it show."""
    field = _field_of_view(source, view)

    def numbers(node: slicer.vtkMRMLSliceNode, shown: tuple[float, ...]) -> list[float]:
        matrix = node.GetSliceToRAS()
        return [*(matrix.GetElement(n // 4, n % 4) for n in range(16)), *node.GetXYZOrigin(), *shown]

    if field is None:
        return True
    pairs = zip(numbers(view, view.GetFieldOfView()), numbers(source, field), strict=True)
    return all(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) for one, other in pairs)


def _field_of_view(source: slicer.vtkMRMLSliceNode, view: slicer.vtkMRMLSliceNode) -> tuple[float, float, float] | None:
    """Millimetres that ``view`` shows where it follows ``source``; None where one of them has no size."""
    columns, rows, _ = view.GetDimensions()
    if min(columns, rows, *source.GetDimensions()[:2]) < 1:
        return None
    width, height, depth = source.GetFieldOfView()
    scale = max(width / columns, height / rows)
    if scale < _SAME_SHAPE * height / rows:  # windows of one shape, to a pixel: going to and fro must not add up
        scale = height / rows
    return scale * columns, scale * rows, depth
