"""What is asked of every archive, whatever it speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from CTQualityAssessmentLib.pacs.address import Address, Patience, WebAddress
from CTQualityAssessmentLib.reading.quiet import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

#: They quote UIDs, queries and addresses.
_TALKATIVE = ("dicomweb_client", "urllib3", "requests", "pynetdicom")


@dataclass(frozen=True)
class FoundSeries:
    """A series that an archive has; its UIDs are not shown when it is printed.

    Attributes:
        study_uid, series_uid: which one.
        instances: how many objects the archive says that it has.
    """

    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    instances: int


class Archive(Protocol):
    """An open connection. Each method is one attempt; all raise :class:`~.errors.ArchiveError`."""

    patience: Patience

    def ping(self) -> None:
        """Ask for next to nothing, to see whether the archive answers."""

    def find(self, query: Mapping[str, str]) -> list[FoundSeries]:
        """All series that match, each once, in the order of the archive."""

    def fetch(self, series: FoundSeries, keep: Callable[[Dataset], None]) -> None:
        """Call ``keep`` with each object of a series as it arrives; what ``keep`` raises ends the transfer."""

    def has(self, study_uid: str, series_uid: str, instance_uid: str) -> bool:
        """Whether the archive has an object."""

    def store(self, file: Path) -> None:
        """Give an object to the archive."""


@contextmanager
def open_archive(address: Address) -> Iterator[Archive]:
    """A connection to an archive, with everything silenced that would log what goes over it.

    Raises:
        ArchiveError: it does not accept us.
    """
    with quiet(*_TALKATIVE):
        if isinstance(address, WebAddress):
            from CTQualityAssessmentLib.pacs.dicomweb import DicomWebArchive

            with DicomWebArchive.opened(address) as archive:
                yield archive
        else:
            from CTQualityAssessmentLib.pacs.dimse import DimseArchive

            yield DimseArchive(address)
