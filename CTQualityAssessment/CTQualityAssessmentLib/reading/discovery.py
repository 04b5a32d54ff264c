"""Everything in a tree of folders that can be read as a volume, and everything in it that cannot, with the reason."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.reading.archive import opened_archive
from CTQualityAssessmentLib.reading.detached import data_files
from CTQualityAssessmentLib.reading.errors import (
    DamagedArchiveError,
    EmptyFolderError,
    NotAnImageError,
    NotReadableError,
    PathNotFoundError,
    ReadingCancelledError,
    ReadingError,
    SeveralImagesError,
)
from CTQualityAssessmentLib.reading.files import ITK_SUFFIXES, NIFTI_SUFFIXES, TIFF_SUFFIXES, has_suffix, natural_key
from CTQualityAssessmentLib.reading.frames import Frame, has_preamble, read_frames
from CTQualityAssessmentLib.reading.quiet import quiet
from CTQualityAssessmentLib.reading.series import describe
from CTQualityAssessmentLib.reading.stacks import Stack, build_stacks

_IMAGE_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_COPY = "It is a copy of another series in the input."


@dataclass(frozen=True)
class FoundInput:
    """One volume to be read, or something that is none.

    Attributes:
        files, series: what to give to :func:`~CTQualityAssessmentLib.reading.read_volume`.
        label: one line without anything that identifies, as :attr:`SeriesInfo.label`.
        identity: SHA-256 of what tells this volume from every other and stays when it is moved: UIDs and positions of
            its slices; for other formats the path within the tree.
        state: SHA-256 of the sizes and times of the files, also of those that a header names as its data: another one
            means that the files were changed.
        where: the folder or file, relative to the tree. It may identify a patient.
        protocol: ProtocolName. It is free text and may identify a patient.
        skipped: why it is not meant to be read, as a sentence: a scout, another modality, a copy.
        damaged: why it cannot be read although it should, as a sentence.
    """

    files: tuple[Path, ...]
    series: int
    label: str
    identity: bytes
    state: bytes
    where: str
    protocol: str | None = None
    skipped: str | None = None
    damaged: str | None = None


def find_inputs(
    root: str | Path,
    *,
    leave_out: Path | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> list[FoundInput]:
    """Find all series of a tree of folders, in natural order of their places.

    DICOM files are sorted into series over the whole tree, each even stack of slices by itself; a copy of a stack is
    named as such. Each zip is looked into without unpacking it.
    Each NIfTI, NRRD or MetaImage file is one volume, and so are the TIFFs of a
    folder without DICOM. Links to folders are not followed. Memory: the headers of one folder at a time.

    Args:
        root: the folder, or one file.
        leave_out: a folder that is passed over, such as that of the results.
        progress: called with the files looked at, 0 (their number is not known before) and what is being done.
        cancelled: asked before each folder and at each 64th file.

    Raises:
        PathNotFoundError: nothing is there.
        ReadingCancelledError: ``cancelled`` said so.
    """
    root = Path(root)
    if not root.exists():
        raise PathNotFoundError
    tree = _Tree(root if root.is_dir() else root.parent, progress, cancelled)
    with quiet():
        if root.is_dir():
            for folder, names in _folders(tree, leave_out):
                tree.look_into(folder, names)
        else:
            tree.look_into(root.parent, [root.name])
        return _without_copies(tree.finished())


def _folders(tree: _Tree, leave_out: Path | None) -> Iterator[tuple[Path, list[str]]]:
    passed_over = leave_out.resolve() if leave_out else None
    for folder, inner, names in os.walk(tree.root, onerror=tree.note_closed):
        inner[:] = [name for name in inner if (Path(folder) / name).resolve() != passed_over]
        yield Path(folder), names


@dataclass
class _Tree:
    """What was found so far, folder by folder."""

    root: Path
    progress: Progress
    cancelled: Cancelled
    looked_at: int = 0
    others: list[FoundInput] = field(default_factory=list)
    series: dict[tuple[str, ...], list[FoundInput]] = field(default_factory=dict)
    files: dict[tuple[str, ...], list[Path]] = field(default_factory=dict)
    #: Series that lie in several folders: they are put together when all folders are known.
    spread: set[tuple[str, ...]] = field(default_factory=set)

    def look_into(self, folder: Path, names: list[str]) -> None:
        """Sort the files that lie directly in one folder."""
        frames: dict[tuple[str, ...], list[Frame]] = {}
        images, tiffs, broken, closed = [], [], [], []
        for name in sorted((n for n in names if not n.startswith("._")), key=natural_key):
            file = folder / name
            self._tick()
            if not file.is_file():
                continue
            if not os.access(file, os.R_OK):
                closed.append(file)
            elif has_suffix(file, (".zip",)):
                self.others += self._in_archive(file)
            elif has_suffix(file, _IMAGE_SUFFIXES):
                images.append(file)
            elif has_suffix(file, TIFF_SUFFIXES):
                tiffs.append(file)
            else:
                try:
                    if found := read_frames(file):
                        frames.setdefault(found[0].series_key, []).extend(found)
                    elif name.upper() != "DICOMDIR" and (has_suffix(file, _DICOM_SUFFIXES) or has_preamble(file)):
                        broken.append(file)
                except OSError:  # one file that the disk does not give must not end the batch
                    closed.append(file)
        self.others += [self._plain((file,), _format(file)) for file in images]
        if tiffs and not frames:
            self.others.append(self._plain(tuple(tiffs), f"{len(tiffs)} TIFF file(s)", where=folder))
        if broken:
            self.others.append(self._unreadable(broken, folder, "DICOM, but the headers are damaged or cut short."))
        if closed:
            self.others.append(self._unreadable(closed, folder, NotReadableError().problem))
        for key, members in frames.items():
            if key in self.files:
                self.spread.add(key)
            self.files.setdefault(key, []).extend(dict.fromkeys(frame.path for frame in members))
            self.series[key] = self._stacks(members)

    def finished(self) -> list[FoundInput]:
        """Everything, in the natural order of the places."""
        for key in self.spread:
            self.series[key] = self._stacks([frame for file in self.files[key] for frame in _frames_again(file)])
        found = [one for stacks in self.series.values() for one in stacks] + self.others
        return sorted(found, key=lambda one: (natural_key(one.where), one.series))

    def note_closed(self, error: OSError) -> None:
        """A folder that may not be opened is told and passed over."""
        folder = Path(error.filename)
        self.others.append(self._unreadable([folder], folder, NotReadableError().problem))

    def _tick(self) -> None:
        if self.looked_at % 64 == 0:
            if self.cancelled():
                raise ReadingCancelledError
            self.progress(self.looked_at, 0, "Looking for series")
        self.looked_at += 1

    def _stacks(self, frames: list[Frame], archive: Path | None = None) -> list[FoundInput]:
        """One input for each stack of these frames."""
        files = (archive,) if archive else tuple(dict.fromkeys(frame.path for frame in frames))
        where = self._relative(archive or Path(os.path.commonpath([file.parent for file in files])))
        stacks = build_stacks(frames)
        state = _state(files)
        return [
            FoundInput(
                files,
                info.number,
                info.label,
                _identity(stack, where),
                state,
                where,
                stack.frames[0].text("ProtocolName"),
                skipped=info.problem if stack.kind != "slice" else None,
            )
            for info, stack in zip(describe(stacks), stacks, strict=True)
        ]

    def _in_archive(self, archive: Path) -> list[FoundInput]:
        """What a zip holds, by the headers of its files; nothing of it is written anywhere."""
        if not zipfile.is_zipfile(archive):
            return [self._unreadable([archive], archive, DamagedArchiveError().problem, "zip file")]
        frames: list[Frame] = []
        images, tiffs = 0, False
        try:
            with opened_archive(archive) as members:
                for member in members:
                    self._tick()
                    images += has_suffix(Path(member.name), _IMAGE_SUFFIXES)
                    tiffs |= has_suffix(Path(member.name), TIFF_SUFFIXES)
                    with member.opened() as file:
                        frames += read_frames(archive / member.name, file)
            if frames:
                return self._stacks(frames, archive)
            if images + tiffs > 1:
                raise SeveralImagesError(images)
            if images + tiffs == 0:
                raise NotAnImageError if members else EmptyFolderError
            return [self._plain((archive,), "zip file")]
        except ReadingCancelledError:
            raise
        except ReadingError as error:
            return [self._unreadable([archive], archive, error.problem, "zip file")]

    def _plain(self, files: tuple[Path, ...], label: str, where: Path | None = None) -> FoundInput:
        place = self._relative(where or files[0])
        behind = tuple(data for file in files for data in data_files(file))
        return FoundInput(files, 1, label, _hashed([label, place]), _state(files + behind), place)

    def _unreadable(self, files: list[Path], where: Path, reason: str, label: str | None = None) -> FoundInput:
        place = self._relative(where)
        label = label or f"{len(files)} file(s) or folder(s)"
        return FoundInput(tuple(files), 1, label, _hashed([reason, place]), b"", place, damaged=reason)

    def _relative(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # names are bytes on Linux


def _format(file: Path) -> str:
    suffix = next(suffix for suffix in reversed(sorted(_IMAGE_SUFFIXES, key=len)) if has_suffix(file, (suffix,)))
    return f"{suffix} file"


def _identity(stack: Stack, where: str) -> bytes:
    """Of the slices, whatever files they are in; of their place where de-identification left them no UIDs of their own.

    Where one UID stands for all slices of a stack it may stand for another patient's too.
    """
    uids = [frame.text("SOPInstanceUID") for frame in stack.frames]
    telling = len({(uid, frame.index) for uid, frame in zip(uids, stack.frames, strict=True)}) == len(uids)
    return _hashed(
        sorted(
            f"{uid if uid and telling else f'{where}/{frame.path.name}'}|{frame.index}"
            f"|{frame.text('SeriesInstanceUID')}|{frame.texts('ImagePositionPatient')}"
            for uid, frame in zip(uids, stack.frames, strict=True)
        )
    )


def _state(files: tuple[Path, ...]) -> bytes:
    def look(file: Path) -> str:
        try:
            stat = file.stat()
        except OSError:  # it went since
            return "gone"
        return f"{stat.st_size} {stat.st_mtime_ns}"

    return _hashed(sorted(look(file) for file in files))


def _hashed(parts: list[str]) -> bytes:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).digest()


def _without_copies(found: list[FoundInput]) -> list[FoundInput]:
    """The same with copies marked; of a folder and a zip with the same series, the zip is the copy."""
    seen: set[bytes] = set()
    copies = set()
    for number in sorted(range(len(found)), key=lambda n: has_suffix(found[n].files[0], (".zip",))):
        one = found[number]
        if not one.skipped and not one.damaged:
            if one.identity in seen:
                copies.add(number)
            seen.add(one.identity)
    return [replace(one, skipped=_COPY) if number in copies else one for number, one in enumerate(found)]


def _frames_again(file: Path) -> list[Frame]:
    """The frames of a file that was read before; none where it has gone since."""
    try:
        return read_frames(file)
    except OSError:
        return []
