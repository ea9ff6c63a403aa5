"""Turn a config and a data set into a plan: the batches, the functions, the random keys and the start of a run."""

import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet import data
from jaxnet.core.types import Batch, Dataset, Params
from jaxnet.data.tfds import means_a_file
from jaxnet.training.config import TrainConfig, all_sizes, params_dtype, require_seed, require_sizes
from jaxnet.training.functions import Functions, build


class Plan(NamedTuple):
    """A prepared run, before its first step.

    Attributes:
        settings: The settings of the run.
        functions: The functions that the settings describe.
        train: The images to learn from.
        judged: The images for evaluations during the run. They are the held-out images, or the first training images if
            no images are held out.
        held_out: Whether the images `judged` were held out of the training.
        num_steps: The number of steps of the whole run.
        params: The random start. If there are several candidates, it has a leading axis. If no start was sampled, it is
            None.
        order_key: The key that decides the order of the images.
    """

    settings: TrainConfig
    functions: Functions
    train: Batch
    judged: Batch
    held_out: bool
    num_steps: int
    params: Params
    order_key: Array


def dataset(settings: TrainConfig, *, files: str | Path | None = None) -> Dataset:
    """Load the data set that the settings name. If the name is a path, the set is read from that file or folder.

    Args:
        settings: The settings of the run.
        files: A folder with downloaded files, as in `data.load`.

    Raises:
        ValueError: If files are given although the name is a path, or test_fraction is given although the set has its
            own test images. `data.from_file` and `data.load` raise further errors.
    """
    if means_a_file(settings.data):
        if files is not None:
            raise ValueError(
                f"files can be given only with a data set's name, but {settings.data} is a path; leave files out"
            )
        return data.from_file(settings.data, test_fraction=settings.test_fraction)
    if settings.test_fraction:
        raise ValueError(f"{settings.data} has a test split of its own; leave test_fraction out")
    return data.load(settings.data, files=files)


def with_whole_path(settings: TrainConfig) -> TrainConfig:
    """If the setting `data` is a path, make this path absolute, so that the path is valid in any working folder."""
    if not means_a_file(settings.data):
        return settings
    return settings._replace(data=str(Path(settings.data).expanduser().absolute()))


class Keys(NamedTuple):
    """The random keys made from a seed.

    Attributes:
        init: The key of the random start.
        order: The key of the order of the images, and of the batches' own keys.
        split: The key that decides which images are held out.
    """

    init: Array
    order: Array
    split: Array


def keys(seed: int) -> Keys:
    """The random keys of a run.

    Raises:
        ValueError: If the seed is not from 0 to 2**32 - 1.
    """
    require_seed(seed)
    return Keys(*_split(jax.random.key(seed)))


def many_keys(seeds: Sequence[int]) -> Keys:
    """The random keys of many runs, along a leading axis. One compiled program makes all of them."""
    for seed in seeds:
        require_seed(seed)
    return _many(np.asarray(seeds, np.uint32))


def plan(settings: TrainConfig, dataset: Dataset, *, drawn: bool = True) -> Plan:
    """Prepare a run: hold out images, count the steps, build the functions, sample the random start.

    Args:
        settings: The settings of the run.
        dataset: The data set to learn from. The test images are not used. The test labels are used only to check their
            range.
        drawn: Whether to sample the random start. If not, `params` is None. Callers that sample many starts at once
            need no start here.

    Returns:
        The plan. Equal settings and equal data give equal plans.

    Raises:
        ValueError: If the settings are invalid, or do not fit the data.
    """
    largest = int(max(dataset.train.labels.max(), dataset.test.labels.max()))
    if largest >= len(dataset.classes):
        raise ValueError(f"labels must be less than the number of classes, {len(dataset.classes)}, got {largest}")
    _, order_key, split_key = keys(settings.seed)
    examples, judged = dataset.train, None
    if settings.validation:
        examples, judged = data.split(split_key, examples, settings.validation)
    if settings.batch_size > len(examples.labels):
        raise ValueError(
            f"batch_size must be at most the {len(examples.labels):,} training images, got {settings.batch_size}"
        )
    num_steps = settings.epochs * (len(examples.labels) // settings.batch_size)
    require_sizes(settings.sizes, math.prod(examples.images.shape[1:]), len(dataset.classes))
    _require_memory(settings, math.prod(examples.images.shape[1:]), len(dataset.classes))
    functions = build(
        settings, image_shape=tuple(examples.images.shape[1:]), classes=len(dataset.classes), steps=num_steps
    )
    if settings.frozen:  # names that no array has are refused now
        jax.eval_shape(lambda key: functions.descent.init(functions.init(key)), order_key)
    first = Batch(examples.images[:JUDGED], examples.labels[:JUDGED])
    params = start(settings, functions) if drawn else None
    return Plan(settings, functions, examples, judged or first, judged is not None, num_steps, params, order_key)


def _require_memory(settings: TrainConfig, pixels: int, classes: int) -> None:
    """Refuse a dense network that is larger than the machine's memory, because XLA would hang instead of failing."""
    sizes = all_sizes(settings.sizes, pixels, classes)
    count = settings.candidates * sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else math.inf
    size = count * jnp.dtype(params_dtype(settings.dtype)).itemsize
    if settings.model == "dense" and size > memory:
        raise ValueError(
            f"sizes {' '.join(map(str, settings.sizes))} give {count:,} parameters, which need {size / 1e9:,.0f} GB; this "
            f"machine has {memory / 1e9:,.0f} GB of memory, so make the layers smaller"
        )


def start(settings: TrainConfig, functions: Functions) -> Params:
    """Sample the random start that the seed decides. If there are several candidates, it has a leading axis."""
    init_key = keys(settings.seed).init
    if settings.candidates == 1:
        return jax.jit(functions.init)(init_key)
    return jax.jit(jax.vmap(functions.init))(jax.random.split(init_key, settings.candidates))


JUDGED = 10_000
"""How many training images are used for evaluations if no images are held out."""


_many = jax.jit(jax.vmap(lambda seed: Keys(*jax.random.split(jax.random.key(seed), 3))))


_split = jax.jit(lambda key: tuple(jax.random.split(key, 3)))
"""Make three keys in one compiled program. A second program would add 10 to 20 ms to the start of a command."""
