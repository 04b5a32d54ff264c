"""What is known of one study once it is done, and the settings that it was done with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from CTQualityAssessmentLib import __version__

#: Raised by a major step when a field changes its meaning or goes; studies of another major version are done again.
RECORD_VERSION = "1.1"

SCORED, UNSCORED, FAILED, SKIPPED = "scored", "no score", "failed", "skipped"
#: What a worker says where something has to pass first, such as a restart of the archive. It is never written down.
WAITING = "waiting"


@dataclass(frozen=True)
class Settings:
    """How the studies are assessed.

    Attributes:
        model: name or absolute folder of the bundle.
        model_sha256: of its weights, so that every worker can check that it has the same.
        device: as for :func:`CTQualityAssessmentLib.models.load_bundle`.
        batch_size, attention_stages: as for :func:`CTQualityAssessmentLib.assessment.assess_volume`.
        figures, scene: what to write, see :mod:`CTQualityAssessmentLib.result_files`.
        threads: threads of torch in each worker, 0 for what torch takes by itself.
    """

    model: str
    model_sha256: str
    device: str = "auto"
    batch_size: int | None = None
    attention_stages: tuple[int, ...] = (3,)
    figures: bool = True
    scene: bool = False
    threads: int = 0

    def fingerprint(self, state: bytes) -> str:
        """Of everything that the results depend on: files (by their state), weights, program, what is written.

        Device, batch size and threads are not in it: they do not change a result beyond rounding.
        """
        parts = {
            "record": RECORD_VERSION.split(".")[0],
            "files": state.hex(),
            "program": __version__,
            "weights": self.model_sha256,
            "attention": sorted(set(self.attention_stages)),
            "figures": self.figures,
            "scene": self.scene,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def scoring(self) -> str:
        """SHA-256 of what, beside the images and the weights, the figures of a record depend on."""
        parts = {"record": RECORD_VERSION.split(".")[0], "attention": sorted(set(self.attention_stages))}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Job(Protocol):
    """Anything that a worker can do and whose results lie in an output folder: a study on disk, a series elsewhere."""

    @property
    def name(self) -> str:
        """Pseudonym, 16 hexadecimal digits."""

    @property
    def fingerprint(self) -> str:
        """Of everything that the results depend on."""

    @property
    def made(self) -> tuple[str, ...]:
        """What was made of it for an archive before, and stays made whatever comes of the job."""


@dataclass(frozen=True)
class Study:
    """One study to be done: what to read, and under which name its results go.

    Attributes:
        name: pseudonym, 16 hexadecimal digits.
        fingerprint: see :meth:`Settings.fingerprint`.
        files, series: what to give to :func:`CTQualityAssessmentLib.reading.read_volume`.
    """

    name: str
    fingerprint: str
    files: tuple[str, ...]
    series: int

    @property
    def made(self) -> tuple[str, ...]:
        """Nothing: it came from no archive."""
        return ()


@dataclass(frozen=True)
class StudyRecord:
    """The outcome of one study. It holds no patient tag, UID or path.

    Attributes:
        name, fingerprint: of the study.
        run: identifies the run of the program that did it.
        state: "scored"; "no score", where every slice was refused; "failed"; or "skipped": not meant to be scored.
        reason: why there is no score, as a sentence.
        values: figures of the study by the names of :mod:`CTQualityAssessmentLib.batch.table`.
        seconds: how long it took.
        made: kinds of objects that were made of it for an archive, see :mod:`CTQualityAssessmentLib.pacs.kinds`.
    """

    name: str
    fingerprint: str
    run: str
    state: str
    reason: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    made: tuple[str, ...] = ()
    version: str = RECORD_VERSION

    def to_json(self) -> str:
        """The record as text.

        Raises:
            ValueError: a number is not finite.
        """
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> StudyRecord:
        """Inverse of :meth:`to_json`.

        Raises:
            ValueError: it is no record of this major version.
        """
        try:
            data = json.loads(text)
            if str(data["version"]).split(".")[0] != RECORD_VERSION.split(".")[0]:
                raise ValueError("another version")
            if data["state"] not in (SCORED, UNSCORED, FAILED, SKIPPED) or not isinstance(data["values"], dict):
                raise ValueError("no state of a study")
            data["made"] = tuple(map(str, data.get("made", ())))  # 1.0 did not have it
            return cls(**{f.name: data[f.name] for f in fields(cls)})
        except (KeyError, TypeError) as error:
            raise ValueError("no record of a study") from error
