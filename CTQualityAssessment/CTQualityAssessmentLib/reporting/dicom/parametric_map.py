"""``attention-*.dcm``, ``grad-cam-*.dcm``: a network's maps, as parametric maps that lie on the source images.

One object for each map, one frame for each source image, float32, on the network's own coarser grid with
its own pixel size and position. A frame lies exactly in the plane of its image, also where the images are unevenly
spaced or the gantry is tilted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom import (
    CoordinateSystemNames,
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage

from CTQualityAssessmentLib.reading import SourceSeries, SourceSlice
from CTQualityAssessmentLib.reporting.dicom import codes as terms
from CTQualityAssessmentLib.reporting.dicom.header import (
    MAPS_SERIES,
    equipment,
    images,
    new_object,
    reference,
    reference_item,
)
from CTQualityAssessmentLib.results import MAP_KINDS, AttentionMap, VolumeAssessment

#: Declared as padding: frames of slices without a score. Attention is never negative.
PADDING = -1.0
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def parametric_map(
    assessment: VolumeAssessment, attention: AttentionMap, source: SourceSeries, series_uid: str, number: int
) -> ParametricMap:
    """One map as a DICOM object.

    Args:
        assessment: whose map it is.
        attention: on its own grid.
        source: the images of the assessed slices.
        series_uid: of the series that the maps of one assessment share.
        number: instance number in it, from 1.

    Raises:
        ValueError: map and source have another number of slices, or no slice of the map has a source image.
    """
    if len(source.slices) != len(attention.values):
        raise ValueError("the source has another number of slices than the map")
    shown = [(k, image) for k, image in enumerate(source.slices) if image is not None]
    if not shown:
        raise ValueError("no slice has a source image")
    kept = attention.values[[k for k, _ in shown]]
    values = np.where(np.isfinite(kept), kept, np.float32(PADDING)).astype(np.float32)
    top = max(float(values.max()), 1.0)
    positions = _positions(assessment, attention, [image for _, image in shown])
    rows_apart, columns_apart, slices_apart = _spacing(attention)
    measures = PixelMeasuresSequence(
        [rows_apart, columns_apart],
        slice_thickness=float(assessment.facts.get("slice_thickness_mm") or slices_apart),
        spacing_between_slices=slices_apart,
    )
    orientation = PlaneOrientationSequence(CoordinateSystemNames.PATIENT, _orientation(attention).ravel().tolist())
    planes = [PlanePositionSequence(CoordinateSystemNames.PATIENT, one.tolist()) for one in positions]
    kind = MAP_KINDS[attention.kind]
    name = attention.name + (f", stage {attention.stage}" if attention.stage else "")
    found = ParametricMap(
        source_images=[_stand_in(source, shown[0][1], orientation, measures)],
        pixel_array=values,
        series_instance_uid=series_uid,
        series_number=MAPS_SERIES,
        instance_number=number,
        series_description=f"CT image quality, {kind.title} (research)",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label=f"{attention.name[:8]} {attention.stage or ''}".strip(),
                lut_explanation=f"{kind.title}: 1 is an even spread, 2 is twice that",
                unit=codes.UCUM.NoUnits,
                value_range=(0.0, top),
                quantity_definition=terms.MAPS[attention.kind],
            )
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=(1.0 + top) / 2, window_width=max(top - 1.0, 1.0))],
        content_label=attention.kind.upper().replace("-", "_"),
        content_description=f"{kind.title} ({name}): of the network, no sign of a defect"[:64],
        pixel_measures=measures,
        plane_orientation=orientation,
        plane_positions=planes,
        derivation=CodedConcept.from_code(codes.DCM.UnspecifiedMethodOfCalculation),
        **equipment(assessment),
        **new_object(),
    )
    found.FloatPixelPaddingValue = found.FloatPixelPaddingRangeLimit = PADDING
    found.Laterality = ""  # unknown: the body part in view may be a paired one
    _refer(found, source, dict(zip((_key(plane) for plane in planes), (image for _, image in shown), strict=True)))
    return found


def _positions(
    assessment: VolumeAssessment, attention: AttentionMap, shown: Sequence[SourceSlice]
) -> NDArray[np.float64]:
    """LPS millimetres of the centre of each frame's first pixel, shape (n, 3).

    The map's grid is the volume's, coarser and perhaps mirrored or turned in plane. So its corner is each image's own
    corner plus one and the same step in the plane.
    """
    corner = np.array(assessment.geometry.ijk_to_ras)[:3, 3]
    step = (attention.ijk_to_ras[:3, 3] - corner) * _TO_LPS
    return np.array([one.position_lps for one in shown]) + step


def _orientation(attention: AttentionMap) -> NDArray[np.float64]:
    """Unit vectors in LPS along which columns and rows are counted, shape (2, 3)."""
    directions = attention.ijk_to_ras[:3, :2].T * _TO_LPS
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _spacing(attention: AttentionMap) -> tuple[float, float, float]:
    """Millimetres between rows, between columns, and between the planes of neighbouring slices."""
    columns, rows, step = attention.ijk_to_ras[:3, :3].T
    normal = np.cross(columns, rows) / (np.linalg.norm(columns) * np.linalg.norm(rows))
    return float(np.linalg.norm(rows)), float(np.linalg.norm(columns)), float(abs(step @ normal))


def _stand_in(
    source: SourceSeries, image: SourceSlice, orientation: PlaneOrientationSequence, measures: PixelMeasuresSequence
) -> Dataset:
    """The dataset that highdicom takes patient and study from.

    Always in the form of a classic image: highdicom refers to all frames of a multi-frame object that lie in the same
    plane, also to those of another stack in it, so the references are written by :func:`_refer`.
    """
    dataset = reference(source, image)
    dataset.SOPClassUID = CTImageStorage
    dataset.Rows = dataset.Columns = 1
    dataset.ImagePositionPatient = list(image.position_lps)
    dataset.ImageOrientationPatient = orientation[0].ImageOrientationPatient
    dataset.PixelSpacing = measures[0].PixelSpacing
    dataset.SliceThickness = measures[0].SliceThickness
    return dataset


def _key(plane: PlanePositionSequence) -> tuple[float, ...]:
    return tuple(float(x) for x in plane[0].ImagePositionPatient)


def _refer(found: ParametricMap, source: SourceSeries, image_at: dict[tuple[float, ...], SourceSlice]) -> None:
    """Write which images the map, and each of its frames, was derived from."""
    objects = [reference_item(one) for one in images(source)]
    found.SourceImageSequence = objects
    series = Dataset()
    series.SeriesInstanceUID = source.header["SeriesInstanceUID"]
    series.ReferencedInstanceSequence = objects
    found.ReferencedSeriesSequence = [series]
    for frame in found.PerFrameFunctionalGroupsSequence:
        image = image_at[_key(frame.PlanePositionSequence)]
        item = reference_item(image, () if image.frame_number is None else (image.frame_number,))
        item.SpatialLocationsPreserved = "NO"  # the same plane on another grid
        item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)]
        derivation = Dataset()
        derivation.DerivationCodeSequence = [CodedConcept.from_code(codes.DCM.UnspecifiedMethodOfCalculation)]
        derivation.SourceImageSequence = [item]
        frame.DerivationImageSequence = [derivation]
