"""Costs with known answers, and Nielsen's backpropagation as an independent oracle."""

import jax.numpy as jnp
import numpy as np


def slope(params, batch):
    """The film's function of two numbers: its gradient is (3, 1) everywhere."""
    return 3 * params[0] + params[1]


def bowl(params, batch):
    """Minimum 0 at the origin; curvature 1 along x and 10 along y."""
    return (params["x"] ** 2 + 10 * params["y"] ** 2) / 2


def rosenbrock(params, batch):
    """Minimum 0 at (1, 1), at the end of a bent valley."""
    return (1 - params["x"]) ** 2 + 100 * (params["y"] - params["x"] ** 2) ** 2


def quartic_saddle(params, batch):
    """A saddle at the origin between minima of -1/4 at x = -1 and x = 1, y = 0."""
    return params["x"] ** 4 / 4 - params["x"] ** 2 / 2 + params["y"] ** 2 / 2


def mean_of_images(params, batch):
    """The squared distance of one number from every image's mean: least at the mean of all."""
    means = jnp.mean(batch.images.astype(float) / 255, axis=(1, 2))
    return jnp.mean((params - means) ** 2)


def backpropagation(layers, image, label):
    """The gradient of the film's cost of one image, written out by hand in numpy, float64.

    One example at a time, with deltas from the last layer back, as in Nielsen's book, chapter 2, equations BP1 to BP4,
    for his cost without the factor 1/2.
    """
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    activations = [np.asarray(image, np.float64).reshape(-1) / 255]
    for weights, biases in layers:
        activations.append(sigmoid(np.dot(weights, activations[-1]) + biases))
    wanted = np.zeros(len(activations[-1]))
    wanted[label] = 1.0
    delta = 2 * (activations[-1] - wanted) * activations[-1] * (1 - activations[-1])
    grads = [(np.outer(delta, activations[-2]), delta)]
    for i in range(2, len(layers) + 1):
        weights = layers[-i + 1][0]
        delta = np.dot(weights.T, delta) * activations[-i] * (1 - activations[-i])
        grads.insert(0, (np.outer(delta, activations[-i - 1]), delta))
    return grads


def as_npz(path, dataset, train, test):
    """Write the first training and test images of a data set as a file of a user's own, and return its path."""
    arrays = {"images": dataset.train.images[:train], "labels": dataset.train.labels[:train]}
    np.savez(path, **arrays, test_images=dataset.test.images[:test], test_labels=dataset.test.labels[:test])
    return path
