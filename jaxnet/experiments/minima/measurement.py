"""Do networks find equally good local minima? Hundreds of networks of each width, and the cost between two networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import training
from jaxnet.analysis.alignment import match_neurons
from jaxnet.core import metrics
from jaxnet.core.types import Batch, Dataset, Params
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, judged, mean, share
from jaxnet.training import config, ensemble, presets
from jaxnet.training.functions import Functions
from jaxnet.training.progress import OnProgress, no_progress

SIDE = 10
"""The side of an image in pixels. Choromanska et al. shrank the digits to 10 x 10 pixels."""

PUBLISHED = {25: 0.76, 50: 0.69, 100: 0.60, 250: 0.53, 500: 0.41}
"""The published correlation of training and test loss for each width, from memory of the paper."""

CLOSE = 0.05
"""The largest allowed distance of a correlation from the published correlation."""

SOURCE = "Choromanska et al. 2015 [from memory]"


class MinimaSettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        widths: The numbers of neurons in the hidden layer.
        networks: The number of networks for each width.
        orders: The number of different orders of the images. Each order serves an equal part of the networks.
        images: The number of training images.
        epochs: The number of epochs.
        learning_rate: The learning rate of plain gradient descent. It was chosen on held-out training images, and falls to 0.
        pairs: The number of pairs of networks for each width.
        points: The number of points on the straight line between two networks.
    """

    widths: tuple[int, ...]
    networks: int
    orders: int
    images: int
    epochs: int
    learning_rate: float
    pairs: int
    points: int


def shrunk(dataset: Dataset, images: int) -> Dataset:
    """Shrink the digits to 10 x 10 pixels, and keep only the first `images` training images."""
    resize = jax.jit(jax.vmap(lambda image: jax.image.resize(image.astype(jnp.float32), (SIDE, SIDE), "linear")))
    small = lambda batch: Batch(np.asarray(resize(batch.images).round().astype(jnp.uint8)), batch.labels)
    cut = Batch(dataset.train.images[:images], dataset.train.labels[:images])
    return Dataset(small(cut), small(dataset.test), dataset.classes)


def trained_by(settings: MinimaSettings, width: int) -> config.TrainConfig:
    """Return the settings for one width: ReLU, cross-entropy, and plain gradient descent with a falling rate."""
    return presets.film._replace(
        sizes=(width,), activation="relu", output="identity", loss="cross_entropy", initializer="he",
        learning_rate=settings.learning_rate, epochs=settings.epochs, batch_size=50,
    )  # fmt: skip


def measure(
    settings: MinimaSettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Train the networks, and measure the cost of each network and the cost between two networks.

    Returns:
        The arrays by name:

        - `widths` (width,): the numbers of hidden neurons.
        - `train`, `test` (width, network): the costs.
        - `right` (width, network): the percentage of test images that are read correctly.
        - `slope` (width, network): the norm of the training cost's gradient at the end of the training.
        - `slope_before` (width, pair): the norm of this gradient at the start.
        - `straight` (width, pair, point): the cost of the first 5,000 training images on the line between two networks.
        - `ordered` (width, pair, point): the cost on this line, if the neurons of the second network are aligned.

    Raises:
        ValueError: If there are too few networks for the pairs.
    """
    if 2 * settings.pairs > settings.networks:
        raise ValueError(
            f"{settings.pairs} pairs need {2 * settings.pairs} networks of each width, got {settings.networks}"
        )
    small = shrunk(dataset, settings.images)
    parts = [
        keep(f"width-{width}", lambda width=width: _of_width(settings, width, small, on_progress))
        for width in settings.widths
    ]
    return {"widths": np.array(settings.widths), **{name: np.stack([p[name] for p in parts]) for name in parts[0]}}


def _of_width(settings: MinimaSettings, width: int, small: Dataset, on_progress: OnProgress) -> Arrays:
    begin = trained_by(settings, width)
    params, each = [], -(-settings.networks // settings.orders)
    for first in range(0, settings.networks, each):
        seeds = range(first, min(first + each, settings.networks))
        members = ensemble.grid(begin, seed=seeds)
        results = ensemble.train_together(members, small, at_once=each, evaluate_every=0, on_progress=on_progress)
        params.append(results.groups[0].params)
    stack = jax.tree.map(lambda *leaves: np.concatenate(leaves), *params)
    functions = training.plan(begin, small, drawn=False).functions
    found = {name: _judge(functions, stack, batch) for name, batch in (("train", small.train), ("test", small.test))}
    straight, ordered = _between(settings, functions, stack, small.train)
    keys = training.many_keys(range(settings.pairs)).init
    begun = jax.jit(jax.vmap(functions.init))(keys)
    return {
        "slope": _slopes(functions, stack, small.train), "slope_before": _slopes(functions, begun, small.train),
        "train": found["train"][0], "test": found["test"][0], "right": 100 * found["test"][1],
        "straight": straight, "ordered": ordered,
    }  # fmt: skip


def _judge(functions: Functions, params: Params, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Compute the cost and the accuracy of every network in a stack."""

    def one(params: Params) -> tuple[Any, Any]:
        outputs = jax.vmap(functions.apply, in_axes=(None, 0))(params, batch.images)
        return jnp.mean(jax.vmap(functions.loss)(outputs, batch.labels)), metrics.accuracy(outputs, batch.labels)

    batch = Batch(jnp.asarray(batch.images), jnp.asarray(batch.labels))
    cost, right = jax.jit(lambda stack: jax.lax.map(one, stack))(params)
    return np.asarray(cost), np.asarray(right)


def _slopes(functions: Functions, params: Params, batch: Batch) -> np.ndarray:
    """Compute the norm of the cost's gradient for every network in a stack."""
    batch = Batch(jnp.asarray(batch.images), jnp.asarray(batch.labels))
    slope = lambda params: optax.tree.norm(jax.grad(functions.cost)(params, batch))
    return np.asarray(jax.jit(lambda stack: jax.lax.map(slope, stack))(params))


def _between(
    settings: MinimaSettings, functions: Functions, params: Params, train: Batch
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the training cost on straight lines between two networks, (pair, point), without and with alignment."""
    places = jnp.linspace(0, 1, settings.points)
    take = lambda i: jax.tree.map(lambda leaf: leaf[i], params)
    # The two networks of a pair saw the images in different orders.
    ends = [(take(i), take(settings.networks - 1 - i)) for i in range(settings.pairs)]
    batch = Batch(jnp.asarray(train.images[:5000]), jnp.asarray(train.labels[:5000]))

    @jax.jit
    def along(start: Params, end: Params) -> Any:
        on_the_way = lambda t: jax.tree.map(lambda a, b: (1 - t) * a + t * b, start, end)
        return jax.lax.map(lambda t: functions.cost(on_the_way(t), batch), places)

    straight = np.stack([along(a, b) for a, b in ends])
    ordered = np.stack([along(a, match_neurons(b, a)) for a, b in ends])
    return straight, ordered


def barriers(costs: Any) -> np.ndarray:
    """Measure the highest rise of a cost above the straight line between its two ends.

    Args:
        costs: The costs at evenly spaced points, (..., point).

    Returns:
        The rise, (...). It is 0 if the cost never rises above this line.

    Examples:
        >>> barriers([1.0, 5.0, 2.0]).tolist()
        3.5

    Source: Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis" (2020).
    """
    costs = np.asarray(costs, np.float64)
    places = np.linspace(0, 1, costs.shape[-1])
    chord = costs[..., :1] * (1 - places) + costs[..., -1:] * places
    return np.asarray((costs - chord).max(axis=-1))


def correlation(name: str, first: Any, second: Any, published: float | None) -> Finding:
    """Compute Pearson's correlation over networks, with Fisher's interval.

    The verdict is "reproduced" if the correlation is close to `published`.
    """
    from scipy import stats

    found: Any = stats.pearsonr(first, second)
    interval = found.confidence_interval(0.95)
    low, high, value = float(interval.low), float(interval.high), float(found.statistic)
    if published is None:
        return Finding(name, "", "", value, low, high, len(first), "measured")
    verdict = judged(value, low, high, least=published - CLOSE, most=published + CLOSE)
    return Finding(name, f"{published}", SOURCE, value, low, high, len(first), verdict)


def falling(what: str, statistic: Callable[..., Any], train: Any, test: Any) -> Finding:
    """Count how often a statistic falls from one width to the next, with an interval by resampling the networks.

    Args:
        what: The name of the statistic.
        statistic: A function `statistic(train, test)` of training and test costs. It reduces the last axis.
        train: The training costs, (width, network).
        test: The test costs, (width, network).

    Returns:
        The number of falls. The lower end of the interval counts only the significant falls. The upper end counts all steps
        from width to width that are not significant rises.
    """
    steps, generator = np.diff(statistic(train, test)), np.random.default_rng(0)
    drawn = []
    for both in zip(train, test, strict=True):
        again = generator.integers(train.shape[1], size=(1000, train.shape[1]))
        drawn.append(statistic(*(costs[again] for costs in both)))
    low, high = np.quantile(np.diff(drawn, axis=0), [0.025, 0.975], axis=1)
    falls, surely, perhaps = (float(np.sum(which)) for which in (steps < 0, high < 0, low <= 0))
    verdict = judged(falls, surely, perhaps, least=len(steps))
    return Finding(
        f"{what} falls from width to width", f"all {len(steps)} times", SOURCE, falls, surely, perhaps, test.size, verdict,
        f"of {len(steps)} times",
    )  # fmt: skip


def _agreement(first: Any, second: Any) -> Any:
    """Compute Pearson's correlation along the last axis."""
    first, second = (values - values.mean(-1, keepdims=True) for values in (first, second))
    return (first * second).sum(-1) / np.sqrt((first**2).sum(-1) * (second**2).sum(-1))


def answer(settings: MinimaSettings, arrays: Arrays) -> Answer:
    """Evaluate: do spread and mean of the test cost fall with width? Do the two costs agree? Do walls lie between solutions?"""
    widths, test, train = arrays["widths"].tolist(), arrays["test"], arrays["train"]
    means, spreads = test.mean(1), test.std(1, ddof=1)
    findings = [mean(f"test cost, {w} hidden", test[i], source=SOURCE, unit="nats") for i, w in enumerate(widths)]
    findings += [_deviation(f"spread of the test cost, {w} hidden", test[i]) for i, w in enumerate(widths)]
    for i, w in enumerate(widths):
        left = arrays["slope"][i] / arrays["slope_before"][i].mean()
        findings.append(
            mean(
                f"remaining gradient at the end of training, {w} hidden", 100 * left, unit="% of its norm at the start"
            )
        )
    statistics = {
        "mean of the test cost": lambda train, test: test.mean(-1),
        "spread of the test cost": lambda train, test: test.std(-1, ddof=1),
        "correlation of the two costs": _agreement,
    }
    findings += [falling(what, statistic, train, test) for what, statistic in statistics.items()]
    for i, w in enumerate(widths):
        findings.append(
            correlation(f"correlation of training cost and test cost, {w} hidden", train[i], test[i], PUBLISHED.get(w))
        )
    walls, after = barriers(arrays["straight"]), barriers(arrays["ordered"])
    for i, w in enumerate(widths):
        findings.append(mean(f"wall between two solutions, {w} hidden", walls[i], source="the film", unit="nats"))
        findings.append(
            mean(
                f"wall between two solutions with aligned neurons, {w} hidden",
                after[i],
                source="Ainsworth et al. 2023",
                unit="nats",
            )
        )
    lower = int((after < walls).sum())
    findings.append(
        share(
            "share of pairs whose wall is lower with aligned neurons", lower, walls.size, source="Ainsworth et al. 2023"
        )
    )
    left = arrays["slope"].mean(1) / arrays["slope_before"].mean(1)
    return Answer(_in_words(settings, widths, means, spreads, walls, after, left), tuple(findings))


def _in_words(
    settings: MinimaSettings, widths: list[int], means: np.ndarray, spreads: np.ndarray, walls: np.ndarray, after: np.ndarray,
    left: np.ndarray,
) -> str:  # fmt: skip
    equal = (np.diff(spreads) < 0).all() and (np.diff(means) < 0).all()
    claim = (
        "In wider networks the final costs are lower and closer together"
        if equal
        else "The mean and the spread of the final cost do not both fall each time the width grows"
    )
    ratio = spreads[-1] / means[-1]
    wall = (
        f"On the straight line between two of the widest networks the cost has a wall of {walls[-1].mean():.2g} nats. With "
        f"aligned neurons the wall has {after[-1].mean():.2g} nats."
    )
    return (
        f"{claim}. Over {settings.networks} networks of each width, the spread of the test cost is {spreads[0]:.2g} nats for "
        f"{widths[0]} hidden neurons, and {spreads[-1]:.2g} nats for {widths[-1]}, which is {100 * ratio:.1f} % of the mean. "
        f"At the end of training, the norm of the gradient is {100 * left.min():.1f} to {100 * left.max():.1f} % of "
        f"the norm at the start. {wall}"
    )


def _deviation(what: str, values: np.ndarray) -> Finding:
    """Make a finding from a standard deviation, with its interval by a thousand resamplings of the networks."""
    generator = np.random.default_rng(0)
    again = generator.choice(values, (1000, len(values))).std(axis=1, ddof=1)
    low, high = (float(q) for q in np.quantile(again, [0.025, 0.975]))
    value = float(values.std(ddof=1))
    return Finding(what, "", SOURCE, value, low, high, len(values), "measured", "nats")


def plan(settings: MinimaSettings) -> str:
    """Write the plan of the experiment in words."""
    widths = ", ".join(map(str, settings.widths))
    return (
        f"{settings.networks} networks of each of the widths {widths} on {settings.images:,} digits of {SIDE} x {SIDE} pixels, "
        f"{settings.epochs} epochs, and the cost between {settings.pairs} pairs of each width"
    )


WIDTHS = (25, 50, 100, 250, 500)
QUICK = MinimaSettings(WIDTHS, 200, 2, 2500, 7, 1.0, 10, 11)
FULL = MinimaSettings(WIDTHS, 1000, 10, 10_000, 15, 1.0, 50, 21)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (55, 1800))
