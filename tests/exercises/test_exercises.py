"""Every exercise takes its right answer, gives every slip its own reason, and stays calm at junk."""

import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import exercises
from jaxnet.core.network import Layer
from jaxnet.exercises._compare import difference
from jaxnet.exercises._model import Exercise, Slip
from jaxnet.exercises.checking import EXERCISES

NAMES = sorted(EXERCISES)
FUNCTIONS = [name for name in NAMES if EXERCISES[name].probes is not None]
WORDS = [name for name in NAMES if EXERCISES[name].choices]
NUMBERS = [name for name in NAMES if name not in FUNCTIONS + WORDS]


def broken(*arguments):
    raise KeyError("nobody's fault")


def test_there_are_three_exercises_for_each_of_ten_notebooks():
    assert sorted(name.partition("-")[0] for name in NAMES) == sorted(3 * [f"{i:02}" for i in range(1, 11)])
    assert len(FUNCTIONS) + len(WORDS) + len(NUMBERS) == 30


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_is_accepted_with_why_it_matters(name):
    assert exercises.check(name, EXERCISES[name].right) == f"Right: {EXERCISES[name].why}"


@pytest.mark.parametrize("name", NAMES)
def test_every_slip_is_refused_with_its_own_reason(name):
    slips = EXERCISES[name].slips
    assert len(slips) >= 3
    assert len({slip.reason for slip in slips}) == len(slips)
    for slip in slips:
        assert exercises.check(name, slip.answer) == f"Not yet: {slip.reason}"


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_whole_and_no_reason_tells_the_answer(name):
    exercise = EXERCISES[name]
    assert exercise.question.endswith("?") or exercise.question.endswith(".")
    for sentence in (exercise.why, *(slip.reason for slip in exercise.slips)):
        assert sentence.endswith((".", "?")), sentence
        assert not sentence[0].isupper(), sentence
    told = [exercises.check(name, junk) for junk in (None, "seven", broken, -12345.678, np.ones((6, 5, 2)))]
    told += [] if exercise.choices else [slip.reason for slip in exercise.slips]
    secret = str(exercise.right).removesuffix(".0")
    if exercise.probes is None and not exercise.choices:
        assert not any(re.search(rf"(?<![\d.]){re.escape(secret)}(?![\d.]*\d)", sentence) for sentence in told)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("junk", [None, "seven", [], {}, object(), float("nan"), {1: 2, "a": 3}, [[1.0], [1.0, 2.0]]])
def test_junk_is_refused_with_a_sentence(name, junk):
    told = exercises.check(name, junk)
    assert told.startswith("Not yet: ")
    assert told.endswith((".", "?"))
    assert len(told) > 30


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_fail_are_told_how(name):
    assert exercises.check(name, broken) == 'Not yet: your function raised KeyError: "nobody\'s fault".'
    assert "raised TypeError" in exercises.check(name, lambda: 1.0)
    assert exercises.check(name, lambda *arguments: None).endswith("returns None; perhaps a `return` is missing.")
    assert "the result of your function is a text where" in exercises.check(name, lambda *arguments: "seven")
    assert "the result of your function is an array of shape (6, 5, 2) where" in exercises.check(
        name, lambda *arguments: jnp.ones((6, 5, 2))
    )
    assert exercises.check(name, 3.0) == "Not yet: a function is expected, but your answer is a number."


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_are_off_are_told_how(name):
    right = EXERCISES[name].right
    assert exercises.check(name, str(right)) == "Not yet: your answer is a text where one number is expected."
    assert "not a function; call it first" in exercises.check(name, lambda: right)
    assert "is an array of shape (1,) where one number" in exercises.check(name, [right])
    assert "is too large" in exercises.check(name, 1.37 * right)
    assert "is too small" in exercises.check(name, 0.97 * right)
    assert exercises.check(name, np.float32(right)).startswith("Right: ")


@pytest.mark.parametrize("name", WORDS)
def test_words_are_read_kindly_and_others_answered_with_the_choice(name):
    exercise = EXERCISES[name]
    assert exercises.check(name, f"  {exercise.right.upper()} ").startswith("Right: ")
    assert {exercise.right, *(slip.answer for slip in exercise.slips)} == set(exercise.choices)
    told = exercises.check(name, "the moon")
    assert all(repr(choice) in told for choice in exercise.choices)


@pytest.mark.parametrize("ask", [exercises.question, lambda name: exercises.check(name, 1)])
def test_an_unknown_exercise_is_answered_with_those_there_are(ask):
    with pytest.raises(ValueError, match=r"no exercise '99-none'; choose from 01-answers, .*, 10-parts"):
        ask("99-none")


def test_nothing_is_printed(capsys):
    for name in ("01-layer", "06-times", "08-wall"):
        exercises.check(name, EXERCISES[name].right)
        exercises.check(name, broken)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([1.0, 2.0, 4.0], None),
        ([-1.0, -2.0, -4.0], "has the right sizes but every sign is wrong"),
        ([2.0, 4.0, 8.0], "has the right proportions, but all its numbers are too large"),
        ([0.5, 1.0, 2.0], "has the right proportions, but all its numbers are too small"),
        ([2.0, 1.0, 4.0], "has the right numbers in another order"),
        ([1.0, 2.0, 5.0], "has the right shape, but 1 of its 3 numbers differ"),
        ([1.0, np.nan, 4.0], "holds NaN or infinity"),
        ([True, True, False], "has the right shape, but 2 of its 3 numbers differ"),
        (True, "is True or False where an array of shape (3,) is expected"),
        (["a", "b", "c"], "is of type list where an array of shape (3,) is expected"),
        ([[1.0, 2.0, 4.0]], "is an array of shape (1, 3) where an array of shape (3,) is expected"),
    ],
)
def test_arrays_that_are_off_are_told_how(answer, told):
    assert difference(np.array([1.0, 2.0, 4.0]), answer) == told


def test_pytrees_are_compared_leaf_by_leaf():
    right = (Layer(np.ones((2, 3)), np.zeros(2)),)
    assert (
        difference(right, [(np.ones((2, 3)), [0.0, 0.0])][0:0])
        == "is of type list where a pytree with 2 arrays is expected"
    )
    assert difference(right, [(jnp.ones((2, 3)), jnp.zeros(2))]) is None
    assert (
        difference(right, [(jnp.ones((2, 3)), jnp.zeros(3))])
        == "is an array of shape (3,) where an array of shape (2,) is expected"
    )
    assert difference(right, [(jnp.ones((2, 3)), jnp.ones(2))]) == "has the right shape, but 2 of its 8 numbers differ"


def test_a_slip_that_equals_the_right_answer_would_be_noticed(monkeypatch):
    twin = Exercise("What is 2?", 2.0, "it is even.", (Slip(2, "you guessed."),))
    monkeypatch.setitem(EXERCISES, "twin", twin)
    assert exercises.check("twin", twin.slips[0].answer) != "Not yet: you guessed."


def test_functions_that_only_jax_understands_are_right_too():
    by_adding = lambda output, label: jnp.sum(output.at[label].add(-1.0) ** 2)
    assert exercises.check("02-one-example", by_adding).startswith("Right: ")
    by_index = lambda loss, params, images: jnp.mean(
        jax.vmap(lambda i: loss(params, images[i]))(jnp.arange(len(images)))
    )
    assert exercises.check("09-contract", by_index).startswith("Right: ")


@pytest.mark.parametrize(
    ("name", "answer", "right"),
    [
        ("05-steps", 46_874, False), ("05-steps", 46_900, False), ("05-steps", 46_875.0, True), ("08-twins", 144.1, False),
        ("03-overshoot", Fraction(1, 5), True), ("09-pure", "BatchNorm", True), ("09-pure", "batch_norm", True),
    ],
)  # fmt: skip
def test_what_is_counted_is_exact_and_what_means_the_same_is_accepted(name, answer, right):
    assert exercises.check(name, answer).startswith("Right: ") == right


def test_a_layer_is_a_layer_and_not_two_arrays_in_some_order():
    for kind in (lambda kernel, bias: {"weights": kernel.T, "biases": bias}, lambda kernel, bias: (kernel.T, bias)):
        assert re.search("is of type (dict|tuple) where a Layer is expected", exercises.check("09-kernel", kind))
