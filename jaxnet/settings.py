"""What can be set of a run, the presets film, nielsen, modern, wide and convnet, and what makes no sense together."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

Preset = Literal["film", "nielsen", "modern", "wide", "convnet"]
Model = Literal["dense", "convnet"]
Activation = Literal["sigmoid", "relu", "tanh", "gelu", "step", "identity"]
Loss = Literal["squared_error", "half_squared_error", "cross_entropy"]
Initializer = Literal["standard_normal", "scaled", "glorot", "he"]
Optimizer = Literal["sgd", "momentum", "adam", "adamw"]
Distortion = Literal["none", "affine", "elastic"]
Schedule = Literal["constant", "linear", "cosine", "onecycle"]
Dtype = Literal["float32", "float64", "bfloat16"]
Precision = Literal["default", "high", "highest"]


class Settings(NamedTuple):
    """Everything that decides a run; the same settings on the same machine give the same bits.

    Attributes:
        preset: The preset that the settings started from.
        data: "mnist", the name of another data set (see `data.load`), or the path of a file or folder (see `data.from_file`).
        test_fraction: If the data have no test images: the fraction to hold out for them. It does not depend on the seed.
        model: "dense" is a fully connected network, "convnet" the small convolutional network `models.ConvNet`.
        sizes: Neurons of each hidden layer. A full list, from the number of pixels to the number of classes, also works.
        activation: What each hidden neuron makes of its sum.
        output: What each output neuron makes of its sum; cross_entropy needs identity.
        loss: squared_error is the film's, half_squared_error is Nielsen's, cross_entropy is today's usual one.
        initializer: The random numbers that the weights start from.
        gain: For the initializer scaled: the standard deviation of the weights is gain / sqrt(inputs of the neuron).
        random_biases: Start the biases from random numbers (mean 0, deviation 1) instead of from 0.
        optimizer: sgd is plain gradient descent, momentum is Nesterov's with 0.9; adam and adamw adapt each parameter's step.
        learning_rate: How long the steps are, at most. If only the optimizer is changed, a fitting rate replaces the preset's.
        schedule: How the learning rate changes over the run; linear and cosine fall to 0, onecycle first rises for a tenth.
        weight_decay: Pulls the parameters toward 0: each step adds this, times the parameter, to its gradient (adamw: its way).
        budget: The fraction of the parameters that each step may move: those whose updates lower the cost most. 1 moves all.
        candidates: Networks trained side by side; the one with the lowest cost over all training images is kept.
        epochs: How often to go through all training images.
        batch_size: Images that one step is computed from.
        shift: Move each training image by up to this many pixels in a random direction; 0 moves none.
        distortion: Distort each training image, anew every time: affine turns, scales and slants it; elastic bends it as well.
        dropout: The fraction of the hidden neurons that are switched off at random in each step.
        validation: Training images kept out of the training, to judge the network by; 0 keeps out none.
        seed: Decides the random start, the order of the images, shifts and held-out images; from 0 to 4294967295.
        dtype: The type of the parameters and of the arithmetic.
        precision: How exact float32 matrix products are on a GPU or TPU; default rounds the factors to TF32 or bfloat16.
        device: Where to compute: cpu, gpu or tpu; None lets jax choose.
    """

    preset: Preset = "film"
    data: str = "mnist"
    test_fraction: float = 0.0
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
    distortion: Distortion = "none"
    dropout: float = 0.0
    validation: int = 0
    seed: int = 0
    dtype: Dtype = "float32"
    precision: Precision = "highest"
    device: Literal["cpu", "gpu", "tpu"] | None = None


def meanings() -> dict[str, str]:
    """What every setting means, by its name, from the docstring of `Settings`; empty words where Python left docstrings out."""
    lines = (Settings.__doc__ or "").partition("Attributes:")[2].strip().splitlines()
    there = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
    return {name: there.get(name, "") for name in Settings._fields}


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

wide = modern._replace(preset="wide", sizes=(256,), learning_rate=0.016, candidates=1, epochs=3, batch_size=256)
"""One wide hidden layer, in seconds."""

convnet = modern._replace(
    preset="convnet", model="convnet", sizes=(), learning_rate=0.003, candidates=1, epochs=12, batch_size=64
)
"""`models.ConvNet`: three convolutions and two dense layers in flax.nnx."""

# Momentum and adamw in film, nielsen and wide: the preset's epochs on 50,000 training images, judged by the other 10,000, seeds
# 0, 1 and 2 on the same batches; the rate with the highest mean accuracy (of two such, the one whose seeds scatter less).
# Modern: the same with seeds 0 and 1, one candidate. The accuracies in percent:
#   film     momentum 0.05: 94.24, 0.1: 94.41, 0.15: 94.46, 0.25: 94.25, 0.4: 94.32, 0.6: 93.94
#            adamw 0.0015: 94.23, 0.0025: 94.16, 0.004: 94.23, 0.005: 93.88, 0.01: 94.15, 0.02: 93.28
#   nielsen  momentum 0.05: 90.80, 0.1: 91.36, 0.2: 94.27, 0.3: 94.44, 0.5: 79.86
#            adamw 0.0025: 94.58, 0.005: 94.86, 0.01: 94.68
#   wide     momentum 0.025: 93.64, 0.05: 95.30, 0.1: 96.57, 0.2: 97.42, 0.3: 97.68, 0.4: 97.82, 0.6: 97.77, 0.8: 97.62
#            adamw 0.004: 97.22, 0.008: 97.69, 0.016: 97.77, 0.03: 97.64
#   modern   momentum 0.05: 96.52, 0.1: 96.62, 0.2: 96.45, 0.4: 16.09
#            adamw 0.005: 96.53, 0.01: 96.65, 0.02: 96.70; two seeds do not tell 0.02 from the preset's own 0.01, which stays
# Without weight decay, as in all presets, adamw takes adam's steps, so adam has the same rate. All other rates, convnet's too,
# are from shorter sweeps.
RATES = {
    "film": {"sgd": 1.5, "momentum": 0.15, "adam": 0.004, "adamw": 0.004},
    "nielsen": {"sgd": 3.0, "momentum": 0.3, "adam": 0.005, "adamw": 0.005},
    "modern": {"sgd": 0.5, "momentum": 0.1, "adam": 0.01, "adamw": 0.01},
    "wide": {"sgd": 1.0, "momentum": 0.4, "adam": 0.016, "adamw": 0.016},
    "convnet": {"sgd": 0.2, "momentum": 0.05, "adam": 0.003, "adamw": 0.003},
}
"""The learning rate of every preset by optimizer: a rate of plain descent makes Adam fail, and the other way round."""

PRESETS = {settings.preset: settings for settings in (film, nielsen, modern, wide, convnet)}


def changed(settings: Settings, **changes: Any) -> Settings:
    """Settings with changes; with another optimizer and no rate of its own, the preset's rate for that optimizer.

    Args:
        settings: A preset, or what was made of it.
        changes: Fields and their values.

    Examples:
        >>> changed(film, optimizer="adam").learning_rate, changed(film, optimizer="adam", learning_rate=0.1).learning_rate
        (0.004, 0.1)
    """
    preset, optimizer = PRESETS[settings.preset], changes.get("optimizer", settings.optimizer)
    untouched = (settings.optimizer, settings.learning_rate) == (preset.optimizer, preset.learning_rate)
    if optimizer != settings.optimizer and untouched and optimizer in RATES[settings.preset]:
        changes = {"learning_rate": RATES[settings.preset][optimizer], **changes}
    return settings._replace(**changes)


def chosen_rate(settings: Settings, changes: Mapping[str, Any]) -> list[str]:
    """A line that says which learning rate `changed` chooses; none where it chooses none."""
    rate = changed(settings, **changes).learning_rate
    if "learning_rate" in changes or rate == settings.learning_rate:
        return []
    return [
        f"learning rate {rate:g} for {changes['optimizer']}, as preset {settings.preset}'s {settings.learning_rate:g} "
        f"belongs to {settings.optimizer}; --learning-rate sets another"
    ]


def check(settings: Settings) -> None:
    """Refuse settings that name something unknown or make no sense, before anything is loaded or compiled.

    Raises:
        ValueError: With the field, what came and what was expected.
    """
    choices = {"model": Model, "activation": Activation, "output": Activation, "loss": Loss, "dtype": Dtype}
    choices |= {
        "distortion": Distortion,
        "initializer": Initializer,
        "optimizer": Optimizer,
        "schedule": Schedule,
        "precision": Precision,
    }
    for field, allowed in choices.items():
        if getattr(settings, field) not in get_args(allowed):
            raise ValueError(f"{field} must be one of {', '.join(get_args(allowed))}, got {getattr(settings, field)!r}")
    require_seed(settings.seed)
    lowest = {"epochs": 0, "batch_size": 1, "candidates": 1, "shift": 0, "validation": 0, "weight_decay": 0}
    for field, least in lowest.items():
        if not getattr(settings, field) >= least:
            raise ValueError(f"{field} must be at least {least}, got {getattr(settings, field)}")
    for field in ("learning_rate", "gain"):
        if not 0 < getattr(settings, field) < float("inf"):
            raise ValueError(f"{field} must be a positive number, got {getattr(settings, field)}")
    if not 0 < settings.budget <= 1:
        raise ValueError(f"budget must be a fraction of the parameters above 0 and at most 1, got {settings.budget}")
    if not 0 <= settings.test_fraction < 1:
        raise ValueError(
            f"test_fraction must be a part of the examples, at least 0 and below 1, got {settings.test_fraction}"
        )
    if not 0 <= settings.dropout < 1:
        raise ValueError(f"dropout must be a share of the neurons, at least 0 and below 1, got {settings.dropout}")
    if any(size < 1 for size in settings.sizes):
        raise ValueError(f"sizes are the hidden layers' neurons, each at least 1, got {settings.sizes}")
    if settings.loss == "cross_entropy" and settings.output != "identity":
        raise ValueError(f"cross_entropy takes logits, so output must be identity, got {settings.output}")
    if settings.model == "convnet":
        for field in ("dropout", "sizes", "activation", "output", "initializer", "gain", "random_biases"):
            if getattr(settings, field) != getattr(convnet, field):
                raise ValueError(
                    f"{field} belongs to dense networks, the convnet's is fixed; got {getattr(settings, field)!r}"
                )
    if settings.weight_decay and settings.optimizer == "adam":
        raise ValueError("weight_decay needs optimizer sgd, momentum or adamw, got adam")


SEEDS = 2**32
"""Random keys have so many different seeds."""


def require_seed(seed: int) -> None:
    """Refuse a seed that another one would stand for, as random keys take its last 32 bits.

    Raises:
        ValueError: If the seed is no whole number from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not hasattr(type(seed), "__index__"):
        raise ValueError(f"seed must be a whole number, got {seed!r}")
    if not 0 <= seed < SEEDS:
        raise ValueError(
            f"seed must be from 0 to {SEEDS - 1}, got {seed}, which would be the same run as {seed % SEEDS}; take that"
        )


def require_sizes(sizes: tuple[int, ...], pixels: int, classes: int) -> None:
    """Refuse sizes that may name the hidden layers or all of them.

    Raises:
        ValueError: If several different sizes either begin with the number of pixels or end with that of the classes, but
            not both.
    """
    if len(sizes) < 2 or len(set(sizes)) == 1 or (sizes[0] == pixels) == (sizes[-1] == classes):
        return
    given = " ".join(map(str, sizes))
    found = (
        f"begin with the data's {pixels} pixels but do not end with their {classes} classes"
        if sizes[0] == pixels
        else f"end with the data's {classes} classes but do not begin with their {pixels} pixels"
    )
    inner = sizes[1:-1] if sizes[0] == pixels else sizes[:-1]
    meant = " ".join(map(str, (pixels, *inner, classes)))
    raise ValueError(
        f"sizes {given} {found}, so they may name the hidden layers or all; name all: {pixels} {given} {classes} for these "
        f"hidden layers, or {meant}"
    )


def all_sizes(sizes: tuple[int, ...], pixels: int, classes: int) -> tuple[int, ...]:
    """The sizes of all layers, whether the hidden ones are given or all of them.

    Examples:
        >>> all_sizes((16, 16), 784, 10), all_sizes((784, 16, 16, 10), 784, 10)
        ((784, 16, 16, 10), (784, 16, 16, 10))
    """
    if len(sizes) > 1 and (sizes[0], sizes[-1]) == (pixels, classes):
        return sizes
    return (pixels, *sizes, classes)
