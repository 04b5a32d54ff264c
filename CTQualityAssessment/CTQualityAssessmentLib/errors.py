"""Errors that a user is meant to read.

Every refusal of this package is a :class:`CTQAError`: one sentence for the problem, one for the way out, and an exit
code for the command line. Neither sentence may hold a patient tag, a UID or a path.
"""

from __future__ import annotations


class CTQAError(Exception):
    """Base of every error the package raises on purpose.

    Args:
        problem: what is wrong, as one sentence without a trailing advice.
        advice: what the user can do about it, as one sentence.

    Attributes:
        exit_code: what ``ctqa`` exits with when this error ends a command.
    """

    exit_code = 1

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem} {advice}")
        self.problem = problem
        self.advice = advice
