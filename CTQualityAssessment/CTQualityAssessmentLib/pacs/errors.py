"""What can go wrong with an archive. No sentence repeats a query, a UID, an address or an answer's text.

An :class:`ArchiveError` ends the run: nothing else would succeed either. A :class:`SeriesError` is of one series.
"""

from __future__ import annotations

from http import HTTPStatus

from CTQualityAssessmentLib.errors import CTQAError


class ArchiveError(CTQAError):
    """The archive cannot be worked with."""


class QueryError(ArchiveError):
    """The query is not understood."""

    exit_code = 2

    def __init__(self, problem: str) -> None:
        super().__init__(
            problem,
            'Write KEY=VALUE with keywords of DICOM, such as --query "Modality=CT StudyDate=20260101-20260131".',
        )


class AddressError(ArchiveError):
    """The archive's address, or an option that belongs to it, cannot be used."""

    exit_code = 2


class UnencryptedArchiveError(ArchiveError):
    """Images and login would go over the network for everyone to read."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "The connection to this archive is not encrypted, and everyone in the network can read images and login.",
            "Use https:// (with --dimse: --tls); or --trust-network, in a network of trusted computers only.",
        )


class UnreachableError(ArchiveError):
    """No answer, however often it was asked."""

    def __init__(
        self,
        tries: int,
        what: str = "does not answer",
        advice: str = "Check the address and whether it runs; the same command goes on.",
    ) -> None:
        super().__init__(f"The archive {what} ({tries} tries).", advice)


class BrokenOffError(UnreachableError):
    """A DIMSE archive ends the association in the middle of a request, as Orthanc does with whom it does not know."""

    def __init__(self, tries: int) -> None:
        advice = "Check whether the archive knows this computer under the title of --aet, and look into its log."
        super().__init__(tries, "breaks off the request", advice)


class TlsError(ArchiveError):
    """The archive's certificate is not trusted, or it speaks no TLS."""

    def __init__(self) -> None:
        super().__init__(
            "The archive's certificate cannot be verified.",
            "Give your hospital's certificate authority with --ca-file; verification cannot be switched off.",
        )


class RedirectError(ArchiveError):
    """The archive sends elsewhere. That is not followed: patient data would go there."""

    def __init__(self) -> None:
        super().__init__("The archive redirects to another address.", "Give that address with --url, if you trust it.")


class LoginError(ArchiveError):
    """The archive does not know who is asking."""

    def __init__(self) -> None:
        super().__init__(
            "The archive refuses the login (401).",
            "Set CTQA_PACS_USER and CTQA_PACS_PASSWORD, or CTQA_PACS_TOKEN, or store a password in the keyring.",
        )


class ForbiddenError(ArchiveError):
    """The login is right and may not do this."""

    def __init__(self) -> None:
        super().__init__(
            "The archive does not allow this to the login (403).", "Ask its administrator for the right to do it."
        )


class NoAnswerOfArchiveError(ArchiveError):
    """What answers is no archive."""

    def __init__(self) -> None:
        super().__init__(
            "What answers at this address does not speak DICOMweb.",
            "Check the path of --url: with Orthanc it ends in /dicom-web.",
        )


class AssociationError(ArchiveError):
    """A DIMSE archive does not accept us."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "Check --aet and --aec, and whether the archive knows this computer under that name.")


class NoGetError(AssociationError):
    """A DIMSE archive does not give images on the line on which they are asked for."""

    def __init__(self) -> None:
        super().__init__("The archive does not know, or not allow, C-GET.")
        self.advice = "Have it send to this computer by C-MOVE, with --move-port; it has to know our title and port."


class PortError(ArchiveError):
    """Nothing can be received."""

    def __init__(self) -> None:
        super().__init__(
            "The port of --move-port is taken by another program.", "End it, or have the archive send to another."
        )


class NothingFoundError(ArchiveError):
    """The archive has no series that matches."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("The archive has no CT series that matches the query.", "Ask for other dates or keys.")


class SeriesError(ArchiveError):
    """Something is wrong with one series only."""


_REASONS = {
    400: ("does not understand the request", "Check the query, and the archive's own log."),
    404: ("does not have what was asked for", "Check --url; the series may have been deleted meanwhile."),
    406: ("cannot give DICOM files", "Check whether its DICOMweb can retrieve (WADO-RS)."),
    409: ("could not store the objects", "Look into the archive's own log."),
    413: ("finds the objects too large", "Raise its limit, or leave out the maps with --send report."),
    415: ("does not take this kind of object", "Check whether it accepts SR and Parametric Map."),
    429: ("is asked too often", "Use fewer --workers."),
}


class RefusedError(SeriesError):
    """The archive answers a request with an error of the 400s."""

    def __init__(self, status: int) -> None:
        phrase, advice = _REASONS.get(status, (_phrase(status), "Look into the archive's own log."))
        super().__init__(f"The archive {phrase} ({status}).", advice)
        self.status = status


class ServerFaultError(SeriesError):
    """The archive has a fault of its own, however often it was asked."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The archive {_phrase(status)} ({status}).", "Look into the archive's own log.")


class PartialTransferError(SeriesError):
    """Fewer, more or other images came than the archive says the series has."""

    def __init__(self, received: int, expected: int) -> None:
        super().__init__(
            f"{received} of {expected} images of the series arrived whole."
            if received < expected
            else "Images arrived that the archive did not tell of before.",
            "The same command tries again; if it stays so, look whether the archive can show the series.",
        )


class NotStoredError(SeriesError):
    """The archive did not take what was sent."""

    def __init__(self) -> None:
        super().__init__("The archive did not store all objects.", "Look into the archive's own log.")


def _phrase(status: int) -> str:
    try:
        return f"answers '{HTTPStatus(status).phrase}'"
    except ValueError:
        return "answers with an error"
