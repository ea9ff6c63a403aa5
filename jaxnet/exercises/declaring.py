"""What an exercise is: a question, its right answer, and the wrong answers that people really give."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Slip(NamedTuple):
    """A plausible wrong answer.

    Attributes:
        answer: Of the same kind as the right one.
        reason: What a student who gave it is told, after "Not yet: "; ends with a period.
    """

    answer: Any
    reason: str


class Exercise(NamedTuple):
    """A question that can be checked.

    Attributes:
        question: In one sentence.
        right: The answer: a number, a pytree of arrays, one of the `choices`, or, with `probes`, a function.
        why: Why it matters, in one sentence.
        slips: What people answer instead, at least three.
        probes: Draws the arguments, one tuple for each call, on which a function is compared with the right one.
        choices: The words to choose from.
    """

    question: str
    right: Any
    why: str
    slips: tuple[Slip, ...]
    probes: Callable[[], tuple[tuple[Any, ...], ...]] | None = None
    choices: tuple[str, ...] = ()
