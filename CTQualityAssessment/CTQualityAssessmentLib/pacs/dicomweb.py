"""An archive that speaks DICOMweb: QIDO-RS finds, WADO-RS fetches, STOW-RS stores (PS3.18), through dicomweb-client."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from dicomweb_client import DICOMwebClient

from CTQualityAssessmentLib.pacs.address import WebAddress
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.errors import (
    ArchiveError,
    ForbiddenError,
    LoginError,
    NoAnswerOfArchiveError,
    NotStoredError,
    RedirectError,
    RefusedError,
    ServerFaultError,
    TlsError,
    UnreachableError,
)
from CTQualityAssessmentLib.pacs.login import Login, login_for

if TYPE_CHECKING:
    from pydicom import Dataset

_CONNECT_S = 10.0
#: Series asked for at a time; an archive may give fewer.
_PAGE = 200
#: As sent, whatever the compression; our reader unpacks it.
_AS_STORED = (("application/dicom", "*"),)
#: Archives that do not know chunked uploads are more frequent than objects of this size.
_WHOLE = 2**31
#: Looser than the standard about leading zeros, strict about what could leave the path of a URL.
_UID = re.compile(r"[0-9.]{1,64}")


class DicomWebArchive:
    """An :class:`~.archive.Archive` over HTTP. One request at a time."""

    def __init__(self, address: WebAddress, session: requests.Session) -> None:
        self.patience = address.patience
        keywords = {
            "session": session,
            "timeout": (min(_CONNECT_S, address.patience.timeout_s), address.patience.timeout_s),
            "permissive_uid": True,  # our own check stands before it
        }
        self._client = DICOMwebClient(address.url, **keywords)
        self._sender = DICOMwebClient(address.url, chunk_size=_WHOLE, **keywords)
        for client in (self._client, self._sender):
            client.set_http_retry_params(retry=False)  # it knows no lost connections, see patience.py
            client.host = urlsplit(address.url).netloc  # what it sends as Host; its own loses port and IPv6 address

    @classmethod
    @contextmanager
    def opened(cls, address: WebAddress) -> Iterator[DicomWebArchive]:
        """A session that trusts what the address says, follows nobody and asks no file of this computer for a login."""
        with requests.Session() as session:
            # No proxy, .netrc or certificates of the environment: patient data go to the archive and nowhere else.
            session.trust_env = False
            session.max_redirects = 0
            session.verify = address.ca_file or True
            _log_in(session, login_for(urlsplit(address.url).netloc))
            yield cls(address, session)

    def ping(self) -> None:
        """As :meth:`.archive.Archive.ping`."""
        self._search(limit=1)

    def find(self, query: Mapping[str, str]) -> list[FoundSeries]:
        """As :meth:`.archive.Archive.find`, page by page until one brings nothing new."""
        found: dict[str, FoundSeries] = {}
        seen: set[str] = set()
        offset = 0
        while True:
            page = self._search(
                search_filters=dict(query), fields=["NumberOfSeriesRelatedInstances"], limit=_PAGE, offset=offset
            )
            fresh = [item for item in page if _value(item, "0020000E") not in seen]
            if not fresh:  # the end, or an archive that knows no offset
                return list(found.values())
            seen |= {_value(item, "0020000E") for item in fresh}
            found |= {one.series_uid: one for item in fresh if (one := self._series(item))}
            offset += len(page)

    def fetch(self, series: FoundSeries, keep: Callable[[Dataset], None]) -> None:
        """As :meth:`.archive.Archive.fetch`; one object at a time in memory."""
        with _explained(self.patience.tries):
            objects = self._client.iter_series(series.study_uid, series.series_uid, media_types=_AS_STORED)
        while True:
            with _explained(self.patience.tries):
                one = next(objects, None)
            if one is None:
                return
            keep(one)

    def has(self, study_uid: str, series_uid: str, instance_uid: str) -> bool:
        """As :meth:`.archive.Archive.has`."""
        try:
            with _explained(self.patience.tries):
                found = self._client.search_for_instances(
                    study_uid, series_uid, search_filters={"SOPInstanceUID": instance_uid}
                )
        except RefusedError as error:
            if error.status == requests.codes.not_found:  # some archives say so of a study or series without objects
                return False
            raise
        return any(_value(item, "00080018") == instance_uid for item in found)

    def store(self, file: Path) -> None:
        """As :meth:`.archive.Archive.store`."""
        from pydicom import dcmread

        dataset = dcmread(file)
        with _explained(self.patience.tries):
            answer = self._sender.store_instances([dataset])
        if answer.get("FailedSOPSequence"):
            raise NotStoredError
        # Orthanc 1.10.1 calls an upload that it could not take apart a success, and names nothing that it stored.
        stored = {item.get("ReferencedSOPInstanceUID") for item in answer.get("ReferencedSOPSequence") or ()}
        uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        if dataset.SOPInstanceUID not in stored and not self.has(*map(str, uids)):
            raise NotStoredError

    def _search(self, **keywords: Any) -> list[dict[str, Any]]:
        with _explained(self.patience.tries):
            page = self._client.search_for_series(**keywords)
        if not all(isinstance(item, dict) for item in page):
            raise NoAnswerOfArchiveError
        return page

    def _series(self, item: dict[str, Any]) -> FoundSeries | None:
        study, series = _value(item, "0020000D"), _value(item, "0020000E")
        if not (_UID.fullmatch(study) and _UID.fullmatch(series)) or _value(item, "00080060") not in ("CT", ""):
            return None
        count = _value(item, "00201209")
        return FoundSeries(study, series, int(count) if count.isdecimal() else self._counted(study, series))

    def _counted(self, study: str, series: str) -> int:
        """For archives that do not tell how many objects a series has, though they have to."""
        with _explained(self.patience.tries):
            return len(self._client.search_for_instances(study, series, get_remaining=True, limit=_PAGE))


def _log_in(session: requests.Session, login: Login) -> None:
    if login.token:
        session.headers["Authorization"] = f"Bearer {login.token}"
    elif login.user:
        session.auth = (login.user.encode(), (login.password or "").encode())


def _value(item: Mapping[str, Any], tag: str) -> str:
    """First value of an attribute of DICOM JSON as text; "" where there is none."""
    try:
        return str(item[tag]["Value"][0]).strip()
    except (KeyError, IndexError, TypeError):
        return ""


@contextmanager
def _explained(tries: int) -> Iterator[None]:
    """Errors of HTTP in our own words: theirs quote addresses with UIDs and queries."""
    try:
        yield
    except requests.HTTPError as error:
        raise _of_status(error.response.status_code) from None
    except requests.exceptions.SSLError:
        raise TlsError from None
    except requests.TooManyRedirects:
        raise RedirectError from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
        raise UnreachableError(tries) from None
    except ArchiveError:
        raise
    except Exception:  # requests, urllib3, json and pydicom raise many things on answers of another kind
        raise NoAnswerOfArchiveError from None


def _of_status(status: int) -> ArchiveError:
    if status == requests.codes.unauthorized:
        return LoginError()
    if status == requests.codes.forbidden:
        return ForbiddenError()
    return ServerFaultError(status) if status >= requests.codes.internal_server_error else RefusedError(status)
