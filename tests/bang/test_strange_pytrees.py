"""Every instrument over strange pytrees: the plain computation's number, or an error that names the leaf; never another."""

import dataclasses
import functools
import subprocess
import sys

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import FrozenDict

from jaxnet import Batch, bang, gradient_descent, losses, metrics, network, train
from jaxnet.analysis import alignment, calibration, landscape
from jaxnet.analysis.unrolling import cost_after, loss_sensitivity
from jaxnet.core.leaves import names

X = np.random.default_rng(0).normal(size=(44, 3)).astype(np.float32)
BATCH = {"x": X, "labels": np.arange(44) % 2}


@jax.tree_util.register_pytree_node_class
class Bare:
    """A container without equality, as most hand-written ones."""

    def __init__(self, *parts):
        self.parts = parts

    def tree_flatten(self):
        return self.parts, None

    @classmethod
    def tree_unflatten(cls, _, parts):
        return cls(*parts)


class Holder(eqx.Module):
    value: jax.Array
    key: jax.Array
    size: int = eqx.field(static=True, default=3)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    weight: jax.Array
    frozen: None = None


W = np.array([0.3, -1.2, 0.5], np.float32)
V = np.array([[0.7, -0.4, 0.2], [0.1, 0.9, -0.6]], np.float32)
TIED = jnp.asarray(W)
TREES = {
    "plain": {"a": W, "b": V},
    "none": {"a": W, "nothing": None},
    "tied": {"a": TIED, "again": TIED},
    "empty part": {"a": W, "empty": {}, "void": np.zeros((0, 3), np.float32)},
    "python float": {"a": W, "scale": 0.5},
    "scalar array": jnp.float32(0.7),
    "integer": {"a": W, "count": np.array([2, 3], np.int32)},
    "truth": {"a": W, "mask": np.array([True, False])},
    "complex": {"a": W, "z": np.array([1 + 2j, -0.5j], np.complex64)},
    "float16": {"a": W.astype(np.float16), "b": V},
    "bfloat16": {"a": jnp.asarray(W, jnp.bfloat16)},
    "no equality": Bare(W, V),
    "frozen dict": FrozenDict({"layer": {"kernel": V, "bias": W}}),
    "nnx state": nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Param),
    "equinox": Holder(jnp.asarray(W), jnp.asarray(V)),
    "record": Record(jnp.asarray(W)),
    "one name twice": {"a/b": W, "a": {"b": V}},
}
REFUSED = {"integer": "count", "truth": "mask", "complex": "'z'", "one name twice": "'a/b'"}
"""What may be refused, and the name that the error then says."""


def size_of(leaf):
    leaf = jnp.asarray(leaf)
    wide = leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf.astype(jnp.float32)
    return jnp.sum(jnp.abs(wide) ** 2) / 2 + jnp.sum(jnp.real(wide))


def cost(params, batch):
    """A mean over examples in which every number of the parameters has its part."""
    each = sum((i + 1.0) * size_of(leaf) for i, leaf in enumerate(jax.tree.leaves(params)))
    return jnp.mean(batch["x"][:, 0] + 1.5) * each + jnp.mean(batch["x"][:, 1] ** 2)


def flat(tree):
    """All numbers of a pytree, float64 or complex128."""
    leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)]
    kind = complex if any(leaf.dtype.kind == "c" for leaf in leaves) else float
    return np.concatenate([leaf.astype(kind) for leaf in leaves]) if leaves else np.zeros(0)


def is_float(leaf):
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def gradient_of(params, batch=BATCH):
    """The gradient of the cost by hand: (leaf + 1) times the mean, conjugate as jax has it; zero for what has none."""
    mean = float(np.mean(batch["x"][:, 0].astype(float) + 1.5))
    found = []
    for i, leaf in enumerate(jax.tree.leaves(params)):
        part = (i + 1) * mean * (np.conj(np.asarray(leaf)) + 1)
        found.append(part.astype(np.asarray(leaf).dtype if is_float(leaf) else float))
    return jax.tree.structure(params).unflatten(found)


def stepped(params, by=-0.1):
    move = lambda leaf: leaf + by if is_float(leaf) else leaf
    return jax.tree.map(lambda leaf: np.asarray(move(np.asarray(leaf))).astype(np.asarray(leaf).dtype), params)


def costs(params):
    return float(np.real(cost(jax.tree.map(lambda leaf: np.asarray(leaf), params), BATCH)))


def fall(params):
    return costs(params) - costs(stepped(params))


def one_by_one(params):
    rows = [gradient_of(params, {"x": X[i : i + 1]}) for i in range(len(X))]
    return np.stack([flat(row) for row in rows])


def of_neurons(leaf):
    wide = np.asarray(leaf, complex if np.iscomplexobj(leaf) else float)
    return wide.sum(axis=tuple(range(1, wide.ndim)))


def halved(g):
    updates, _ = bang.keep_top(optax.sgd(0.1), 0.5).update(g, optax.sgd(0.1).init(g))
    return [np.count_nonzero(flat(updates))]


OF_GRADIENTS = {
    "magnitude": (lambda g: flat(bang.magnitude(g)), lambda g: np.abs(flat(g))),
    "share": (lambda g: flat(bang.share(g)), lambda g: np.abs(flat(g)) ** 2 / np.sum(np.abs(flat(g)) ** 2)),
    "earned": (lambda g: flat(bang.earned(g, g)), lambda g: -np.real(flat(g) ** 2)),
    "by_leaf": (lambda g: list(bang.by_leaf(g).values()), lambda g: [flat(leaf).sum() for leaf in jax.tree.leaves(g)]),
    "by_neuron": (lambda g: flat(bang.by_neuron(g)), lambda g: flat(jax.tree.map(of_neurons, g))),
    "top": (lambda g: [abs(bang.top(g, 3)[0].gradient)], lambda g: [np.abs(flat(g)).max()]),
    "largest": (lambda g: np.abs(flat(g))[bang.largest(g, 3)[:1]], lambda g: [np.abs(flat(g)).max()]),
    "lorenz": (lambda g: bang.lorenz(bang.share(g)).bought[-1:], lambda g: [1.0]),
    "best": (lambda g: [flat(bang.top_mask(bang.share(g), 0.5)).sum()], lambda g: [np.ceil(len(flat(g)) / 2)]),
    "named_leaves": (lambda g: [len(bang.named_leaves(g))], lambda g: [len(jax.tree.leaves(g))]),
    "positions": (lambda g: bang.positions(g), lambda g: np.arange(len(flat(g)))),
    "select": (lambda g: flat(bang.select(g, names(g)[0])), lambda g: flat(jax.tree.leaves(g)[:1])),
    "sample": (lambda g: [len(set(bang.sample(jax.random.key(0), g, 1)))], lambda g: [1]),
    "spread": (lambda g: flat(bang.scatter(np.arange(1.0 * len(flat(g))), g)), lambda g: np.arange(len(flat(g)))),
    "keep_top": (halved, lambda g: [np.ceil(len(flat(g)) / 2)]),
}


def worth(p):
    found = bang.worth(cost, sizes=[0.01])(p, BATCH)
    return np.concatenate([found.gradient, [found.cost]])


def watched(p):
    descent = bang.watch(gradient_descent(cost, 0.01))
    _, info = descent.update(descent.init(p), BATCH)
    return [info.gradient_norm, np.linalg.norm(info.signals.gradient), np.sum(info.signals.share)]


def norm(g):
    return np.linalg.norm(flat(g))


def line(p):
    zero = jax.tree.map(lambda leaf: np.zeros_like(np.asarray(leaf)), p)
    return landscape.line(cost)(p, zero, [0.0, 1.0], BATCH)


def descended(p):
    descent = gradient_descent(cost, optax.sgd(0.01))
    *_, (state, _) = train(descent, descent.init(p), [BATCH])
    return flat(state.params)


def spent(p):
    return bang.take_partial_step(cost, [1.0])(p, BATCH, jax.tree.map(lambda g: 0.0 * g - 0.1, gradient_of(p))).measured


def credited(p, **how):
    ledger = bang.loss_change_allocation(cost, **how)([p, stepped(p)], BATCH)
    return [sum(np.sum(leaf) for leaf in jax.tree.leaves(ledger.credit))]


def pulled(p):
    return bang.per_example_derivative(cost, names(p)[0], (0,) * np.ndim(jax.tree.leaves(p)[0]))(p, BATCH)


def of_labels(p):
    return flat(jax.tree.map(lambda leaf: np.asarray(leaf, float).sum(0), bang.gradient_by_label(cost, 2)(p, BATCH)))


def neuron_lengths(p):
    """Of every array of two axes the length of each row."""
    rows = [np.linalg.norm(np.asarray(leaf, float), axis=1) for leaf in jax.tree.leaves(p) if np.ndim(leaf) == 2]
    return np.concatenate([np.zeros(1), *rows])


def on_plane(p):
    zero = jax.tree.map(lambda leaf: np.zeros_like(np.asarray(leaf)), p)
    return landscape.plane(cost)(p, zero, zero, [0.0, 1.0], [0.0, 1.0], BATCH).ravel()


def first_component(p):
    """The part of a straight path's variance that lies in its first direction: all of it."""
    path = jax.tree.map(lambda *leaves: np.stack(leaves), p, stepped(p), stepped(p, -0.2))
    return landscape.pca(path, directions=1).explained[:1]


def of_vector(p):
    vector, _ = jax.flatten_util.ravel_pytree(p)
    return [np.real(losses.of_vector(cost, p)(vector, BATCH))]


def after_a_step(p):
    order = jnp.arange(len(X)).reshape(1, 1, -1)
    return [cost_after(cost, 0.01)(p, {"x": jnp.asarray(X)}, order)]


def stepped_cost(p):
    down = lambda leaf, g: (np.asarray(leaf) - 0.01 * np.conj(g)).astype(np.asarray(leaf).dtype)
    return [costs(jax.tree.map(down, p, gradient_of(p)))]


def clear(p):
    return flat(bang.signal_to_noise(bang.gradient_moments(cost)(p, BATCH)))


def plain_gradient(p):
    return flat(gradient_of(p))


def mixed_blocks(p):
    """Trace by blocks of two, which method two_sizes puts together in its own random order."""
    each = one_by_one(p)[np.random.default_rng(0).permutation(len(X))]
    pairs = each.reshape(-1, 2, each.shape[1]).mean(1)
    return [2 * (np.mean((each**2).sum(1)) - np.mean((pairs**2).sum(1)))]


def logged(p):
    """What a logger is sent of one watched step: the squared lengths by leaf, the shares, the whole length and the cost."""
    descent, lines = bang.watch(gradient_descent(cost, 0.01)), []
    ((_, info),) = train(descent, descent.init(p), [BATCH])
    bang.emit(
        info, [name for name, _ in bang.named_leaves(p)], lambda values, step: lines.append((step, values)), step=7
    )
    ((step, values),) = lines
    assert step == 7
    total = lambda signal, power: sum(v**power for name, v in values.items() if name.startswith(f"{signal}/"))
    return [total("gradient", 2), total("share", 1), values["gradient_norm"], values["cost"]]


def uphill(p):
    """Whether long nudges raise the cost, which the gradient's sign denies: beyond the bottom of these parabolas, always."""
    return bang.wrong_signs(bang.worth(cost, sizes=[9.9])(p, BATCH)).ravel()


ONE_BY_ONE = np.arange(2 * len(X)).reshape(2, len(X), 1) % len(X)
EXAMPLES = Batch(X[:, :2], np.arange(len(X)) % 2)


def of_batch(params, batch):
    return cost(params, {"x": jnp.concatenate([batch.images, batch.images[:, :1]], axis=1)})


def sensitivity(p):
    return np.asarray(loss_sensitivity(of_batch, 0.001)(p, EXAMPLES, ONE_BY_ONE[:, :1])).sum(1)


def sensitivity_by_differences(p):
    """By nudging every pixel, in double precision."""
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.complex128 if np.iscomplexobj(leaf) else np.float64), p)
    with jax.enable_x64(True):
        after = jax.jit(cost_after(of_batch, 0.001))
        at = lambda images, count: after(wide, EXAMPLES._replace(images=images), ONE_BY_ONE[:, :1], count)
        images = np.asarray(X[:, :2], np.float64)
        slopes = lambda count: sum(
            abs(float(at(images + nudge, count) - at(images - nudge, count))) / 2e-5
            for nudge in 1e-5 * np.eye(images.size).reshape(-1, *images.shape)
        )
        return np.array([slopes(1), slopes(2)])


def averaged(p):
    apply = lambda params, image: (
        jnp.stack([image[0], image[1]]) * sum(size_of(leaf) for leaf in jax.tree.leaves(params))
    )
    return [losses.average(apply, losses.squared_error)(p, EXAMPLES)]


def averaged_by_hand(p):
    outputs = X[:, :2].astype(float) * float(np.real(sum(size_of(leaf) for leaf in jax.tree.leaves(p))))
    return [np.mean(((outputs - np.eye(2)[EXAMPLES.labels]) ** 2).sum(1))]


def read_in_pieces(p):
    apply = lambda params, image: image * sum(size_of(leaf) for leaf in jax.tree.leaves(params))
    return np.asarray(metrics.predict(apply, p, X, chunk_size=7)).ravel()


def read_by_hand(p):
    return (X.astype(float) * float(np.real(sum(size_of(leaf) for leaf in jax.tree.leaves(p))))).ravel()


OF_COSTS = {
    "worth": (worth, lambda p: np.append(plain_gradient(p), costs(p))),
    "spend": (spent, lambda p: [fall(p)]),
    "credit": (credited, lambda p: [fall(p)]),
    "credit by label": (functools.partial(credited, labels=2), lambda p: [fall(p)]),
    "moments": (lambda p: flat(bang.gradient_moments(cost)(p, BATCH).mean), plain_gradient),
    "variance": (
        lambda p: flat(bang.gradient_moments(cost)(p, BATCH).variance),
        lambda p: one_by_one(p).var(0, ddof=1),
    ),
    "lengths": (lambda p: bang.per_example_norms(cost)(p, BATCH), lambda p: np.linalg.norm(one_by_one(p), axis=1)),
    "pulls": (pulled, lambda p: one_by_one(p)[:, 0]),
    "tug_of_war": (of_labels, plain_gradient),
    "dead_parameters": (lambda p: flat(bang.dead_parameters(cost)(p, BATCH).reason), lambda p: np.zeros(len(flat(p)))),
    "noise": (
        lambda p: [bang.noise_scale(cost)(p, BATCH).trace],
        lambda p: [one_by_one(p).var(0, ddof=1).sum()],
    ),
    "noise_scale of batches": (
        lambda p: [bang.noise_scale(cost, method="batches", batch_size=1)(p, BATCH).trace],
        lambda p: [one_by_one(p).var(0, ddof=1).sum()],
    ),
    "noise_scale of two sizes": (
        lambda p: [bang.noise_scale(cost, method="two_sizes", batch_size=1)(p, BATCH).trace],
        mixed_blocks,
    ),
    "rows and emit": (
        logged,
        lambda p: [norm(gradient_of(p)) ** 2, 1.0, norm(gradient_of(p)), costs(p)],
    ),
    "wrong_signs": (uphill, lambda p: np.ones(len(flat(p)))),
    "loss_sensitivity": (sensitivity, sensitivity_by_differences),
    "average": (averaged, averaged_by_hand),
    "outputs": (read_in_pieces, read_by_hand),
    "watch": (watched, lambda p: [norm(gradient_of(p)), norm(gradient_of(p)), 1.0]),
    "line": (line, lambda p: [costs(p)] * 2),
    "plane": (on_plane, lambda p: [costs(p)] * 4),
    "principal": (first_component, lambda p: [1.0]),
    "of_vector": (of_vector, lambda p: [costs(p)]),
    "cost_after": (after_a_step, stepped_cost),
    "signal_to_noise": (clear, lambda p: np.abs(plain_gradient(p)) / one_by_one(p).std(0, ddof=1)),
    "rescaled": (lambda p: neuron_lengths(landscape.filter_normalized(jax.random.key(0), p)), neuron_lengths),
    "gradient_descent": (descended, lambda p: flat(p) - 0.01 * np.conj(plain_gradient(p))),
}


def tolerance(tree):
    narrow = [jnp.finfo(jnp.result_type(leaf)).eps for leaf in jax.tree.leaves(tree) if is_float(leaf)]
    return max(3e-4, 8 * float(max(narrow, default=0)))


def check(call, expected, argument, refused):
    try:
        found = np.asarray(call(argument))
    except (ValueError, TypeError) as error:
        if refused is None or refused not in str(error):
            raise
        return
    wanted = np.asarray(expected(argument))
    np.testing.assert_allclose(
        found, wanted, rtol=tolerance(argument), atol=tolerance(argument) * np.abs(wanted).max(initial=1e-3)
    )


@pytest.mark.slow
@pytest.mark.parametrize("function", OF_GRADIENTS)
@pytest.mark.parametrize("tree", TREES)
def test_what_is_made_of_gradients(tree, function):
    with jax.numpy_rank_promotion("allow"):
        check(*OF_GRADIENTS[function], gradient_of(TREES[tree]), REFUSED.get(tree))


@pytest.mark.slow
@pytest.mark.parametrize("function", OF_COSTS)
@pytest.mark.parametrize("tree", TREES)
def test_what_is_made_of_a_cost(tree, function):
    with jax.numpy_rank_promotion("allow"):
        check(*OF_COSTS[function], TREES[tree], REFUSED.get(tree))


LOGITS = np.random.default_rng(1).normal(size=(6, 3))
KINDS = {
    "float16": LOGITS.astype(np.float16),
    "bfloat16": jnp.asarray(LOGITS, jnp.bfloat16),
    "integer": np.round(3 * LOGITS).astype(np.int8),
    "truth": LOGITS > 0,
    "list": LOGITS.tolist(),
    "complex": LOGITS + 1j,
    "a tree": {"a": LOGITS},
    "none": None,
}
SIDE = np.arange(6) % 3


def softmax(values):
    return np.exp(values) / np.exp(values).sum(-1, keepdims=True)


def doubt(values):
    return -np.mean(np.log(softmax(values)[np.arange(6), SIDE]))


def bits(values):
    shares = values / values.sum(-1, keepdims=True)
    return -np.sum(np.where(shares > 0, shares * np.log2(np.where(shares > 0, shares, 1)), 0), -1)


OF_ARRAYS = {
    "answers": (calibration.probabilities, softmax),
    "confidence": (calibration.confidence, lambda v: v.max(-1)),
    "normalized": (
        lambda v: calibration.normalized(positive(v)),
        lambda v: (v**2 + 1) / (v**2 + 1).sum(-1, keepdims=True),
    ),
    "entropy": (lambda v: calibration.entropy(positive(v)), lambda v: bits(v**2 + 1)),
    "auroc": (lambda v: calibration.auroc(v, [100.0]), lambda v: 0.0),
    "nll": (lambda v: calibration.nll(v, SIDE, 1.0), doubt),
    "best_temperature": (
        lambda v: calibration.nll(v, SIDE, calibration.fit_temperature(v, SIDE)),
        lambda v: min(doubt(v / t) for t in np.geomspace(0.05, 20, 2000)),
    ),
    "accuracy": (lambda v: metrics.accuracy(v, SIDE), lambda v: np.mean(v.argmax(-1) == SIDE)),
    "evaluate": (
        lambda v: metrics.evaluation(losses.squared_error, v, SIDE).cost,
        lambda v: np.mean(((v - np.eye(3)[SIDE]) ** 2).sum(1)),
    ),
    "by_output": (lambda v: metrics.cost_by_output(v, SIDE), lambda v: ((v - np.eye(3)[SIDE]) ** 2).mean(0)),
    "mistakes": (lambda v: len(metrics.mistakes(v, SIDE)), lambda v: np.sum(v.argmax(-1) != SIDE)),
}


def positive(values):
    """Made positive, if they are numbers that can be."""
    return np.square(values, dtype=np.float32) + 1 if np.ndim(values) and not np.iscomplexobj(values) else values


def as_float(values):
    return np.asarray(values, np.float64)


TYPED = {"accuracy", "evaluate", "by_output", "mistakes"}
"""What takes arrays of floats; with type checks, as here, nothing else comes through."""


@pytest.mark.parametrize("function", OF_ARRAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_of_arrays(kind, function):
    call, expected = OF_ARRAYS[function]
    values = KINDS[kind]
    if kind in ("complex", "a tree", "none") or (function in TYPED and kind in ("integer", "truth", "list")):
        reason = "Expected type" if function in TYPED else "complex" if kind == "complex" else "array of numbers"
        with pytest.raises((ValueError, TypeError), match=reason):
            call(values)
        return
    with jax.numpy_rank_promotion("allow"):
        np.testing.assert_allclose(as_float(call(values)), expected(as_float(values)), rtol=1e-2, atol=1e-2)


UNCHECKED = """
import numpy as np
from jaxnet import losses, metrics, models
from jaxnet.analysis import alignment
def refused(call, kind, *words):
    try:
        call()
    except kind as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(words)
rows = np.eye(3)[[0, 1, 2, 1]]
evaluate = lambda *given: metrics.evaluation(losses.squared_error, *given)
for call in (metrics.accuracy, evaluate, metrics.cost_by_output, metrics.mistakes):
    for outputs, labels, word in (
        (rows + 1j, [0, 1, 2, 1], "complex128"), (rows.tolist(), [0, 1, 2, 1], "list"), (None, [0], "NoneType"),
        (rows, [0], "one label for each row"), (rows[0], [0], "shape (3,)"),
    ):
        refused(lambda: call(outputs, np.asarray(labels)), ValueError, word)
for tree in ({"a": np.ones(3)}, [np.ones(3)], np.ones(3), None, ()):
    refused(lambda: alignment.match_neurons(tree, tree), TypeError, "networks made of layers", type(tree).__name__)
    refused(lambda: models.functional(tree), TypeError, "nnx module", type(tree).__name__)
"""


def test_strange_outputs_networks_and_modules_are_refused_without_type_checks_too():
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True)  # here types are checked
    assert done.returncode == 0, done.stderr


def test_networks_are_aligned_only_if_their_weights_are_numbers():
    layers = network.init(jax.random.key(0), (4, 3, 2))
    broken = (layers[0], layers[1]._replace(biases=jnp.array([np.nan, 0.0])))
    with pytest.raises(ValueError, match="1/biases holds NaN"):
        alignment.match_neurons(layers, broken)


COUNTING = {"largest", "positions", "named_leaves", "select", "sample", "spread", "keep_top"}
"""What counts entries, or gives back the tree as it is."""


def integer_gradients():
    function = lambda p: p["w"][0] ** 2 * p["step"] + p["w"][1]
    return jax.grad(function, allow_int=True)({"w": jnp.array([3.0, 1.0]), "step": jnp.array(2)})


@pytest.mark.parametrize("function", sorted(OF_GRADIENTS.keys() - COUNTING))
def test_leaves_without_a_gradient_are_skipped(function):
    call, expected = OF_GRADIENTS[function]
    np.testing.assert_allclose(call(integer_gradients()), expected({"w": integer_gradients()["w"]}), rtol=1e-6)


def test_leaves_without_a_gradient_have_no_name_and_are_counted():
    assert bang.largest(integer_gradients(), 1).tolist() == [1]  # 0 is the integer
    assert [name for name, _ in bang.named_leaves(integer_gradients())] == ["w"]
    assert bang.positions(integer_gradients(), "w").tolist() == [1, 2]


def test_a_check_that_compares_nothing_would_be_noticed():
    wrong = functools.partial(check, lambda p: np.abs(flat(p)), lambda p: flat(p))
    with pytest.raises(AssertionError):
        wrong({"a": W}, None)
