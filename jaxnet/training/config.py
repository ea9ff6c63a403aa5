"""The settings of a run, the names of the presets (film, nielsen, modern, wide, convnet), and checks of settings."""

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from jaxnet.core.mesh import batch_devices, require_divisible
from jaxnet.training.tables import ACTIVATIONS, DISTORTIONS, INITIALIZERS, LOSSES, OPTIMIZERS, SCHEDULES

Preset = Literal["film", "nielsen", "modern", "wide", "convnet"]
Model = Literal["dense", "convnet"]
Dtype = Literal["float32", "float64", "bfloat16", "mixed"]
Precision = Literal["default", "high", "highest"]
if TYPE_CHECKING:  # a type checker cannot read names from a table
    Activation: TypeAlias = str
    Loss: TypeAlias = str
    Initializer: TypeAlias = str
    Optimizer: TypeAlias = str
    Distortion: TypeAlias = str
    Schedule: TypeAlias = str
else:
    Activation = Literal[tuple(ACTIVATIONS)]
    Loss = Literal[tuple(LOSSES)]
    Initializer = Literal[tuple(INITIALIZERS)]
    Optimizer = Literal[tuple(OPTIMIZERS)]
    Distortion = Literal[("none", *DISTORTIONS)]
    Schedule = Literal[tuple(SCHEDULES)]


class TrainConfig(NamedTuple):
    """All settings of a run. On one machine, equal settings give equal results, bit for bit.

    Attributes:
        preset: The name of the preset on which these settings are based.
        data: "mnist", the name of another data set (see `data.load`), or the path of a file or folder (see `data.from_file`).
        test_fraction: The fraction to hold out for testing, if the data have no test images. The seed does not change the choice.
        model: "dense" is a fully connected network, "convnet" the small convolutional network `models.ConvNet`.
        sizes: Neurons of each hidden layer. A full list, from the number of pixels to the number of classes, also works.
        activation: The function that each hidden neuron applies to its weighted sum.
        output: The function that each output neuron applies to its weighted sum. The loss cross_entropy needs identity.
        loss: The cost of one image: squared_error is the film's, half_squared_error Nielsen's, cross_entropy the usual cost today.
        initializer: The distribution from which the weights are sampled at the start.
        gain: Only the initializer "scaled" uses this number. The weights' standard deviation is gain / sqrt(inputs of the neuron).
        random_biases: Sample the biases at the start from a normal distribution (mean 0, deviation 1) instead of setting them to 0.
        optimizer: sgd is plain gradient descent, momentum is Nesterov's momentum 0.9. adam and adamw adapt each parameter's step.
        learning_rate: The largest step size. If only the optimizer changes, a suitable rate replaces the preset's rate.
        schedule: The course of the learning rate. With constant it stays; with all others it falls to 0. onecycle rises first.
        weight_decay: A factor that pulls parameters to 0. Each step adds factor * parameter to the gradient (adamw: to the update).
        budget: The fraction of the parameters that a step may move: the parameters whose updates lower the cost most. 1 means all.
        frozen: Layers or arrays that the training leaves unchanged: 0 means the first layer, 0/biases only its biases.
        candidates: How many networks to train at a time. The network with the lowest cost over all training images is kept.
        epochs: How many times to go through all training images.
        batch_size: How many images each step uses.
        shift: Move each training image by at most this number of pixels in a random direction. 0 means no moves.
        distortion: Distort training images at random: affine is for turns, scalings and slants; elastic also bends the images.
        dropout: The fraction of the hidden neurons that are switched off at random in each step.
        validation: How many training images to hold out of the training, to evaluate the network on them. 0 means no images.
        seed: A number from 0 to 4294967295. It decides the random start, the order of the images, shifts and held-out images.
        dtype: The type of the parameters and of the arithmetic. mixed keeps parameters in float32 and computes in bfloat16.
        precision: The precision of float32 matrix products on a GPU or TPU. With default, factors are rounded to TF32 or bfloat16.
        device: The device to compute on: cpu, gpu or tpu. If it is None, jax chooses a device.
        devices: How many devices share the training. Each device gets an equal part of every batch.
        layer_devices: How many of the devices hold a layer together, for layers that are too wide for one device.
        reproducible: Make the bits independent of the number of devices (1, 2, 4 or 8). A batch is cut into 16 equal parts.
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
    frozen: tuple[str, ...] = ()
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
    devices: int = 1
    layer_devices: int = 1
    reproducible: bool = False


def params_dtype(dtype: Dtype) -> str:
    """The type of the parameters and of the optimizer's state, for a setting `dtype`."""
    return "float32" if dtype == "mixed" else dtype


_OF_CONVNET = {
    "dropout": 0.0, "sizes": (), "activation": "relu", "output": "identity", "initializer": "he", "gain": 1.5,
    "random_biases": False,
}  # fmt: skip
"""If the model is the convnet, the fields for dense networks must have these values."""


def meanings() -> dict[str, str]:
    """The meaning of every setting by its name, from the docstring of `TrainConfig`.

    If Python removed the docstrings, every meaning is empty.
    """
    lines = (TrainConfig.__doc__ or "").partition("Attributes:")[2].strip().splitlines()
    there = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
    return {name: there.get(name, "") for name in TrainConfig._fields}


def check(settings: TrainConfig) -> None:
    """Refuse settings with unknown names or invalid values, before anything is loaded or compiled.

    Raises:
        ValueError: If a setting is wrong. The message names the field, its value and the expected values.
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
    lowest |= {"devices": 1, "layer_devices": 1}
    for field, least in lowest.items():
        if not getattr(settings, field) >= least:
            raise ValueError(f"{field} must be at least {least}, got {getattr(settings, field)}")
    for field in ("learning_rate", "gain"):
        if not 0 < getattr(settings, field) < float("inf"):
            raise ValueError(f"{field} must be a positive number, got {getattr(settings, field)}")
    if not 0 < settings.budget <= 1:
        raise ValueError(f"budget must be a fraction of the parameters, above 0 and at most 1, got {settings.budget}")
    if not 0 <= settings.test_fraction < 1:
        raise ValueError(
            f"test_fraction must be a fraction of the examples, at least 0 and below 1, got {settings.test_fraction}"
        )
    if not 0 <= settings.dropout < 1:
        raise ValueError(f"dropout must be a fraction of the neurons, at least 0 and below 1, got {settings.dropout}")
    parts = batch_devices(settings.devices, settings.layer_devices)
    if settings.reproducible or parts > 1:
        require_divisible(settings.batch_size, parts, into_shards=settings.reproducible)
    if any(size < 1 for size in settings.sizes):
        raise ValueError(f"sizes must be the neurons of each hidden layer, at least 1 each, got {settings.sizes}")
    if settings.loss == "cross_entropy" and settings.output != "identity":
        raise ValueError(f"cross_entropy takes logits, so output must be identity, got {settings.output}")
    if settings.model == "convnet":
        for field, expected in _OF_CONVNET.items():
            if getattr(settings, field) != expected:
                raise ValueError(
                    f"{field} can be set only for dense networks, because the convnet's {field} is fixed; "
                    f"got {getattr(settings, field)!r}"
                )
    if settings.weight_decay and settings.optimizer == "adam":
        raise ValueError("weight_decay needs optimizer sgd, momentum or adamw, got adam")


SEEDS = 2**32
"""The number of different seeds of random keys."""


def require_seed(seed: int) -> None:
    """Refuse a seed of more than 32 bits.

    Random keys use only the last 32 bits of a seed. So a larger seed would give the same run as a smaller seed.

    Raises:
        ValueError: If the seed is not a whole number from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not hasattr(type(seed), "__index__"):
        raise ValueError(f"seed must be a whole number, got {seed!r}")
    if not 0 <= seed < SEEDS:
        raise ValueError(
            f"seed must be from 0 to {SEEDS - 1}, got {seed}, which would give the run of seed {seed % SEEDS}; use that seed"
        )


def require_sizes(sizes: tuple[int, ...], pixels: int, classes: int) -> None:
    """Refuse sizes if it is unclear whether they are the hidden layers or all layers.

    Raises:
        ValueError: If there are several different sizes, and only one of two things is true: the first size is the
            number of pixels; the last size is the number of classes.
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
        f"sizes {given} {found}, so they may be the hidden layers or all layers; "
        f"give all layers: {pixels} {given} {classes} for these hidden layers, or {meant}"
    )


def all_sizes(sizes: tuple[int, ...], pixels: int, classes: int) -> tuple[int, ...]:
    """The sizes of all layers, from the sizes of the hidden layers or of all layers.

    Examples:
        >>> all_sizes((16, 16), 784, 10), all_sizes((784, 16, 16, 10), 784, 10)
        ((784, 16, 16, 10), (784, 16, 16, 10))
    """
    if len(sizes) > 1 and (sizes[0], sizes[-1]) == (pixels, classes):
        return sizes
    return (pixels, *sizes, classes)
