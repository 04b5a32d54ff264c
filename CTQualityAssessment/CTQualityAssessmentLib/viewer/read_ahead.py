"""Reads what the command was given in a process of its own, while this one loads the libraries of the views.

``python -m CTQualityAssessmentLib.viewer.read_ahead FOLDER`` takes path and series on standard input and writes the
voxels into FOLDER. What it cannot read, whoever asked reads again, and gets the error itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.calls import Progress
from CTQualityAssessmentLib.errors import CTQAError

if TYPE_CHECKING:  # this module must be there long before them
    from CTQualityAssessmentLib.reading import SeriesInfo
    from CTQualityAssessmentLib.volume import Volume

#: Modalities that are opened: models that read CT alone refuse MR themselves.
MODALITIES = ("CT", "MR")
#: The assessed volume in a folder of results.
SCENE = "scene.mrb"
_VOXELS = "read-ahead.npy"
#: A line of the process: the list of series of a very large archive.
_LONGEST_LINE = 2**26


def is_scene(path: Path) -> Path | None:
    """The scene file that a path stands for: itself, or the one in a folder of results."""
    if path.suffix.lower() == ".mrb":
        return path
    return path / SCENE if (path / SCENE).is_file() else None


class ReadAhead:
    """One reading that has begun.

    Args:
        process: does it.
        folder: where its voxels come.
    """

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process, self._folder = process, folder

    @classmethod
    async def begin(cls, path: Path, series: str | None, folder: Path) -> ReadAhead:
        """Start to read a path, or series ``series`` of it, into a private folder.

        Raises:
            OSError: no process can be started.
        """
        from CTQualityAssessmentLib.worker.program import module_arguments

        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *module_arguments(__name__, str(folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST_LINE,
        )
        process.stdin.write(json.dumps([str(path.absolute()), series]).encode("ascii"))
        process.stdin.close()
        return cls(process, folder)

    async def result(self, progress: Progress) -> tuple[Volume, tuple[SeriesInfo, ...]] | None:
        """The volume, its voxels mapped, and the series to choose from; None where it could not be read."""
        from CTQualityAssessmentLib.reading import SeriesInfo
        from CTQualityAssessmentLib.worker.exchange import read_volume_file
        from CTQualityAssessmentLib.worker.protocol import VolumeRequest

        volume = series = None
        try:
            async for line in self._process.stdout:
                told = json.loads(line)
                if "progress" in told:
                    progress(*told["progress"])
                else:
                    volume = read_volume_file(VolumeRequest.from_message(told["volume"]))
                    series = tuple(SeriesInfo(**one) for one in told["series"])
            if await self._process.wait() != 0 or volume is None:
                return None
        except (OSError, ValueError, TypeError, KeyError, CTQAError):
            return None
        (self._folder / _VOXELS).unlink(missing_ok=True)  # what is mapped stays until it is no longer used
        return volume, series

    async def close(self) -> None:
        """Stop it, if it still goes on."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def main() -> None:
    """The process."""
    from CTQualityAssessmentLib.reading import Wanted, read_volume
    from CTQualityAssessmentLib.worker.exchange import write_volume
    from CTQualityAssessmentLib.worker.protocol import VolumeRequest

    path, series = json.load(sys.stdin)
    folder = Path(sys.argv[1])
    found: list[SeriesInfo] = []

    def tell(**told: object) -> None:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    volume = read_volume(
        Path(path),
        series=series,
        progress=lambda done, total, message: tell(progress=[done, total, message]),
        on_series=found.extend,
        wanted=Wanted(MODALITIES),
    )
    fields = write_volume(folder / _VOXELS, volume)
    request = VolumeRequest(id="ahead", folder=str(folder), **fields)
    tell(volume=request.to_message(), series=[asdict(one) for one in found])


if __name__ == "__main__":
    try:
        main()
    except CTQAError:
        sys.exit(1)
