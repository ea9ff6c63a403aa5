"""From settings and a data set to a trained network: a generator that says how far it is."""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet import data, devices, losses
from jaxnet._types import Batch, Dataset, Params
from jaxnet.data.named import means_a_file
from jaxnet.descent import State, side_by_side
from jaxnet.loop import train
from jaxnet.recipes import Recipe, Settings, all_sizes, build, require_seed, require_sizes

JUDGED = 10_000
"""Without held-out images the network is judged, on the way, by so many of the training images."""


class Plan(NamedTuple):
    """A run before its first step.

    Attributes:
        settings: What was asked for.
        recipe: The functions.
        train: The images to learn from.
        judged: The images to judge by on the way: held out, or the first of the training images.
        held_out: Whether `judged` was held out.
        num_steps: Steps of the whole run.
        params: The random start, with a leading axis where there are several candidates; None where it was not drawn.
        order_key: Decides the order of the images.
    """

    settings: Settings
    recipe: Recipe
    train: Batch
    judged: Batch
    held_out: bool
    num_steps: int
    params: Params
    order_key: Array


class Progress(NamedTuple):
    """Where a run is after a chunk of steps.

    Attributes:
        step: Steps taken.
        state: The state then; with several candidates its arrays, and the evaluation's, have a leading axis of them.
        info: The chunk's infos, stacked; the candidates' axis is behind that of the steps.
        evaluation: Cost and accuracy on the judged images, at the cadence asked for; otherwise None.
    """

    step: int
    state: State
    info: Any
    evaluation: losses.Evaluation | None


def dataset(settings: Settings, *, files: str | Path | None = None) -> Dataset:
    """The data set that settings name: from the file or folder of that path, else by its name.

    Args:
        settings: Data and test_fraction.
        files: As `data.load` takes it.

    Raises:
        ValueError: Also if there is a test_fraction for a set that has its own test images.
    """
    if means_a_file(settings.data):
        if files is not None:
            raise ValueError(f"files belongs to a data set's name, but {settings.data} is a path")
        return data.from_file(settings.data, test_fraction=settings.test_fraction)
    if settings.test_fraction:
        raise ValueError(f"{settings.data} has a test split of its own; leave test_fraction out")
    return data.load(settings.data, files=files)


def with_whole_path(settings: Settings) -> Settings:
    """The same settings, their data's path, if it is one, whole, so that it holds from any folder."""
    if not means_a_file(settings.data):
        return settings
    return settings._replace(data=str(Path(settings.data).expanduser().absolute()))


class Keys(NamedTuple):
    """What a seed decides.

    Attributes:
        init: The random start.
        order: The order of the images, and the batches' own keys.
        split: Which images are held out.
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
    """The same of many runs, along a leading axis, by one program whatever their number."""
    for seed in seeds:
        require_seed(seed)
    return _many(np.asarray(seeds, np.uint32))


_many = jax.jit(jax.vmap(lambda seed: Keys(*jax.random.split(jax.random.key(seed), 3))))
_split = jax.jit(lambda key: tuple(jax.random.split(key, 3)))
"""One program instead of two: each costs some 10 to 20 ms of a command's start."""


def plan(settings: Settings, dataset: Dataset, *, drawn: bool = True) -> Plan:
    """Prepare a run: hold out, count the steps, build the functions, draw the start.

    Args:
        settings: What to do.
        dataset: What to learn from; of the test set only the range of its labels is looked at.
        drawn: Whether to draw the random start; without it `params` is None, for those who draw many starts at once.

    Returns:
        The plan. Same settings, same data: same plan.

    Raises:
        ValueError: If the settings make no sense, alone or with this data.
    """
    largest = int(max(dataset.train.labels.max(), dataset.test.labels.max()))
    if largest >= len(dataset.classes):
        raise ValueError(f"labels must lie below the {len(dataset.classes)} classes, got {largest}")
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
    recipe = build(
        settings, image_shape=tuple(examples.images.shape[1:]), classes=len(dataset.classes), steps=num_steps
    )
    first = Batch(examples.images[:JUDGED], examples.labels[:JUDGED])
    params = start(settings, recipe) if drawn else None
    return Plan(settings, recipe, examples, judged or first, judged is not None, num_steps, params, order_key)


def _require_memory(settings: Settings, pixels: int, classes: int) -> None:
    """Refuse a dense network that is larger than the machine's memory: asked for that much, XLA never comes back."""
    sizes = all_sizes(settings.sizes, pixels, classes)
    count = settings.candidates * sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(sizes))
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else math.inf
    size = count * jnp.dtype(settings.dtype).itemsize
    if settings.model == "dense" and size > memory:
        raise ValueError(
            f"sizes {' '.join(map(str, settings.sizes))} make {count:,} parameters, which take {size / 1e9:,.0f} GB; this "
            f"machine has {memory / 1e9:,.0f} GB of memory, so make the layers smaller"
        )


def start(settings: Settings, recipe: Recipe) -> Params:
    """The random start that the seed decides, with a leading axis where there are several candidates."""
    init_key = keys(settings.seed).init
    if settings.candidates == 1:
        return jax.jit(recipe.init)(init_key)
    return jax.jit(jax.vmap(recipe.init))(jax.random.split(init_key, settings.candidates))


def fit(run: Plan, *, evaluate_every: int = 1, stopped: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
    """Train, and say after every chunk of steps, on an accelerator after every epoch, how far it is.

    Args:
        run: From `plan`.
        evaluate_every: Epochs from one evaluation to the next; the last epoch is always evaluated, 0 is never.
        stopped: Asked before every chunk; once it is true no further chunk is begun, and the last one is still checked.

    Yields:
        Progress; a `break` stops early too, but leaves the last chunk unchecked.

    Raises:
        Diverged: If cost or parameters are no longer finite.
        Exception: What an evaluation raised, after the progress without it was yielded.

    Examples:
        >>> images = np.random.default_rng(0).random((64, 4, 4))
        >>> batch = data.arrays(images, np.arange(64) % 2)
        >>> run = plan(Settings(epochs=2, sizes=(3,)), Dataset(batch, batch, ("even", "odd")))
        >>> [(progress.step, progress.evaluation is not None) for progress in fit(run)]
        [(2, True), (4, True)]
    """
    settings, recipe = run.settings, run.recipe
    per_epoch = run.num_steps // max(1, settings.epochs)
    shown = {"epochs": settings.epochs, "keyed": recipe.keyed}
    if devices.resident():
        batches = data.resident_epochs(run.order_key, run.train, settings.batch_size, **shown)
        judged = jax.tree.map(jnp.asarray, run.judged) if evaluate_every else run.judged
    else:
        steps, judged = recipe.steps_per_chunk, run.judged
        batches = data.shuffled(run.order_key, run.train, settings.batch_size, steps=steps, **shown)
    descent = side_by_side(recipe.descent) if settings.candidates > 1 else recipe.descent
    step = 0
    wanted = itertools.takewhile(lambda chunk: not stopped(), batches)
    for state, info in train(descent, jax.jit(descent.init)(run.params), wanted):
        step += len(info.cost)
        epoch, within = divmod(step, per_epoch)
        due = evaluate_every and not within and (epoch % evaluate_every == 0 or epoch == settings.epochs)
        evaluation, failed = None, None
        if due:
            try:
                evaluation = judge_all(run, state.params, judged)
            except Exception as error:  # whoever asks for the next chunk gets it, and has this one's state by then
                failed = error
        yield Progress(step, state, info, evaluation)
        if failed is not None:
            raise failed


def replay(run: Plan, chosen: int | None = None) -> Iterator[tuple[int, Params]]:
    """Walk a run again, step by step: the same settings give the same bits on the same machine.

    Args:
        run: From `plan`.
        chosen: The candidate to follow where there are several.

    Yields:
        The number of steps taken, from 0 to `num_steps`, and the parameters then.
    """
    settings, recipe = run.settings, run.recipe
    descent = side_by_side(recipe.descent) if settings.candidates > 1 else recipe.descent
    batches = data.shuffled(
        run.order_key, run.train, settings.batch_size, epochs=settings.epochs, keyed=recipe.keyed, steps=1
    )
    yield 0, member(run.params, chosen)
    for step, (state, _) in enumerate(train(descent, descent.init(run.params), batches), start=1):
        yield step, member(state.params, chosen)


def judge(recipe: Recipe, params: Params, batch: Batch) -> losses.Evaluation:
    """Cost and accuracy of one network on all of a batch's images, whatever their number."""
    answers = losses.outputs(recipe.apply, params, batch.images, chunk_size=min(1000, math.ceil(len(batch.labels) / 2)))
    return losses.evaluate(recipe.loss, answers, batch.labels)


def learned(accuracy: float, guessing: float) -> bool:
    """Whether a network reads noticeably better than one that always gives the most frequent answer.

    A network that always gives the most frequent answer is right as often as that class occurs. To have learned something, a
    network must be right twice as often, or avoid a twentieth of the mistakes that such a network makes.

    Args:
        accuracy: The fraction of images read correctly.
        guessing: The fraction of these images that belong to the most frequent class.

    Examples:
        >>> learned(0.9533, 0.1135), learned(0.103, 0.1135), learned(0.03, 0.01)
        (True, False, True)
    """
    return accuracy >= 2 * guessing or accuracy >= guessing + 0.05 * (1 - guessing)


def judge_all(run: Plan, params: Params, batch: Batch) -> losses.Evaluation:
    """The same of every candidate, along a leading axis, where there are several."""
    if run.settings.candidates == 1:
        return judge(run.recipe, params, batch)
    each = [judge(run.recipe, member(params, i), batch) for i in range(run.settings.candidates)]
    return jax.tree.map(lambda *parts: jnp.stack(parts), *each)


def choose(run: Plan, params: Params) -> int | None:
    """The candidate with the lowest cost over all training images; None where there is only one network."""
    return None if run.settings.candidates == 1 else int(jnp.nanargmin(judge_all(run, params, run.train).cost))


def member(tree: Any, chosen: int | None) -> Any:
    """One candidate's part of a pytree with a leading axis of candidates; the pytree itself where there is only one."""
    return tree if chosen is None else jax.tree.map(lambda leaf: leaf[chosen], tree)
