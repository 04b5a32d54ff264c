"""Nothing identifying leaves a reader, and no header can crash it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.reading import ReadingError, errors, list_series, read_volume
from CTQualityAssessmentLib.volume import Volume
from pydicom.dataelem import DataElement

from Testing.dicom_factory import PATIENT, body, enhanced_dataset, save, write_series

SECRETS = [*map(str, PATIENT.values()), "Zweistein", "1.2.3.99", "secret-place"]


def _assert_silent(capfd, *texts: object) -> None:
    captured = capfd.readouterr()
    for secret in SECRETS:
        assert secret not in captured.out + captured.err
        for text in texts:
            assert secret not in str(text)


def test_warnings_facts_and_labels_hold_nothing_identifying(tmp_path, capfd):
    folder = tmp_path / "secret-place"
    spoil = {"change": lambda k, ds: ds.add(DataElement(0x00100030, "DA", "19010203 Zweistein"))}
    write_series(folder, body(6), series_uid="1.2.3.99", **spoil)
    write_series(folder, body(3), series_uid="1.2.3.99.1", prefix="b", ConvolutionKernel="B70f")
    (folder / "notes.txt").write_text("x")
    volume = read_volume(folder)
    assert len(volume.warnings) == 2
    _assert_silent(capfd, volume.warnings, volume.facts, list_series(folder), [s.label for s in list_series(folder)])


def test_errors_hold_nothing_identifying(tmp_path, capfd):
    folder = tmp_path / "secret-place"
    write_series(folder / "cut", body(), series_uid="1.2.3.99")
    for path in (folder / "cut").iterdir():
        path.write_bytes(path.read_bytes()[:-500])
    write_series(folder / "mr", body(), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    (folder / "bad.nii").write_bytes(bytes(400))
    (folder / "bad.nrrd").write_text("NRRD0004\nnonsense")
    (folder / "bad.tif").write_bytes(b"II*\0nonsense")
    for name in ("cut", "mr", "bad.nii", "bad.nrrd", "bad.tif", "absent"):
        with pytest.raises(ReadingError) as caught:
            read_volume(folder / name)
        _assert_silent(capfd, caught.value, repr(caught.value), caught.value.__cause__)


def test_header_text_is_held_to_one_short_printable_line(tmp_path):
    """Kernels and models end up in pages and tables; a header must not write markup, control codes or novels there."""
    write_series(
        tmp_path, body(), change=lambda k, ds: ds.add(DataElement(0x00081090, "LO", "A\x1b[31m\tB " + "x" * 500))
    )
    model = read_volume(tmp_path).facts.scanner_model
    assert model.isprintable()
    assert len(model) <= 64


def test_every_error_tells_problem_and_advice():
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, ReadingError)]
    assert len(found) > 20
    for error in found:
        if error is ReadingError:
            continue
        arguments = {"SeveralImagesError": (3,), "TooLargeError": ("1 GB",), "UnsafeArchiveError": ("it is a bomb",)}
        arguments |= {"NoSuchSeriesError": (2,), "WrongModalityError": ("MR",), "DuplicatePositionsError": (2,)}
        arguments |= {"NotHounsfieldError": ("none is",), "IncompleteHeadersError": (["A"],)}
        raised = error(*arguments.get(error.__name__, ()))
        assert isinstance(raised, CTQAError)
        assert raised.problem.endswith(".")
        assert raised.advice.endswith(".")
        assert raised.exit_code > 0


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_no_mutation_of_the_header_crashes_the_reader(tmp_path, kind, capfd):
    """Random bytes in the header give a volume or an error to read, never a traceback of a parser."""
    if kind == "classic":
        (path,) = write_series(tmp_path, body(1, 16, 16))
    else:
        path = save(enhanced_dataset(body(3, 16, 16)), tmp_path / "enhanced.dcm")
    content = path.read_bytes()
    header = len(content) - body(1 if kind == "classic" else 3, 16, 16).nbytes
    chance = random.Random(20230420)
    outcomes = set()
    for _ in range(250):
        mutant = bytearray(content)
        for _ in range(chance.choice((1, 2, 8))):
            mutant[chance.randrange(132, header)] = chance.choice(
                (0, 1, 0x20, 0x2D, 0x39, 0x7F, 0xFF, chance.randrange(256))
            )
        path.write_bytes(mutant)
        try:
            volume = read_volume(path)
            assert isinstance(volume, Volume)
            assert np.isfinite(volume.hu).all()
            outcomes.add("volume")
        except CTQAError as error:
            outcomes.add(type(error).__name__)
    assert len(outcomes) > 3
    assert "Traceback" not in capfd.readouterr().err
