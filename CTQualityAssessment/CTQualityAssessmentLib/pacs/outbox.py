"""What is to be sent back of a series: written whole beside its results, and gone when the archive has it.

A kill between sending an object and forgetting it cannot make two of it: the object keeps its UID, and whoever goes on
asks the archive first whether it is there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from CTQualityAssessmentLib.pacs.archive import Archive
from CTQualityAssessmentLib.pacs.errors import SeriesError
from CTQualityAssessmentLib.pacs.patience import patiently, will_pass

OUTBOX = "outbox"
#: How the sentence begins that tells of what stays in an outbox.
UNSENT = "Not sent back yet: "


def create_outbox(folder: Path) -> Path:
    """A folder below that of a study for objects that name the patient; its owner alone can open it."""
    box = folder / OUTBOX
    box.mkdir(mode=0o700)
    return box


def waiting(folder: Path) -> bool:
    """Whether something of a study is still to be sent."""
    return (folder / OUTBOX).is_dir()


def all_waiting(studies: Path) -> set[str]:
    """Names of all studies of which something is still to be sent."""
    return {box.parent.name for box in studies.glob(f"[!.]*/{OUTBOX}")}


def study_waiting(folder: Path) -> str | None:
    """StudyInstanceUID of what is still to be sent of a study; None where nothing is."""
    from pydicom import dcmread

    for file in sorted((folder / OUTBOX).glob("*.dcm")):
        with suppress(FileNotFoundError):
            return str(dcmread(file, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    return None


def send_waiting(archive: Archive, folder: Path, fresh: bool = False, endure: bool = False) -> str | None:
    """Send what waits in the outbox of a study.

    Args:
        archive: where to.
        folder: of the study.
        fresh: whether nothing of it can have been sent before.
        endure: whether a fault of the archive that will pass is raised, instead of told.

    Returns:
        Why something could not be sent, as a sentence; it stays in the outbox. None where all was.

    Raises:
        ArchiveError: nothing can be sent at all, or not now.
    """
    box = folder / OUTBOX
    for file in sorted(box.glob("*.dcm")):
        try:
            _send(archive, file, fresh)
        except SeriesError as error:
            if endure and will_pass(error):
                raise
            return f"{UNSENT}{error.problem}"
        except FileNotFoundError:  # a worker of a run that was killed sent it and forgot it, just now
            continue
        file.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        box.rmdir()
    return None


def _send(archive: Archive, file: Path, fresh: bool) -> None:
    from pydicom import dcmread

    head = dcmread(file, specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
    uids = (str(head.StudyInstanceUID), str(head.SeriesInstanceUID), str(head.SOPInstanceUID))
    perhaps_there = not fresh

    def once() -> None:
        nonlocal perhaps_there
        if perhaps_there and archive.has(*uids):
            return
        perhaps_there = True
        archive.store(file)

    patiently(archive.patience, once)
