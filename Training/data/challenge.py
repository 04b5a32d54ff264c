"""Reads a data set in the layout of LDCTIQAG2023, published or simulated.

``<root>/image/*.tif`` and ``<root>/train.json`` ({file: score 0-4}); a simulated set has ``groups.json`` beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.assessment.picture import patient_alone
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray

_WINDOW = WINDOWS["ldctiqa"]
#: Pixel of an abdomen of usual size, in mm.
_USUAL_MM = 0.8


class TrainingDataError(CTQAError):
    """The folder does not hold a data set in the expected layout."""


@dataclass(frozen=True)
class LabelledImage:
    """One image with its label; ``patient`` and ``source`` keep what belongs together in one fold.

    ``picture`` is what of it a network sees: the whole image, or the patient alone.
    """

    path: Path
    score: float
    patient: str
    source: str
    dose: float | None = None
    views: int | None = None
    picture: str = "whole"

    def read(self) -> NDArray[np.float32]:
        """The pixels, ``(rows, columns)`` float32 in [0, 1].

        Raises:
            TrainingDataError: not one grey image, or values outside [0, 1].
        """
        import tifffile

        try:
            image = tifffile.imread(self.path)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise TrainingDataError("A training image cannot be read as TIFF.", "Copy the data set again.") from error
        if image.ndim != 2 or not np.isfinite(image).all() or image.min() < -1e-3 or image.max() > 1 + 1e-3:
            raise TrainingDataError(
                "A training image is not a single grey slice in [0, 1].", "Use the published float TIFF files."
            )
        image = np.clip(image.astype(np.float32, copy=False), 0.0, 1.0)
        return as_seen(image, self.picture)


def as_seen(image: NDArray[np.float32], picture: str) -> NDArray[np.float32]:
    """An image ``(rows, columns)`` in [0, 1] as an assessment would show it to a network of this ``picture``.

    The images have no spacing; the mask of the body needs it only for how much of a table to take away.
    """
    if picture == "whole":
        return image
    hu = _WINDOW.invert(image)
    return _WINDOW.apply(patient_alone(hu, body_mask(hu, (_USUAL_MM, _USUAL_MM)))[0])


def read_challenge_folder(root: Path, picture: str = "whole") -> list[LabelledImage]:
    """All labelled images, sorted by file name, to be read as networks of this ``picture`` see them.

    Without ``groups.json`` every image is its own patient and source; near duplicates of one slice then fall into
    different folds, and a validation figure is too good.

    Raises:
        TrainingDataError: a file is missing or a score lies outside 0 ... 4.
    """
    try:
        scores = json.loads((root / "train.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingDataError(
            "The data set has no readable train.json.", "Point to the folder that holds image/ and train.json."
        ) from error
    groups_file = root / "groups.json"
    groups = json.loads(groups_file.read_text(encoding="utf-8")) if groups_file.is_file() else {}
    images = []
    for name in sorted(scores):
        path = root / "image" / Path(name).name
        score = float(scores[name])
        if not path.is_file() or not 0 <= score <= 4:
            raise TrainingDataError(
                "train.json names an image that is missing, or a score outside 0 to 4.", "Copy the data set again."
            )
        group = groups.get(name, {})
        images.append(
            LabelledImage(
                path,
                score,
                str(group.get("patient", name)),
                str(group.get("source", name)),
                group.get("dose"),
                group.get("views"),
                picture,
            )
        )
    return images


def patient_folds(images: list[LabelledImage], folds: int, seed: int = 0) -> list[list[int]]:
    """Indices of the validation images of each fold; all images of a patient are in one fold, sizes balanced."""
    patients = sorted({image.patient for image in images})
    if folds < 2 or folds > len(patients):
        raise ValueError(f"{len(patients)} patients cannot make {folds} folds")
    counts = {p: sum(image.patient == p for image in images) for p in patients}
    order = np.random.default_rng(seed).permutation(len(patients))
    shuffled = sorted((patients[n] for n in order), key=lambda p: -counts[p])
    loads, assigned = [0] * folds, {}
    for patient in shuffled:
        smallest = loads.index(min(loads))
        assigned[patient] = smallest
        loads[smallest] += counts[patient]
    return [[n for n, image in enumerate(images) if assigned[image.patient] == fold] for fold in range(folds)]
