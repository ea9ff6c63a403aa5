"""Exercises about models from other libraries, and about many devices and many networks at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.core.network import Layer
from jaxnet.exercises import _samples
from jaxnet.exercises._model import Exercise, Slip


def _kernels() -> tuple[tuple[Any, ...], ...]:
    return (_samples.normal(0, 5, 3), _samples.normal(1, 3)), (_samples.normal(2, 4, 4), _samples.normal(3, 4))


def _losses() -> tuple[tuple[Any, ...], ...]:
    images = _samples.digits().images[:6].reshape(6, -1)
    return (_error, _samples.normal(4, 784) / 28, images), (_distance, _samples.normal(5, 3), _samples.normal(6, 9, 3))


def _error(params: Any, image: Any) -> Any:
    return (jax.nn.sigmoid(params @ image) - 0.5) ** 2


def _distance(params: Any, image: Any) -> Any:
    return jnp.sum((params - image) ** 2)


def _each(loss: Any, params: Any, images: Any) -> Any:
    return jax.vmap(loss, in_axes=(None, 0))(params, images)


def _parts() -> tuple[tuple[Any, ...], ...]:
    return (np.array([2.0, 5.0, 1.0]), np.array([32, 32, 8])), (np.array([0.5, 0.1]), np.array([1, 99]))


def _networks() -> tuple[tuple[Any, ...], ...]:
    return (lambda params, image: jnp.tanh(params @ image), _samples.normal(7, 3, 2, 4), _samples.normal(8, 5, 4)), (
        lambda params, image: params * image,
        _samples.normal(9, 4, 6),
        _samples.normal(10, 4, 6),
    )


def _by_network(apply: Any, params: Any, images: Any) -> Any:
    return jax.vmap(lambda one: jax.vmap(lambda image: apply(one, image))(images))(params)


def _scores() -> tuple[tuple[Any, ...], ...]:
    return (np.array([0.951, 0.957, 0.948, 0.955]),), (np.array([1.0, 2.0, 4.0]),)


EXERCISES = {
    "09-kernel": Exercise(
        "flax stores a dense layer as a kernel of shape (in, out) and a bias. Write a function `layer(kernel, bias)` that gives "
        "the same layer as jaxnet's `Layer(weights, biases)`.",
        lambda kernel, bias: Layer(kernel.T, bias),
        "both libraries store the same numbers, so a model can move from one to the other without new training.",
        (
            Slip(
                lambda kernel, bias: Layer(kernel, bias),
                "jaxnet's weights are (out, in), with one row for each neuron.",
            ),
            Slip(
                lambda kernel, bias: Layer(kernel.reshape(kernel.shape[::-1]), bias),
                "reshape keeps the order of the numbers, so it mixes the neurons; transpose exchanges rows and columns.",
            ),
            Slip(lambda kernel, bias: Layer(kernel.T, np.zeros_like(bias)), "you lost the bias."),
            Slip(lambda kernel, bias: kernel.T, "your answer has only the weights; a layer has biases too."),
            Slip(
                lambda kernel, bias: Layer(bias, kernel.T),
                "you swapped weights and biases: the weights come first, and the biases second.",
            ),
        ),
        _kernels,
    ),
    "09-contract": Exercise(
        "jaxnet accepts any model with a cost of a batch. Write a function `cost(loss, params, images)` that makes this cost from "
        "any `loss(params, image)` of a single image.",
        lambda loss, params, images: jnp.mean(_each(loss, params, images)),
        "this cost is all that jaxnet needs: it can train every model with such a cost, and every instrument works with the model.",
        (
            Slip(
                lambda loss, params, images: jnp.sum(_each(loss, params, images)),
                "that is the sum over the batch, not the mean: steps would be longer with larger batches.",
            ),
            Slip(_each, "your answer has the losses of all images; a cost is one number."),
            Slip(lambda loss, params, images: loss(params, images[0]), "you used only the first image."),
            Slip(
                lambda loss, params, images: loss(params, images.mean(0)),
                "you averaged the images first; the loss of the average image is not the average loss.",
            ),
            Slip(
                lambda loss, params, images: jnp.max(_each(loss, params, images)),
                "your answer is the loss of the worst image; take the mean of all losses.",
            ),
        ),
        _losses,
    ),
    "09-pure": Exercise(
        "Which of these cannot be a part of a pure `cost(params, batch)` during the training: 'convolution', 'dropout', 'layer "
        "norm' or 'batch norm'?",
        "batch norm",
        "its running averages change with every batch, and a pure function cannot store them.",
        (
            Slip("dropout", "its randomness comes from a key, and the key can be a part of the batch."),
            Slip("convolution", "a convolution is a function of its weights and the image, like a dense layer."),
            Slip("layer norm", "layer norm averages over the neurons of one image and stores nothing."),
        ),
        choices=("convolution", "dropout", "layer norm", "batch norm"),
    ),
    "10-parts": Exercise(
        "Each device gives the mean cost of its own part of the images; the parts may have different sizes. Write a function "
        "`whole(means, sizes)` that gives the mean cost of all images.",
        lambda means, sizes: np.sum(means * sizes) / np.sum(sizes),
        "so any number of devices can share a batch, and the step stays the same.",
        (
            Slip(
                lambda means, sizes: np.mean(means),
                "you gave all devices the same weight; a device with fewer images should count less.",
            ),
            Slip(
                lambda means, sizes: np.sum(means),
                "you added up the means, but the question asks for the mean of all images.",
            ),
            Slip(
                lambda means, sizes: np.sum(means * sizes),
                "your answer is the sum of all costs; divide this sum by the number of images.",
            ),
            Slip(
                lambda means, sizes: np.sum(means * sizes) / len(sizes),
                "you divided by the number of devices; divide by the number of images.",
            ),
        ),
        _parts,
    ),
    "10-ensemble": Exercise(
        "Write a function `outputs(apply, params, images)` that gives the outputs of many networks for the same images, with shape "
        "(network, image, output); the networks are stacked along the leading axis of params.",
        _by_network,
        "hundreds of small networks keep a processor busy; one small network cannot.",
        (
            Slip(
                lambda apply, params, images: jnp.swapaxes(_by_network(apply, params, images), 0, 1),
                "your axes are (image, network, output); the outer vmap decides the first axis.",
            ),
            Slip(
                lambda apply, params, images: jax.vmap(lambda image: apply(params[0], image))(images),
                "you used only the first network.",
            ),
            Slip(
                lambda apply, params, images: _by_network(apply, params, images).mean(0),
                "you averaged over the networks; the question asks for the outputs of each network.",
            ),
            Slip(
                lambda apply, params, images: _by_network(apply, params, images)[:, 0],
                "your networks read only the first image; use a second vmap over the images.",
            ),
        ),
        _networks,
    ),
    "10-error": Exercise(
        "Write a function `error(scores)` that gives the standard error of the mean of several scores, one for each seed.",
        lambda scores: np.std(scores, ddof=1) / np.sqrt(len(scores)),
        "a difference between two settings may be luck if it is smaller than about two standard errors.",
        (
            Slip(
                lambda scores: np.std(scores, ddof=1),
                "that is the scatter of single networks; the mean of many networks scatters less.",
            ),
            Slip(
                lambda scores: np.std(scores) / np.sqrt(len(scores)),
                "without ddof=1, numpy's std divides by n, and for a few seeds the result is too small.",
            ),
            Slip(
                lambda scores: np.std(scores, ddof=1) / len(scores), "divide by the square root of the number of seeds."
            ),
            Slip(
                lambda scores: np.var(scores, ddof=1) / len(scores),
                "your answer is the square of the standard error; take the root.",
            ),
            Slip(lambda scores: np.mean(scores), "your answer is the mean; how precise is this mean?"),
        ),
        _scores,
    ),
}
