"""Exercises about the cost and about training: one example, the average, steps, accuracy, mistakes."""

from typing import Any

import numpy as np

from jaxnet.core import metrics
from jaxnet.exercises import _samples
from jaxnet.exercises._model import Exercise, Slip


def _wanted(labels: Any) -> Any:
    return np.eye(10, dtype=np.float32)[labels]


def _one() -> tuple[tuple[Any, ...], ...]:
    return (_samples.uniform(0, 10), 3), (_samples.uniform(1, 10), 0), (_wanted(7), 7)


def _several() -> tuple[tuple[Any, ...], ...]:
    return (_samples.uniform(2, 12, 10), _samples.digits().labels), (_samples.uniform(3, 7, 10), _samples.labels(4, 7))


def _many() -> tuple[tuple[Any, ...], ...]:
    # For half of the images, 1 is added to the output of the label, so that there are right and wrong answers.
    labels = _samples.labels(5, 40)
    pulled = _samples.uniform(6, 40, 10) + np.where(np.arange(40) < 20, 1, 0)[:, None] * _wanted(labels)
    return (pulled, labels), (_samples.uniform(7, 15, 10), _samples.labels(8, 15))


def _each(outputs: Any, labels: Any) -> Any:
    return np.sum((outputs - _wanted(labels)) ** 2, axis=1)


def _right(outputs: Any, labels: Any) -> Any:
    return np.argmax(outputs, axis=1) == labels


def _worst(outputs: Any, labels: Any) -> Any:
    return np.argmax(np.where(_right(outputs, labels), -np.inf, outputs.max(axis=1)))


EXERCISES = {
    "02-one-example": Exercise(
        "Write a function `loss(output, label)` that gives the film's cost of one example, for ten outputs and the digit that "
        "the image shows.",
        lambda output, label: np.sum((output - _wanted(label)) ** 2),
        "this number is small if the network is right and sure, and large if the network does not know what it is doing.",
        (
            Slip(
                lambda output, label: np.mean((output - _wanted(label)) ** 2),
                "that is the mean of the squares, not their sum.",
            ),
            Slip(
                lambda output, label: np.sum((output - _wanted(label)) ** 2) / 2,
                "your answer is half of the cost: Nielsen's book has a factor 1/2, but the film has no such factor.",
            ),
            Slip(
                lambda output, label: np.sqrt(np.sum((output - _wanted(label)) ** 2)),
                "you took the root at the end; the film only adds up the squares.",
            ),
            Slip(
                lambda output, label: np.sum(np.abs(output - _wanted(label))),
                "you added the differences without squaring them.",
            ),
            Slip(
                lambda output, label: (output[label] - 1) ** 2,
                "you used only the right output; the nine other outputs should be 0, and their differences count too.",
            ),
            Slip(
                lambda output, label: np.sum((output - label) ** 2),
                "you compared every output with the label's number; we want 1 for the right digit and 0 for the others.",
            ),
        ),
        _one,
    ),
    "02-average": Exercise(
        "Write a function `cost(outputs, labels)` that gives the film's cost of many images: one number, for outputs of shape "
        "(image, 10).",
        lambda outputs, labels: np.mean(_each(outputs, labels)),
        "averages over 32 images and over 60,000 images can be compared.",
        (
            Slip(
                lambda outputs, labels: np.sum(_each(outputs, labels)), "that is the sum over the batch, not the mean."
            ),
            Slip(
                lambda outputs, labels: np.mean((outputs - _wanted(labels)) ** 2),
                "you averaged over the ten outputs too; add up the outputs, and average over the images only.",
            ),
            Slip(_each, "your answer has the cost of every image; average these costs to one number."),
            Slip(
                lambda outputs, labels: np.mean(_each(outputs, labels)) / 2,
                "your answer is half of the cost: Nielsen's book has a factor 1/2, but the film has no such factor.",
            ),
            Slip(
                lambda outputs, labels: 1 - np.mean(_right(outputs, labels)),
                "your answer is the fraction of mistakes; this fraction changes in jumps, and between the jumps its slope is zero.",
            ),
        ),
        _several,
    ),
    "02-function-of": Exercise(
        "Which of these are the variables of the cost, while the network learns: 'pixels', 'labels', 'weights and "
        "biases', 'outputs' or 'learning rate'?",
        "weights and biases",
        "13,002 numbers go in and one number comes out; the training images stay fixed.",
        (
            Slip(
                "pixels",
                "the network is a function of the pixels; the cost is one step further, and the images stay fixed in it.",
            ),
            Slip("labels", "the labels stay fixed while the network learns; for the cost they are constants."),
            Slip(
                "outputs",
                "the outputs are only intermediate numbers; training changes other numbers, from which the outputs are computed.",
            ),
            Slip(
                "learning rate", "the learning rate says how far to step; the cost at one place does not depend on it."
            ),
        ),
        choices=("pixels", "labels", "weights and biases", "outputs", "learning rate"),
    ),
    "05-accuracy": Exercise(
        "Write a function `accuracy(outputs, labels)` that gives the fraction of images read correctly, between 0 and 1.",
        lambda outputs, labels: np.mean(_right(outputs, labels)),
        "people quote this number, but gradient descent cannot use it, because it has no slope.",
        (
            Slip(
                lambda outputs, labels: np.sum(_right(outputs, labels)),
                "you counted the images; divide by the number of images.",
            ),
            Slip(
                lambda outputs, labels: 1 - np.mean(_right(outputs, labels)),
                "your answer is the fraction of images that are read wrongly.",
            ),
            Slip(
                lambda outputs, labels: 100 * np.mean(_right(outputs, labels)),
                "your answer is in percent; the question asks for a fraction.",
            ),
            Slip(
                _right, "your answer says for every image whether it is read correctly; take the mean of these values."
            ),
            Slip(
                lambda outputs, labels: np.mean(np.take_along_axis(outputs, labels[:, None], axis=1)),
                "you averaged the value of the right output; but an image counts as 1 or as 0.",
            ),
        ),
        _many,
    ),
    "05-steps": Exercise(
        "How many steps does a training of 25 epochs take, with 60,000 images in batches of 32?",
        46_875,
        "a step uses one batch, so small batches give many steps in one pass through the images.",
        (
            Slip(1875, "that is one epoch; the question is about 25 epochs."),
            Slip(1_500_000, "you counted images; one step uses 32 images."),
            Slip(25, "your answer has one step for each epoch, with all 60,000 images in one batch."),
            Slip(
                60_000,
                "your answer is the number of images in one epoch; a step uses 32 images, and there are 25 epochs.",
            ),
        ),
    ),
    "05-worst-mistake": Exercise(
        "Write a function `worst(outputs, labels)` that gives the position of the worst mistake: among all misread images, the "
        "image with the brightest output.",
        _worst,
        "single mistakes tell more than the average: some of them are easy to understand, others are not.",
        (
            Slip(
                lambda outputs, labels: np.argmax(outputs.max(axis=1)),
                "you searched all images; the one you found may be read correctly.",
            ),
            Slip(
                lambda outputs, labels: np.argmin(np.where(_right(outputs, labels), np.inf, outputs.max(axis=1))),
                "your answer is the mistake with the darkest output; search for the mistake with the brightest output.",
            ),
            Slip(
                lambda outputs, labels: np.max(np.where(_right(outputs, labels), -np.inf, outputs.max(axis=1))),
                "your answer is the brightness of the output; the question asks for the position of the image.",
            ),
            Slip(
                lambda outputs, labels: metrics.mistakes(outputs, labels)[0],
                "you compared the answer with the right output; the question asks for the brightest output.",
            ),
            Slip(
                lambda outputs, labels: np.argmax(outputs[_worst(outputs, labels)]),
                "your answer is the digit that the network answered; the question asks for the position of the image.",
            ),
        ),
        _many,
    ),
}
