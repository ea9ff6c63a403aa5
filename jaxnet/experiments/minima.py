"""Are the local minima that networks find of equal quality: hundreds of networks a width, and what lies between two of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import ensemble, losses, recipes, training
from jaxnet._types import Batch, Dataset, Params
from jaxnet.aligning import aligned
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, judged, mean, share
from jaxnet.walking import Seen

SIDE = 10
"""Pixels of a side: Choromanska et al. shrank the digits to 10 x 10."""

PUBLISHED = {25: 0.76, 50: 0.69, 100: 0.60, 250: 0.53, 500: 0.41}
"""Their correlation of training and test loss by width, from memory of the paper."""

CLOSE = 0.05
"""By how much a correlation may miss the published one."""

SOURCE = "Choromanska et al. 2015 [from memory]"


class Settings(NamedTuple):
    """What decides the numbers.

    Attributes:
        widths: Of the one hidden layer.
        networks: Of each width.
        orders: How many orders of the images they share: a part of the networks each.
        images: Training images.
        epochs: How often to go through them.
        learning_rate: Of plain gradient descent, falling to zero; chosen on held-out training images.
        pairs: Pairs of networks of each width to connect.
        points: Of the straight line between two.
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
    """The digits as 10 x 10 pixels, only the first so many of the training images."""
    resize = jax.jit(jax.vmap(lambda image: jax.image.resize(image.astype(jnp.float32), (SIDE, SIDE), "linear")))
    small = lambda batch: Batch(np.asarray(resize(batch.images).round().astype(jnp.uint8)), batch.labels)
    cut = Batch(dataset.train.images[:images], dataset.train.labels[:images])
    return Dataset(small(cut), small(dataset.test), dataset.classes)


def trained_by(settings: Settings, width: int) -> recipes.Settings:
    """How every network of a width is trained: ReLU, cross-entropy, plain gradient descent with a falling rate."""
    return recipes.film._replace(
        sizes=(width,), activation="relu", output="identity", loss="cross_entropy", initializer="he",
        learning_rate=settings.learning_rate, epochs=settings.epochs, batch_size=50,
    )  # fmt: skip


def measure(
    settings: Settings, dataset: Dataset, *, keep: Keep = at_once, show: Callable[[Seen], None] = lambda seen: None
) -> Arrays:
    """Train the networks and look at their cost, alone and between them.

    Returns:
        `train`, `test` (width, network), the cost; `right` likewise, in percent of the test images; `slope` likewise, the norm
        of the training cost's gradient where training ended, and `slope_before` (width, pair) where it began; `straight`,
        `ordered` (width, pair, point), the cost of the first 5,000 training images on the line between two networks, as they
        are and after aligning neurons.

    Raises:
        ValueError: If there are too few networks for so many pairs.
    """
    if 2 * settings.pairs > settings.networks:
        raise ValueError(
            f"{settings.pairs} pairs need {2 * settings.pairs} networks of each width, got {settings.networks}"
        )
    small = shrunk(dataset, settings.images)
    parts = [
        keep(f"width-{width}", lambda width=width: _of_width(settings, width, small, show)) for width in settings.widths
    ]
    return {"widths": np.array(settings.widths), **{name: np.stack([p[name] for p in parts]) for name in parts[0]}}


def _of_width(settings: Settings, width: int, small: Dataset, show: Callable[[Seen], None]) -> Arrays:
    begin = trained_by(settings, width)
    params, each = [], -(-settings.networks // settings.orders)
    for first in range(0, settings.networks, each):
        seeds = range(first, min(first + each, settings.networks))
        members = ensemble.combinations(begin, seed=seeds)
        results = ensemble.train_together(members, small, at_once=each, evaluate_every=0, show=show)
        params.append(results.groups[0].params)
    stack = jax.tree.map(lambda *leaves: np.concatenate(leaves), *params)
    recipe = training.plan(begin, small, drawn=False).recipe
    found = {name: _judge(recipe, stack, batch) for name, batch in (("train", small.train), ("test", small.test))}
    straight, ordered = _between(settings, recipe, stack, small.train)
    keys = training.many_keys(range(settings.pairs)).init
    begun = jax.jit(jax.vmap(recipe.init))(keys)
    return {
        "slope": _slopes(recipe, stack, small.train), "slope_before": _slopes(recipe, begun, small.train),
        "train": found["train"][0], "test": found["test"][0], "right": 100 * found["test"][1],
        "straight": straight, "ordered": ordered,
    }  # fmt: skip


def _judge(recipe: recipes.Recipe, params: Params, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Cost and accuracy of every network of a stack."""

    def one(params: Params) -> tuple[Any, Any]:
        outputs = jax.vmap(recipe.apply, in_axes=(None, 0))(params, batch.images)
        return jnp.mean(jax.vmap(recipe.loss)(outputs, batch.labels)), losses.accuracy(outputs, batch.labels)

    batch = Batch(jnp.asarray(batch.images), jnp.asarray(batch.labels))
    cost, right = jax.jit(lambda stack: jax.lax.map(one, stack))(params)
    return np.asarray(cost), np.asarray(right)


def _slopes(recipe: recipes.Recipe, params: Params, batch: Batch) -> np.ndarray:
    """The norm of the cost's gradient at every network of a stack."""
    batch = Batch(jnp.asarray(batch.images), jnp.asarray(batch.labels))
    slope = lambda params: optax.tree.norm(jax.grad(recipe.cost)(params, batch))
    return np.asarray(jax.jit(lambda stack: jax.lax.map(slope, stack))(params))


def _between(settings: Settings, recipe: recipes.Recipe, params: Params, train: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The training cost on the straight lines between the first and the last networks: (pair, point), twice."""
    places = jnp.linspace(0, 1, settings.points)
    take = lambda i: jax.tree.map(lambda leaf: leaf[i], params)
    ends = [(take(i), take(settings.networks - 1 - i)) for i in range(settings.pairs)]  # of different orders
    batch = Batch(jnp.asarray(train.images[:5000]), jnp.asarray(train.labels[:5000]))

    @jax.jit
    def along(start: Params, end: Params) -> Any:
        on_the_way = lambda t: jax.tree.map(lambda a, b: (1 - t) * a + t * b, start, end)
        return jax.lax.map(lambda t: recipe.cost(on_the_way(t), batch), places)

    straight = np.stack([along(a, b) for a, b in ends])
    ordered = np.stack([along(a, aligned(b, a)) for a, b in ends])
    return straight, ordered


def barriers(costs: Any) -> np.ndarray:
    """The highest rise of a cost above the straight line between its two ends.

    Args:
        costs: (..., point), along evenly spaced points.

    Returns:
        (...), 0 where the cost never rises above that line.

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
    """Pearson's correlation over networks with Fisher's interval; reproduced if it is close to the published one."""
    from scipy import stats

    found: Any = stats.pearsonr(first, second)
    interval = found.confidence_interval(0.95)
    low, high, value = float(interval.low), float(interval.high), float(found.statistic)
    if published is None:
        return Finding(name, "", "", value, low, high, len(first), "measured")
    verdict = judged(value, low, high, least=published - CLOSE, most=published + CLOSE)
    return Finding(name, f"{published}", SOURCE, value, low, high, len(first), verdict)


def falling(what: str, statistic: Callable[..., Any], train: Any, test: Any) -> Finding:
    """How often a statistic falls from width to width, judged by a thousand resamplings of the networks.

    Args:
        what: The statistic's name.
        statistic: Of training and test costs, along the last axis.
        train: (width, network), training costs.
        test: (width, network), test costs.

    Returns:
        How many steps fall; the interval's lower end counts those that surely do, the upper end leaves out those that
        surely rise.
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
    """Pearson's correlation along the last axis."""
    first, second = (values - values.mean(-1, keepdims=True) for values in (first, second))
    return (first * second).sum(-1) / np.sqrt((first**2).sum(-1) * (second**2).sum(-1))


def answer(settings: Settings, arrays: Arrays) -> Answer:
    """Judge: do spread and mean of the test cost fall with width, do training and test cost agree, is there a wall between."""
    widths, test, train = arrays["widths"].tolist(), arrays["test"], arrays["train"]
    means, spreads = test.mean(1), test.std(1, ddof=1)
    findings = [mean(f"test cost, {w} hidden", test[i], source=SOURCE, unit="nats") for i, w in enumerate(widths)]
    findings += [_deviation(f"spread of the test cost, {w} hidden", test[i]) for i, w in enumerate(widths)]
    for i, w in enumerate(widths):
        left = arrays["slope"][i] / arrays["slope_before"][i].mean()
        findings.append(
            mean(f"gradient left where training ends, {w} hidden", 100 * left, unit="% of its norm at the start")
        )
    statistics = {
        "mean of the test cost": lambda train, test: test.mean(-1),
        "spread of the test cost": lambda train, test: test.std(-1, ddof=1),
        "correlation of the two costs": _agreement,
    }
    findings += [falling(what, statistic, train, test) for what, statistic in statistics.items()]
    for i, w in enumerate(widths):
        findings.append(
            correlation(f"training with test cost, {w} hidden: correlation", train[i], test[i], PUBLISHED.get(w))
        )
    walls, after = barriers(arrays["straight"]), barriers(arrays["ordered"])
    for i, w in enumerate(widths):
        findings.append(mean(f"wall between two solutions, {w} hidden", walls[i], source="the film", unit="nats"))
        findings.append(
            mean(f"... after aligning neurons, {w} hidden", after[i], source="Ainsworth et al. 2023", unit="nats")
        )
    lower = int((after < walls).sum())
    findings.append(
        share("pairs whose wall is lower after aligning neurons", lower, walls.size, source="Ainsworth et al. 2023")
    )
    left = arrays["slope"].mean(1) / arrays["slope_before"].mean(1)
    return Answer(_in_words(settings, widths, means, spreads, walls, after, left), tuple(findings))


def _in_words(
    settings: Settings, widths: list[int], means: np.ndarray, spreads: np.ndarray, walls: np.ndarray, after: np.ndarray,
    left: np.ndarray,
) -> str:  # fmt: skip
    equal = (np.diff(spreads) < 0).all() and (np.diff(means) < 0).all()
    claim = (
        "The wider the network, the lower and the more alike the costs at which training ends"
        if equal
        else "Mean and spread of the cost at which training ends do not both fall with every step in width"
    )
    ratio = spreads[-1] / means[-1]
    wall = (
        f"On the straight line between two of the widest networks stands a wall of {walls[-1].mean():.2g} nats; after putting "
        f"neurons in the same order it is {after[-1].mean():.2g}."
    )
    return (
        f"{claim}: over {settings.networks} networks a width the spread of the test cost is {spreads[0]:.2g} nats at "
        f"{widths[0]} hidden neurons and {spreads[-1]:.2g} at {widths[-1]}, {100 * ratio:.1f} % of its mean. "
        f"Where training ends, {100 * left.min():.1f} to {100 * left.max():.1f} % of the gradient's first norm is "
        f"left. {wall}"
    )


def _deviation(what: str, values: np.ndarray) -> Finding:
    """A standard deviation with its interval by a thousand resamplings of the networks."""
    generator = np.random.default_rng(0)
    again = generator.choice(values, (1000, len(values))).std(axis=1, ddof=1)
    low, high = (float(q) for q in np.quantile(again, [0.025, 0.975]))
    value = float(values.std(ddof=1))
    return Finding(what, "", SOURCE, value, low, high, len(values), "measured", "nats")


def plan(settings: Settings) -> str:
    """What is about to happen."""
    widths = ", ".join(map(str, settings.widths))
    return (
        f"{settings.networks} networks of each of the widths {widths} on {settings.images:,} digits of {SIDE} x {SIDE} pixels, "
        f"{settings.epochs} epochs, and {settings.pairs} pairs of each connected"
    )


WIDTHS = (25, 50, 100, 250, 500)
QUICK = Settings(WIDTHS, 200, 2, 2500, 7, 1.0, 10, 11)
FULL = Settings(WIDTHS, 1000, 10, 10_000, 15, 1.0, 50, 21)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (55, 1800))
