"""Networks written in flax, and a function that splits any flax.nnx module into parameters and a pure function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxnet.core.network import intensities
from jaxnet.core.types import Apply, Params


class Functional(NamedTuple):
    """A module in the form that jaxnet needs: `apply(params, image)`, and the parameters at the start."""

    apply: Apply
    params: Params


def functional(module: nnx.Module, *, batched: bool = False, frozen: bool = False) -> Functional:
    """Split a flax.nnx module into a pure function of one image and a pytree of parameters.

    A parameter that two layers share is one leaf, so it has one gradient.

    Args:
        module: Any module that maps an image to outputs without changing its own state.
        batched: Whether the module needs a leading batch axis. If so, each image gets a batch axis of length 1.
        frozen: Whether to freeze a module that would change its state. If so, every call starts with the statistics,
            counters and random streams that the module has now. For example, dropout switches off the same neurons in
            every call.

    Returns:
        `Functional(apply, params)` for `losses.average(apply, loss)` and `descent.init(params)`.

    Raises:
        ValueError: If the module keeps statistics, counters or random streams that a call would change. A pure cost
            cannot carry such changes. `apply` can raise this error too, because it compares the module before and after
            a call. There are four remedies: call `module.eval()` first if this freezes the module, remove the layer,
            pass frozen=True, or write `cost(params, batch)` with the key in `batch.key`.
        TypeError: If `module` is not a flax.nnx module.

    Examples:
        >>> apply, params = functional(nnx.Linear(4, 2, rngs=nnx.Rngs(0)))
        >>> apply(params, jnp.ones(4)).shape
        (2,)
    """
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"functional takes a flax.nnx module, got {type(module).__name__}; for other libraries pass a "
            "function of parameters and one image to `losses.average`, and pass the parameters to `descent.init`"
        )
    if not frozen and (moving := _moving(module)):
        raise ValueError(_refusal(", ".join(moving)))
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def apply(params: Params, image: Any) -> Array:
        # Copy the variables, because jax lets a trace change only the variables that this trace made.
        before = jax.tree.map(lambda leaf: leaf, rest)
        read = nnx.merge(graph, params, before)
        known = dict(_arrays(read))
        output = read(image[None])[0] if batched else read(image)
        if not frozen:
            changed = [path for path, array in _arrays(read) if known.get(path) is not array]
            if changed:
                raise ValueError(_refusal(", ".join(changed)))
        return output

    return Functional(apply, params)


def _arrays(module: nnx.Module) -> list[tuple[str, Any]]:
    """Every array of a module with its path. Parameters, and values that the module only records, are left out."""
    state = nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.Any(nnx.Param, nnx.Intermediate))))
    return [("/".join(map(str, path)), array) for path, leaf in state for array in jax.tree.leaves(leaf)]


def _refusal(names: str) -> str:
    return (
        f"{names} would change when the module is called, and a pure cost(params, batch) cannot carry such changes; "
        "call module.eval() first, remove the layer, pass frozen=True (every call then starts from the present values), "
        "or take the random key from batch.key in your own cost"
    )


def _moving(module: nnx.Module) -> list[str]:
    """The layers with state that a call changes: batch statistics in training mode, random streams in use, and caches."""
    layers = {
        path: node
        for path, node in nnx.iter_graph(module)
        if isinstance(node, nnx.Module) and not isinstance(node, nnx.Dict | nnx.List | nnx.Sequential)
    }

    def owners(kind: Any) -> set[tuple[Any, ...]]:
        """For each variable of this kind, the innermost layer that holds it."""
        paths = [path for path, _ in nnx.to_flat_state(nnx.state(module, kind))]
        above = ([path[:length] for length in range(len(path) - 1, -1, -1)] for path in paths)
        return {next((outer for outer in outers if outer in layers), ()) for outers in above}

    streams, statistics, caches = map(owners, (nnx.RngState, nnx.BatchStat, nnx.Cache))
    found = []
    for path, layer in layers.items():
        rate = getattr(layer, "rate", getattr(layer, "dropout_rate", None))
        quiet = getattr(layer, "deterministic", None) is True or rate == 0
        moves = (
            (path in streams and not quiet)
            or (path in statistics and not getattr(layer, "use_running_average", False))
            or (path in caches and getattr(layer, "decode", False))
        )
        if moves:
            found.append("/".join(map(str, path)) or type(layer).__name__)
    return found


class ConvNet(nnx.Module):
    """A small convolutional network: 3x3 convolutions, and then two dense layers.

    After each of the first two convolutions there is 2x2 max pooling. The network takes one image of shape (height,
    width) or (height, width, channels) and returns logits.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, ...] = (28, 28),
        classes: int = 10,
        channels: tuple[int, ...] = (16, 32, 64),
        hidden: int = 128,
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        """Sample the parameters.

        Args:
            image_shape: The shape of one image, with or without a channel axis.
            classes: The number of outputs.
            channels: The number of channels of each convolution.
            hidden: The number of neurons in the dense layer before the outputs.
            dtype: The type of parameters and arithmetic.
            rngs: The source of the random start: `nnx.Rngs(seed)`.
        """
        height, width, depth = (*image_shape, 1)[:3]
        draw = nnx.initializers.he_normal()
        self.shape, self.dtype, self.pooled = (height, width, depth), dtype, min(2, len(channels))
        self.convolutions = nnx.List(
            nnx.Conv(before, after, (3, 3), kernel_init=draw, dtype=dtype, param_dtype=dtype, rngs=rngs)
            for before, after in zip((depth, *channels[:-1]), channels, strict=True)
        )
        features = (height >> self.pooled) * (width >> self.pooled) * channels[-1]
        self.dense = nnx.Linear(features, hidden, kernel_init=draw, dtype=dtype, param_dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(hidden, classes, dtype=dtype, param_dtype=dtype, rngs=rngs)

    def __call__(self, image: Any) -> Float[Array, "classes"]:
        """Compute the logits for one image."""
        x = intensities(image, self.dtype).reshape(self.shape)
        for i, convolution in enumerate(self.convolutions):
            x = jax.nn.relu(convolution(x))
            x = halved(x) if i < self.pooled else x
        return self.out(jax.nn.relu(self.dense(x.reshape(-1))))


def halved(image: Float[Array, "height width channels"]) -> Float[Array, "halfheight halfwidth channels"]:
    """Take the largest pixel of each 2x2 block. An odd last row or column is left out.

    The function uses a reshape and a maximum instead of flax's pooling. On a CPU, the gradient of flax's pooling takes
    twice as long as the whole network.
    """
    height, width, channels = image.shape
    blocks = image[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2, channels)
    return blocks.max(axis=(1, 3))


def convnet(
    *, image_shape: tuple[int, ...], classes: int, dtype: Any = jnp.float32
) -> tuple[Callable[[Key[Array, ""]], Params], Apply]:
    """Turn `ConvNet` into two functions: `init(key) -> params` and `apply(params, image)`. `ConvNet` explains the arguments."""

    def drawn(rngs: nnx.Rngs) -> Functional:
        return functional(ConvNet(image_shape=image_shape, classes=classes, dtype=dtype, rngs=rngs))

    return lambda key: drawn(nnx.Rngs(key)).params, drawn(nnx.Rngs(0)).apply
