"""What can stop a whole batch. A single study that fails is no error: it becomes a row."""

from __future__ import annotations

from CTQualityAssessmentLib.errors import CTQAError


class OutputBusyError(CTQAError):
    """Another run writes into the same folder."""

    def __init__(self) -> None:
        super().__init__("Another run is writing into this output folder.", "Wait until it ends, or choose another.")


class StaleRunError(CTQAError):
    """The run that a study is done for was killed, and another run has the folder now."""

    def __init__(self) -> None:
        super().__init__("Another run has this output folder now.", "Nothing needs to be done: it does what is left.")


class NotABatchError(CTQAError):
    """The ledger of the output folder cannot be read."""

    def __init__(self) -> None:
        super().__init__("The ledger of this output folder is damaged.", "Choose a new output folder.")


class KeyFileError(CTQAError):
    """The key that folders are to share cannot be used."""

    def __init__(self) -> None:
        super().__init__(
            "The file that CTQA_KEY_FILE names does not hold a key of 32 bytes.",
            "Make one with 'head -c 32 /dev/urandom', readable by you only, or copy that of an output folder.",
        )


class NoSeriesError(CTQAError):
    """There is no CT in the input."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__(
            "There is no CT in this folder.", "Check the path; 'ctqa info PATH' tells what a folder holds."
        )


class SchedulerError(CTQAError):
    """The scheduler does not answer, or has no workers."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "Check the address, the versions of dask on both sides and that workers are running.")


class UnencryptedSchedulerError(CTQAError):
    """The scheduler is another computer's, and everyone in the network can read along and hand work to it."""

    def __init__(self) -> None:
        super().__init__(
            "The connection to this scheduler is not encrypted, and everyone who reaches it can run programs there.",
            "Use a tls:// address with certificates; or --trust-network, where only trusted computers reach it.",
        )


class WorkerError(CTQAError):
    """A worker cannot do any study, so that going on would only fill the table with its failure."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"The studies cannot be done on a worker: {problem}", advice)
