"""A series from an archive into a private folder, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.batch.temporary import TemporaryDiskError, on_temporary_disk
from CTQualityAssessmentLib.pacs.archive import Archive, FoundSeries
from CTQualityAssessmentLib.pacs.errors import NoAnswerOfArchiveError, PartialTransferError, UnreachableError
from CTQualityAssessmentLib.pacs.patience import patiently

if TYPE_CHECKING:
    from pydicom import Dataset

#: CT Image Storage, Enhanced and Legacy Converted Enhanced CT Image Storage.
_IMAGES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")

_UNDEFINED = 0xFFFFFFFF
#: Why a series is left alone that came from here.
OURS = "This program made the series."


class NotToBeScored(Exception):
    """No error: it ends a transfer that is of no use. The text is the reason, as a sentence."""


def fetch_series(archive: Archive, series: FoundSeries, folder: Path) -> None:
    """Fetch all images of a series, each into a file of its own.

    A transfer that is cut short, or brings another number of images than the archive told, is made again from the
    start.

    Args:
        archive: where from.
        series: which, and how many images it has to have.
        folder: where to; everything in it goes first. Its owner alone should be able to read it.

    Raises:
        NotToBeScored: the first image shows that the series is not meant to be scored, and no other was fetched.
        PartialTransferError: it did not arrive whole, though the archive answers.
        ArchiveError: the archive does not answer, or refuses.
        TemporaryDiskError: the folder cannot be written.
    """
    intake = _Intake(series, folder)
    try:
        patiently(archive.patience, lambda: _once(archive, series, intake))
    except (UnreachableError, NoAnswerOfArchiveError):
        # Where it is only this series that breaks each time, the others must not wait for it for ever.
        patiently(archive.patience, archive.ping)
        raise PartialTransferError(len(intake.received), series.instances) from None


def _once(archive: Archive, series: FoundSeries, intake: _Intake) -> None:
    intake.restart()
    archive.fetch(series, intake.keep)
    if len(intake.received) != series.instances:
        raise PartialTransferError(len(intake.received), series.instances)


class _Intake:
    """Takes what arrives. UIDs tell the objects apart, since an archive may send one twice."""

    def __init__(self, series: FoundSeries, folder: Path) -> None:
        self._series, self._folder = series, folder
        self.received: set[str] = set()

    def restart(self) -> None:
        """Begin again with an empty folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with on_temporary_disk():
            self._folder.mkdir(mode=0o700)
        self.received.clear()

    def keep(self, dataset: Dataset) -> None:
        """Write one object.

        Raises:
            NotToBeScored: see :func:`fetch_series`.
            PartialTransferError: it is not whole, of another series, or one more than the archive told.
            TemporaryDiskError: there is no room for it.
        """
        if not self.received and (reason := _not_to_be_scored(dataset)):
            raise NotToBeScored(reason)
        uid = str(dataset.get("SOPInstanceUID", ""))
        more = uid not in self.received and len(self.received) == self._series.instances
        if more or not _whole(dataset) or dataset.get("SeriesInstanceUID") != self._series.series_uid:
            raise self._partial()
        try:
            dataset.save_as(self._folder / f"{len(self.received):06d}.dcm", enforce_file_format=True)
        except Exception as error:
            if refusal := _of_the_disk(error):
                raise TemporaryDiskError(refusal) from None
            # What a stream that broke off left of an object cannot be written.
            raise self._partial() from None
        self.received.add(uid)

    def _partial(self) -> PartialTransferError:
        return PartialTransferError(len(self.received), self._series.instances)


def _of_the_disk(error: Exception) -> OSError | None:
    """What the file system refused, if it did. pydicom raises an OSError of its own, without a number, where a value
    cannot be encoded, and also over that of the disk."""
    chain = (error, error.__context__)
    return next((one for one in chain if isinstance(one, OSError) and one.errno is not None), None)


def _whole(dataset: Dataset) -> bool:
    """Whether an image has all its pixels: a stream without a length ends like a whole one where it breaks off."""
    if dataset.get("SOPClassUID") not in _IMAGES:
        return True
    if "PixelData" not in dataset:
        return False
    stored = dataset.get_item("PixelData")
    told = getattr(stored, "length", _UNDEFINED)  # as it stands in the file, before the value is looked at
    return told in (_UNDEFINED, len(stored.value or b""))


def _not_to_be_scored(dataset: Dataset) -> str | None:
    """Why a series is left alone, told from one of its objects."""
    from CTQualityAssessmentLib.reporting.dicom.header import MAKER

    makers = [dataset, *(dataset.get("ContributingEquipmentSequence") or ())]
    if any(one.get("Manufacturer") == MAKER for one in makers):
        return OURS
    return None if dataset.get("Modality") == "CT" else "It is not CT."
