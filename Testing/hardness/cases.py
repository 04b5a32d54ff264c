"""One case: a series broken in a way that its number decides, read in every way that the program reads."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.reading import find_inputs, list_series, read_volume, read_with_source

from Testing.hardness.bases import BASES, base_files
from Testing.hardness.mutations import MUTATIONS, WEIGHTS

#: Voxels beyond which nothing of so small a series is a result.
_MOST_VOXELS = 10**8


def write_case(seed: int, folder: Path, bases: Sequence[str] = BASES) -> str:
    """Write the files of case ``seed`` into an empty folder, and tell what was done to them: "rle: cut_short"."""
    rng = Random(seed)
    base = rng.choice(bases)
    files = list(base_files(base))
    done = rng.choices(MUTATIONS, WEIGHTS, k=rng.choice((1, 1, 1, 2, 3)))
    # One slice, or all of them alike: what only one has is often left out, what all have must be read or refused.
    chosen = range(len(files)) if rng.random() < 0.5 else [rng.randrange(len(files))]
    inner = rng.randrange(2**32)
    for n in chosen:
        alike = Random(inner)
        for mutate in done:
            files[n] = mutate(alike, files[n]) if files[n] else files[n]
    for n, content in enumerate(files):
        (folder / f"{n}.dcm").write_bytes(content)
    return f"{base}: {' '.join(mutate.__name__ for mutate in done)}"


def look_at(path: Path, most_voxels: int = _MOST_VOXELS) -> tuple[str, str]:
    """What comes of reading a folder or file: ("volume" | "refused" | "fault", what exactly).

    A fault is any exception but the typed ones, an error that quotes the path, or a volume that cannot be one.
    """
    ways: tuple[Callable[[], object], ...] = (
        lambda: list_series(path),
        lambda: find_inputs(path),
        lambda: read_with_source(path),
    )
    try:
        for way in ways:
            try:
                way()
            except CTQAError as error:
                if str(path) in str(error):
                    return "fault", f"the error {type(error).__name__} quotes the path"
        try:
            volume = read_volume(path)
        except CTQAError as error:
            return "refused", type(error).__name__
        if volume.hu.size > most_voxels or volume.hu.dtype not in (np.int16, np.float32):
            return "fault", f"a volume of {volume.hu.shape} {volume.hu.dtype}"
        try:
            measure_volume(volume)
        except CTQAError as error:
            return "volume", f"not measured: {type(error).__name__}"
        return "volume", "measured"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [one for one in traceback.extract_tb(error.__traceback__) if "CTQualityAssessmentLib" in one.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        return "fault", f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}, called at {where}"
