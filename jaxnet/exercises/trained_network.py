"""Exercises about trained networks: the first layer, confidence, memory, and minima."""

from typing import Any

import numpy as np

from jaxnet.exercises import _samples
from jaxnet.exercises._model import Exercise, Slip


def _weights() -> tuple[tuple[Any, ...], ...]:
    return (_samples.normal(0, 16, 784), 0), (_samples.normal(1, 30, 784), 7)


def _map(weights: Any, neuron: int) -> Any:
    return weights[neuron].reshape(28, 28)


def _logits() -> tuple[tuple[Any, ...], ...]:
    return (3 * _samples.normal(2, 8, 10),), (_samples.normal(3, 10, 10),)


def _softmax(logits: Any, axis: int) -> Any:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _walls() -> tuple[tuple[Any, ...], ...]:
    above = np.array([1.0, 2.0, 4.0, 2.5, 3.0])
    uneven = np.array([0.5, 0.9, 1.2, 1.6, 1.9, 2.5])
    return (above,), (uneven,), (above[::-1] + 1,)


def _wall(costs: Any) -> Any:
    return np.max(costs - np.linspace(costs[0], costs[-1], len(costs)))


EXERCISES = {
    "07-map": Exercise(
        "Write a function `picture(weights, neuron)` that gives the weights from all 784 pixels into one hidden neuron as a "
        "28 x 28 picture, for weights (out, in) such as `params[0].weights`.",
        _map,
        "a neuron has one weight for each pixel, so you can look at its weights as a picture.",
        (
            Slip(
                lambda weights, neuron: weights[neuron].reshape(28, 28).T,
                "your picture lies on its side: the pixels are stored row by row.",
            ),
            Slip(
                lambda weights, neuron: np.abs(_map(weights, neuron)),
                "you lost the signs; the sign says whether a lit pixel excites the neuron or holds it back.",
            ),
            Slip(
                lambda weights, neuron: weights.reshape(28, 28, -1)[:, :, neuron],
                "you took the weights as (in, out); the weights of one neuron are a row of the matrix.",
            ),
            Slip(
                lambda weights, neuron: weights[neuron],
                "your answer has the right weights, but as one long row; reshape the weights into 28 rows.",
            ),
            Slip(
                lambda weights, neuron: _map(weights, neuron)[::-1],
                "your picture is upside down: the first row of pixels is at the top.",
            ),
        ),
        _weights,
    ),
    "07-confidence": Exercise(
        "Write a function `confidence(logits)` that gives the softmax probability of each image's strongest answer, for logits of "
        "shape (image, 10).",
        lambda logits: np.max(_softmax(logits, axis=1), axis=1),
        "the confidence can be close to 1 for pure noise: softmax compares ten answers, and none of "
        "them is 'I do not know'.",
        (
            Slip(lambda logits: np.max(logits, axis=1), "that is the largest logit; first make probabilities by softmax."),
            Slip(
                lambda logits: _softmax(logits, axis=1),
                "your answer has all ten probabilities; take the largest probability for each image.",
            ),
            Slip(
                lambda logits: np.max(_softmax(logits, axis=0), axis=1),
                "your softmax runs over the images; the ten answers to one image must add up to 1.",
            ),
            Slip(
                lambda logits: np.argmax(logits, axis=1),
                "your answer is the digit; the question asks how sure the network is of the digit.",
            ),
            Slip(
                lambda logits: np.max(1 / (1 + np.exp(-logits)), axis=1),
                "you squashed each logit alone; softmax compares all ten logits.",
            ),
        ),
        _logits,
    ),
    "07-noise": Exercise(
        "Why does the trained network light an output, sometimes brightly, when it reads random noise: 'noise looks like digits', "
        "'nothing in training asked it to be unsure', 'it has too few neurons' or 'it was not trained long enough'?",
        "nothing in training asked it to be unsure",
        "the network saw only digits, and the cost rewards confidence; with noise in the training, this changes.",
        (
            Slip("noise looks like digits", "noise does not look like digits to us; what does the cost reward?"),
            Slip("it has too few neurons", "networks of any size do this; what does the cost reward?"),
            Slip("it was not trained long enough", "longer training on digits makes the network more confident, on noise too."),
        ),
        choices=(
            "noise looks like digits", "nothing in training asked it to be unsure", "it has too few neurons",
            "it was not trained long enough",
        ),
    ),
    "08-chance": Exercise(
        "Networks learned 60,000 images with shuffled labels by heart; the ten digits are equally frequent. Which fraction of "
        "new images will they read correctly, on average over many shuffles?",
        0.1,
        "a perfect score on the training images alone does not prove that a network has understood something.",
        (
            Slip(1.0, "that is the score on the images learned by heart; shuffled labels teach nothing about new images."),
            Slip(0.0, "to be wrong every time, a network would have to know the right answer and avoid it."),
            Slip(0.5, "your answer is right if there are two classes; there are ten digits."),
            Slip(0.9, "your answer is the fraction of images that are read wrongly."),
            Slip(10.0, "your answer is in percent; a fraction is between 0 and 1."),
        ),
    ),
    "08-twins": Exercise(
        "A network has two hidden layers, with 4 and with 3 neurons. How many orders of its hidden neurons (together with their "
        "weights) give the same outputs?",
        144,
        "every minimum has this many twins; for 16 and 16 neurons there are 4e26, so two solutions rarely look alike.",
        (
            Slip(24, "you counted only the first hidden layer; for each of its orders, the second layer can have any order."),
            Slip(6, "you counted only the second hidden layer; for each of its orders, the first layer can have any order."),
            Slip(30, "you added the orders of the two layers; but every order of one layer goes with every order of the other."),
            Slip(12, "you multiplied the numbers of neurons; 4 neurons alone have 24 orders."),
            Slip(5040, "you mixed all 7 neurons; a neuron cannot leave its layer."),
            Slip(1, "swap two neurons with all weights into and out of them: the sums do not change."),
        ),
    ),
    "08-wall": Exercise(
        "`costs` are the costs at evenly spaced places on the straight way between two solutions. Draw a straight line "
        "from the first cost to the last cost. Write a function `wall(costs)` that gives the largest height of a cost "
        "above this line.",
        _wall,
        "a wall of zero means that the straight way between the two solutions has no hill.",
        (
            Slip(lambda costs: np.max(costs), "your answer is the highest cost; measure from the line between the two ends."),
            Slip(lambda costs: np.max(costs) - np.min(costs), "you measured from the lowest cost; the two ends need not be equal."),
            Slip(lambda costs: np.max(costs) - np.mean([costs[0], costs[-1]]),
                 "you measured from the mean of the ends; if the ends differ, the line between them is not level."),
            Slip(lambda costs: np.max(costs) - costs[0],
                 "you measured only from the first end; measure from the line between the two ends."),
            Slip(lambda costs: np.max(costs) - max(costs[0], costs[-1]),
                 "you measured only from the higher end; measure from the line between the two ends."),
        ),
        _walls,
    ),
}  # fmt: skip
