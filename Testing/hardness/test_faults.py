"""Failing machines: full disks, killed processes, too little memory, jumping clocks, wrong rights.

If these fail, a fault in the night leaves half a report, or another patient's, in the place of the last good one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from Testing.dicom_factory import body, write_series
from Testing.hardness.forks import Run, Server

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and signals of Linux"),
]
COMMANDS = {
    "assess": ("assess", "--dicom"),
    "quick": ("assess", "--no-scene"),
    "denoise": ("denoise", "--no-guard"),
    "measure": ("measure",),
}


def run(server: Server, command: str, ct: Path, out: Path, **faults: object) -> Run:
    name, *options = COMMANDS[command]
    found = server.ctqa(name, ct, "--out", out, *options, faults=faults)
    assert "Traceback" not in found.err and "Zweistein" not in found.err + found.out, found.err
    return found


def tree(folder: Path) -> dict[str, str]:
    """Every file below and its content, as a checksum; without the seconds that a run took."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    contents = {
        path: re.sub(rb'"timings_s": ?\{[^}]*\}|"seconds": ?[\d.e-]+', b"", path.read_bytes()) for path in files
    }
    return {str(path.relative_to(folder)): hashlib.sha256(found).hexdigest() for path, found in contents.items()}


def left_over(out: Path) -> list[str]:
    return [path.name for path in out.parent.iterdir() if path.name.startswith(".ctqa")]


@pytest.mark.parametrize(("command", "rooms"), [("assess", (100,)), ("denoise", (0, 10)), ("measure", (0,))])
def test_a_full_disk_is_told_and_takes_nothing_that_was_there(server, ct, disk, command, rooms):
    out = disk / "out"
    assert run(server, command, ct, out).code == 0
    before = tree(out)
    for room in rooms:
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(max(0, free - room * 1024)))
        found = run(server, command, ct, out)
        assert found.refused and ("No space left" in found.err or "space left" in found.err), (room, found.err)
        assert tree(out) == before and left_over(out) == []
        (disk / "ballast").unlink()
    if command == "measure":
        assert run(server, command, ct, out).code == 0


def test_a_disk_that_becomes_read_only_and_a_file_that_may_not_grow(server, ct, disk):
    out = disk / "out"
    assert run(server, "quick", ct, out).code == 0
    before = tree(out)
    for faults, words in (({"read_only_at": "Drawing figures"}, "Read-only"), ({"file_size": 4}, "File too large")):
        found = run(server, "quick", ct, out, **faults)
        assert found.refused and words in found.err and tree(out) == before, found.err


@pytest.mark.parametrize("stage", ["Reading slices", "Assessing slices+", "Measuring slices+", "Drawing figures"])
def test_a_killed_run_leaves_the_last_results_and_the_next_one_tidies_up(server, ct, tmp_path, stage):
    """As the kernel ends a process when memory is short, or a power cut."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "assessment.json").write_text("of the last run")
    assert run(server, "quick", ct, out, die_at=stage).code == -9
    assert (out / "assessment.json").read_text() == "of the last run" and len(tree(out)) == 1
    (left,) = left_over(out)
    os.utime(tmp_path / left, (time.time() - 3600,) * 2)
    assert run(server, "measure", ct, out).code == 0
    assert left_over(out) == [] and (out / "measures.json").exists()


def test_a_run_that_is_killed_between_two_files_leaves_whole_ones_and_the_next_run_mends_it(server, ct, tmp_path):
    out = tmp_path / "out"
    assert run(server, "measure", ct, out).code == 0
    whole = tree(out)
    (out / "measures.csv").write_text("of the last run")
    (out / "measures.json").write_text("of the last run")
    assert run(server, "measure", ct, out, die_at_rename=1).code == -9
    texts = {name: (out / name).read_text() for name in ("measures.csv", "measures.json")}
    assert sum(text == "of the last run" for text in texts.values()) == 1
    assert set(tree(out).items()) & set(whole.items())
    assert run(server, "measure", ct, out).code == 0 and tree(out) == whole


@pytest.mark.parametrize(("command", "mib"), [("quick", (24, 64)), ("denoise", (24,)), ("measure", (4,))])
def test_too_little_memory_is_a_sentence(server, ct, tmp_path, command, mib):
    """A real limit, as of a job on a cluster; what was there stays."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    found = [run(server, command, ct, out, memory=one) for one in mib]
    assert found[0].refused
    for one in found:
        if one.code:  # a little more may be enough on another machine
            assert one.refused and "memory" in one.err and "Close other programs" in one.err, (one.code, one.err)
            assert list(tree(out)) == ["mine.txt"]


def test_two_runs_into_one_folder_leave_the_files_of_one(server, ct, tmp_path):
    """Otherwise the figure of one patient lies beside the scores of another."""
    other = tmp_path / "other"
    write_series(other, body(5, 64, 64))
    alone = [tmp_path / "alone 0", tmp_path / "alone 1"]
    for source, out in zip((ct, other), alone, strict=True):
        assert run(server, "measure", source, out).code == 0
    started = [
        server.start("measure", source, "--out", tmp_path / "both", faults={"slow_renames": 0.4})
        for source in (ct, other)
    ]
    assert [one.finish().code for one in started] == [0, 0]
    assert tree(tmp_path / "both") in [tree(out) for out in alone]
    assert left_over(tmp_path / "both") == []


def test_a_folder_of_somebody_else_is_refused_before_the_work(server, ct, tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    out = tmp_path / "out"
    out.mkdir()
    for place in (out, tmp_path / "new"):
        found = run(server, "quick", ct, place, nobody=True)
        assert found.refused and found.out == "" and "Permission denied" in found.err, found.err
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    "name", ["объём 体積 é", "a" * 200, "new\nline 'quoted' \"twice\" $HOME `id` %s", os.fsdecode(b"not \xff UTF-8")]
)
def test_names_of_folders_do_not_matter(server, ct, tmp_path, name):
    source, out = tmp_path / name / "in", tmp_path / name / "out"
    shutil.copytree(ct, source)
    assert run(server, "assess" if name.startswith("объём") else "measure", source, out).code == 0
    files = {path.name for path in out.iterdir()}
    assert "measures.json" in files and json.loads((out / "measures.json").read_text())
    assert name not in "".join(path.read_text(errors="replace") for path in out.glob("*.*s*"))


def test_a_path_that_is_too_long_is_refused(server, ct, tmp_path):
    """Windows ends at 260 characters, Linux at 4096."""
    deep = tmp_path.joinpath(*(12 * ["b" * 200]))
    assert run(server, "measure", ct, deep / "out").code == 0  # 2 400 characters
    for place in (deep.joinpath(*(12 * ["b" * 200])), tmp_path / ("c" * 300)):
        found = run(server, "measure", ct, place)
        assert found.refused and "too long" in found.err, found.err
        found = run(server, "measure", place, tmp_path / "out")
        assert found.refused or found.code == 2, found.err


def test_a_clock_that_jumps_changes_nothing(ct, models, tmp_path):
    """A computer that sets its clock during a run, by a year to either side."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        pytest.skip("faketime is not installed")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    server = Server(
        {
            "CTQA_MODELS": str(models),
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )
    try:
        scores = []
        for jump in ("-365d", "+365d"):
            clock.write_text("+0")
            out = tmp_path / f"out {jump}"
            jumped = {"clock_at": ["Assessing slices", str(clock), jump]}
            found = server.ctqa("assess", ct, "--out", out, "--no-scene", "--no-figures", faults=jumped)
            assert found.code == 0, found.err
            plain = json.loads((out / "assessment.json").read_text())
            assert all(0 <= seconds < 200 for seconds in plain["timings_s"].values()), plain["timings_s"]
            scores.append([one["score"] for one in plain["slices"]])
            assert left_over(out) == []
    finally:
        server.close()
    assert scores[0] == scores[1] and None not in scores[0]
