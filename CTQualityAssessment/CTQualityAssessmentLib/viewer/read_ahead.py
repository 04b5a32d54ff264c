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
from typing import TYPE_CHECKING, Any

from CTQualityAssessmentLib.calls import Progress
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.errors import ReaderGoneError

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
    try:
        return path / SCENE if (path / SCENE).is_file() else None
    except OSError:  # a folder that may not be entered: the reader has a sentence for that
        return None


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
        """The volume, its voxels mapped, and the series to choose from; None where it could not be read.

        The process and its file are gone when this ends, whichever way.

        Raises:
            ReaderGoneError: the system killed the process.
        """
        from CTQualityAssessmentLib.reading import SeriesInfo
        from CTQualityAssessmentLib.worker.exchange import read_volume_file
        from CTQualityAssessmentLib.worker.protocol import VolumeRequest

        volume = series = None
        try:
            async for line in self._process.stdout:
                told = _message(line)
                if "progress" in told:
                    progress(*told["progress"])
                elif told:
                    volume = read_volume_file(VolumeRequest.from_message(told["volume"]))
                    series = tuple(SeriesInfo(**one) for one in told["series"])
            code = await self._process.wait()
        except (OSError, ValueError, TypeError, KeyError, CTQAError):
            return None
        finally:
            await self.close()
            for name in (_VOXELS, f".{_VOXELS}"):  # what is mapped stays until it is no longer used
                (self._folder / name).unlink(missing_ok=True)
        if code < 0:  # to read it again here would end this process the same way
            raise ReaderGoneError
        return (volume, series) if code == 0 and volume is not None else None

    async def close(self) -> None:
        """Stop it, if it still goes on."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def _message(line: bytes) -> dict[str, Any]:
    """What a line tells; nothing where a library printed it."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


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
