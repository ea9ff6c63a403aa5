"""The contenders of other libraries, each in its usual form and tuned with our tricks; none is a dependency of jaxnet."""

from typing import Any

import numpy as np
from contenders import JUDGED, MNIST, RATE, SIZES, Contender, drawn, flat, floats, rng

CHUNK = 25
"""Steps a program, where a contender is tuned."""


def keras(task: str, size: int, *, steps: int = 1) -> Contender:
    """`fit` on the JAX back end."""
    import jax
    import keras

    hidden = "sigmoid" if task == "film" else "relu"
    layers = [keras.Input((784,)), *(keras.layers.Dense(n, hidden) for n in SIZES[task][1:-1])]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "sigmoid" if task == "film" else None)])
    parts = drawn(task)
    for layer, pair in zip(model.layers, zip(parts[::2], parts[1::2], strict=True), strict=True):
        layer.set_weights(pair)
    if task == "film":  # its mean squared error is over the ten outputs too
        model.compile(keras.optimizers.SGD(10 * RATE[task]), "mean_squared_error", steps_per_execution=steps)
        labels: Any = np.eye(10, dtype=np.float32)[MNIST.labels]
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(RATE[task]), loss, steps_per_execution=steps)
        labels = MNIST.labels.astype(np.int32)
    images = floats()
    whole = len(flat) // size * size

    def epoch() -> None:
        model.fit(images[:whole], labels[:whole], batch_size=size, epochs=1, verbose=0)
        jax.block_until_ready([variable.value for variable in model.trainable_variables])

    return epoch, lambda: model.predict(images[:JUDGED], batch_size=1000, verbose=0)


def keras_tuned(task: str, size: int) -> Contender:
    """The same with 25 steps an execution."""
    return keras(task, size, steps=CHUNK)


def sklearn(task: str, size: int) -> Contender:
    """MLPClassifier, whose cost is cross-entropy in both tasks (it has no other); one `partial_fit` is one epoch."""
    from sklearn.neural_network import MLPClassifier

    common = {"hidden_layer_sizes": SIZES[task][1:-1], "batch_size": size, "alpha": 0.0, "random_state": 0}
    if task == "film":
        model = MLPClassifier(activation="logistic", solver="sgd", learning_rate_init=0.3, momentum=0.0, **common)
    else:
        model = MLPClassifier(activation="relu", solver="adam", learning_rate_init=RATE[task], **common)
    images, classes = floats(), np.arange(10)
    whole = len(flat) // size * size
    return lambda: model.partial_fit(
        images[:whole], MNIST.labels[:whole], classes=classes
    ), lambda: model.predict_proba(images[:JUDGED])


def torch_model(task: str) -> tuple[Any, Any, Any, Any]:
    """Model, loss and optimizer in PyTorch's usual way."""
    import torch
    from torch import nn

    act = nn.Sigmoid if task == "film" else nn.ReLU
    layers: list[Any] = []
    for fan_in, fan_out in zip(SIZES[task], SIZES[task][1:], strict=False):
        layers += [nn.Linear(fan_in, fan_out), act()]
    model = nn.Sequential(*(layers if task == "film" else layers[:-1]))
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    parts = drawn(task)
    with torch.no_grad():
        for layer, w, b in zip(linear, parts[::2], parts[1::2], strict=True):
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(w.T)))
            layer.bias.copy_(torch.from_numpy(b))
    if task == "film":
        loss = lambda out, y: ((out - nn.functional.one_hot(y, 10)) ** 2).sum(1).mean()
        return torch, model, loss, torch.optim.SGD(model.parameters(), RATE[task])
    return torch, model, nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), RATE[task], fused=True)


def torch_epoch(task: str, batches: Any) -> Contender:
    """One pass over `batches(torch)`, by autograd."""
    torch, model, loss, optimizer = torch_model(task)
    source = batches(torch)

    def epoch() -> None:
        for x, y in source():
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    def scores() -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(floats()[:JUDGED])).numpy()

    return epoch, scores


def torch(task: str, size: int) -> Contender:
    """Autograd; the data in one tensor, shuffled by index."""

    def batches(torch: Any) -> Any:
        images, labels = torch.from_numpy(floats()), torch.from_numpy(MNIST.labels.astype(np.int64))

        def source() -> Any:
            order = torch.randperm(len(flat))[: len(flat) // size * size].split(size)
            return ((images[chosen], labels[chosen]) for chosen in order)

        return source

    return torch_epoch(task, batches)


def torch_loader(task: str, size: int) -> Contender:
    """Autograd, and a DataLoader over a TensorDataset."""

    def batches(torch: Any) -> Any:
        from torch.utils.data import DataLoader, TensorDataset

        pairs = TensorDataset(torch.from_numpy(floats()), torch.from_numpy(MNIST.labels.astype(np.int64)))
        loader = DataLoader(pairs, batch_size=size, shuffle=True, drop_last=True)
        return lambda: loader

    return torch_epoch(task, batches)


def torch_hand(task: str, size: int) -> Contender:
    """Backpropagation by hand in torch's tensors, no autograd, bytes gathered 25 batches at a time (film only)."""
    import torch

    parts = [torch.from_numpy(part) for part in drawn(task)]
    w1, b1, w2, b2, w3, b3 = parts
    images, labels = torch.from_numpy(flat.copy()), torch.from_numpy(MNIST.labels.astype(np.int64))
    hot = torch.eye(10)
    rate = 2 * RATE[task] / size

    def forward(x: Any) -> tuple[Any, Any, Any]:
        a1 = torch.addmm(b1, x, w1).sigmoid_()
        a2 = torch.addmm(b2, a1, w2).sigmoid_()
        return a1, a2, torch.addmm(b3, a2, w3).sigmoid_()

    @torch.inference_mode()
    def epoch() -> None:
        order = torch.randperm(len(flat))[: len(flat) // size * size]
        for chosen in order.split(CHUNK * size):
            pixels, wanted = images[chosen].float().div_(255), hot[labels[chosen]]
            for i in range(0, len(chosen), size):
                x = pixels[i : i + size]
                a1, a2, a3 = forward(x)
                d3 = (a3 - wanted[i : i + size]) * a3 * (1 - a3)
                d2 = (d3 @ w3.T) * a2 * (1 - a2)
                d1 = (d2 @ w2.T) * a1 * (1 - a1)
                for w, b, a, d in ((w3, b3, a2, d3), (w2, b2, a1, d2), (w1, b1, x, d1)):
                    w.addmm_(a.T, d, alpha=-rate)
                    b.sub_(d.sum(0), alpha=rate)

    def scores() -> np.ndarray:
        with torch.inference_mode():
            return forward(images[:JUDGED].float() / 255)[2].numpy()

    return epoch, scores


def equinox(task: str, size: int, *, steps: int = 1) -> Contender:
    """A module of Linear layers, `filter_value_and_grad`, `filter_jit`; one jitted step a batch unless tuned."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    class Network(eqx.Module):
        layers: list

        def __init__(self) -> None:
            keys = jax.random.split(jax.random.key(0), len(SIZES[task]) - 1)
            shapes = zip(SIZES[task], SIZES[task][1:], strict=False)
            self.layers = [eqx.nn.Linear(m, n, key=key) for (m, n), key in zip(shapes, keys, strict=True)]

        def __call__(self, x: Any) -> Any:
            return jax_forward(task, self.layers, x)

    def cost(model: Any, x: Any, y: Any) -> Any:
        return jax_loss(task, jax.vmap(model)(x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x), y)

    model = Network()
    parts = drawn(task)
    pick = lambda model: [part for layer in model.layers for part in (layer.weight, layer.bias)]
    model = eqx.tree_at(pick, model, [jnp.asarray(part.T) for part in parts])
    optimizer = optax.sgd(RATE[task]) if task == "film" else optax.adam(RATE[task])
    memory = optimizer.init(eqx.filter(model, eqx.is_array))

    def step(model: Any, memory: Any, x: Any, y: Any) -> tuple[Any, Any]:
        _, grads = eqx.filter_value_and_grad(cost)(model, x, y)
        updates, memory = optimizer.update(grads, memory, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), memory

    def several(model: Any, memory: Any, x: Any, y: Any) -> tuple[Any, Any]:
        arrays, rest = eqx.partition(model, eqx.is_array)

        def body(carry: Any, batch: Any) -> Any:
            model, memory = step(eqx.combine(carry[0], rest), carry[1], *batch)
            return (eqx.filter(model, eqx.is_array), memory), None

        (arrays, memory), _ = jax.lax.scan(body, (arrays, memory), (x, y))
        return eqx.combine(arrays, rest), memory

    advance, labels = eqx.filter_jit(step if steps == 1 else several), MNIST.labels.astype(np.int32)
    images = floats() if steps == 1 else flat

    def epoch() -> None:
        nonlocal model, memory
        for chosen in in_order(size, steps):
            model, memory = advance(model, memory, images[chosen], labels[chosen])
        jax.block_until_ready(memory if task == "wide" else model.layers[0].weight)

    return epoch, lambda: np.asarray(jax.vmap(model)(jnp.asarray(floats()[:JUDGED])))


def equinox_scan(task: str, size: int) -> Contender:
    """The same, bytes gathered 25 batches at a time and scanned."""
    return equinox(task, size, steps=CHUNK)


def nnx(task: str, size: int, *, steps: int = 1) -> Contender:
    """flax.nnx: a module, `nnx.Optimizer`, `nnx.jit`; one jitted step a batch unless tuned."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx as fnnx

    class Network(fnnx.Module):
        def __init__(self, rngs: Any) -> None:
            shapes = zip(SIZES[task], SIZES[task][1:], strict=False)
            self.layers = fnnx.List([fnnx.Linear(m, n, rngs=rngs) for m, n in shapes])

        def __call__(self, x: Any) -> Any:
            return jax_forward(task, self.layers, x)

    model = Network(fnnx.Rngs(0))
    parts = drawn(task)
    for layer, w, b in zip(model.layers, parts[::2], parts[1::2], strict=True):
        layer.kernel[...], layer.bias[...] = jnp.asarray(w), jnp.asarray(b)
    rule = optax.sgd(RATE[task]) if task == "film" else optax.adam(RATE[task])
    optimizer = fnnx.Optimizer(model, rule, wrt=fnnx.Param)

    def cost(model: Any, x: Any, y: Any) -> Any:
        return jax_loss(task, model(x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x), y)

    def step(model: Any, optimizer: Any, x: Any, y: Any) -> None:
        optimizer.update(model, fnnx.grad(cost)(model, x, y))

    @fnnx.jit
    def several(model: Any, optimizer: Any, x: Any, y: Any) -> None:
        def body(carry: Any, batch: Any) -> Any:
            step(*carry, *batch)
            return carry

        fnnx.scan(body, in_axes=(fnnx.Carry, 0), out_axes=fnnx.Carry)((model, optimizer), (x, y))

    advance, labels = fnnx.jit(step) if steps == 1 else several, MNIST.labels.astype(np.int32)
    images = floats() if steps == 1 else flat

    def epoch() -> None:
        for chosen in in_order(size, steps):
            advance(model, optimizer, images[chosen], labels[chosen])
        jax.block_until_ready(model.layers[0].kernel[...])

    return epoch, lambda: np.asarray(model(jnp.asarray(floats()[:JUDGED])))


def nnx_scan(task: str, size: int) -> Contender:
    """The same, bytes gathered 25 batches at a time and scanned by `nnx.scan`."""
    return nnx(task, size, steps=CHUNK)


def jax_forward(task: str, layers: Any, x: Any) -> Any:
    """Through linear layers of either library, with the task's activations."""
    import jax

    act = jax.nn.sigmoid if task == "film" else jax.nn.relu
    for layer in layers[:-1]:
        x = act(layer(x))
    return jax.nn.sigmoid(layers[-1](x)) if task == "film" else layers[-1](x)


def jax_loss(task: str, out: Any, labels: Any) -> Any:
    """The task's cost of a batch of outputs."""
    import jax
    import jax.numpy as jnp
    import optax

    if task == "film":
        return jnp.mean(jnp.sum((out - jax.nn.one_hot(labels, 10)) ** 2, axis=1))
    return optax.softmax_cross_entropy_with_integer_labels(out, labels).mean()


def in_order(size: int, steps: int) -> Any:
    """An epoch's shuffled indices: of a batch, or of several along a leading axis; the remainder as a shorter chunk."""
    order = rng.permutation(len(flat))[: len(flat) // size * size].reshape(-1, size)
    if steps == 1:
        return iter(order)
    return (order[start : start + steps] for start in range(0, len(order), steps))
