"""An archive without DICOMweb: C-FIND finds, C-GET or C-MOVE fetches, C-STORE stores (PS3.7), through pynetdicom."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmread
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from CTQualityAssessmentLib.pacs.address import DimseAddress
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.errors import (
    ArchiveError,
    AssociationError,
    BrokenOffError,
    NoGetError,
    NotStoredError,
    SeriesError,
    TlsError,
    UnreachableError,
)
from CTQualityAssessmentLib.pacs.receiving import receiving

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

_CONNECT_S = 10.0
_FIND, _GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
_MOVE = StudyRootQueryRetrieveInformationModelMove
#: Classes of which a CT series may be. An archive can only send what was agreed on before.
_IMAGES = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
)
#: What our reader unpacks. Each syntax is agreed on apart, so that the archive sends an image as it is stored.
_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
)
#: Keys that an archive matches when it looks for studies (PS3.4 C.6.2); all others belong to series.
_OF_STUDIES = (
    "StudyDate StudyTime AccessionNumber PatientName PatientID PatientBirthDate PatientSex StudyID StudyInstanceUID "
    "StudyDescription ReferringPhysicianName ModalitiesInStudy InstitutionName"
).split()
#: SOP class not supported, not authorized, unrecognized operation (PS3.7 C).
_NOT_SUPPORTED = (0x0122, 0x0124, 0x0211)
_SUCCESS, _PENDING, _WARNING, _NO_MEMORY = 0x0000, (0xFF00, 0xFF01), 0xB000, 0xA700


class DimseArchive:
    """An :class:`~.archive.Archive` over associations, one for each request."""

    def __init__(self, address: DimseAddress) -> None:
        self.patience = address.patience
        self._address = address
        self._tls: ssl.SSLContext | None = None
        if address.tls:
            self._tls = ssl.create_default_context(cafile=address.ca_file)

    def ping(self) -> None:
        """As :meth:`.archive.Archive.ping`."""
        with self._associated([(Verification, None)]) as peer:
            _checked(peer.send_c_echo(), self.patience.tries)

    def find(self, query: Mapping[str, str]) -> list[FoundSeries]:
        """As :meth:`.archive.Archive.find`: first the studies, then the series of each."""
        of_studies = {key: value for key, value in query.items() if key in _OF_STUDIES}
        of_series = {key: value for key, value in query.items() if key not in _OF_STUDIES}
        found: dict[str, FoundSeries] = {}
        with self._associated([(_FIND, None)]) as peer:
            for study in self._find(peer, "STUDY", {"StudyInstanceUID": "", "ModalitiesInStudy": "CT", **of_studies}):
                uid = str(study.get("StudyInstanceUID", ""))
                asked = {"SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": "", **of_series}
                for one in self._find(peer, "SERIES", {**asked, "StudyInstanceUID": uid}):
                    if one.get("Modality", "CT") != "CT":
                        continue
                    series = str(one.SeriesInstanceUID)
                    count = one.get("NumberOfSeriesRelatedInstances")
                    number = int(count) if count is not None else self._counted(peer, uid, series)
                    found[series] = FoundSeries(uid, series, number)
        return list(found.values())

    def fetch(self, series: FoundSeries, keep: Callable[[Dataset], None]) -> None:
        """As :meth:`.archive.Archive.fetch`."""
        failures: list[Exception] = []
        came = False

        def receive(event: evt.Event) -> int:
            nonlocal came
            came = True
            if failures:
                return _NO_MEMORY
            try:
                dataset = event.dataset
                dataset.file_meta = event.file_meta
                keep(dataset)
            except Exception as failure:  # pynetdicom would swallow it; it is raised again outside
                failures.append(failure)
                return _NO_MEMORY
            return _SUCCESS

        wanted = _identifier("SERIES", {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid})
        try:
            try:
                self._get(wanted, receive, failures)
            except (NoGetError, BrokenOffError):
                # Orthanc ends the association where it allows no C-GET.
                if self._address.move_port is None or came:
                    raise
                with receiving(self._address, _IMAGES, _SYNTAXES, receive):
                    self._move(wanted, failures)
        except ArchiveError:
            if not failures:
                raise
        if failures:
            raise failures[0]

    def _get(self, wanted: Dataset, receive: Callable[[evt.Event], int], failures: list[Exception]) -> None:
        """Have the images sent on the association on which they are asked for."""
        contexts = [(_GET, None), *((image, [syntax]) for image in _IMAGES for syntax in _SYNTAXES)]
        roles = [build_role(image, scp_role=True) for image in _IMAGES]
        with self._associated(contexts, roles, [(evt.EVT_C_STORE, receive)]) as peer:
            if _GET not in {context.abstract_syntax for context in peer.accepted_contexts}:
                raise NoGetError
            for status, _ in peer.send_c_get(wanted, _GET):
                if failures:
                    peer.abort()  # here: within the handler, pynetdicom would wait for an answer to it
                    break
                _checked_get(status, self.patience.tries)

    def _move(self, wanted: Dataset, failures: list[Exception]) -> None:
        """Have the images sent to our own service."""
        with self._associated([(_MOVE, None)]) as peer:
            for status, _ in peer.send_c_move(wanted, self._address.ours, _MOVE):
                if failures:
                    peer.abort()
                    break
                _checked(status, self.patience.tries)

    def has(self, study_uid: str, series_uid: str, instance_uid: str) -> bool:
        """As :meth:`.archive.Archive.has`."""
        uids = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": instance_uid}
        with self._associated([(_FIND, None)]) as peer:
            return any(one.get("SOPInstanceUID") == instance_uid for one in self._find(peer, "IMAGE", uids))

    def store(self, file: Path) -> None:
        """As :meth:`.archive.Archive.store`."""
        dataset = dcmread(file)
        with self._associated([(dataset.SOPClassUID, [dataset.file_meta.TransferSyntaxUID])]) as peer:
            status = _checked(peer.send_c_store(dataset), self.patience.tries)
        if status != _SUCCESS and status >> 12 != _WARNING >> 12:
            raise NotStoredError

    def _counted(self, peer: Association, study: str, series: str) -> int:
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": ""}
        return sum(1 for _ in self._find(peer, "IMAGE", uids))

    def _find(self, peer: Association, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        found = []
        for status, one in peer.send_c_find(_identifier(level, keys), _FIND):
            _checked(status, self.patience.tries)
            if one is not None:
                found.append(one)
        return found

    @contextmanager
    def _associated(
        self,
        contexts: Sequence[tuple[str, list[str] | None]],
        roles: Sequence[Any] = (),
        handlers: Sequence[tuple[Any, Any]] = (),
    ) -> Iterator[Association]:
        """An association for so many classes and syntaxes; released when the block ends.

        Raises:
            UnreachableError: nobody answers.
            TlsError: the certificate cannot be verified.
            AssociationError: the archive refuses us, or a class.
        """
        entity = AE(ae_title=self._address.ours)
        entity.connection_timeout = entity.acse_timeout = min(_CONNECT_S, self.patience.timeout_s)
        entity.dimse_timeout = entity.network_timeout = self.patience.timeout_s
        entity.maximum_pdu_size = 0
        self._check_certificate()
        peer = entity.associate(
            self._address.host,
            self._address.port,
            contexts=[_context(name, syntaxes) for name, syntaxes in contexts],
            ae_title=self._address.theirs,
            ext_neg=list(roles),
            evt_handlers=list(handlers),
            tls_args=(self._tls, self._address.host) if self._tls else None,
        )
        if not peer.is_established:
            if peer.is_rejected:
                raise AssociationError("The archive rejects the association.")
            if peer.is_aborted and not peer.acceptor.primitive:
                raise UnreachableError(self.patience.tries)
            raise AssociationError("The archive does not offer this service, or not for these objects.")
        try:
            yield peer
        finally:
            if peer.is_established:
                peer.release()

    def _check_certificate(self) -> None:
        """pynetdicom tells a wrong certificate as it tells a closed port."""
        if self._tls is None:
            return
        place = (self._address.host, self._address.port)
        try:
            with socket.create_connection(place, _CONNECT_S) as plain:
                self._tls.wrap_socket(plain, server_hostname=self._address.host).close()
        except ssl.SSLError:
            raise TlsError from None
        except OSError:
            raise UnreachableError(self.patience.tries) from None


def _context(name: str, syntaxes: list[str] | None) -> PresentationContext:
    from pynetdicom import build_context

    return build_context(name, syntaxes) if syntaxes else build_context(name)


def _identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = level
    for key, value in keys.items():
        setattr(identifier, key, value or None)
    return identifier


def _checked_get(status: Dataset, tries: int) -> int:
    """As :func:`_checked`, for archives that accept the class and then refuse the request."""
    if "Status" in status and int(status.Status) in _NOT_SUPPORTED:
        raise NoGetError
    return _checked(status, tries)


def _checked(status: Dataset, tries: int) -> int:
    """The status of an answer.

    Raises:
        BrokenOffError: there was none, and the association is over.
        DimseFaultError: it is a failure of what was asked.
    """
    if "Status" not in status:
        raise BrokenOffError(tries)
    code = int(status.Status)
    if code == _SUCCESS or code in _PENDING or code >> 12 == _WARNING >> 12:
        return code
    raise DimseFaultError(code)


class DimseFaultError(SeriesError):
    """The archive answers a DIMSE request with a failure."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The archive answers with the failure {code:04X}.", "Look into the archive's own log.")
