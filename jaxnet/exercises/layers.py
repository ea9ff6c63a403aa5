"""Exercises about the network as a function: the number of parameters, one layer, and the answers."""

import itertools
import math
from typing import Any

import numpy as np

from jaxnet.exercises import _samples
from jaxnet.exercises._model import Exercise, Slip


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _pairs(sizes: Any) -> list[tuple[int, int]]:
    return list(itertools.pairwise(sizes))


def _shapes() -> tuple[tuple[Any, ...], ...]:
    return ((784, 16, 16, 10),), ((784, 30, 10),), ((5, 4),)


def _layers() -> tuple[tuple[Any, ...], ...]:
    real = (_samples.normal(0, 16, 784) / 28, _samples.normal(1, 16), _samples.digits().images[0].reshape(-1))
    square = (_samples.normal(2, 4, 4), _samples.normal(3, 4), _samples.uniform(4, 4))
    return real, square


def _outputs() -> tuple[tuple[Any, ...], ...]:
    return (_samples.uniform(5, 10, 10),), (_samples.uniform(6, 25, 10),)


EXERCISES = {
    "01-parameters": Exercise(
        "Write a function `parameters(sizes)` that counts all weights and biases of a network, where `sizes` has the number of "
        "neurons in each layer, such as `(784, 16, 16, 10)`.",
        lambda sizes: sum((before + 1) * after for before, after in _pairs(sizes)),
        "each of these numbers is one direction in which you can walk down the cost.",
        (
            Slip(
                lambda sizes: sum(before * after for before, after in _pairs(sizes)),
                "you counted the weights and forgot the biases.",
            ),
            Slip(
                lambda sizes: sum((before + 1) * after for before, after in _pairs(sizes)) + sizes[0],
                "you counted biases for the input pixels too; only the neurons of later layers have a bias.",
            ),
            Slip(
                lambda sizes: sum(before * after for before, after in _pairs(sizes)) + len(sizes) - 1,
                "you counted one bias for each layer; every neuron has its own bias.",
            ),
            Slip(
                lambda sizes: sum(before * (after + 1) for before, after in _pairs(sizes)),
                "you counted a bias for each input of a layer; the biases belong to the outputs of the layer.",
            ),
            Slip(
                lambda sizes: sum(sizes),
                "you counted the neurons; but most parameters belong to the connections between neurons.",
            ),
            Slip(
                math.prod, "you multiplied all sizes; only neighboring layers are connected, so add up layer by layer."
            ),
        ),
        _shapes,
    ),
    "01-layer": Exercise(
        "Write a function `layer(weights, biases, lit)` that computes the activations of the next layer from the activations `lit` "
        "of this layer, with weights (out, in) and the sigmoid.",
        lambda weights, biases, lit: _sigmoid(weights @ lit + biases),
        "the whole network is this line, once for every layer.",
        (
            Slip(
                lambda weights, biases, lit: weights @ lit + biases,
                "you stopped at the weighted sum plus bias and forgot the sigmoid.",
            ),
            Slip(lambda weights, biases, lit: _sigmoid(weights @ lit), "you forgot the biases."),
            Slip(
                lambda weights, biases, lit: _sigmoid(weights @ lit - biases),
                "you subtracted the biases; add the biases. A neuron with a negative bias is hard to light.",
            ),
            Slip(
                lambda weights, biases, lit: _sigmoid(weights @ lit) + biases,
                "you added the biases after the sigmoid; add the biases to the weighted sum, before the sigmoid.",
            ),
            Slip(
                lambda weights, biases, lit: np.maximum(weights @ lit + biases, 0),
                "you used ReLU; the question asks for the sigmoid.",
            ),
        ),
        _layers,
    ),
    "01-answers": Exercise(
        "Write a function `answers(outputs)` that gives the digit that the network reads in each image, for outputs of shape "
        "(image, 10).",
        lambda outputs: np.argmax(outputs, axis=1),
        "the network gives ten numbers; we decide that the brightest output is its answer.",
        (
            Slip(
                lambda outputs: np.max(outputs, axis=1),
                "that is the value of the brightest output; the question asks for its position.",
            ),
            Slip(
                lambda outputs: np.argmin(outputs, axis=1),
                "you took the darkest output; the brightest output is the answer.",
            ),
            Slip(
                lambda outputs: np.argmax(outputs, axis=0),
                "you searched along the images; search along the ten outputs of each image (axis 1).",
            ),
            Slip(
                lambda outputs: np.argmax(outputs, axis=1) + 1,
                "you count outputs from 1; the first output stands for digit 0.",
            ),
            Slip(np.argmax, "you searched all images at once; each image has its own answer."),
        ),
        _outputs,
    ),
}
