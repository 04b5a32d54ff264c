"""assessment.json is what its schema says, whole, and read back equal."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace

import jsonschema
import numpy as np
import pytest
from CTQualityAssessmentLib.reporting.json_file import assessment_schema, read_json, to_json, write_json
from CTQualityAssessmentLib.results import SCHEMA_VERSION, Refusal, VolumeAssessment
from CTQualityAssessmentLib.volume import AcquisitionFacts
from hypothesis import given, settings
from hypothesis import strategies as st

from Testing.assessment_factory import make_assessment, make_attention, make_volume


def validate(document):
    schema = assessment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0.0, 4.0)), min_size=6, max_size=6))
def test_every_mixture_of_scores_and_refusals_is_valid(scores):
    """A program that reads the file by its schema can rely on it, also where all slices or none are refused."""
    validate(json.loads(to_json(make_assessment(make_volume(), scores))))


def test_file_reads_back_equal(tmp_path):
    """A report rendered later from the file tells the same as one rendered at once."""
    volume = make_volume()
    assessment = make_assessment(volume, attention=[make_attention(volume)])
    write_json(tmp_path / "assessment.json", assessment)
    assert read_json(tmp_path / "assessment.json") == replace(assessment, attention=())


def test_every_fact_the_reader_knows_is_in_the_schema():
    """A newly read header field must not turn every file invalid."""
    facts = {"kvp": 120.0, "contrast": True, "manufacturer": "x"}
    validate(replace(make_assessment(make_volume()), facts=facts).to_dict())
    assert set(assessment_schema()["$defs"]["facts"]["properties"]) == {f.name for f in fields(AcquisitionFacts)}


@pytest.mark.parametrize("code", ["no-body", "out-of-distribution", "not-ct", "not-run"])
def test_every_refusal_code_is_valid(code):
    """A cancelled run writes a valid file too."""
    assessment = make_assessment(make_volume())
    refused = replace(assessment.slices[0], refusal=Refusal(code, "Because."))
    validate(replace(assessment, slices=(refused, *assessment.slices[1:]), partial=True).to_dict())


def _spoilt(change):
    document = make_assessment(make_volume()).to_dict()
    spoilt = copy.deepcopy(document)
    change(spoilt)
    return spoilt


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(PatientName="Doe^Jane"),
        lambda d: d["facts"].update(StudyDate="20200101"),
        lambda d: d["slices"][1].update(score=4.2),
        lambda d: d["slices"][1].update(score=None),
        lambda d: d["slices"][0].update(score=1.0),
        lambda d: d["slices"][1]["distribution"].pop(),
        lambda d: d["slices"][1].update(grade="Superb"),
        lambda d: d["model"].update(sha256="unknown"),
        lambda d: d.update(schema_version="2.0"),
        lambda d: d.pop("warnings"),
    ],
)
def test_schema_refuses_what_must_not_be_there(change):
    """The schema would not protect a reader if it let strange fields, lost numbers or another version pass."""
    with pytest.raises(jsonschema.ValidationError):
        validate(_spoilt(change))


def test_not_a_number_never_reaches_the_file():
    """NaN is no JSON: other programs would refuse the whole file."""
    assessment = make_assessment(make_volume())
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(replace(assessment, timings_s={"total": float(np.nan)}))


def test_other_major_version_is_refused():
    """Numbers that changed their meaning must not be shown as if they had not."""
    document = make_assessment(make_volume()).to_dict() | {"schema_version": "2.0"}
    with pytest.raises(ValueError, match=r"2\.0"):
        VolumeAssessment.from_dict(document)
    assert assessment_schema()["$id"].endswith(SCHEMA_VERSION)


def test_a_later_minor_version_can_still_be_read():
    """A colleague's newer program adds a field: the older one must not fail on a file of the same major version."""
    assessment = make_assessment(make_volume())
    document = assessment.to_dict() | {"schema_version": "1.9", "added": 1}
    for part in (document["model"], document["summary"], *document["slices"]):
        part["added"] = 1
    assert VolumeAssessment.from_dict(document) == replace(assessment, attention=(), schema_version="1.9")
