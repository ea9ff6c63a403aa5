"""The parts of an exercise: a question, the right answer, and common wrong answers."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Slip(NamedTuple):
    """A common wrong answer.

    Attributes:
        answer: The wrong answer, of the same kind as the right answer.
        reason: The message to the student, after "Not yet: ". It ends with a period or a question mark.
    """

    answer: Any
    reason: str


class Exercise(NamedTuple):
    """A question that can be checked.

    Attributes:
        question: The question in one sentence.
        right: The right answer: a number, a pytree of arrays, one of the `choices`, or, with `probes`, a function.
        why: Why the answer matters, in one sentence.
        slips: At least three common wrong answers.
        probes: A function that makes arguments, one tuple for each call. The answer and the right function get these
            arguments.
        choices: The words to choose from.
    """

    question: str
    right: Any
    why: str
    slips: tuple[Slip, ...]
    probes: Callable[[], tuple[tuple[Any, ...], ...]] | None = None
    choices: tuple[str, ...] = ()
