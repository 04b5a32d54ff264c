"""Saved scenes: a result that does not come back on the next computer was never saved."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer.util
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, assessment_from_scene, find_assessments
from CTQualityAssessmentLib.mrml.errors import SceneFileError
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene, save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, ijk_to_ras, volume_from_node

from Testing.assessment_factory import make_assessment, make_attention, make_body, make_volume
from Testing.mrml.grids import every_grid, linear_transform, volume_on


def saved(scene, path, volume, under_transform=False):
    node = add_volume(scene, volume)
    if under_transform:
        node.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
        volume = volume_from_node(node)
    assessment = make_assessment(volume, attention=[make_attention(volume)])
    nodes = add_assessment(scene, node, assessment, make_body(volume))
    save_scene(scene, path)
    return node, nodes, assessment


def loaded(scene, path):
    load_scene(scene, path)
    node = scene.GetFirstNodeByName("CT")
    (nodes,) = find_assessments(scene, node)
    return node, nodes


def columns(table):
    return [
        [table.GetTable().GetColumn(c).GetVariantValue(r).ToString() for r in range(table.GetNumberOfRows())]
        for c in range(table.GetNumberOfColumns())
    ]


@every_grid
def test_volume_and_overlays_come_back_voxel_by_voxel_and_in_place(scene, other_scene, tmp_path, grid):
    """Left-handed grids too, which the application would turn over on loading unless told not to."""
    node, nodes, _ = saved(scene, tmp_path / "s.mrb", volume_on(grid), under_transform=True)
    node_2, nodes_2 = loaded(other_scene, tmp_path / "s.mrb")
    for old, new in ((node, node_2), (nodes.quality, nodes_2.quality), (nodes.attention[0], nodes_2.attention[0])):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(new), slicer.util.arrayFromVolume(old))
        np.testing.assert_allclose(ijk_to_ras(new), ijk_to_ras(old), atol=1e-6)
        assert new.GetParentTransformNode() is node_2.GetParentTransformNode()
    old, new = volume_from_node(node), volume_from_node(node_2)
    np.testing.assert_allclose(new.ijk_to_ras, old.ijk_to_ras, atol=1e-3)
    assert new.acquisition_axis == old.acquisition_axis


def test_everything_else_comes_back_as_it_was(scene, other_scene, tmp_path):
    _, old, assessment = saved(scene, tmp_path / "s.mrb", make_volume())
    node, new = loaded(other_scene, tmp_path / "s.mrb")
    for a, b in ((old.quality, new.quality), (old.attention[0], new.attention[0])):
        assert b.GetName() == a.GetName()
        d, e = a.GetDisplayNode(), b.GetDisplayNode()
        for get in ("GetWindow", "GetLevel", "GetAutoWindowLevel", "GetApplyThreshold", "GetInterpolate"):
            assert getattr(e, get)() == pytest.approx(getattr(d, get)()), get
        assert e.GetLowerThreshold() == d.GetLowerThreshold()
        assert e.GetUpperThreshold() == pytest.approx(d.GetUpperThreshold(), rel=1e-4)
        f, g = d.GetColorNode().GetColorTransferFunction(), e.GetColorNode().GetColorTransferFunction()
        assert g.GetSize() == f.GetSize() == 256
        for x in np.linspace(*f.GetRange(), 50):
            np.testing.assert_allclose(g.GetColor(x), f.GetColor(x), atol=1e-4)
        legend_a, legend_b = a.GetNthDisplayNode(1), b.GetNthDisplayNode(1)
        assert legend_b.GetTitleText() == legend_a.GetTitleText()
        assert legend_b.GetPrimaryDisplayNode() is e
    for name in ("slice_table", "summary_table", "threshold_table"):
        a, b = getattr(old, name), getattr(new, name)
        assert columns(b) == columns(a)
        assert b.GetUseColumnTitleAsColumnHeader()
        for c in range(a.GetNumberOfColumns()):
            column = a.GetColumnName(c)
            assert b.GetColumnName(c) == column
            assert b.GetColumnTitle(column) == a.GetColumnTitle(column)
            assert b.GetColumnUnitLabel(column) == a.GetColumnUnitLabel(column)
    assert new.chart.GetNthPlotSeriesNode(0) is new.score_series
    assert new.chart.GetNthPlotSeriesNode(1) is new.threshold_series
    assert list(new.chart.GetYAxisRange()) == [0.0, 4.0]
    assert new.score_series.GetTableNode() is new.slice_table
    assert new.score_series.GetYColumnName() == "score"
    assert new.threshold_series.GetTableNode() is new.threshold_table
    names = old.parameters.GetParameterNames()
    assert new.parameters.GetParameterNames() == names
    for name in names:
        assert new.parameters.GetParameter(name) == old.parameters.GetParameter(name), name
    assert assessment_from_scene(other_scene, node) == replace(assessment, attention=())


def test_a_bundle_opens_into_a_scene_that_has_results_already(scene, tmp_path):
    """Loading renumbers the nodes; each volume must keep its own results."""
    first, made, _ = saved(scene, tmp_path / "s.mrb", make_volume())
    load_scene(scene, tmp_path / "s.mrb")
    volumes = [n for n in nodes_of_class(scene, "vtkMRMLScalarVolumeNode") if n.GetName().startswith("CT")]
    assert len(volumes) == 2
    (again,) = find_assessments(scene, volumes[0])
    (new,) = find_assessments(scene, volumes[1])
    assert volumes[0] is first
    assert again == made
    assert new.quality is not made.quality
    assert new.chart.GetNthPlotSeriesNode(0).GetTableNode() is new.slice_table


def test_saving_tells_nothing_about_the_computer(scene, tmp_path, capfd):
    saved(scene, tmp_path / "s.mrb", make_volume())
    printed = "".join(capfd.readouterr())
    assert str(tmp_path) not in printed
    assert "Zip" not in printed
    with zipfile.ZipFile(tmp_path / "s.mrb") as bundle:
        texts = [bundle.read(n).decode() for n in bundle.namelist() if n.endswith((".mrml", ".tsv", ".txt", ".json"))]
    assert texts
    assert not [t for t in texts if str(tmp_path) in t or "/tmp/" in t]


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(scene, tmp_path):
    path = tmp_path / "s.mrb"
    path.mkdir()
    (path / "keep").write_text("old")  # a folder in the way: the last step, the replacement, must fail
    with pytest.raises(SceneFileError) as failed:
        save_scene(scene, path)
    assert (path / "keep").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["s.mrb"]
    assert str(tmp_path) not in str(failed.value)


def test_a_missing_folder_is_said_in_plain_words(scene, tmp_path):
    with pytest.raises(SceneFileError, match="could not be saved"):
        save_scene(scene, tmp_path / "nowhere" / "s.mrb")


@pytest.mark.parametrize("content", [None, b"", b"not a bundle", b"PK\x03\x04 cut off"])
def test_files_that_are_no_bundle_are_refused(scene, tmp_path, content):
    path = tmp_path / "s.mrb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SceneFileError, match="could not be opened"):
        load_scene(scene, path)


def test_a_scene_is_saved_to_a_relative_path(scene, tmp_path, monkeypatch):
    """``--out out`` is what the README tells people to type."""
    monkeypatch.chdir(tmp_path)
    save_scene(scene, Path("relative.mrb"))
    assert (tmp_path / "relative.mrb").stat().st_size > 0
