"""The worker of the viewer: started when first needed, kept warm, ended with the viewer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

from CTQualityAssessmentLib.worker.program import module_arguments
from CTQualityAssessmentLib.worker.protocol import (
    CLOSING_SECONDS,
    BadRequestError,
    VolumeRequest,
    decode,
    encode,
)

#: Longest line: a slice message is two kilobytes, so this is for surprises only.
_LINE_LIMIT = 4 * 1024**2
_GONE = {
    "t": "error",
    "kind": "internal",
    "problem": "The process that does the work ended unexpectedly.",
    "advice": "Perhaps the memory was short: close other programs and try again.",
}


class WorkerProcess:
    """One request at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Process number while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self, request: VolumeRequest, on_message: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Run a request; its messages go to ``on_message``; the last, ``done`` or ``error``, comes back.

        A worker that dies is an error too; the next call starts a new one.
        """
        try:
            await self._started()
            await self._send(request.to_message())
            while True:
                line = await self._process.stdout.readline()
                if not line:
                    return {**_GONE, "id": request.id}
                try:
                    message = decode(line)
                except BadRequestError:
                    continue
                if message.get("id") == request.id:
                    if message["t"] in ("done", "error"):
                        return message
                    on_message(message)
        except (OSError, ValueError):  # a broken pipe, or a line beyond the limit
            await self.close()
            return {**_GONE, "id": request.id}

    async def cancel(self, id_: str) -> None:
        """Ask the run to stop at its next batch; harmless when it is over."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                await self._send({"t": "cancel", "id": id_})

    async def close(self) -> None:
        """End the process, by force where it does not go."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.stdin.close()
        for end in (None, process.terminate, process.kill):
            if end is not None:
                with contextlib.suppress(ProcessLookupError):
                    end()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), CLOSING_SECONDS + 1 if end is None else 2)
                return

    async def _started(self) -> None:
        if self.pid is not None:
            return
        told = None if os.environ.get("CTQA_TRACEBACK") == "1" else asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *module_arguments("CTQualityAssessmentLib.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=told,
            limit=_LINE_LIMIT,
        )

    async def _send(self, message: dict[str, Any]) -> None:
        self._process.stdin.write(encode(message).encode("ascii"))
        await self._process.stdin.drain()
