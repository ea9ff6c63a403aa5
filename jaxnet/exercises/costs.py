"""Exercises about the cost and about learning to read: one example, the average, steps, accuracy, mistakes."""

from typing import Any

import numpy as np

from jaxnet import losses
from jaxnet.exercises import samples
from jaxnet.exercises.declaring import Exercise, Slip


def _wanted(labels: Any) -> Any:
    return np.eye(10, dtype=np.float32)[labels]


def _one() -> tuple[tuple[Any, ...], ...]:
    return (samples.uniform(0, 10), 3), (samples.uniform(1, 10), 0), (_wanted(7), 7)


def _several() -> tuple[tuple[Any, ...], ...]:
    return (samples.uniform(2, 12, 10), samples.digits().labels), (samples.uniform(3, 7, 10), samples.labels(4, 7))


def _many() -> tuple[tuple[Any, ...], ...]:
    # Half of them are pulled toward their label, so that there are right answers and wrong ones.
    labels = samples.labels(5, 40)
    pulled = samples.uniform(6, 40, 10) + np.where(np.arange(40) < 20, 1, 0)[:, None] * _wanted(labels)
    return (pulled, labels), (samples.uniform(7, 15, 10), samples.labels(8, 15))


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
        "it is small when the network is confidently right and large when it does not know what it is doing.",
        (
            Slip(
                lambda output, label: np.mean((output - _wanted(label)) ** 2),
                "that is the mean of the squares, not their sum.",
            ),
            Slip(
                lambda output, label: np.sum((output - _wanted(label)) ** 2) / 2,
                "that is half of it: Nielsen's book puts a factor 1/2 in front, the film does not.",
            ),
            Slip(
                lambda output, label: np.sqrt(np.sum((output - _wanted(label)) ** 2)),
                "you took the root at the end; the film adds up the squares and leaves it there.",
            ),
            Slip(
                lambda output, label: np.sum(np.abs(output - _wanted(label))),
                "you added the differences without squaring them.",
            ),
            Slip(
                lambda output, label: (output[label] - 1) ** 2,
                "you looked at the right output alone; the nine others should be 0 and cost as well.",
            ),
            Slip(
                lambda output, label: np.sum((output - label) ** 2),
                "you compared every output with the label's number; it should be 1 for the right digit and 0 for the others.",
            ),
        ),
        _one,
    ),
    "02-average": Exercise(
        "Write a function `cost(outputs, labels)` that says how lousy the network is on many images, by the film's squared "
        "differences summed over the outputs, of shape (image, 10): one number.",
        lambda outputs, labels: np.mean(_each(outputs, labels)),
        "an average stays comparable whether it is taken over 32 images or over 60,000.",
        (
            Slip(
                lambda outputs, labels: np.sum(_each(outputs, labels)), "that is the sum over the batch, not the mean."
            ),
            Slip(
                lambda outputs, labels: np.mean((outputs - _wanted(labels)) ** 2),
                "you averaged over the ten outputs too; they are added up, only the images are averaged.",
            ),
            Slip(_each, "that is the cost of every image; average them to one number."),
            Slip(
                lambda outputs, labels: np.mean(_each(outputs, labels)) / 2,
                "that is half of it: Nielsen's book puts a factor 1/2 in front, the film does not.",
            ),
            Slip(
                lambda outputs, labels: 1 - np.mean(_right(outputs, labels)),
                "that is the share of misread images; it jumps, and where it does not jump its slope is zero.",
            ),
        ),
        _several,
    ),
    "02-function-of": Exercise(
        "While the network learns, the cost is a function of what: 'pixels', 'labels', 'weights and biases', 'outputs' or "
        "'learning rate'?",
        "weights and biases",
        "13,002 numbers go in and one comes out; the training images are what stays fixed.",
        (
            Slip(
                "pixels",
                "the network is a function of the pixels; the cost is one step further, and the images stay fixed in it.",
            ),
            Slip("labels", "the labels stay fixed while the network learns; they are parameters of the cost."),
            Slip("outputs", "the outputs come in between; what can be turned to change them lies further back."),
            Slip("learning rate", "the learning rate says how far to step; the cost at a place does not know it."),
        ),
        choices=("pixels", "labels", "weights and biases", "outputs", "learning rate"),
    ),
    "05-accuracy": Exercise(
        "Write a function `accuracy(outputs, labels)` that gives the fraction of images read correctly, between 0 and 1.",
        lambda outputs, labels: np.mean(_right(outputs, labels)),
        "this is the number people quote, but the descent cannot use it: it has no slope.",
        (
            Slip(
                lambda outputs, labels: np.sum(_right(outputs, labels)),
                "you counted the images; divide by how many there are.",
            ),
            Slip(lambda outputs, labels: 1 - np.mean(_right(outputs, labels)), "that is the fraction it gets wrong."),
            Slip(
                lambda outputs, labels: 100 * np.mean(_right(outputs, labels)),
                "that is in percent; the question asks for a fraction.",
            ),
            Slip(_right, "that says for every image whether it was read; take the mean."),
            Slip(
                lambda outputs, labels: np.mean(np.take_along_axis(outputs, labels[:, None], axis=1)),
                "you averaged how bright the right output is; an image counts fully or not at all.",
            ),
        ),
        _many,
    ),
    "05-steps": Exercise(
        "How many steps does a training of 25 epochs take, with 60,000 images in batches of 32?",
        46_875,
        "a step costs one batch, so small batches give many steps for the price of one pass through the images.",
        (
            Slip(1875, "that is one epoch; the question is about 25 of them."),
            Slip(1_500_000, "you counted images; one step takes 32 of them."),
            Slip(25, "that is one step an epoch, as if the batch were all 60,000 images."),
            Slip(60_000, "that is the images of one epoch; a step takes 32 of them, and there are 25 epochs."),
        ),
    ),
    "05-worst-mistake": Exercise(
        "Write a function `worst(outputs, labels)` that gives the position of the misread image whose brightest output is the "
        "brightest of all misread images.",
        _worst,
        "looking at single mistakes tells more than the average: some you forgive, some you do not.",
        (
            Slip(
                lambda outputs, labels: np.argmax(outputs.max(axis=1)),
                "you searched all images; this one may well be read correctly.",
            ),
            Slip(
                lambda outputs, labels: np.argmin(np.where(_right(outputs, labels), np.inf, outputs.max(axis=1))),
                "that is the misread image that the network was least sure of.",
            ),
            Slip(
                lambda outputs, labels: np.max(np.where(_right(outputs, labels), -np.inf, outputs.max(axis=1))),
                "that is how bright its output is; the question asks at which position the image is.",
            ),
            Slip(
                lambda outputs, labels: losses.mistakes(outputs, labels)[0],
                "that ranks by how far the answer outshines the right output; the question asks for the brightest output.",
            ),
            Slip(
                lambda outputs, labels: np.argmax(outputs[_worst(outputs, labels)]),
                "that is the digit it was read as; the question asks at which position the image is.",
            ),
        ),
        _many,
    ),
}
