"""``report.dcm``: the assessment as a measurement report (PS3.16 TID 1500) in a Comprehensive 3D SR document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from CTQualityAssessmentLib.measures import FIGURES
from CTQualityAssessmentLib.reporting.dicom import codes as terms
from CTQualityAssessmentLib.reporting.dicom.header import (
    MAKER,
    REPORT_SERIES,
    device_uid,
    equipment,
    images,
    new_object,
    reference,
)
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER
from CTQualityAssessmentLib.results import SliceAssessment, VolumeAssessment

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

    from CTQualityAssessmentLib.measures import PhysicalMeasures
    from CTQualityAssessmentLib.reading import SourceSeries, SourceSlice


def structured_report(
    assessment: VolumeAssessment, source: SourceSeries, measures: PhysicalMeasures | None = None
) -> Comprehensive3DSR:
    """The document: one measurement group for the series, then one for each slice that refers to its image.

    The score stands there twice: as Image Quality Rating on the standard's scale of 0 to 100, and as the score of 0 to
    4 that every other result has. A slice without a score has a coded reason (CID 42) and the sentence instead. What
    the score was trained on, the disclaimer and every warning are comments of the first group. The words "diagnostic",
    "limited" and "non-diagnostic" of CID 7036 are not given: no score here was held against them.

    Raises:
        ValueError: assessment and source have another number of slices.
    """
    if len(source.slices) != len(assessment.slices):
        raise ValueError("the source has another number of slices than the assessment")
    about_slices = [
        _slice_group(assessment, one, image)
        for one, image in zip(assessment.slices, source.slices, strict=True)
        if image is not None
    ]
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=device_uid(assessment),
                    name=MAKER,
                    manufacturer_name=MAKER,
                    model_name=assessment.model.name,
                    serial_number=assessment.model.sha256,
                ),
            )
        ),
        procedure_reported=terms.PROCEDURE,
        imaging_measurements=[_series_group(assessment, measures), *about_slices],
        title=terms.REPORT,
    )
    return Comprehensive3DSR(
        evidence=[reference(source, image) for image in images(source)],
        content=content[0],
        series_instance_uid=UID(),
        series_number=REPORT_SERIES,
        instance_number=1,
        series_description="CT image quality, report (research)",
        is_complete=not (assessment.partial or (measures is not None and measures.partial)),
        is_final=False,
        is_verified=False,
        **equipment(assessment),
        **new_object(),
    )


def _series_group(
    assessment: VolumeAssessment, measures: PhysicalMeasures | None
) -> MeasurementsAndQualitativeEvaluations:
    summary = assessment.summary
    scores = (
        (summary.mean, terms.MEAN),
        (summary.median, terms.MEDIAN),
        (summary.percentile_10, terms.PERCENTILE_10),
        (summary.minimum, terms.MINIMUM),
        (summary.maximum, terms.MAXIMUM),
    )
    found = [one for value, derivation in scores if value is not None for one in _rating(value, derivation)]
    if summary.share_below_fair is not None:
        found.append(Measurement(terms.SHARE_BELOW_FAIR, 100.0 * float(summary.share_below_fair), unit=terms.PERCENT))
    found.append(Measurement(terms.SLICES_SCORED, summary.scored, unit=terms.ONE))
    found.append(Measurement(terms.SLICES_REFUSED, summary.refused, unit=terms.ONE))
    for name in FIGURES if measures else ():
        value = getattr(measures.volume, name)
        if value is not None:
            concept, unit = terms.MEASURES[name]
            found.append(Measurement(concept, float(value), unit=unit))
    group = _group(assessment, "Series", found, _evaluation(terms.SERIES_QUALITY, summary.grade))
    for sentence in _comments(assessment, measures):
        _comment(group, sentence)
    return group


def _comments(assessment: VolumeAssessment, measures: PhysicalMeasures | None) -> Iterator[str]:
    yield assessment.model.statement
    yield DISCLAIMER
    if assessment.partial:
        yield "The run was cancelled; the slices that it did not reach have no score."
    yield from assessment.warnings
    if measures is not None:
        yield from measures.notes
        if measures.partial:
            yield "The physical measures were cancelled; they are of a part of the slices."


def _slice_group(
    assessment: VolumeAssessment, one: SliceAssessment, image: SourceSlice
) -> MeasurementsAndQualitativeEvaluations:
    found = [] if one.score is None else list(_rating(one.score))
    if one.sd is not None:
        found.append(_score(one.sd, terms.STANDARD_DEVIATION))
    evaluation = _evaluation(terms.SLICE_QUALITY, one.grade)
    if one.refusal is not None:
        reason = terms.NOT_ATTEMPTED if one.refusal.code == "not-run" else terms.FAILURE
        evaluation = QualitativeEvaluation(terms.NO_SCORE, reason)
    frames = None if image.frame_number is None else [image.frame_number]
    image_item = SourceImageForMeasurementGroup(image.sop_class_uid, image.sop_instance_uid, frames)
    group = _group(assessment, f"Slice {one.index}, counted from 0", found, evaluation, image_item)
    if one.refusal is not None:
        _comment(group, one.refusal.reason)
    return group


def _group(
    assessment: VolumeAssessment,
    name: str,
    measurements: list[Measurement],
    evaluation: QualitativeEvaluation | None,
    image: SourceImageForMeasurementGroup | None = None,
) -> MeasurementsAndQualitativeEvaluations:
    """A measurement group (TID 1501) with its algorithm."""
    model = assessment.model
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=name),
        algorithm_id=AlgorithmIdentification(
            name=model.name,
            version=model.version,
            parameters=[
                f"SHA-256 of the weights: {model.sha256}",
                f"Labels of the training: {'simulated' if model.simulated_labels else 'readers'}",
                f"Intensity window: {model.window}",
            ],
        ),
        measurements=measurements or None,
        qualitative_evaluations=[evaluation] if evaluation else None,
        source_images=[image] if image else None,
    )


def _rating(score: float, derivation: Code | None = None) -> Iterator[Measurement]:
    rating = min(max(float(score) * terms.RATING_PER_SCORE, 0.0), 100.0)
    yield Measurement(terms.QUALITY_RATING, rating, unit=terms.RATING_UNIT, derivation=derivation)
    yield _score(score, derivation)


def _score(value: float, derivation: Code | None = None) -> Measurement:
    return Measurement(terms.SCORE, float(value), unit=terms.SCORE_UNIT, derivation=derivation)


def _evaluation(quality: Code, word: str | None) -> QualitativeEvaluation | None:
    return QualitativeEvaluation(quality, terms.WORDS[word]) if word else None


def _comment(group: MeasurementsAndQualitativeEvaluations, sentence: str) -> None:
    group[0].ContentSequence.append(
        TextContentItem(CodedConcept.from_code(terms.COMMENT), sentence, relationship_type="CONTAINS")
    )
