"""Layouts for the comparison of two volumes: linked slice views side by side, with or without the difference."""

from __future__ import annotations

import slicer

#: Numbers of our layouts; scenes keep them, so they never change.
SIDE_BY_SIDE, WITH_DIFFERENCE = 20571, 20572
#: Names of the slice views.
INPUT_VIEW, COMPARED_VIEW, DIFFERENCE_VIEW = "CTQAInput", "CTQACompared", "CTQADifference"
_VIEWS = ((INPUT_VIEW, "A", "#3070C0"), (COMPARED_VIEW, "B", "#30A060"), (DIFFERENCE_VIEW, "B-A", "#A06030"))
#: Linked views follow each other within a group only: the others of the application stay where they are.
_GROUP = 71


def register_layouts(layout_node: slicer.vtkMRMLLayoutNode) -> None:
    """Make the layouts known; before a scene with one of them is loaded, or its views stay empty. Repeatable."""
    for number, count in ((SIDE_BY_SIDE, 2), (WITH_DIFFERENCE, 3)):
        if not layout_node.IsLayoutDescription(number):
            layout_node.AddLayoutDescription(number, layout_description(count))


def layout_description(count: int) -> str:
    """XML of a row of the first ``count`` views."""
    items = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{colour}</property>'
        f'<property name="viewgroup" action="default">{_GROUP}</property></view></item>'
        for name, label, colour in _VIEWS[:count]
    )
    return f'<layout type="horizontal" split="true">{items}</layout>'
