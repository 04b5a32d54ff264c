"""If these fail, a reading that went wrong leaves a process or gigabytes behind, or hides why the CT is not shown."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from CTQualityAssessmentLib.viewer.errors import ReaderGoneError
from CTQualityAssessmentLib.viewer.read_ahead import SCENE, ReadAhead, is_scene

from Testing.viewer.running import PATIENCE_S

_GOES_ON = "import time; time.sleep(600)"


def _result(script, folder):
    """What comes of a true process that runs ``script``, its return code, and the progress that it told."""

    async def read():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=folder
        )
        told = []
        try:
            result = await ReadAhead(process, folder).result(lambda *one: told.append(one))
            return result, process.returncode, told
        finally:
            assert process.returncode is not None

    # In a thread: the browser of the other tests of this group has a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asyncio.wait_for(read(), PATIENCE_S)).result()


def test_lines_of_others_are_skipped(tmp_path):
    line = json.dumps({"progress": [1, 2, "Reading"]})
    script = f"print('a warning'); print('[1]'); print('{line}'); raise SystemExit(1)"
    assert _result(script, tmp_path) == (None, 1, [(1, 2, "Reading")])


def test_a_wrong_answer_ends_the_process_and_removes_what_it_wrote(tmp_path):
    for name in ("read-ahead.npy", ".read-ahead.npy"):
        (tmp_path / name).write_bytes(b"x")
    script = "print('{\"volume\": {}}', flush=True); " + _GOES_ON
    assert _result(script, tmp_path) == (None, -signal.SIGKILL, [])
    assert list(tmp_path.iterdir()) == []


def test_a_killed_reader_is_told_and_nothing_is_read_again(tmp_path):
    """Else this process would need the same memory, and take the whole viewer along."""
    (tmp_path / ".read-ahead.npy").write_bytes(b"x")
    with pytest.raises(ReaderGoneError, match="perhaps memory was short"):
        _result("import os; os.kill(os.getpid(), 9)", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_entered_is_no_scene(tmp_path):
    """The tests may run as root, whom no folder refuses."""

    class Refused(type(tmp_path)):
        def is_file(self):
            raise PermissionError(13, "Permission denied")

    assert is_scene(Refused(tmp_path)) is None
    (tmp_path / SCENE).write_bytes(b"x")
    assert is_scene(tmp_path) == tmp_path / SCENE
