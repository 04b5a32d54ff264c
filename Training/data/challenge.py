"""Reads a data set in the layout of LDCTIQAG2023, published or simulated.

``<root>/image/*.tif`` and ``<root>/train.json`` ({file: score 0-4}); a simulated set has ``groups.json`` beside them.
The test set has ``images/*.tiff`` and ``test.json``; its scores are multiples of 1/6, not of 0.2.
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


def read_challenge_folder(root: Path, labels: str = "train.json") -> list[LabelledImage]:
    """All labelled images, sorted by file name.

    Without ``groups.json`` every image is its own patient and source; near duplicates of one slice then fall into
    different folds, and a validation figure is too good: see :mod:`Training.data.folds`.

    Args:
        root: of the layout above, with the images in ``image`` or ``images``.
        labels: "train.json" or "test.json".

    Raises:
        TrainingDataError: a file is missing, a score lies outside 0 ... 4, or there is no image.
    """
    try:
        scores = dict(json.loads((root / labels).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingDataError(
            f"The data set has no readable {labels}.", f"Point to the folder that holds the images and {labels}."
        ) from error
    groups_file = root / "groups.json"
    groups = json.loads(groups_file.read_text(encoding="utf-8")) if groups_file.is_file() else {}
    images = []
    for name in sorted(scores):
        path = next((p for f in ("image", "images") if (p := root / f / Path(name).name).is_file()), None)
        score = scores[name]
        if path is None or type(score) not in (int, float) or not 0 <= score <= 4:
            raise TrainingDataError(
                f"{labels} names an image that is missing, or a score outside 0 to 4.", "Copy the data set again."
            )
        group = groups.get(name, {})
        images.append(
            LabelledImage(
                path,
                float(score),
                str(group.get("patient", name)),
                str(group.get("source", name)),
                group.get("dose"),
                group.get("views"),
            )
        )
    if not images:
        raise TrainingDataError(f"{labels} names no image.", "Copy the data set again.")
    return images
