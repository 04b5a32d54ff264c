"""A storage service of our own, open while a series is fetched by C-MOVE: the archive calls back and sends it."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pynetdicom import AE, evt

from CTQualityAssessmentLib.pacs.address import DimseAddress
from CTQualityAssessmentLib.pacs.errors import PortError, UnreachableError

#: How long another worker of this computer may have the port: it is fetching a series.
_LONGEST_S = 900.0
_CONNECT_S = 10.0


@contextmanager
def receiving(
    address: DimseAddress, images: Sequence[str], syntaxes: Sequence[str], receive: Callable[[evt.Event], int]
) -> Iterator[None]:
    """Listen where the archive knows us, to the archive only, as long as the block runs.

    Args:
        address: of the archive, with the port of ours.
        images, syntaxes: what is taken.
        receive: called with each C-STORE request; gives its status.

    Raises:
        UnreachableError: the archive does not answer.
        PortError: the port is taken, and not by another worker that fetches something.
    """
    entity = AE(ae_title=address.ours)
    entity.require_called_aet = True
    entity.require_calling_aet = [address.theirs]
    entity.acse_timeout = _CONNECT_S
    entity.dimse_timeout = entity.network_timeout = address.patience.timeout_s
    for image in images:
        entity.add_supported_context(image, list(syntaxes))
    server = _started(entity, (_our_side(address), address.move_port), receive)
    try:
        yield
    finally:
        server.shutdown()


def _started(entity: AE, place: tuple[str, int], receive: Callable[[evt.Event], int]):  # noqa: ANN202  (of pynetdicom)
    end = time.monotonic() + _LONGEST_S
    while True:
        try:
            return entity.start_server(place, block=False, evt_handlers=[(evt.EVT_C_STORE, receive)])
        except OSError:
            if time.monotonic() > end:
                raise PortError from None
            time.sleep(random.uniform(0.2, 1.0))  # noqa: S311


def _our_side(address: DimseAddress) -> str:
    """The address under which the archive sees this computer; others are not listened at."""
    try:
        with socket.create_connection((address.host, address.port), _CONNECT_S) as line:
            return line.getsockname()[0]
    except OSError:
        raise UnreachableError(address.patience.tries) from None
