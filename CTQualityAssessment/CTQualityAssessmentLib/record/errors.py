"""What can go wrong with the record. No sentence repeats a URL, a login or a value."""

from __future__ import annotations

from CTQualityAssessmentLib.errors import CTQAError


class RecordError(CTQAError):
    """The record cannot be worked with."""


class RecordAddressError(RecordError):
    """What --record says is no place of a record."""

    exit_code = 2


class RecordLostError(RecordError):
    """The database does not answer, refuses us, or cannot be written."""

    def __init__(self) -> None:
        super().__init__(
            "The record cannot be reached or written.",
            "Check that the database runs, its login (PGUSER, PGPASSWORD, PGPASSFILE), certificates and free space; "
            "results are kept in the output folder, and the same command enters what is missing.",
        )


class RecordOutdatedError(RecordError):
    """The tables are those of an older version of this program."""

    def __init__(self) -> None:
        super().__init__(
            "The record was written by an older version of this program.",
            "Make a copy of it, then run 'ctqa record upgrade'.",
        )


class RecordTooNewError(RecordError):
    """The tables are those of a newer version of this program, or of another program."""

    def __init__(self) -> None:
        super().__init__(
            "The record was written by a newer version of this program, or by another program.",
            "Install the newest version of this program everywhere, or choose another record.",
        )


class NoRecordError(RecordError):
    """There is nothing to read."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("There is no record there.", "'ctqa batch' and 'ctqa pacs' make one; check --record.")


class OtherKeyError(RecordError):
    """The pseudonyms of a folder are not those of the record: a series would stand in it twice."""

    def __init__(self) -> None:
        super().__init__(
            "The pseudonyms in this output folder and in the record were made with different keys.",
            "Use the record that belongs to the folder; folders that share a record are begun with the same "
            "CTQA_KEY_FILE.",
        )


class EmptyRecordError(RecordError):
    """No series was entered yet."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("The record is empty.", "'ctqa batch' and 'ctqa pacs' enter results; check --record.")
