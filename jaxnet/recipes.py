"""From plain settings to a network, a cost and a descent: the presets film, nielsen, modern, wide and convnet."""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from jaxnet import _types, augment, bang, devices, losses, network
from jaxnet.descent import Descent, gradient_descent

ACTIVATIONS = {
    f.__name__: f for f in (network.sigmoid, network.relu, network.tanh, network.gelu, network.step, network.identity)
}
LOSSES = {f.__name__: f for f in (losses.squared_error, losses.half_squared_error, losses.cross_entropy)}
INITIALIZERS = {
    "standard_normal": lambda gain: network.standard_normal,
    "scaled": network.scaled,
    "glorot": lambda gain: network.glorot,
    "he": lambda gain: network.he,
}
OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
}
SCHEDULES = {
    "constant": lambda rate, steps: optax.schedules.constant_schedule(rate),
    "linear": lambda rate, steps: optax.schedules.linear_schedule(rate, 0.0, steps),
    "cosine": lambda rate, steps: optax.schedules.cosine_decay_schedule(rate, steps),
    "onecycle": lambda rate, steps: _onecycle(rate, steps, warm=max(1, steps // 10)),
}


def _onecycle(rate: Any, steps: int, warm: int) -> optax.Schedule:
    """As `optax.schedules.warmup_cosine_decay_schedule`, which does not take a traced rate."""
    up = optax.schedules.linear_schedule(rate / 25, rate, warm)
    return optax.schedules.join_schedules(
        [up, optax.schedules.cosine_decay_schedule(rate, max(2, steps) - warm)], [warm]
    )


Preset = Literal["film", "nielsen", "modern", "wide", "convnet"]
Model = Literal["dense", "convnet"]
Activation = Literal["sigmoid", "relu", "tanh", "gelu", "step", "identity"]
Loss = Literal["squared_error", "half_squared_error", "cross_entropy"]
Initializer = Literal["standard_normal", "scaled", "glorot", "he"]
Optimizer = Literal["sgd", "momentum", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "onecycle"]
Dtype = Literal["float32", "float64", "bfloat16"]
Precision = Literal["default", "high", "highest"]


class Settings(NamedTuple):
    """Everything that decides a run; the same settings on the same machine give the same bits.

    Attributes:
        preset: The name the settings started from.
        data: "mnist", another set's name as `data.load` takes it, or the path of an .npz as `data.from_file` takes it.
        model: "dense", or "convnet" for `models.ConvNet`.
        sizes: Neurons of the hidden layers; a full list, from the data's pixels to its classes, is understood too.
        activation: Of the hidden layers.
        output: Of the last layer, likewise; identity where the loss takes logits.
        loss: The film's squared error, Nielsen's half of it, or cross-entropy on logits.
        initializer: How the weights' random start is drawn.
        gain: For scaled: the deviation of weights is gain / sqrt(inputs).
        random_biases: Whether biases start from N(0, 1) instead of 0.
        optimizer: sgd is plain gradient descent; momentum is Nesterov's, 0.9.
        learning_rate: The schedule's peak.
        schedule: How the learning rate falls over the run; onecycle warms up for a tenth of it first.
        weight_decay: For adamw.
        budget: The fraction of the parameters that each step may move, those whose updates earn the most; 1 moves all.
        candidates: Networks trained side by side; the one with the lowest cost over all training images is kept.
        epochs: How often to go through the training images.
        batch_size: Images a step.
        shift: Move every training image by up to so many pixels at random; 0 does not.
        validation: Training images held out to judge by; 0 trains on all.
        seed: Decides start, order, shifts and who is held out.
        dtype: Of parameters and arithmetic.
        precision: Of float32 matrix products on accelerators; default rounds factors to TF32 or bfloat16.
        device: Where to compute; None takes jax's choice.
    """

    preset: Preset = "film"
    data: str = "mnist"
    model: Model = "dense"
    sizes: tuple[int, ...] = (16, 16)
    activation: Activation = "sigmoid"
    output: Activation = "sigmoid"
    loss: Loss = "squared_error"
    initializer: Initializer = "scaled"
    gain: float = 1.5
    random_biases: bool = False
    optimizer: Optimizer = "sgd"
    learning_rate: float = 1.5
    schedule: Schedule = "linear"
    weight_decay: float = 0.0
    budget: float = 1.0
    candidates: int = 1
    epochs: int = 25
    batch_size: int = 32
    shift: int = 0
    validation: int = 0
    seed: int = 0
    dtype: Dtype = "float32"
    precision: Precision = "highest"
    device: Literal["cpu", "gpu", "tpu"] | None = None


film = Settings()
"""The film's network and cost by plain gradient descent, with nothing but a falling learning rate added."""

nielsen = film._replace(
    preset="nielsen",
    sizes=(30,),
    loss="half_squared_error",
    initializer="standard_normal",
    random_biases=True,
    learning_rate=3.0,
    schedule="constant",
    batch_size=10,
    epochs=30,
)
"""The first network of Nielsen's book: 30 hidden neurons, half the film's cost, learning rate 3, batches of 10."""

modern = film._replace(
    preset="modern",
    activation="relu",
    output="identity",
    loss="cross_entropy",
    initializer="he",
    optimizer="adam",
    learning_rate=0.01,
    schedule="onecycle",
    candidates=8,
    epochs=100,
    batch_size=128,
    shift=1,
)
"""The same 13,002 parameters, trained as one would today; of eight starts the one that fits the training images best."""

wide = modern._replace(preset="wide", sizes=(256,), learning_rate=0.011, candidates=1, epochs=4, batch_size=256)
"""One wide hidden layer, in seconds."""

convnet = modern._replace(
    preset="convnet", model="convnet", sizes=(), learning_rate=0.003, candidates=1, epochs=12, batch_size=64
)
"""`models.ConvNet`: three convolutions and two dense layers in flax.nnx."""

PRESETS = {settings.preset: settings for settings in (film, nielsen, modern, wide, convnet)}


class Recipe(NamedTuple):
    """What settings mean: pure functions, ready to train.

    Attributes:
        init: `init(key) -> params`.
        apply: `apply(params, image) -> output`.
        loss: `loss(output, label) -> number`.
        cost: `cost(params, batch) -> number`, on images as they are.
        optimizer: What turns gradients into updates.
        augmented_cost: The cost that the steps go down: on augmented images where the settings ask for shifts.
        descent: The steps.
        keyed: Whether its batches need a key.
        steps_per_chunk: Steps to put into one program; None leaves it to `data.shuffled`.
    """

    init: Callable[[Any], _types.Params]
    apply: _types.Apply
    loss: _types.Loss
    cost: _types.Cost
    optimizer: optax.GradientTransformation
    augmented_cost: _types.Cost
    descent: Descent
    keyed: bool
    steps_per_chunk: int | None


def check(settings: Settings) -> None:
    """Refuse settings that name something unknown or make no sense, before anything is loaded or compiled.

    Raises:
        ValueError: With the field, what came and what was expected.
    """
    choices = {"model": Model, "activation": Activation, "output": Activation, "loss": Loss, "dtype": Dtype}
    choices |= {"initializer": Initializer, "optimizer": Optimizer, "schedule": Schedule, "precision": Precision}
    for field, allowed in choices.items():
        if getattr(settings, field) not in get_args(allowed):
            raise ValueError(f"{field} must be one of {', '.join(get_args(allowed))}, got {getattr(settings, field)!r}")
    lowest = {"epochs": 0, "batch_size": 1, "candidates": 1, "shift": 0, "validation": 0, "weight_decay": 0}
    for field, least in lowest.items():
        if not getattr(settings, field) >= least:
            raise ValueError(f"{field} must be at least {least}, got {getattr(settings, field)}")
    for field in ("learning_rate", "gain"):
        if not 0 < getattr(settings, field) < float("inf"):
            raise ValueError(f"{field} must be a positive number, got {getattr(settings, field)}")
    if not 0 < settings.budget <= 1:
        raise ValueError(f"budget must be a fraction of the parameters above 0 and at most 1, got {settings.budget}")
    if any(size < 1 for size in settings.sizes):
        raise ValueError(f"sizes are the hidden layers' neurons, each at least 1, got {settings.sizes}")
    if settings.loss == "cross_entropy" and settings.output != "identity":
        raise ValueError(f"cross_entropy takes logits, so output must be identity, got {settings.output}")
    if settings.model == "convnet":
        for field in ("sizes", "activation", "output", "initializer", "gain", "random_biases"):
            if getattr(settings, field) != getattr(convnet, field):
                raise ValueError(
                    f"{field} belongs to dense networks, the convnet's is fixed; got {getattr(settings, field)!r}"
                )
    if settings.weight_decay and settings.optimizer != "adamw":
        raise ValueError(f"weight_decay needs optimizer adamw, got {settings.optimizer}")


def all_sizes(sizes: tuple[int, ...], pixels: int, classes: int) -> tuple[int, ...]:
    """The sizes of all layers, whether the hidden ones are given or all of them.

    Examples:
        >>> all_sizes((16, 16), 784, 10), all_sizes((784, 16, 16, 10), 784, 10)
        ((784, 16, 16, 10), (784, 16, 16, 10))
    """
    if len(sizes) > 1 and (sizes[0], sizes[-1]) == (pixels, classes):
        return sizes
    return (pixels, *sizes, classes)


def transform(
    settings: Settings, steps: int, *, learning_rate: Any = None, weight_decay: Any = None
) -> optax.GradientTransformation:
    """What turns gradients into updates.

    Args:
        settings: Optimizer, schedule and budget.
        steps: Steps of the whole run, which the schedule spans.
        learning_rate: Instead of the settings'; may be traced.
        weight_decay: Likewise.
    """
    rate = settings.learning_rate if learning_rate is None else learning_rate
    decay = settings.weight_decay if weight_decay is None else weight_decay
    scheduled, real = SCHEDULES[settings.schedule](rate, max(1, steps)), jnp.promote_types(settings.dtype, jnp.float32)
    schedule = lambda count: scheduled(
        jnp.asarray(count, real)
    )  # of a whole number optax makes a single-precision rate
    more = {"weight_decay": decay} if settings.optimizer == "adamw" else {}
    return bang.on_a_budget(OPTIMIZERS[settings.optimizer](schedule, **more), settings.budget)


def build(settings: Settings, *, image_shape: tuple[int, ...], classes: int, steps: int) -> Recipe:
    """Turn settings into functions.

    Args:
        settings: What to do.
        image_shape: Shape of one image.
        classes: How many labels there are.
        steps: Steps of the whole run, which the schedule spans.

    Returns:
        The functions.

    Raises:
        ValueError: As `check`.
    """
    check(settings)
    dtype, sizes = jnp.dtype(settings.dtype), all_sizes(settings.sizes, math.prod(image_shape), classes)
    if settings.model == "convnet":
        from jaxnet import models  # brings flax

        init, apply = models.convnet(image_shape=image_shape, classes=classes, dtype=dtype)
    else:
        weights = INITIALIZERS[settings.initializer](settings.gain)
        biases = network.standard_normal if settings.random_biases else jax.nn.initializers.zeros
        init = functools.partial(network.init, sizes=sizes, weights=weights, biases=biases, dtype=dtype)
        apply = functools.partial(
            network.apply, activation=ACTIVATIONS[settings.activation], output=ACTIVATIONS[settings.output]
        )
    cost = losses.average(apply, LOSSES[settings.loss])
    optimizer = transform(settings, steps)
    distortion = functools.partial(augment.shift, pixels=settings.shift)
    augmented_cost = augment.augmented(cost, distortion) if settings.shift else cost
    # XLA runs convolutions inside a loop ten to twenty times slower on a CPU: there one step is one program.
    alone = settings.model == "convnet" and devices.current().platform == "cpu"
    descent = gradient_descent(augmented_cost, optimizer)
    return Recipe(
        init,
        apply,
        LOSSES[settings.loss],
        cost,
        optimizer,
        augmented_cost,
        descent,
        settings.shift > 0,
        1 if alone else None,
    )
