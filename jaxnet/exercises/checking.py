"""Check an answer, and give "Right" with why the answer matters, or "Not yet" with the reason."""

import traceback
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnet.exercises import calculus, costs, layers, models_and_ensembles, trained_network
from jaxnet.exercises._compare import COUNTED, TOLERANCE, described, difference
from jaxnet.exercises._model import Exercise

EXERCISES: dict[str, Exercise] = {
    **layers.EXERCISES,
    **costs.EXERCISES,
    **calculus.EXERCISES,
    **trained_network.EXERCISES,
    **models_and_ensembles.EXERCISES,
}
"""For each name: an exercise. A name begins with the number of its notebook."""


def question(name: str) -> str:
    """The question of an exercise.

    Args:
        name: The name of the exercise, such as "01-parameters".

    Raises:
        ValueError: If no exercise has this name. The message lists all names.
    """
    if name not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; choose from {', '.join(sorted(EXERCISES))}")
    return EXERCISES[name].question


def check(name: str, answer: Any) -> str:
    """Check an answer of any kind, without telling the right answer.

    Args:
        name: The name of the exercise, such as "01-parameters".
        answer: A number, arrays, a word or a function, as the question says.

    Returns:
        A sentence. For the right answer, it is "Right: " and why the answer matters. For a common mistake, it is "Not yet: " and
        the reason. For any other answer, it is "Not yet: " and how the answer differs: in kind, shape, sign or size.

    Raises:
        ValueError: If no exercise has this name. The message lists all names.

    Examples:
        >>> check("05-steps", 1875)
        'Not yet: that is one epoch; the question is about 25 epochs.'
    """
    question(name)
    exercise = EXERCISES[name]
    if exercise.choices:
        return _of_words(exercise, answer)
    if exercise.probes is not None:
        return _of_functions(exercise, answer)
    if callable(answer):
        return "Not yet: the question asks for the answer itself, not a function; call it first."
    tolerance = COUNTED if isinstance(exercise.right, int) else TOLERANCE
    found = difference(exercise.right, answer, tolerance)
    if found is None:
        return f"Right: {exercise.why}"
    for slip in exercise.slips:
        if difference(slip.answer, answer, tolerance) is None:
            return f"Not yet: {slip.reason}"
    return f"Not yet: your answer {found}."


def _of_words(exercise: Exercise, answer: Any) -> str:
    word = _plain(answer) if isinstance(answer, str) else ""
    if word == _plain(exercise.right):
        return f"Right: {exercise.why}"
    reasons = {_plain(slip.answer): slip.reason for slip in exercise.slips}
    if word in reasons:
        return f"Not yet: {reasons[word]}"
    return f"Not yet: answer with one of these, as a text: {', '.join(repr(choice) for choice in exercise.choices)}."


def _plain(words: str) -> str:
    """The words in lower case without spaces and signs: "BatchNorm" equals "batch norm"."""
    return "".join(letter for letter in words.lower() if letter.isalnum())


def _of_functions(exercise: Exercise, answer: Any) -> str:
    if not callable(answer):
        return f"Not yet: a function is expected, but your answer is {described(answer)}."
    assert exercise.probes is not None
    try:
        answers = _answers(answer, exercise.probes())
    except Exception as error:  # a student's function may raise any exception, and the message reports the exception
        told = "".join(traceback.format_exception_only(error)).strip().splitlines()[0]
        return f"Not yet: your function raised {told[:200].rstrip('.')}."
    found = _first_difference([exercise.right(*arguments) for arguments in exercise.probes()], answers)
    if found is None:
        return f"Right: {exercise.why}"
    for slip in exercise.slips:
        if _first_difference([slip.answer(*arguments) for arguments in exercise.probes()], answers) is None:
            return f"Not yet: {slip.reason}"
    if all(one is None for one in answers):
        return "Not yet: your function returns None; perhaps a `return` is missing."
    return f"Not yet: the result of your function {found}."


def _answers(answer: Any, probes: tuple[tuple[Any, ...], ...]) -> list[Any]:
    """The results of a function for NumPy arrays. If NumPy arrays raise an error, jax arrays are tried."""
    try:
        return [answer(*arguments) for arguments in probes]
    except Exception as error:
        as_jax = lambda one: jnp.asarray(one) if isinstance(one, np.ndarray) else one
        try:
            return [answer(*map(as_jax, arguments)) for arguments in probes]
        except Exception:
            raise error from None


def _first_difference(right: Sequence[Any], answers: Sequence[Any]) -> str | None:
    found = (difference(*pair) for pair in zip(right, answers, strict=True))
    return next((one for one in found if one is not None), None)
