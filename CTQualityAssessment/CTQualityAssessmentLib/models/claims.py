"""What a bundle claims to be, before anything is asked of the computer for it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.translation import marks_of

if TYPE_CHECKING:
    import torch

_ = marks_of(__file__)

#: Larger than any network that reads one slice at a time; keeps a wrong file from being read, a wrong folder copied.
LARGEST_BUNDLE = 4 * 2**30
LARGEST_METADATA = 16 * 2**20
#: Beyond those of every network here by a factor of ten.
_LARGEST_NUMBER, _LONGEST, _DEEPEST = 2**16, 256, 6
#: What building a network by a wrong configuration, or filling it with wrong weights, ends in.
UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError)


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a plain file; a pipe would be read for ever, and a huge file fill the memory.

    Raises:
        OSError: it cannot be read, is no plain file, or is larger than ``most`` bytes.
    """
    # What lies there may change between a look and the opening: only what is open is looked at.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            raise OSError(errno.EFBIG, _("No plain file of a reasonable size"))
        return file.read()


def check_numbers(described: object, depth: int = 0) -> None:
    """Refuse a description whose numbers no network has: a billion layers are a list of a billion before the first one.

    Args:
        described: what a bundle says of its network, as of JSON.
        depth: of the value in the description.

    Raises:
        ValueError: a number, a list or a text is too large, or it is nested too deep.
    """
    if isinstance(described, (int, float)) and not -_LARGEST_NUMBER <= described <= _LARGEST_NUMBER:
        raise ValueError("a number that no network has")
    if isinstance(described, (str, list, dict)) and (len(described) > _LONGEST or depth > _DEEPEST):
        raise ValueError("a description that no network has")
    if isinstance(described, (list, dict)):
        for value in described.values() if isinstance(described, dict) else described:
            check_numbers(value, depth + 1)


@contextmanager
def no_larger_than(stored: Mapping[str, torch.Tensor], described: object) -> Iterator[None]:
    """Stop a network that is being built as soon as it has more parameters than there are weights for.

    Else a few characters of a configuration could ask for all of the computer's memory, or for a network without end.

    Args:
        stored: the weights.
        described: what the bundle says of the network, see :func:`check_numbers`.

    Raises:
        ValueError: the network is larger, or its description is none.
    """
    import torch

    check_numbers(described)

    # Some layers replace a parameter that they have made, so twice as many may pass by.
    left = [2 * sum(tensor.numel() for tensor in stored.values())]
    builder = threading.get_ident()

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        if parameter is not None and threading.get_ident() == builder:
            left[0] -= parameter.numel()
            if left[0] < 0:
                raise ValueError("a network that is larger than its weights")

    hook = torch.nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
