"""The messages between a host (Slicer module, viewer) and its worker process.

The host starts ``python -m CTQualityAssessmentLib.worker`` with three pipes. Each line is one JSON object in ASCII;
``t`` says what it is. Standard output carries messages and nothing else; standard error is a log to keep, or to throw
away, but to read, because a full pipe stops the worker. The worker ignores Ctrl-C and ends when its input closes: at
once when idle, at the next batch of slices when busy, by force after :data:`CLOSING_SECONDS`.

Host to worker::

    {"t": "assess", "id": "7", "array": "/private/hu.npy", "ijk_to_ras": [[...], ...], "folder": "/private/7", ...}
    {"t": "assess", "id": "7", "path": "/ct", "series": "2", "folder": "/private/7", ...}
    {"t": "measure", "id": "8", "array": "/private/hu.npy", "ijk_to_ras": [[...], ...], "folder": "/private/8", ...}
    {"t": "denoise", "id": "9", "array": "/private/hu.npy", "ijk_to_ras": [[...], ...], "folder": "/private/9", ...}
    {"t": "subtract", "id": "10", "array": "/private/a.npy", "second": "/private/b.npy", "folder": "/private/10", ...}
    {"t": "cancel", "id": "7"}          stop at the next batch; what was scored is kept
    {"t": "quit"}                       the same as closing the input

Fields of ``assess``, see :class:`AssessRequest`: the input is either ``array`` (an ``.npy`` or ``.npz`` written by
:func:`~CTQualityAssessmentLib.worker.exchange.write_volume`; an ``.npy`` is mapped into memory and not copied, so one
on ``/dev/shm`` is shared memory) or ``path`` (anything that ``ctqa assess`` reads). Requests are served one after the
other; a cancel for one that still waits drops it.

``measure`` asks for the physical measures, which need no torch, see :class:`MeasureRequest`. ``denoise`` asks for the
same volume with less noise and for what that changed, see :class:`DenoiseRequest`. ``subtract`` asks for the difference
of two volumes, which needs no torch either, see :class:`SubtractRequest`.

Worker to host::

    {"t": "ready", "protocol": 1, "version": "0.1.0", "pid": 4711}
    {"t": "progress", "id": "7", "done": 12, "total": 180, "message": "Assessing slices", "eta_s": 41.0}
    {"t": "begun", "id": "7", "assessment": {...}}
    {"t": "slice", "id": "7", "slice": {"index": 12, "score": 3.1, ...}}
    {"t": "note", "id": "7", "text": "The graphics card ran out of memory; going on with 2 slices at a time."}
    {"t": "measured", "id": "8", "measures": {...}, "slices": 8}
    {"t": "denoised", "id": "9", "folder": "/private/9"}
    {"t": "done", "id": "7", "partial": false, "folder": "/private/7"}
    {"t": "error", "id": "7", "kind": "oom", "problem": "...", "advice": "..."}

Each request ends with exactly one ``done`` or ``error``. ``eta_s`` is null until it can be told. ``begun`` holds a
:class:`~CTQualityAssessmentLib.results.VolumeAssessment` as a dictionary, without slices yet, and ``slice`` a
:class:`~CTQualityAssessmentLib.results.SliceAssessment`: with both a host keeps what was scored when its worker does
not answer any more; ``begun`` comes again when a lack of memory made the run start anew. Before a ``slice`` the folder
holds where the patient is in it, read with :class:`~CTQualityAssessmentLib.worker.bodies.BodiesReader`. After ``done``
``folder`` holds ``assessment.json`` and, where attention was asked for, ``attention.npz``; read both with
:func:`~CTQualityAssessmentLib.worker.exchange.read_result`. After a ``measure`` it holds ``measures.json``, read with
:func:`~CTQualityAssessmentLib.worker.exchange.read_measured`; ``measured`` brings the figures of a few slices before
that. ``denoised`` says that the folder holds the voxels and the report, which lacks what is still to be looked at:
lesions, measures, findings; after ``done`` it holds the report as far as the run came (``partial`` after a cancel).
Both are read with :func:`~CTQualityAssessmentLib.worker.exchange.read_denoised`; a cancel before ``denoised`` leaves
nothing. After a ``subtract`` read :func:`~CTQualityAssessmentLib.worker.exchange.read_difference`. ``pid`` is the
process that works: under a launcher another one than the host started. ``kind`` is one of :data:`ERROR_KINDS`. No
message holds a patient tag, UID or date, and none but ``folder`` a path.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.translation import marks_of

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

_ = marks_of(__file__)

PROTOCOL = 1
#: How long the worker takes at most to end once its input is closed.
CLOSING_SECONDS = 3.0
#: ``cancelled`` ends a request that was stopped before it had anything to keep (in the queue, while reading).
ERROR_KINDS: tuple[str, ...] = (
    "bad-request",
    "bad-input",
    "bad-model",
    "missing-package",
    "broken-package",
    "oom",
    "disk",
    "cancelled",
    "internal",
)


class BadRequestError(CTQAError):
    """A message that does not follow the protocol: a fault of the host, not of its user."""

    def __init__(self, what: str) -> None:
        super().__init__(
            _("The request to the worker is wrong: {what}.").format(what=what), _("Report this as a fault.")
        )


class RunCancelledError(CTQAError):
    """A run was stopped before there was anything to keep."""

    def __init__(self) -> None:
        super().__init__(
            _("The run was cancelled before there was anything to keep."), _("Start again when you are ready.")
        )


@dataclass(frozen=True, kw_only=True)
class VolumeRequest:
    """Something to be done with one volume.

    Attributes:
        id: chosen by the host; comes back in every message about this request.
        folder: existing private folder for the result files, best an empty one.
        array: ``.npy`` or ``.npz`` (entry ``hu``) with HU ``[k, j, i]``.
        ijk_to_ras: for ``array``, 4 x 4 nested lists.
        acquisition_axis: for ``array``, 0, 1 or 2.
        facts: for ``array``, fields of ``AcquisitionFacts`` that are known.
        warnings: for ``array``, what the reader had to say.
        units: for ``array``, as in ``Volume``.
        exposures: for ``array``, tube current (mA), exposure (mAs) and CTDIvol (mGy) of each slice, or empty.
    """

    KIND: ClassVar[str] = "volume"

    id: str
    folder: str
    array: str | None = None
    ijk_to_ras: list[list[float]] | None = None
    acquisition_axis: int = 2
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    units: str = "HU"
    exposures: list[list[float | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.array is None:
            raise BadRequestError(_("it names no input"))
        if self.ijk_to_ras is None:
            raise BadRequestError(_("an array comes with its ijk_to_ras"))

    def to_message(self) -> dict[str, Any]:
        """The message that asks for this."""
        return {"t": self.KIND, **asdict(self)}

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_message`.

        Raises:
            BadRequestError: a field is missing, unknown or impossible.
        """
        given = {name: value for name, value in message.items() if name != "t"}
        if set(given) - {f.name for f in fields(cls)}:
            raise BadRequestError(_("it has unknown fields"))
        if not all(isinstance(given.get(name), str) for name in ("id", "folder")):
            raise BadRequestError(_("id and folder are texts"))
        try:
            return cls(**given)
        except TypeError:
            raise BadRequestError(_("a field has the wrong type")) from None


@dataclass(frozen=True, kw_only=True)
class MeasureRequest(VolumeRequest):
    """One volume to measure.

    Attributes:
        preview: whether to measure a few slices first and tell their figures at once.
    """

    KIND = "measure"

    preview: bool = False


@dataclass(frozen=True, kw_only=True)
class SubtractRequest(VolumeRequest):
    """Two volumes, the second to be taken minus the first, on the grid of the first.

    Attributes:
        second: as ``array``, of the second volume.
        second_ijk_to_ras, second_acquisition_axis: of it.
    """

    KIND = "subtract"

    second: str = ""
    second_ijk_to_ras: list[list[float]] | None = None
    second_acquisition_axis: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.second or self.second_ijk_to_ras is None:
            raise BadRequestError(_("it names no second volume"))


@dataclass(frozen=True, kw_only=True)
class DenoiseRequest(VolumeRequest):
    """One volume to denoise.

    Attributes:
        model: name or folder of a denoiser's bundle; None for the default.
        device: as for :class:`AssessRequest`.
        lung, soft_tissue, bone: see :class:`~CTQualityAssessmentLib.denoising.Strength`.
        earlier: folder of an earlier ``denoise`` of the same volume with the same model: another strength is made of
            its voxels, and the network does not see the volume again.
        guard, measures, findings, scores: what to look at afterwards: whether lesions survive, physical measures and
            HU before and after, the lesion detector's boxes, the scores of the default model.
    """

    KIND = "denoise"

    model: str | None = None
    device: str = "auto"
    lung: float = 1.0
    soft_tissue: float = 1.0
    bone: float = 1.0
    earlier: str | None = None
    guard: bool = True
    measures: bool = True
    findings: bool = False
    scores: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= one <= 1 for one in (self.lung, self.soft_tissue, self.bone)):
            raise BadRequestError(_("a strength lies between 0 and 1"))


@dataclass(frozen=True, kw_only=True)
class AssessRequest(VolumeRequest):
    """One volume to assess; exactly one of ``array`` and ``path`` is given.

    Attributes:
        path: file or folder to read; or None.
        series: for ``path``, which DICOM series.
        model: name or folder of a bundle; None for the default.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        batch: slices at a time; None for what the device does best with.
        attention_stages: among 1 to 4.
        modality, organ: what the user says about the volume, words of ``prompts``; None leaves it to the tags.
        preview: whether to begin with a few slices spread over the volume; ``slice`` messages come in that order then.
    """

    KIND = "assess"

    path: str | None = None
    series: str | None = None
    model: str | None = None
    device: str = "auto"
    batch: int | None = None
    attention_stages: list[int] = field(default_factory=list)
    modality: str | None = None
    organ: str | None = None
    preview: bool = False

    def __post_init__(self) -> None:
        if (self.array is None) == (self.path is None):
            raise BadRequestError(_("it names no input, or two"))
        if self.path is None:
            super().__post_init__()
        if self.batch is not None and self.batch < 1:
            raise BadRequestError(_("a batch holds at least one slice"))
        if not set(self.attention_stages) <= {1, 2, 3, 4}:
            raise BadRequestError(_("attention stages are among 1, 2, 3, 4"))


def encode(message: dict[str, Any]) -> str:
    """One line, with its end, that any encoding carries."""
    return json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")) + "\n"


def decode(line: str | bytes) -> dict[str, Any]:
    """The message of one line.

    Raises:
        BadRequestError: no JSON object with a ``t``.
    """
    if isinstance(line, bytes):
        line = line.decode("utf-8", errors="replace")
    try:
        message = json.loads(line)
    except ValueError:
        raise BadRequestError(_("it is no JSON")) from None
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise BadRequestError(_("it is no message"))
    return message
