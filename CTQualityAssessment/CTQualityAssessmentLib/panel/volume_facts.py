"""What can be said of a volume before any package is installed: grid, acquisition, what speaks against it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
from numpy.typing import NDArray
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.volume_nodes import (
    AIR_HU,
    check_scalar_volume,
    node_grid,
    node_warnings,
    settled_voxels,
    value_range,
    voxels_in,
)
from CTQualityAssessmentLib.reading.hounsfield import judge, sample
from CTQualityAssessmentLib.reporting.fact_labels import FACT_LABELS
from CTQualityAssessmentLib.reporting.words import fact_text
from CTQualityAssessmentLib.translation import said, told
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume

#: Fewer slices than this are a scout or a single image.
_FEWEST_SLICES = 3
_AXES = "ijk"
#: So many are enough to tell whether values can be HU.
_LOOKED_AT = 32
_FACTS = "CTQA.facts"
#: Planes of voxels whose values are looked at, at most about so many.
_PLANES = 40


@dataclass(frozen=True)
class VolumeFacts:
    """Lines to show, sentences of warning, and the reason why the volume cannot be assessed at all (else empty)."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...]
    refusal: str = ""


def volume_facts(node: slicer.vtkMRMLScalarVolumeNode) -> VolumeFacts:
    """Look at a node; never raises for what a user may have loaded."""
    try:
        check_scalar_volume(node)
        matrix, axis = node_grid(node)
    except CTQAError as error:
        return VolumeFacts((), (), told(error))
    facts, about_headers = acquisition_facts(node)
    voxels, of_node = voxels_in(node.GetImageData()), node_warnings(node)
    # A look at each voxel of a large volume holds the window for a moment, whenever the volume is chosen.
    looked_at = voxels[:: -(-len(voxels) // _PLANES)]
    low, high = value_range(looked_at)
    if not np.isfinite([low, high]).all():
        hu, about_voxels = settled_voxels(looked_at)
        (low, high), of_node = value_range(hu), [*about_voxels, *of_node]
    low, high = max(low, AIR_HU), max(high, AIR_HU)
    volume = Volume(np.broadcast_to(np.int16(0), voxels.shape), matrix, axis)  # of it only the grid is asked
    lines = _describe(volume, low, high, len(looked_at) < len(voxels))
    warnings = [*about_headers, *map(said, of_node), *_warnings(volume, voxels)]
    known = facts.known()
    given = [f"{said(label)} {fact_text(name, known)}" for name, label, _unit in FACT_LABELS if name in known]
    return VolumeFacts((*lines, " · ".join(given)) if given else lines, tuple(warnings))


def keep_facts(node: slicer.vtkMRMLScalarVolumeNode, facts: AcquisitionFacts) -> None:
    """Write facts that a reader found on the node, for :func:`acquisition_facts`; none of them tells the patient."""
    node.SetAttribute(_FACTS, json.dumps(facts.known()))


def acquisition_facts(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[AcquisitionFacts, tuple[str, ...]]:
    """Facts that were kept on a node, or of the first header of one from Slicer's DICOM database; and warnings.

    Without a database, a header or pydicom there are none: facts are never needed for a score.
    """
    if node.GetAttribute(_FACTS):
        try:
            return AcquisitionFacts(**json.loads(node.GetAttribute(_FACTS))), ()
        except (ValueError, TypeError):  # of another version
            return AcquisitionFacts(), ()
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    file = database.fileForInstance(instances[0]) if instances and database is not None else ""
    if not file:
        return AcquisitionFacts(), ()
    try:
        from CTQualityAssessmentLib.reading.facts import stack_facts
        from CTQualityAssessmentLib.reading.frames import read_frames
        from CTQualityAssessmentLib.reading.stacks import build_stacks

        frames = read_frames(Path(file))
        modality = frames[0].text("Modality") or "CT"
        kinds = [kind.upper() for kind in frames[0].texts("ImageType")]
    except (ImportError, OSError, IndexError, CTQAError):
        return AcquisitionFacts(), ()
    if modality != "CT":
        return AcquisitionFacts(modality=modality), (
            _("The header says that this is {modality}, not CT.").format(modality=modality),
        )
    if "LOCALIZER" in kinds:
        return AcquisitionFacts(modality="CT"), (_("This is a scout view, not a stack of slices."),)
    warnings = [_("This is a reformat, not what the scanner reconstructed first.")] if "REFORMATTED" in kinds else []
    try:
        return stack_facts(build_stacks(frames)[0]), tuple(warnings)
    except (IndexError, CTQAError):
        return AcquisitionFacts(modality="CT"), tuple(warnings)


def _describe(volume: Volume, low: float, high: float, sampled: bool) -> tuple[str, ...]:
    i, j, k = volume.spacing
    columns, rows, layers = reversed(volume.hu.shape)
    values = _("{count} slices along {axis}, {low:g} to {high:g} HU")
    if sampled:
        values = _("{count} slices along {axis}, {low:g} to {high:g} HU in a sample of them")
    return (
        _("{columns} × {rows} × {layers} voxels of {i:.3g} × {j:.3g} × {k:.3g} mm").format(
            columns=columns, rows=rows, layers=layers, i=i, j=j, k=k
        ),
        values.format(count=volume.slice_count, axis=_AXES[volume.acquisition_axis], low=low, high=high),
    )


def _warnings(volume: Volume, voxels: NDArray[np.generic]) -> list[str]:
    found = []
    if volume.slice_count < _FEWEST_SLICES:
        found.append(_("Only {count} slice(s): this may be a scout.").format(count=volume.slice_count))
    found += _about_units(voxels)
    directions = volume.ijk_to_ras[:3, :3] / np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0)
    if abs(directions[2, volume.acquisition_axis]) < 0.7:
        found.append(_("The slices are not axial; the model was trained on axial slices."))
    first, second = (directions[:, a] for a in (0, 1, 2) if a != volume.acquisition_axis)
    stacking = directions[:, volume.acquisition_axis]
    if abs(np.cross(first, second) @ stacking) < np.cos(np.deg2rad(0.5)):
        found.append(_("The slices are sheared against each other, as with a tilted gantry."))
    return found


def _about_units(voxels: NDArray[np.generic]) -> list[str]:
    """Whether the values can be HU, by a sample; no reason to refuse, because a part of a patient may look odd."""
    step = max(1, len(voxels) // _LOOKED_AT)
    values = np.concatenate([sample(plane) for plane in voxels[::step]])
    judgement = judge(values[np.isfinite(values)])
    if judgement.reason:
        return [_("These values cannot be Hounsfield units: {reason}.").format(reason=said(judgement.reason))]
    if not judgement.has_air:
        return [_("There is no air near -1000 HU: the values may be clipped, shifted or no Hounsfield units.")]
    return []
