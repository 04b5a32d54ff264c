"""Keep other people's parsers and writers from printing header values."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TALKATIVE = ("pydicom", "nibabel.global", "tifffile", "highdicom")


@contextmanager
def quiet(*more: str) -> Iterator[None]:
    """Silence warnings and loggers that quote values; every problem is told in our own words.

    Args:
        more: names of further loggers to silence.
    """
    loggers = [logging.getLogger(name) for name in (*_TALKATIVE, *more)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
