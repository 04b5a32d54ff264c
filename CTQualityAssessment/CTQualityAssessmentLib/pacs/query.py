"""``--query``: which series, in DICOM's own words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from CTQualityAssessmentLib.pacs.errors import QueryError

_DATE = re.compile(r"[0-9]{8}(-([0-9]{8})?)?|-[0-9]{8}")


def parse_query(texts: Sequence[str]) -> dict[str, str]:
    """Keys and values of a query; ``Modality=CT`` is always among them.

    Args:
        texts: ``KEY=VALUE`` pairs, several in a text with spaces between; a value with spaces stands in quotes. Keys
            are keywords of DICOM, values are matched as DICOM does: ``*`` and ``?`` are wildcards, dates may be ranges.

    Raises:
        QueryError: a part has another form, a keyword is unknown (archives ignore those, and would give every series),
            a key stands twice, a date is none, or another modality is asked for.
    """
    from pydicom.datadict import tag_for_keyword

    query: dict[str, str] = {}
    for number, part in enumerate(_parts(texts), start=1):
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise QueryError(f"Part {number} of the query is not KEY=VALUE.")
        if tag_for_keyword(key) is None:
            raise QueryError(f"The key of part {number} of the query is no keyword of DICOM.")
        if key in query:
            raise QueryError(f"The key of part {number} stands in the query twice.")
        if key.endswith("Date") and not _DATE.fullmatch(value):
            raise QueryError(f"Part {number} of the query is a date that is not YYYYMMDD, or two with a hyphen.")
        query[key] = value
    if not query:
        raise QueryError("The query is empty.")
    if query.setdefault("Modality", "CT") != "CT":
        raise QueryError("The query asks for another modality than CT.")
    return query


def _parts(texts: Sequence[str]) -> list[str]:
    try:
        return [part for text in texts for part in shlex.split(text)]
    except ValueError:
        raise QueryError("A quotation mark of the query is not closed.") from None
