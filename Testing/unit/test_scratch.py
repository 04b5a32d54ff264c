"""Folders for files on their way: if these fail, images of patients stay on a disk after a crash."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest
from CTQualityAssessmentLib.scratch import scratch_folder

HOLD = """
    import sys, time
    from pathlib import Path
    from CTQualityAssessmentLib.scratch import scratch_folder
    with scratch_folder("x-", Path(sys.argv[1])) as folder:
        (folder / "slice").write_text("HU")
        print(folder, flush=True)
        time.sleep(60)
"""


def hold(where):
    """A process that holds a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(where)], stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def make_old(where):
    for folder in where.glob("x-*"):
        os.utime(folder, (time.time() - 3600,) * 2)


def test_it_goes_with_all_that_is_in_it(tmp_path):
    with pytest.raises(KeyError), scratch_folder("x-", tmp_path) as folder:
        (folder / "slice").write_text("HU")
        assert os.name != "posix" or folder.parent.stat().st_mode & 0o077 == 0
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_another_one_holds_stays(tmp_path):
    killed, left = hold(tmp_path)
    living, held = hold(tmp_path)
    try:
        killed.kill()
        killed.wait(30)
        assert os.path.exists(left)
        with scratch_folder("x-", tmp_path):
            assert os.path.exists(left), "so young a folder may belong to a process that has not locked it yet"
        make_old(tmp_path)
        with scratch_folder("y-", tmp_path):
            assert os.path.exists(left), "another purpose"
        with scratch_folder("x-", tmp_path):
            assert not os.path.exists(left) and os.path.exists(f"{held}/slice")
    finally:
        living.kill()
        living.wait(30)


def test_folders_of_others_and_links_are_left_alone(tmp_path):
    """The temporary folder is everyone's: a name that looks like ours is no reason to delete."""
    (tmp_path / "x-without-lock").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lock").write_text("")
    (tmp_path / "x-link").symlink_to(tmp_path / "mine")
    make_old(tmp_path)
    with scratch_folder("x-", tmp_path):
        pass
    assert (tmp_path / "mine" / "lock").exists() and (tmp_path / "x-without-lock").exists()


def test_a_terminated_command_tidies_up_and_says_so(tmp_path):
    """What a scheduler of jobs sends must not leave a patient's unpacked images on a shared disk."""
    code = """
        import os, signal, sys, time
        from pathlib import Path
        from CTQualityAssessmentLib.cli.terminal import cancel_on_interrupt, plain_errors
        from CTQualityAssessmentLib.scratch import scratch_folder
        import typer
        app = typer.Typer()
        @app.command()
        def run():
            with plain_errors(), cancel_on_interrupt(), scratch_folder("x-", Path(sys.argv[1])):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
        app(args=[])
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr.strip()) == (130, "Stopped; nothing was written.")
    assert list(tmp_path.iterdir()) == []
