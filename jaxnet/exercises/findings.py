"""Exercises about what a network learned: its first layer, its confidence, its memory, and the valleys it ends in."""

from typing import Any

import numpy as np

from jaxnet.exercises import samples
from jaxnet.exercises.declaring import Exercise, Slip


def _weights() -> tuple[tuple[Any, ...], ...]:
    return (samples.normal(0, 16, 784), 0), (samples.normal(1, 30, 784), 7)


def _map(weights: Any, neuron: int) -> Any:
    return weights[neuron].reshape(28, 28)


def _logits() -> tuple[tuple[Any, ...], ...]:
    return (3 * samples.normal(2, 8, 10),), (samples.normal(3, 10, 10),)


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
        "Write a function `picture(weights, neuron)` that arranges the weights from all 784 pixels into one hidden neuron as a "
        "28 x 28 picture, with weights (out, in) as `params[0].weights`.",
        _map,
        "one row of the matrix is all that a neuron knows about the image, so it can be looked at as one.",
        (
            Slip(
                lambda weights, neuron: weights[neuron].reshape(28, 28).T,
                "your picture lies on its side: pixels are counted row by row.",
            ),
            Slip(
                lambda weights, neuron: np.abs(_map(weights, neuron)),
                "you lost the signs; whether a pixel excites the neuron or holds it back is half of the story.",
            ),
            Slip(
                lambda weights, neuron: weights.reshape(28, 28, -1)[:, :, neuron],
                "you cut the table as if it were (in, out); one neuron's weights are a row of it.",
            ),
            Slip(
                lambda weights, neuron: weights[neuron],
                "these are the right weights, as one long row; fold it into 28 rows.",
            ),
            Slip(
                lambda weights, neuron: _map(weights, neuron)[::-1],
                "your picture stands on its head: the first row of pixels is at the top.",
            ),
        ),
        _weights,
    ),
    "07-confidence": Exercise(
        "Write a function `confidence(logits)` that gives, for logits of shape (image, 10), the softmax probability of each "
        "image's strongest answer.",
        lambda logits: np.max(_softmax(logits, axis=1), axis=1),
        "it can be close to 1 for pure noise: it compares the ten answers, and none of them is 'I do not know'.",
        (
            Slip(lambda logits: np.max(logits, axis=1), "that is the largest logit; softmax makes probabilities of them first."),
            Slip(
                lambda logits: _softmax(logits, axis=1),
                "these are all ten probabilities; take the largest one for each image.",
            ),
            Slip(
                lambda logits: np.max(_softmax(logits, axis=0), axis=1),
                "your softmax runs over the images; the ten answers to one image must add up to 1.",
            ),
            Slip(
                lambda logits: np.argmax(logits, axis=1),
                "that is the answer; the question is how sure the network is of it.",
            ),
            Slip(
                lambda logits: np.max(1 / (1 + np.exp(-logits)), axis=1),
                "you squashed each logit by itself; softmax weighs the ten against each other.",
            ),
        ),
        _logits,
    ),
    "07-noise": Exercise(
        "Why does the trained network light an output at all, on some images brightly, when it is shown random noise: 'noise "
        "looks like digits', "
        "'nothing in training asked it to be unsure', 'it has too few neurons' or 'it was not trained long enough'?",
        "nothing in training asked it to be unsure",
        "all it ever saw were digits, and the cost rewards confidence; put noise into the training and it changes.",
        (
            Slip("noise looks like digits", "not to us, and other pixels are lit than in any digit; ask what it was rewarded for."),
            Slip("it has too few neurons", "networks of any size do the same; ask what the cost rewards."),
            Slip("it was not trained long enough", "longer training on digits makes it more confident, on noise too."),
        ),
        choices=(
            "noise looks like digits", "nothing in training asked it to be unsure", "it has too few neurons",
            "it was not trained long enough",
        ),
    ),
    "08-chance": Exercise(
        "Networks learned 60,000 images by heart whose labels had been shuffled, ten digits equally often; which fraction of "
        "new images will they read correctly, on average over many shuffles?",
        0.1,
        "a perfect score on the training images says nothing by itself about having learned something.",
        (
            Slip(1.0, "that is its score on the images it learned by heart; nothing in them carries over to new ones."),
            Slip(0.0, "to be wrong every time it would have to know the right answer, and avoid it."),
            Slip(0.5, "that would be chance with two answers; there are ten."),
            Slip(0.9, "that is how often it is wrong."),
            Slip(10.0, "that is in percent; a fraction lies between 0 and 1."),
        ),
    ),
    "08-twins": Exercise(
        "A network has two hidden layers, of 4 and of 3 neurons; in how many orders can its hidden neurons be put, together with "
        "their weights, without changing what it computes?",
        144,
        "every minimum has so many twins: for 16 and 16 neurons there are 4e26, so two solutions rarely look alike.",
        (
            Slip(24, "that is the first hidden layer alone; the second one can be ordered anew in each of these cases."),
            Slip(6, "that is the second hidden layer alone; the first one can be ordered anew in each of these cases."),
            Slip(30, "you added the two layers' orders; each of one goes with each of the other."),
            Slip(12, "you multiplied the numbers of neurons; 4 neurons alone have 24 orders."),
            Slip(5040, "you mixed all 7 neurons; a neuron cannot leave its layer."),
            Slip(1, "swap two neurons with all weights into and out of them: the sums stay what they are."),
        ),
    ),
    "08-wall": Exercise(
        "Write a function `wall(costs)` for the costs at evenly spaced places on the straight line between two solutions: by how "
        "much do they rise, at most, above the straight line from the first cost to the last?",
        _wall,
        "a wall of zero means that one can walk from one solution to the other and never get worse than in between.",
        (
            Slip(lambda costs: np.max(costs), "that is the highest cost; measure from what the two ends would lead one to expect."),
            Slip(lambda costs: np.max(costs) - np.min(costs), "you measured from the lowest cost; the two ends need not be equal."),
            Slip(lambda costs: np.max(costs) - np.mean([costs[0], costs[-1]]),
                 "you measured from the mean of the ends; where the ends differ the line between them is not level."),
            Slip(lambda costs: np.max(costs) - costs[0], "you measured from the first end alone."),
            Slip(lambda costs: np.max(costs) - max(costs[0], costs[-1]), "you measured from the higher end alone."),
        ),
        _walls,
    ),
}  # fmt: skip
