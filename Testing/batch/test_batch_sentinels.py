"""Nothing that identifies a patient is in what a batch writes, prints or logs, unless it was asked for."""

from __future__ import annotations

import os

from Testing.batch.running import Command
from Testing.dicom_factory import body, write_series
from Testing.sentinels import PRIVATE, leaks, plant, plant_series, secrets_of, written_in


def plant_other(k, dataset):
    """As :func:`plant`, in a series of its own."""
    plant(k, dataset)
    dataset.SeriesInstanceUID = "1.2.826.78"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.79.{k + 1}"


def test_nothing_planted_leaves_a_batch(tmp_path):
    """The table and the page of a group go to colleagues; ledger and reports lie on a shared disk."""
    planted = plant_series(tmp_path)
    cut = write_series(planted / "Sentinel-cut", body(3, 64, 64), change=plant_other)
    secrets = secrets_of(planted, tmp_path)
    for path in cut:
        os.truncate(path, path.stat().st_size - 900)
    (planted / "Sentinel.zip").write_bytes(b"PK\x03\x04 Sentinel")
    # Outside of tmp_path, whose name is one of the words.
    out = tmp_path.parent / "results-of-the-batch"
    arguments = (planted, "--out", out, "--workers", 1)
    commands = {
        "dry-run": ((*arguments, "--dry-run"), 0),
        "batch": ((*arguments, "--scene"), 4),
        "again": ((*arguments, "--scene"), 4),
    }
    told = {name: Command(*line).finish(code).encode() for name, (line, code) in commands.items()}
    assert b"1 scored" in told["batch"] and b"2 failed" in told["batch"]
    files = written_in(out)
    ends = {name.rsplit("/", 1)[-1] for name in files}
    assert {"scene.mrb", "figures.png", "study.json", "studies.csv", "index.html", "key", "run"} <= ends
    assert leaks(files | told, secrets) == []

    # Asked for, path and protocol stand in table and page, and in nothing else.
    Command(*arguments, "--scene", "--identify").finish(4)
    shown = written_in(out)
    assert {name for name, _ in leaks(shown, {b"Sentinel"})} == {"studies.csv", "index.html"}
    assert PRIVATE.encode() not in shown["studies.csv"] + shown["index.html"]
