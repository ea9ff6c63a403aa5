"""The pictures of one run: figures of its parameters and data, each with a caption."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet import bang, plot
from jaxnet.core import losses, metrics, network
from jaxnet.core.types import Batch, Dataset, Params
from jaxnet.plot.style import Picture, legible
from jaxnet.training.config import TrainConfig
from jaxnet.training.functions import Functions, certainty
from jaxnet.training.records import Columns
from jaxnet.training.tables import ACTIVATIONS

GRADIENT_IMAGES = 10_000
"""The gradients of the report are averages over this number of training images."""


class Gradients(NamedTuple):
    """The gradient of the cost before and after training, and the optimizer's first step.

    Attributes:
        start: The gradient at the random start.
        end: The gradient at the trained parameters.
        first_updates: The optimizer's first step from the random start.
        images: The number of images. The cost is the average over these images.
    """

    start: Params
    end: Params
    first_updates: Params
    images: int


def gradients(functions: Functions, start: Params, end: Params, train: Batch) -> Gradients:
    """Compute the gradient of the cost before and after training. The cost is the mean over the first training images."""
    count = min(GRADIENT_IMAGES, len(train.labels))
    grad = jax.jit(jax.grad(functions.cost))

    def average(params: Params) -> Params:
        """The average gradient. The loop is a Python loop: in a compiled loop, XLA's convolutions are very slow on a CPU."""
        total = None
        for start in range(0, count, 1000):
            cut = slice(start, min(start + 1000, count))
            part = grad(params, Batch(jnp.asarray(train.images[cut]), jnp.asarray(train.labels[cut])))
            part = jax.tree.map(lambda leaf, size=cut.stop - cut.start: leaf * (size / count), part)
            total = part if total is None else jax.tree.map(jnp.add, total, part)
        return total

    first, last = average(start), average(end)
    first_step = jax.jit(
        lambda grads, params: functions.optimizer.update(grads, functions.optimizer.init(params), params)[0]
    )
    return Gradients(first, last, first_step(first, start), count)


def of_gradients(
    settings: TrainConfig, params: Params, found: Gradients, train: Batch, classes: Any
) -> Iterator[tuple[str, Picture]]:
    """The pictures of the gradient: the network with every component, maps by pixel, bars by layer, the ranking."""
    average = f"average over {found.images:,} training images"
    down, down_end = (jax.tree.map(lambda leaf: -np.asarray(leaf), grads) for grads in (found.start, found.end))
    unit = "decrease of the cost per unit of the parameter"
    shape = tuple(train.images.shape[1:])
    if settings.model == "dense":
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        drawn = sum(layer.weights.size for layer in params) <= plot.MOST_EDGES
        mean = np.asarray(train.images[: found.images]).reshape(found.images, -1).mean(0)
        look = {"unit": unit, "image": mean, "image_shape": shape, "classes": classes}
        first = f"Where the bang for the buck is: all {count:,} components of the negative gradient"
        told = (
            "Blue (the right end of the bar): move the parameter up. Orange (the left end): move it down. The stronger the color "
            f"and the thicker the line, the more the cost falls per unit of the parameter ({average})."
        )
        if drawn:
            yield (
                "bang",
                Picture(
                    plot.edges(down, title=f"{first}, before training", **look),
                    f"Every weight is a line, and every bias is a ring. No parameter is left out. {told}",
                ),
            )
            yield (
                "bang_trained",
                Picture(
                    plot.edges(down_end, title=f"{first}, after training", **look),
                    "The negative gradient after training. The scale is not the scale of the picture before "
                    "training: see the numbers at the bar.",
                ),
            )
            yield (
                "bang_print",
                Picture(
                    plot.edges(down, title=first, **look, theme=plot.LIGHT),
                    "The first picture on white, for print.",
                ),
            )
        yield (
            "weights",
            Picture(
                plot.pixel_maps(
                    params[0].weights, image_shape=shape, title="Which pixels each first-layer neuron looks for"
                ),
                "The weights into each neuron of the first hidden layer, each at its pixel. Where the weight is blue "
                "(positive), a lit pixel raises the neuron's sum. Where it is orange (negative), a lit pixel lowers the sum.",
            ),
        )
        yield (
            "gradient_maps",
            Picture(
                plot.pixel_maps(
                    down[0].weights,
                    image_shape=shape,
                    title="How each pixel's weight should change to lower the cost",
                    unit=unit,
                ),
                f"The negative gradient of these weights before training ({average}). The cost falls if blue weights rise "
                "and orange weights fall. Weights from pixels that are zero in every image have no gradient.",
            ),
        )
    shares = {"plain gradient descent": bang.by_leaf(jax.jit(bang.share)(found.start))}
    title = "Which layers lower the cost in the first step"
    if settings.optimizer != "sgd":
        bought = bang.by_leaf(jax.jit(bang.earned)(found.start, found.first_updates))
        total = sum(bought.values()) or 1.0
        shares[f"{settings.optimizer}, as trained"] = {name: part / total for name, part in bought.items()}
    yield (
        "layers",
        Picture(
            plot.by_layer(shares, title=title),
            "The decrease of the cost that the gradient predicts for the first step, split over the arrays of parameters. "
            "The split depends on the optimizer.",
        ),
    )
    yield (
        "ranking",
        Picture(
            plot.ranking(
                bang.top(found.start, 15, image_shape=shape),
                title="The most bang for the buck, before training",
            ),
            "The fifteen largest components of the gradient. Each row says which parameter to nudge, and in which direction. The "
            "number behind each bar is the ratio of this bar to the next bar.",
        ),
    )


def of_reading(
    settings: TrainConfig, functions: Functions, start: Params, params: Params, dataset: Dataset, outputs: Any
) -> Iterator[tuple[str, Picture]]:
    """The pictures of the answers: before and after training, one image's cost, lit neurons, mistakes."""
    images, labels, classes = dataset.test.images, np.asarray(dataset.test.labels), dataset.classes
    after, count = certainty(functions, outputs), min(8, len(labels))
    before = certainty(functions, metrics.predict(functions.apply, start, images[:count], chunk_size=count))
    yield (
        "before_after",
        Picture(
            plot.digits_read(
                images[:count],
                labels[:count],
                before,
                after[:count],
                classes=classes,
                title="Random start, trained network",
            ),
            "The first test images, with the outputs of the untrained network (middle) and of the trained network (below). The "
            "strongest output is blue if it is right, and orange if it is wrong.",
        ),
    )
    lost = (
        None
        if functions.loss is losses.squared_error
        else float(functions.loss(functions.apply(start, images[0]), int(labels[0])))
    )
    yield (
        "cost_of_one",
        Picture(
            plot.cost_of_one(
                images[0],
                int(labels[0]),
                before[0],
                classes=classes,
                loss=lost,
                title="The cost of one image, before training",
            ),
            "Left: the image. Middle: the network's outputs as bars, and the wanted outputs as rings. Right: the square of the "
            "distance between bar and ring. The cost is the sum of these squares.",
        ),
    )
    if settings.model == "dense":
        squash = {"activation": ACTIVATIONS[settings.activation], "output": ACTIVATIONS[settings.output]}
        lit = jax.jit(functools.partial(network.forward, **squash))(params, images[0])
        yield (
            "lit",
            Picture(
                plot.activations(
                    [*lit[:-1], after[0]],
                    title=f"One image on its way: {legible(classes)[after[0].argmax()]}",
                    classes=classes,
                ),
                "The first test image on its way through the network. A disk with more contrast is a neuron with a higher "
                "activation. The ring marks the answer.",
            ),
        )
    wrong = metrics.mistakes(outputs, labels)
    answers = after.argmax(-1)
    share = f"{len(wrong):,} of {len(labels):,} test images get a wrong answer"
    yield (
        "mistakes",
        Picture(
            plot.mistakes_gallery(
                images[wrong[:32]],
                labels[wrong[:32]],
                answers[wrong[:32]],
                after[wrong[:32]].max(-1),
                classes=classes,
                title=share,
            ),
            "The most confident mistakes. Above each image: its label → the network's answer, and the confidence of the "
            "answer. Some images are hard for people too.",
        ),
    )
    judged = metrics.evaluation(functions.loss, outputs, labels)
    yield (
        "confusion",
        Picture(
            plot.confusion(judged.confusion, classes=classes, title="Which label gets which answer"),
            "Test images, counted by label (row) and answer (column). The diagonal counts right answers. Only mistakes are shaded. "
            "A stronger shade means more mistakes.",
        ),
    )


def of_history(history: Columns, evaluations: Columns, judged_by: str) -> Picture:
    """The training curve."""
    return Picture(
        plot.history(history, evaluations, judged_by=judged_by, title="Downhill"),
        "Left: the cost of every step's batch, and the cost at every evaluation. Right: the percentage of wrong answers.",
    )


def of_signals(signals: Columns, params: Params) -> Picture:
    """What `--watch-every` measured for every array of parameters during the run."""
    names = [name for name, _ in bang.named_leaves(params)]
    return Picture(
        plot.signals(signals, names, title="What every layer was doing"),
        "For every array: the length of the gradient, the length of the update relative to the parameters, the part of the fall "
        "of the cost, and signal to noise.",
    )
