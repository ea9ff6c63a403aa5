"""Exercises about other people's models, and about many devices and many networks at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.exercises import samples
from jaxnet.exercises.declaring import Exercise, Slip
from jaxnet.network import Layer


def _kernels() -> tuple[tuple[Any, ...], ...]:
    return (samples.normal(0, 5, 3), samples.normal(1, 3)), (samples.normal(2, 4, 4), samples.normal(3, 4))


def _losses() -> tuple[tuple[Any, ...], ...]:
    images = samples.digits().images[:6].reshape(6, -1)
    return (_error, samples.normal(4, 784) / 28, images), (_distance, samples.normal(5, 3), samples.normal(6, 9, 3))


def _error(params: Any, image: Any) -> Any:
    return (jax.nn.sigmoid(params @ image) - 0.5) ** 2


def _distance(params: Any, image: Any) -> Any:
    return jnp.sum((params - image) ** 2)


def _each(loss: Any, params: Any, images: Any) -> Any:
    return jax.vmap(loss, in_axes=(None, 0))(params, images)


def _parts() -> tuple[tuple[Any, ...], ...]:
    return (np.array([2.0, 5.0, 1.0]), np.array([32, 32, 8])), (np.array([0.5, 0.1]), np.array([1, 99]))


def _networks() -> tuple[tuple[Any, ...], ...]:
    return (lambda params, image: jnp.tanh(params @ image), samples.normal(7, 3, 2, 4), samples.normal(8, 5, 4)), (
        lambda params, image: params * image,
        samples.normal(9, 4, 6),
        samples.normal(10, 4, 6),
    )


def _by_network(apply: Any, params: Any, images: Any) -> Any:
    return jax.vmap(lambda one: jax.vmap(lambda image: apply(one, image))(images))(params)


def _scores() -> tuple[tuple[Any, ...], ...]:
    return (np.array([0.951, 0.957, 0.948, 0.955]),), (np.array([1.0, 2.0, 4.0]),)


EXERCISES = {
    "09-kernel": Exercise(
        "flax stores a dense layer as a kernel of shape (in, out) and a bias; write a function `layer(kernel, bias)` that gives "
        "the same layer as jaxnet's `Layer(weights, biases)`.",
        lambda kernel, bias: Layer(kernel.T, bias),
        "the two conventions hold the same numbers: models move from one library to the other without being trained again.",
        (
            Slip(lambda kernel, bias: Layer(kernel, bias), "jaxnet's weights are (out, in), a row for each neuron."),
            Slip(
                lambda kernel, bias: Layer(kernel.reshape(kernel.shape[::-1]), bias),
                "reshape keeps the order of the numbers and so mixes the neurons; transpose turns the table.",
            ),
            Slip(lambda kernel, bias: Layer(kernel.T, np.zeros_like(bias)), "you lost the bias."),
            Slip(lambda kernel, bias: kernel.T, "that is the weights alone; a layer has biases too."),
            Slip(lambda kernel, bias: Layer(bias, kernel.T), "you swapped the two: weights come first, biases second."),
        ),
        _kernels,
    ),
    "09-contract": Exercise(
        "Any model is welcome that comes with a cost of a batch: write a function `cost(loss, params, images)` that makes one "
        "of any `loss(params, image)` of a single image.",
        lambda loss, params, images: jnp.mean(_each(loss, params, images)),
        "that is the whole contract: whatever satisfies it can be trained, and every instrument works on it.",
        (
            Slip(
                lambda loss, params, images: jnp.sum(_each(loss, params, images)),
                "that is the sum over the batch, not the mean: the steps would grow with the batch.",
            ),
            Slip(_each, "these are the losses of all images; a cost is one number."),
            Slip(lambda loss, params, images: loss(params, images[0]), "you read the first image alone."),
            Slip(
                lambda loss, params, images: loss(params, images.mean(0)),
                "you averaged the images first; the loss of the average image is not the average loss.",
            ),
            Slip(
                lambda loss, params, images: jnp.max(_each(loss, params, images)),
                "that is the worst image's; take the mean.",
            ),
        ),
        _losses,
    ),
    "09-pure": Exercise(
        "Which of these does not fit a pure `cost(params, batch)` while it trains: 'convolution', 'dropout', 'layer norm' or "
        "'batch norm'?",
        "batch norm",
        "its running averages change with every batch, and a pure function has nowhere to put them.",
        (
            Slip("dropout", "its randomness is a key, and a key can travel in the batch."),
            Slip("convolution", "it is a function of its weights and the image, like a dense layer."),
            Slip("layer norm", "it takes its mean over one image's neurons and remembers nothing."),
        ),
        choices=("convolution", "dropout", "layer norm", "batch norm"),
    ),
    "10-parts": Exercise(
        "Each device gives the mean cost of its own part of the images; write a function `whole(means, sizes)` that gives the "
        "mean cost of all images, where the parts may differ in size.",
        lambda means, sizes: np.sum(means * sizes) / np.sum(sizes),
        "with it a batch can be divided among any number of devices, and the step stays the same.",
        (
            Slip(
                lambda means, sizes: np.mean(means),
                "every device counts the same for you; one with fewer images should count less.",
            ),
            Slip(lambda means, sizes: np.sum(means), "you added the means up."),
            Slip(
                lambda means, sizes: np.sum(means * sizes),
                "that is the sum of all costs; divide by the number of images.",
            ),
            Slip(
                lambda means, sizes: np.sum(means * sizes) / len(sizes),
                "you divided by the number of devices; divide by the number of images.",
            ),
        ),
        _parts,
    ),
    "10-ensemble": Exercise(
        "Write a function `outputs(apply, params, images)` that lets many networks, stacked along the leading axis of params, "
        "read the same images: (network, image, output).",
        _by_network,
        "hundreds of small networks fill a processor that one of them leaves idle.",
        (
            Slip(
                lambda apply, params, images: jnp.swapaxes(_by_network(apply, params, images), 0, 1),
                "your axes are (image, network, output); the outer vmap decides the first one.",
            ),
            Slip(
                lambda apply, params, images: jax.vmap(lambda image: apply(params[0], image))(images),
                "only the first network reads.",
            ),
            Slip(
                lambda apply, params, images: _by_network(apply, params, images).mean(0),
                "you averaged the networks' outputs; each one's own are asked for.",
            ),
            Slip(
                lambda apply, params, images: _by_network(apply, params, images)[:, 0],
                "every network reads the first image alone; a second vmap runs over the images.",
            ),
        ),
        _networks,
    ),
    "10-error": Exercise(
        "Write a function `error(scores)` for the scores of several seeds that gives the standard error of their mean.",
        lambda scores: np.std(scores, ddof=1) / np.sqrt(len(scores)),
        "a difference between two settings that is smaller than about two of these may be luck.",
        (
            Slip(
                lambda scores: np.std(scores, ddof=1),
                "that is how far single networks scatter; their mean scatters less, the more of them there are.",
            ),
            Slip(
                lambda scores: np.std(scores) / np.sqrt(len(scores)),
                "numpy's std divides by n unless told ddof=1; a few seeds scatter more than that says.",
            ),
            Slip(lambda scores: np.std(scores, ddof=1) / len(scores), "divide by the root of how many there are."),
            Slip(lambda scores: np.var(scores, ddof=1) / len(scores), "that is its square; take the root."),
            Slip(lambda scores: np.mean(scores), "that is the mean; how sure is it?"),
        ),
        _scores,
    ),
}
