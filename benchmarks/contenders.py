"""The same network in jaxnet, C, NumPy and Nielsen's style. Each contender trains one epoch at a time.

Tasks: film is 784-16-16-10, sigmoid, squared error, SGD at rate 1.5; wide is 784-128-64-10, ReLU, cross-entropy, Adam at 0.001.
"""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from jaxnet import metrics

os.environ.setdefault("KERAS_BACKEND", "jax")
import numpy as np

from jaxnet import data

MNIST = data.mnist().train
SIZES = {"film": (784, 16, 16, 10), "wide": (784, 128, 64, 10)}
RATE = {"film": 1.5, "wide": 0.001}
JUDGED = 10_000
Contender = tuple[Callable[[], object], Callable[[], np.ndarray]]
"""One epoch, and the class scores of the judged images."""

flat = MNIST.images.reshape(len(MNIST.images), -1)
rng = np.random.default_rng(0)


def floats() -> np.ndarray:
    """All images as float32 in 0..1, prepared once, as most examples do."""
    return flat.astype(np.float32) / 255


def drawn(task: str) -> list[np.ndarray]:
    """Weights (in, out) and zero biases, alternating."""
    parts: list[np.ndarray] = []
    for fan_in, fan_out in zip(SIZES[task], SIZES[task][1:], strict=False):
        gain = 1.5 if task == "film" else np.sqrt(2)
        parts += [(rng.standard_normal((fan_in, fan_out)) * gain / np.sqrt(fan_in)).astype(np.float32)]
        parts += [np.zeros(fan_out, np.float32)]
    return parts


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def c(task: str, size: int) -> Contender:
    """benchmarks/limit.c, compiled here."""
    library = Path(tempfile.mkdtemp()) / "limit.so"
    source = Path(__file__).parent / "limit.c"
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(library), "-lm"], check=True)
    run = ctypes.CDLL(str(library)).epoch
    padded = [np.zeros((*part.shape[:-1], 16), np.float32) for part in drawn(task)]
    for to, part in zip(padded, drawn(task), strict=True):
        to[..., : part.shape[-1]] = part
    where = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    steps = len(flat) // size

    def epoch() -> None:
        order = rng.permutation(len(flat)).astype(np.int32)
        run(
            where(flat), where(MNIST.labels), where(order), steps, size, ctypes.c_float(RATE[task]), *map(where, padded)
        )

    def scores() -> np.ndarray:
        a = flat[:JUDGED].astype(np.float32) / 255
        for w, b in zip(padded[::2], padded[1::2], strict=True):
            a = sigmoid(a @ w + b)
        return a[:, :10]

    return epoch, scores


def jaxnet(task: str, size: int) -> Contender:
    """This library, as a user calls it."""
    import functools

    import jax
    import optax

    from jaxnet import average, gradient_descent, losses, network, train

    apply, loss, optimizer = network.apply, losses.squared_error, RATE[task]
    if task == "wide":
        apply = functools.partial(network.apply, activation=network.relu, output=network.identity)
        loss, optimizer = losses.cross_entropy, optax.adam(RATE[task])
    weights = network.scaled(1.5) if task == "film" else network.he
    descent = gradient_descent(average(apply, loss), optimizer)
    state = descent.init(network.init(jax.random.key(0), SIZES[task], weights=weights))
    turn = 0

    def epoch() -> None:
        nonlocal state, turn
        turn += 1
        *_, (state, _) = train(descent, state, data.shuffled(jax.random.key(turn), MNIST, size))
        jax.block_until_ready(state)

    return epoch, lambda: np.asarray(metrics.predict(apply, state.params, MNIST.images[:JUDGED]))


def plain_jax(task: str) -> tuple:
    """The same step without this library: parameters as pairs, rows of images, optax."""
    import jax
    import jax.numpy as jnp
    import optax

    hidden = jax.nn.sigmoid if task == "film" else jax.nn.relu

    def forward(params, x):
        x = x.astype(jnp.float32) / 255
        for w, b in params[:-1]:
            x = hidden(x @ w + b)
        w, b = params[-1]
        return jax.nn.sigmoid(x @ w + b) if task == "film" else x @ w + b

    def cost(params, x, y):
        out = forward(params, x)
        if task == "film":
            return jnp.mean(jnp.sum((out - jax.nn.one_hot(y, 10)) ** 2, axis=1))
        return optax.softmax_cross_entropy_with_integer_labels(out, y).mean()

    optimizer = optax.sgd(RATE[task]) if task == "film" else optax.adam(RATE[task])
    parts = drawn(task)
    params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(parts[::2], parts[1::2], strict=True)]

    def step(carry, batch):
        params, memory = carry
        grads = jax.grad(cost)(params, *batch)
        updates, memory = optimizer.update(grads, memory, params)
        return (optax.apply_updates(params, updates), memory), None

    return jax, jnp, forward, step, (params, optimizer.init(params))


def jax_loop(task: str, size: int) -> Contender:
    """A jitted step in a Python loop: what most JAX examples do."""
    jax, jnp, forward, step, carry = plain_jax(task)
    step, labels = jax.jit(step), MNIST.labels.astype(np.int32)

    def epoch() -> None:
        nonlocal carry
        order = rng.permutation(len(flat))
        for start in range(0, len(flat) - size + 1, size):
            chosen = order[start : start + size]
            carry, _ = step(carry, (flat[chosen], labels[chosen]))
        jax.block_until_ready(carry)

    return epoch, lambda: np.asarray(forward(carry[0], jnp.asarray(flat[:JUDGED])))


def jax_device(task: str, size: int) -> Contender:
    """Everything on the device: permutation, gather and a scan over the whole epoch in one program."""
    jax, jnp, forward, step, carry = plain_jax(task)
    images, labels, steps = jnp.asarray(flat), jnp.asarray(MNIST.labels.astype(np.int32)), len(flat) // size

    @jax.jit
    def whole(carry, key, images, labels):
        order = jax.random.permutation(key, len(images))[: steps * size].reshape(steps, size)
        return jax.lax.scan(lambda carry, chosen: step(carry, (images[chosen], labels[chosen])), carry, order)[0]

    def epoch() -> None:
        nonlocal carry
        carry = jax.block_until_ready(whole(carry, jax.random.key(rng.integers(1 << 30)), images, labels))

    return epoch, lambda: np.asarray(forward(carry[0], images[:JUDGED]))


def numpy_step(task: str) -> tuple:
    """Backpropagation by hand, in place."""
    parts = drawn(task)
    first, second, taken = [np.zeros_like(p) for p in parts], [np.zeros_like(p) for p in parts], 0

    def forward(x: np.ndarray) -> list[np.ndarray]:
        lit = [x]
        for i in range(0, len(parts), 2):
            z = lit[-1] @ parts[i] + parts[i + 1]
            lit.append(sigmoid(z) if task == "film" else np.maximum(z, 0) if i < len(parts) - 2 else z)
        return lit

    def step(x: np.ndarray, y: np.ndarray) -> None:
        nonlocal taken
        taken += 1
        lit = forward(x)
        if task == "film":
            delta = 2 * lit[-1] * (1 - lit[-1])
            right = lit[-1].copy()
            right[np.arange(len(y)), y] -= 1
            delta *= right / len(y)
        else:
            delta = np.exp(lit[-1] - lit[-1].max(1, keepdims=True))
            delta /= delta.sum(1, keepdims=True)
            delta[np.arange(len(y)), y] -= 1
            delta /= len(y)
        grads: list[np.ndarray] = [delta] * len(parts)
        for i in range(len(parts) - 2, -1, -2):
            grads[i], grads[i + 1] = lit[i // 2].T @ delta, delta.sum(0)
            if i:
                below = lit[i // 2]
                delta = (delta @ parts[i].T) * (below * (1 - below) if task == "film" else below > 0)
        for i, (part, grad) in enumerate(zip(parts, grads, strict=True)):
            if task == "film":
                part -= RATE[task] * grad
                continue
            first[i] *= 0.9
            first[i] += 0.1 * grad
            second[i] *= 0.999
            second[i] += 0.001 * grad * grad
            scale = RATE[task] * np.sqrt(1 - 0.999**taken) / (1 - 0.9**taken)
            part -= (scale * first[i] / (np.sqrt(second[i]) + 1e-8)).astype(np.float32)

    return step, lambda: forward(flat[:JUDGED].astype(np.float32) / 255)[-1]


def numpy(task: str, size: int) -> Contender:
    """NumPy by hand: images as float32, a shuffled index."""
    step, scores = numpy_step(task)
    images = floats()

    def epoch() -> None:
        order = rng.permutation(len(flat))
        for start in range(0, len(flat) - size + 1, size):
            chosen = order[start : start + size]
            step(images[chosen], MNIST.labels[chosen])

    return epoch, scores


def numpy_tuned(task: str, size: int) -> Contender:
    """The same with our trick: bytes are gathered, some 25 batches at a time, and converted in the step."""
    step, scores = numpy_step(task)

    def epoch() -> None:
        order = rng.permutation(len(flat))[: len(flat) // size * size]
        for start in range(0, len(order), 25 * size):
            chosen = order[start : start + 25 * size]
            pixels, labels = flat.take(chosen, 0, mode="clip"), MNIST.labels.take(chosen)
            for i in range(0, len(chosen), size):
                step(np.multiply(pixels[i : i + size], np.float32(1 / 255), dtype=np.float32), labels[i : i + size])

    return epoch, scores


def nielsen(task: str, size: int) -> Contender:
    """His book's method: one example after another, column vectors, gradients added up over the mini-batch."""
    parts = drawn(task)
    weights = [part.T.astype(np.float64) for part in parts[::2]]
    biases = [part[:, None].astype(np.float64) for part in parts[1::2]]
    columns = (flat / 255.0)[:, :, None]
    wanted = np.eye(10)[:, :, None]

    def epoch() -> None:
        order = rng.permutation(len(flat))
        for start in range(0, len(flat) - size + 1, size):
            of_weights, of_biases = [np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases]
            for i in order[start : start + size]:
                lit = [columns[i]]
                for w, b in zip(weights, biases, strict=True):
                    lit.append(sigmoid(w @ lit[-1] + b))
                delta = 2 * (lit[-1] - wanted[MNIST.labels[i]]) * lit[-1] * (1 - lit[-1])
                for layer in (2, 1, 0):
                    of_biases[layer] += delta
                    of_weights[layer] += delta @ lit[layer].T
                    if layer:
                        delta = (weights[layer].T @ delta) * lit[layer] * (1 - lit[layer])
            for layer in range(3):
                weights[layer] -= RATE[task] / size * of_weights[layer]
                biases[layer] -= RATE[task] / size * of_biases[layer]

    def scores() -> np.ndarray:
        a = flat[:JUDGED].T / 255.0
        for w, b in zip(weights, biases, strict=True):
            a = sigmoid(w @ a + b)
        return a.T

    return epoch, scores
