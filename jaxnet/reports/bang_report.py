"""Apply every instrument of `bang` to a run: pictures with captions, and columns of numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet import bang, plot, training
from jaxnet.bang.dead import REASONS
from jaxnet.bang.selection import in_words, place
from jaxnet.bang.streaming import flattened, mean_gradient, widened
from jaxnet.core.devices import double_precision
from jaxnet.core.leaves import leaves_with_paths, names
from jaxnet.core.losses import average
from jaxnet.core.types import Batch, Cost, Dataset, Params
from jaxnet.plot.style import Picture, legible
from jaxnet.training import run_folder
from jaxnet.training.functions import build, narrow_apply

MOST_MEASURED = 50_000
"""If a network has more parameters than this, only the parameters with the largest gradient are nudged."""


Counted = Callable[[int, int], None]
"""A function that an instrument calls while it works, with the number of finished parts and the number of all parts."""


def uncounted(done: int, total: int) -> None:
    """Show no progress."""


class Subject(NamedTuple):
    """The run and the parameters that the instruments measure.

    Attributes:
        run: The run.
        plan: The plan of its training.
        params: The parameters to measure.
        grads: The gradient of the cost at these parameters.
        batch: The training images. The cost is the average over these images.
        classes: The names of the labels.
        moment: "after training" or "before training".
        points: For the loss change allocation: the number of points on the training path.
    """

    run: run_folder.Run
    plan: training.Plan
    params: Params
    grads: Params
    batch: Batch
    classes: Sequence[str]
    moment: str
    points: int = 400


class BangResults(NamedTuple):
    """The results of one or more instruments.

    Attributes:
        pictures: For each name: a picture.
        columns: For each name: a column of the table, with one value for each parameter.
        facts: For each name: one of the most important numbers.
        arrays: For each name: an array that is saved, so that it can be loaded later.
        tables: For each heading: the names of a table's columns, and the rows of the table.
    """

    pictures: dict[str, Picture]
    columns: dict[str, Any]
    facts: dict[str, str]
    arrays: dict[str, np.ndarray]
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[object]]]] = {}


def subject(
    run: run_folder.Run, images: Dataset, *, count: int = 10_000, at: str = "end", points: int = 400
) -> Subject:
    """Prepare a run for the instruments.

    Args:
        run: From `run_folder.load`.
        images: The data set of the run.
        count: Use this number of training images, from the first image on. If it is too large, all training images are used.
        at: "end" for the trained parameters, "start" for the parameters before training.
        points: For the loss change allocation: the number of points on the training path.

    Raises:
        ValueError: If `at` is not "start" or "end", or `count` is below 2.
    """
    if at not in ("start", "end"):
        raise ValueError(f"at must be 'start' or 'end', got {at!r}")
    if count < 2:
        raise ValueError(f"images must be at least 2, got {count}")
    plan = training.plan(run.settings, images)
    params = run.params if at == "end" else training.member(plan.params, run.result["chosen"])
    train = plan.train
    batch = Batch(np.asarray(train.images[:count]), np.asarray(train.labels[:count]))
    grads = mean_gradient(run.functions.cost)(params, batch)[1]
    moment = {"end": "after training", "start": "before training"}[at]
    return Subject(run, plan, params, grads, batch, images.classes, moment, points)


def of_gradient(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    """Measure the gradient: two pictures of the network (gradient, parameters), the ranking, and the dead parameters."""
    grads, shares = of.grads, bang.share(of.grads)
    knobs = bang.dead_parameters(of.run.functions.cost)(of.params, of.batch)
    names, arrays = _named(of)
    slope, codes = flattened(grads), flattened(knobs.reason).astype(int)
    columns = {
        "parameter": names, "array": arrays, "value": flattened(of.params).tolist(),
        "dC/dp": slope.tolist(), "share of a small step (%)": (100 * flattened(shares)).tolist(),
        "alive?": [REASONS[code] for code in codes],
    }  # fmt: skip
    top = bang.top(grads, 20, image_shape=of.run.image_shape)
    pictures = {
        **_edges(of, "gradient", jax.tree.map(np.negative, grads), "decrease of the cost per unit of the parameter",
                 "Every component of the negative gradient",
                 "Every weight is a line, every bias is a ring. Blue (the right end of the bar): move the parameter up. "
                 f"Orange (the left end): move it down. The gradient is the mean over {len(of.batch.labels):,} training images."),
        **_edges(of, "parameters", of.params, "value of the parameter", "Every weight and bias",
                 "The parameters of the network. Blue parameters are positive, and orange parameters are negative. The bar shows "
                 "the scale."),
        "ranking": Picture(
            plot.ranking(top, title=f"The most bang for the buck, {of.moment}"),
            "The twenty largest components of the gradient. Each row says which parameter to nudge, and in which direction. The "
            "number behind each bar is the ratio of this bar to the next bar.",
        ),
        "readings": Picture(
            plot.two_readings(title="How to read a gradient: the film's (3, 1)"),
            "Two ways to read the gradient (3, 1). Left: the gradient is the direction in which the cost rises fastest. Right: a "
            "nudge of x changes the cost three times as much as a nudge of y.",
        ),
    }  # fmt: skip
    updates = _next_update(of)
    if updates is not None:
        pictures |= _edges(of, "update", updates, "change of the parameter", "What the optimizer does next",
                           "The change of every parameter in the optimizer's next step: blue adds, orange "
                           "subtracts.")  # fmt: skip
    facts = {
        "parameters": f"{len(slope):,}",
        "with zero gradient": f"{_without_gradient(of):,}",
        "twin neurons": f"{len(knobs.twins)}",
    }
    return BangResults(pictures, columns, facts, {"gradient": slope, "reason": codes})


def _without_gradient(of: Subject) -> int:
    """Count the parameters whose gradient is exactly zero.

    Dense networks are computed in double precision, because single precision rounds some small gradients to zero.
    """
    if of.run.settings.model != "dense":
        return int(sum(np.sum(leaf == 0) for leaf in jax.tree.leaves(of.grads)))
    with double_precision():
        grads = mean_gradient(_double(of))(widened(of.params), of.batch)[1]
    return int(sum(np.sum(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(grads)))


def of_precision(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    """Measure what half precision does to the gradient: signs, ranks and direction, array by array."""
    rows, facts = [], {}
    for i, dtype in enumerate((jnp.bfloat16, jnp.float16)):
        on_progress(i, 2)
        narrow = narrow_apply(of.run.settings, of.run.image_shape, len(of.classes), dtype)
        grads = mean_gradient(average(narrow, of.run.functions.loss))(of.params, of.batch)[1]
        for name, found in bang.agreement(of.grads, grads).items():
            told = f"{100 * found.flipped:.2f}", f"{found.rank:.5f}", f"{found.cosine:.6f}"
            rows.append((jnp.dtype(dtype).name, in_words(name), *told))
        facts[f"signs that {jnp.dtype(dtype).name} flips"] = f"{rows[-1][2]} %"
    heads = ("type", "array", "flipped signs (%)", "rank correlation", "cosine")
    return BangResults({}, {}, facts, {}, {"The gradient in half precision": (heads, rows)})


def of_worth(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    """Nudge parameters one by one. Compare prediction and measurement, and find the radius of trust and the best step alone."""
    total = sum(leaf.size for leaf in jax.tree.leaves(of.params))
    batch, entries = of.batch, None
    if total > MOST_MEASURED:
        count = 200 if of.run.settings.model == "dense" else 20
        entries, batch = bang.largest(of.grads, count), Batch(of.batch.images[:500], of.batch.labels[:500])
    found = bang.worth(_double(of), entries=entries, on_progress=on_progress)(of.params, batch)
    wrong = bang.wrong_signs(found)
    spread = lambda values: bang.scatter(values, of.params, found.entries)
    measured = {
        "radius of trust": found.radius,
        "best step alone": found.best_step,
        "fall by the best step": found.best_fall,
    }
    measured["fall by a nudge of 0.1"] = found.measured[2]
    columns = {name: flattened(spread(values)).tolist() for name, values in measured.items()}
    who = (
        f"{total:,} parameters"
        if entries is None
        else f"{len(entries)} parameters with the largest gradient (of {total:,})"
    )
    pictures = {}
    if found.gradient.any():
        pictures["predicted"] = Picture(
            plot.predicted_measured(found, title=f"Is the gradient true, {of.moment}?"),
            f"The {who} were nudged one by one, with four sizes of nudge, in float64. The cost is the mean over "
            f"{len(batch.labels):,} images. For a dot on the diagonal, the cost fell as the gradient predicted. The longer the "
            "nudge is, the worse the prediction is. For a cross, the gradient predicted a fall, but the cost rose.",
        )
    if entries is None:
        pictures |= _edges(
            of, "worth", spread(found.best_fall), "fall of the cost by the parameter's best step alone",
            "How much every parameter alone could lower the cost",
            "The stronger the color of a parameter, the more the cost falls if only this parameter moves.",
        )  # fmt: skip
    finite = found.radius[np.isfinite(found.radius)]
    facts = (
        {}
        if entries is None
        else {"nudged": f"{len(entries)} of {total:,} parameters, with {len(batch.labels)} images"}
    )
    facts |= {
        "median radius of trust": f"{np.median(finite):.3g}" if len(finite) else "none",
        "wrong signs at nudges of 1": f"{int(wrong[-1].sum()):,}",
        "fall by the best single step": f"{100 * found.best_fall.max() / found.cost:.3g} % of the cost",
    }
    return BangResults(
        pictures, columns, facts, {f"worth/{name}": np.asarray(value) for name, value in found._asdict().items()}
    )


def of_budget(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    """Compute the part of a step's fall of the cost that the best parameters give, and check this part with real steps."""
    updates = jax.tree.map(lambda g: -0.01 * g, of.grads)
    curve = bang.lorenz(bang.earned(of.grads, updates))
    spent = bang.take_partial_step(_double(of), on_progress=on_progress)(of.params, of.batch, updates)
    bought = 100 * np.interp(0.05, curve.kept, curve.bought)
    picture = Picture(
        plot.partial_step(
            curve,
            spent,
            title=f"The best 5 % of the parameters give {bought:.1f} % of a small step's fall, {of.moment}",
        ),
        "The step is 0.01 times the negative gradient, and only the best parameters move. The line shows the fall of the cost "
        f"that the gradient predicts, and the rings show the measured fall. Gini {curve.gini:.3f}.",
    )
    arrays = {f"budget/{name}": value for name, value in spent._asdict().items()}
    arrays |= {"budget/curve_kept": curve.kept, "budget/curve_bought": curve.bought}
    return BangResults(
        {"budget": picture}, {}, {"part of the best 5 %": f"{bought:.1f} %", "Gini": f"{curve.gini:.3f}"}, arrays
    )


def of_examples(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    """Use gradients of single images for the signal to noise, the pull of each label, the hardest images and the noise scale."""
    cost, labels = of.run.functions.cost, len(of.classes)
    found = bang.gradient_moments(cost)(of.params, of.batch)
    on_progress(1, 6)
    clarity = bang.signal_to_noise(found)
    top = bang.top(found.mean, 14, image_shape=of.run.image_shape)
    pulled = dict(bang.named_leaves(bang.gradient_by_label(cost, labels)(of.params, of.batch)))
    pulls = np.stack([-np.asarray(pulled[nudge.leaf])[(slice(None), *nudge.position)] for nudge in top])
    words = [
        nudge.text.partition(";")[0].removeprefix("nudge ").removesuffix(" up").removesuffix(" down") for nudge in top
    ]
    on_progress(2, 6)
    lengths = bang.per_example_norms(cost)(of.params, of.batch)
    on_progress(3, 6)
    hardest = np.argsort(-lengths, kind="stable")[:32]
    classes = legible(of.classes)
    named = [f"{classes[int(of.batch.labels[i])]}   {lengths[i]:.2f}" for i in hardest]
    pictures = {
        "tug_of_war": Picture(
            plot.gradient_by_label(pulls, words, classes=of.classes, unit="part of -dC/dp from the images of each label",
                            title=f"Which labels pull the most important parameters up or down, {of.moment}"),
            "Each row is one of the parameters with the largest gradient. Each block is a label. Blocks on the right pull the "
            "parameter up, and blocks on the left pull it down. The triangle marks the sum of the pulls: the parameter "
            "moves in the direction of this sum. The colors only separate the labels.",
        ),
        "hardest": Picture(
            plot.captioned(of.batch.images[hardest], named, title=f"The images that pull hardest, {of.moment}"),
            "The text above each image is its label and the length of the gradient of its cost. These images change "
            "the network most.",
        ),
    }  # fmt: skip
    rows, scales = [], []
    ways: dict[str, bang.Method] = {
        "every image's own gradient": "examples",
        "the scatter of batches of 32 images": "batches",
        "batches of 32 images, and batches of 5 % of all images": "two_sizes",
    }
    for done, (name, method) in enumerate(ways.items() if len(of.batch.labels) >= 1280 else (), start=4):
        noise = bang.noise_scale(cost, method=method)(of.params, of.batch)
        on_progress(done, 6)
        bounded = np.isfinite(noise.high)  # if `high` is infinite, the gradient may be zero, and no scale is shown
        shown = noise.scale if bounded else "not bounded"
        rows.append((name, shown, noise.low, noise.high, noise.trace, noise.squared_norm))
        scales.append(f"{noise.scale:,.0f} images" if bounded else f"at least {noise.low:,.0f} images")
    heads = (
        "measured by",
        "images",
        "95 % interval from",
        "to",
        "variance of one image's gradient",
        "squared length of the gradient",
    )
    tables = (
        {"The gradient noise scale: in much smaller batches, the gradient is mostly noise": (heads, rows)}
        if rows
        else {}
    )
    facts = {"gradient noise scale": scales[0]} if scales else {}
    values = flattened(clarity)
    return BangResults(
        pictures, {"signal to noise": values.tolist()}, facts, {"lengths": lengths, "signal_to_noise": values}, tables
    )


def merged(parts: Sequence[BangResults]) -> BangResults:
    """Join several results into one."""
    joined = lambda dicts: {name: value for one in dicts for name, value in one.items()}
    return BangResults(
        joined(part.pictures for part in parts), joined(part.columns for part in parts),
        joined(part.facts for part in parts), joined(part.arrays for part in parts), joined(part.tables for part in parts),
    )  # fmt: skip


def _double(of: Subject) -> Cost:
    """The run's cost, computed in float64."""
    settings = of.run.settings._replace(dtype="float64")
    with jax.enable_x64(True):
        return build(settings, image_shape=of.run.image_shape, classes=len(of.classes), steps=1).cost


def _next_update(of: Subject) -> Params | None:
    """The optimizer's next update. If the update is zero, as at the end of a falling schedule, the result is None."""
    optimizer = of.run.functions.optimizer
    memory = of.run.state.opt_state if of.moment == "after training" else optimizer.init(of.params)
    updates = jax.jit(optimizer.update)(of.grads, memory, of.params)[0]
    # A change below the rounding error of the parameters, such as 1e-12 beside 1, counts as zero.
    moves = optax.tree.norm(updates) > jnp.finfo(jnp.float32).eps * optax.tree.norm(of.params)
    return updates if moves else None


def drawable(of: Subject) -> bool:
    """Whether the network can be drawn edge by edge."""
    return of.run.settings.model == "dense" and sum(layer.weights.size for layer in of.params) <= plot.MOST_EDGES


def _edges(of: Subject, name: str, values: Any, unit: str, title: str, sentence: str) -> dict[str, Picture]:
    """A picture of the network with one value for each parameter. If the network is too large, no picture is drawn."""
    if not drawable(of):
        return {}
    figure = plot.edges(
        values, title=f"{title}, {of.moment}", unit=unit, image=of.batch.images.mean(0), image_shape=of.run.image_shape,
        classes=of.classes,
    )  # fmt: skip
    return {name: Picture(figure, sentence)}


def _named(of: Subject) -> tuple[list[str], list[str]]:
    """The description of every parameter (layer and neuron), and the name of its array."""
    words, arrays = [], []
    for (path, leaf), name in zip(leaves_with_paths(of.params), names(of.params), strict=True):
        for position in np.ndindex(*np.shape(leaf)):
            words.append(place(name, path, position, np.shape(leaf), of.run.image_shape))
            arrays.append(name)
    return words, arrays
