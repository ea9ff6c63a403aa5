"""Turn plain settings into functions: a network, a cost, an optimizer, a descent."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import bang
from jaxnet.core import augment, devices, dropout, losses, mesh, network, types
from jaxnet.core.descent import Descent, gradient_descent
from jaxnet.training.config import TrainConfig, all_sizes, check, params_dtype
from jaxnet.training.tables import ACTIVATIONS, DISTORTIONS, INITIALIZERS, LOSSES, OPTIMIZERS, SCHEDULES


class Functions(NamedTuple):
    """The pure functions that settings describe, ready to train.

    Attributes:
        init: `init(key) -> params`.
        apply: `apply(params, image) -> output`.
        loss: `loss(output, label) -> number`.
        cost: `cost(params, batch) -> number`, on images without distortions.
        optimizer: The optimizer, which turns gradients into updates.
        augmented_cost: The cost that the steps minimize. It has distorted images and dropout if the settings say so.
        descent: The descent on `augmented_cost`.
        keyed: Whether the descent's batches need a key.
        steps_per_chunk: How many steps to put into one compiled program. If it is None, `data.shuffled` decides.
    """

    init: Callable[[Any], types.Params]
    apply: types.Apply
    loss: types.Loss
    cost: types.Cost
    optimizer: optax.GradientTransformation
    augmented_cost: types.Cost
    descent: Descent
    keyed: bool
    steps_per_chunk: int | None


def build_optimizer(
    settings: TrainConfig, steps: int, *, learning_rate: Any = None, weight_decay: Any = None
) -> optax.GradientTransformation:
    """Make the optimizer, which turns gradients into updates.

    Args:
        settings: The settings of the run.
        steps: The number of steps of the whole run, for the schedule.
        learning_rate: A learning rate to use instead of the one in the settings. It may be traced.
        weight_decay: A weight decay to use instead of the one in the settings. It may be traced.
    """
    rate = settings.learning_rate if learning_rate is None else learning_rate
    decay = settings.weight_decay if weight_decay is None else weight_decay
    scheduled = SCHEDULES[settings.schedule](rate, max(1, steps))
    real = jnp.promote_types(params_dtype(settings.dtype), jnp.float32)
    # The count is converted to a float, because optax turns a whole number into a rate in single precision.
    schedule = lambda count: scheduled(jnp.asarray(count, real))
    more = {"weight_decay": decay} if settings.optimizer == "adamw" else {}
    optimizer = OPTIMIZERS[settings.optimizer](schedule, **more)
    if settings.weight_decay and settings.optimizer != "adamw":
        optimizer = optax.chain(optax.add_decayed_weights(decay), optimizer)
    if settings.frozen:
        mask = functools.partial(_frozen, settings.frozen)
        optimizer = optax.chain(optimizer, optax.masked(optax.set_to_zero(), mask))
    return bang.keep_top(optimizer, settings.budget)


def _frozen(names: Sequence[str], params: types.Params) -> Any:
    """Which arrays are frozen: the arrays with these names, and the arrays of the layers with these names.

    Raises:
        ValueError: If there is no such array or layer.
    """
    there = [name for name, _ in bang.named_leaves(params)]
    within = lambda name, wanted: name == wanted or name.startswith(f"{wanted}/")
    for wanted in names:
        if not any(within(name, wanted) for name in there):
            raise ValueError(f"frozen names {wanted!r}, but the arrays are {', '.join(there)}")
    flags = [any(within(name, wanted) for wanted in names) for name in there]
    return jax.tree.unflatten(jax.tree.structure(params), flags)


def build(settings: TrainConfig, *, image_shape: tuple[int, ...], classes: int, steps: int) -> Functions:
    """Turn settings into functions.

    Args:
        settings: The settings of the run.
        image_shape: The shape of one image.
        classes: The number of classes.
        steps: The number of steps of the whole run, for the schedule.

    Returns:
        The functions.

    Raises:
        ValueError: If `check` refuses the settings.
    """
    check(settings)
    init, apply = _network(settings, image_shape, classes, params_dtype(settings.dtype))
    loss = LOSSES[settings.loss]
    cost = losses.average(apply, loss)
    if settings.dtype == "mixed":
        apply = narrow_apply(settings, image_shape, classes, jnp.bfloat16)
    optimizer = build_optimizer(settings, steps)
    augmented_cost, keyed = _hardened(settings, losses.average(apply, loss))
    # On a CPU, XLA runs convolutions inside a loop ten to twenty times slower. So on a CPU, each step is a compiled
    # program of its own.
    alone = settings.model == "convnet" and devices.current().platform == "cpu"
    descent = gradient_descent(augmented_cost, optimizer)
    if settings.reproducible:
        over = lambda: mesh.mesh_of(settings.devices, settings.layer_devices)
        descent = mesh.reproducible(descent, augmented_cost, over)
    return Functions(
        init,
        apply,
        loss,
        cost,
        optimizer,
        augmented_cost,
        descent,
        keyed,
        1 if alone else None,
    )


def _network(settings: TrainConfig, image_shape: tuple[int, ...], classes: int, dtype: Any) -> tuple[Any, Any]:
    """The network that the settings describe, as `init(key)` and `apply(params, image)`. It computes in one type."""
    if settings.model == "convnet":
        from jaxnet.models import flax_nnx  # imported here, because it imports flax

        return flax_nnx.convnet(image_shape=image_shape, classes=classes, dtype=jnp.dtype(dtype))
    sizes = all_sizes(settings.sizes, math.prod(image_shape), classes)
    weights = INITIALIZERS[settings.initializer](settings.gain)
    biases = network.standard_normal if settings.random_biases else jax.nn.initializers.zeros
    init = functools.partial(network.init, sizes=sizes, weights=weights, biases=biases, dtype=jnp.dtype(dtype))
    activation, output = ACTIVATIONS[settings.activation], ACTIVATIONS[settings.output]
    return init, functools.partial(network.apply, activation=activation, output=output)


def narrow_apply(settings: TrainConfig, image_shape: tuple[int, ...], classes: int, dtype: Any) -> types.Apply:
    """The network that the settings describe, computed in a narrow type. Parameters and outputs keep their own type.

    Args:
        settings: The settings of the run.
        image_shape: The shape of one image.
        classes: The number of classes.
        dtype: The type of the arithmetic, such as `jnp.bfloat16`.
    """
    return computed_in(dtype, _network(settings, image_shape, classes, dtype)[1])


def computed_in(dtype: Any, apply: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a function of parameters in a narrow type. The parameters and the results keep their own type.

    Args:
        dtype: The type of the arithmetic, such as `jnp.bfloat16`.
        apply: `apply(params, ...) -> array`. It must compute in the type that it is given. Its other arguments are narrowed
            too, if they are arrays of floats.

    Returns:
        A function like `apply`. Its gradient has the type of the parameters.

    Source: Micikevicius et al., "Mixed Precision Training" (2018).
    """
    is_float = lambda leaf: jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
    narrow = lambda leaf: jnp.asarray(leaf, dtype) if is_float(leaf) else leaf

    def narrowed(params: types.Params, *rest: Any) -> Any:
        wide = jnp.result_type(*jax.tree.leaves(params))
        return apply(*jax.tree.map(narrow, (params, *rest))).astype(wide)

    return narrowed


def _hardened(settings: TrainConfig, cost: losses.Average) -> tuple[types.Cost, bool]:
    """Make the cost for training, and tell whether its batches need a key. It may include distortions and dropout."""
    harder: types.Cost = cost
    if settings.dropout:
        squash = {"activation": ACTIVATIONS[settings.activation], "output": ACTIVATIONS[settings.output]}
        loss = cost.loss
        if settings.dtype == "mixed":  # the network computes in bfloat16, and the loss in float32
            loss = lambda output, label: cost.loss(output.astype(jnp.float32), label)
        harder = dropout.dropout_cost(loss, settings.dropout, **squash)
        if settings.dtype == "mixed":
            harder = computed_in(jnp.bfloat16, harder)
    distortions = [functools.partial(augment.shift, pixels=settings.shift)] if settings.shift else []
    distortions += [DISTORTIONS[settings.distortion]] if settings.distortion != "none" else []
    for distortion in distortions:
        harder = augment.augmented(harder, distortion, keyed=harder is not cost)
    return harder, harder is not cost


def certainty(functions: Functions, outputs: Any) -> np.ndarray:
    """Convert outputs to numbers in 0..1. Logits go through the softmax, and all other outputs are clipped to 0..1."""
    return np.asarray(jax.nn.softmax(outputs) if functions.loss is losses.cross_entropy else jnp.clip(outputs, 0, 1))
