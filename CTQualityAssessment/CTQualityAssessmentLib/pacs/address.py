"""Where an archive is and how it may be spoken to. An address holds no secret: it goes to workers with their task."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from CTQualityAssessmentLib.batch.addresses import is_loopback
from CTQualityAssessmentLib.pacs.errors import AddressError, UnencryptedArchiveError


@dataclass(frozen=True)
class Patience:
    """How long to wait for an archive.

    Attributes:
        timeout_s: seconds without a byte after which a request has failed.
        tries: how often a request is made before it is given up; the pauses between grow from half a second.
    """

    timeout_s: float = 60.0
    tries: int = 4


@dataclass(frozen=True)
class WebAddress:
    """A DICOMweb archive, see :func:`web_address`."""

    url: str
    ca_file: str | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class DimseAddress:
    """An archive without DICOMweb, see :func:`dimse_address`."""

    host: str
    port: int
    ours: str
    theirs: str
    tls: bool = False
    ca_file: str | None = None
    patience: Patience = field(default_factory=Patience)
    move_port: int | None = None


Address = WebAddress | DimseAddress


def web_address(
    url: str, *, ca_file: Path | None = None, trust_network: bool = False, patience: Patience | None = None
) -> WebAddress:
    """Check the address of a DICOMweb archive.

    Args:
        url: root of its services, ``https://...``.
        ca_file: certificates (PEM) to trust instead of the public ones.
        trust_network: whether ``http://`` to another computer is wanted all the same.
        patience: how long to wait for it.

    Raises:
        AddressError: it is no such address, or holds a login: arguments can be read by everyone on this computer.
        UnencryptedArchiveError: it is not encrypted, and not wanted so.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise AddressError("The archive's address is no URL.", "Write it as https://host/dicom-web.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise AddressError(
            "The archive's URL holds a login or a query.",
            "Give a login by CTQA_PACS_USER and CTQA_PACS_PASSWORD, or CTQA_PACS_TOKEN, and the URL without it.",
        )
    if parts.scheme == "http" and not (trust_network or is_loopback(host)):
        raise UnencryptedArchiveError
    return WebAddress(url.rstrip("/"), _checked(ca_file), patience or Patience())


def dimse_address(
    place: str,
    ours: str,
    theirs: str,
    *,
    tls: bool = False,
    ca_file: Path | None = None,
    trust_network: bool = False,
    patience: Patience | None = None,
    move_port: int | None = None,
) -> DimseAddress:
    """Check the address of an archive that speaks DIMSE.

    Args:
        place: ``HOST:PORT``.
        ours, theirs: application entity titles of this program and of the archive.
        tls: whether to encrypt.
        ca_file, trust_network, patience: as for :func:`web_address`.
        move_port: port of this computer to which the archive sends what it is asked for by C-MOVE, where it knows no
            C-GET.

    Raises:
        AddressError, UnencryptedArchiveError: as :func:`web_address`.
    """
    host, _, port = place.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise AddressError("The archive's address is not HOST:PORT.", "Write it as --dimse pacs.example.org:104.")
    for title in (ours, theirs):
        if not (title.isascii() and title.isprintable() and "\\" not in title and 0 < len(title.strip()) <= 16):
            raise AddressError("An application entity title is not 1 to 16 letters.", "Check --aet and --aec.")
    if not (tls or trust_network or is_loopback(host)):
        raise UnencryptedArchiveError
    if tls and move_port is not None:
        raise AddressError(
            "What an archive sends by C-MOVE would come without encryption.",
            "Leave out --move-port; or --tls, with --trust-network in a network of trusted computers only.",
        )
    return DimseAddress(host, int(port), ours, theirs, tls, _checked(ca_file), patience or Patience(), move_port)


def _checked(ca_file: Path | None) -> str | None:
    if ca_file is None:
        return None
    try:
        ssl.create_default_context(cafile=os.fspath(ca_file))
    except OSError:  # ssl.SSLError is one
        raise AddressError("The file of --ca-file holds no certificates.", "Give certificates as PEM.") from None
    return str(ca_file.absolute())
