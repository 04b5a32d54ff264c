"""Files in and out of the page: uploads into a private folder, downloads of the results."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.reporting.volume_file import FORMATS, best_format
from CTQualityAssessmentLib.viewer.errors import BusyError, no_space
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from aiohttp import BodyPartReader, web

#: What can be downloaded, with its type.
FILES: dict[str, str] = {
    "assessment.json": "application/json",
    "slices.csv": "text/csv",
    "index.html": "text/html",
    "scene.mrb": "application/octet-stream",
    "measures.json": "application/json",
    "measures.csv": "text/csv",
}
#: The same of what was denoised; a tilted gantry has no NRRD.
DENOISED_FILES: dict[str, str] = {
    "denoised.nrrd": "application/octet-stream",
    "denoised.nii.gz": "application/gzip",
    "denoising.json": "application/json",
}
#: Folder beside the result in which they are written.
EXPORT_FOLDER = "export"
MAX_FILES = 20_000
#: So long may an upload stand still: nobody else can send anything meanwhile.
STILL_SECONDS = 60
_CHUNK = 1024**2
#: Only the end of a name is kept: readers choose by it, and the rest may name a patient.
_SUFFIX = re.compile(r"(\.nii\.gz|\.[a-z0-9]{1,8})$", re.IGNORECASE)


def denoised_name(volume: Volume) -> str:
    """File name of a denoised volume, in the format that its grid allows."""
    return f"denoised{FORMATS[best_format(volume)]}"


class TooLargeUploadError(CTQAError):
    """More bytes or files than the viewer takes."""

    def __init__(self, limit: str) -> None:
        super().__init__(
            f"The files are larger than the limit of {limit}.",
            "Start the viewer with the path of the files instead: then nothing is copied.",
        )


class BrokenUploadError(CTQAError):
    """It broke off, stood still, or is no form with files."""

    def __init__(self) -> None:
        super().__init__("The files did not arrive whole.", "Send them again.")


class NoFileError(CTQAError):
    """An upload without content."""

    def __init__(self) -> None:
        super().__init__("No file arrived.", "Choose the files of one CT, or a zip of them.")


class Transfers:
    """The two routes.

    Args:
        folder: private folder that goes when the viewer ends.
        limit_bytes: of one upload.
        receive: opens what was uploaded, and removes the folder that it is given with it once that is no longer
            needed; "compare" says that it is the second volume. Raises CTQAError where it cannot be opened.
        exported: writes a file of that name if it is not there yet, and says where; None where there is no result.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        receive: Callable[[Path, Path, bool], Awaitable[None]],
        exported: Callable[[str], Awaitable[Path | None]],
    ) -> None:
        self._folder, self._limit, self._receive, self._exported = folder, limit_bytes, receive, exported
        self._uploading = False

    async def upload(self, request: web.Request) -> web.Response:
        """Take files and open them; one upload at a time, because each may fill the disk up to the limit."""
        from aiohttp import web

        try:
            if self._uploading:
                raise BusyError
            self._uploading = True
            try:
                await self._take(request)
            finally:
                self._uploading = False
        except CTQAError as error:
            status = 413 if isinstance(error, TooLargeUploadError) else 422
            return web.json_response({"problem": error.problem, "advice": error.advice}, status=status)
        return web.json_response({})

    async def _take(self, request: web.Request) -> None:
        if (request.content_length or 0) > self._limit + _CHUNK:
            raise self._too_large()
        if not request.content_type.startswith("multipart/"):
            raise NoFileError
        target: Path | None = None
        try:
            target = Path(tempfile.mkdtemp(prefix="upload-", dir=self._folder))
            count = await self._store(request, target)
            if count == 0:
                raise NoFileError
        except Exception as error:
            if target is not None:
                shutil.rmtree(target, ignore_errors=True)
            if isinstance(error, CTQAError):
                raise
            if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)):
                raise no_space() from error
            raise BrokenUploadError from error  # aiohttp has many words for a form that is none
        only = next(target.iterdir()) if count == 1 else target
        await self._receive(only, target, request.query.get("compare") == "1")

    async def download(self, request: web.Request) -> web.StreamResponse:
        """One of the files of the result; any other name is not found."""
        from aiohttp import web

        name = request.match_info["name"]
        kind = (FILES | DENOISED_FILES).get(name)
        file = await self._exported(name) if kind is not None else None
        if file is None or not file.is_file():
            raise web.HTTPNotFound
        headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
        return web.FileResponse(file, headers=headers)

    async def _store(self, request: web.Request, target: Path) -> int:
        """Number of the files; what is no file is not kept, but counts as bytes."""
        from aiohttp import BodyPartReader

        taken = count = 0
        reader = await request.multipart()
        while (part := await asyncio.wait_for(reader.next(), STILL_SECONDS)) is not None:
            if not isinstance(part, BodyPartReader):  # a form in a form
                raise BrokenUploadError
            if part.filename is None:
                async for chunk in self._chunks(part):
                    taken = self._more(taken, len(chunk))
                continue
            if count >= MAX_FILES:
                raise TooLargeUploadError(f"{MAX_FILES} files")
            suffix = _SUFFIX.search(part.filename)
            with (target / f"{count:06d}{suffix[0].lower() if suffix else ''}").open("wb") as file:
                async for chunk in self._chunks(part):
                    taken = self._more(taken, len(chunk))
                    file.write(chunk)
            count += 1
        return count

    async def _chunks(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        while chunk := await asyncio.wait_for(part.read_chunk(_CHUNK), STILL_SECONDS):
            yield chunk

    def _more(self, taken: int, more: int) -> int:
        if taken + more > self._limit:
            raise self._too_large()
        return taken + more

    def _too_large(self) -> TooLargeUploadError:
        mib = self._limit / 1024**2
        return TooLargeUploadError(f"{mib / 1024:.3g} GiB" if mib >= 1024 else f"{mib:.3g} MiB")
