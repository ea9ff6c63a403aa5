"""Every instrument over strange pytrees: the plain computation's number, or an error that names the leaf; never another."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import FrozenDict

from jaxnet import bang, gradient_descent, landscape, losses, train
from jaxnet.leaves import names
from jaxnet.unrolled import cost_after

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
    updates, _ = bang.on_a_budget(optax.sgd(0.1), 0.5).update(g, optax.sgd(0.1).init(g))
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
    "best": (lambda g: [flat(bang.best(bang.share(g), 0.5)).sum()], lambda g: [np.ceil(len(flat(g)) / 2)]),
    "named_leaves": (lambda g: [len(bang.named_leaves(g))], lambda g: [len(jax.tree.leaves(g))]),
    "positions": (lambda g: bang.positions(g), lambda g: np.arange(len(flat(g)))),
    "select": (lambda g: flat(bang.select(g, names(g)[0])), lambda g: flat(jax.tree.leaves(g)[:1])),
    "sample": (lambda g: [len(set(bang.sample(jax.random.key(0), g, 1)))], lambda g: [1]),
    "spread": (lambda g: flat(bang.spread(np.arange(1.0 * len(flat(g))), g)), lambda g: np.arange(len(flat(g)))),
    "on_a_budget": (halved, lambda g: [np.ceil(len(flat(g)) / 2)]),
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
    return bang.spend(cost, [1.0])(p, BATCH, jax.tree.map(lambda g: 0.0 * g - 0.1, gradient_of(p))).measured


def credited(p, **how):
    ledger = bang.credit(cost, **how)([p, stepped(p)], BATCH)
    return [sum(np.sum(leaf) for leaf in jax.tree.leaves(ledger.credit))]


def pulled(p):
    return bang.pulls(cost, names(p)[0], (0,) * np.ndim(jax.tree.leaves(p)[0]))(p, BATCH)


def of_labels(p):
    return flat(jax.tree.map(lambda leaf: np.asarray(leaf, float).sum(0), bang.tug_of_war(cost, 2)(p, BATCH)))


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
    return landscape.principal(path, directions=1).explained[:1]


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
    return flat(bang.signal_to_noise(bang.moments(cost)(p, BATCH)))


def plain_gradient(p):
    return flat(gradient_of(p))


OF_COSTS = {
    "worth": (worth, lambda p: np.append(plain_gradient(p), costs(p))),
    "spend": (spent, lambda p: [fall(p)]),
    "credit": (credited, lambda p: [fall(p)]),
    "credit by label": (functools.partial(credited, labels=2), lambda p: [fall(p)]),
    "moments": (lambda p: flat(bang.moments(cost)(p, BATCH).mean), plain_gradient),
    "variance": (lambda p: flat(bang.moments(cost)(p, BATCH).variance), lambda p: one_by_one(p).var(0, ddof=1)),
    "lengths": (lambda p: bang.lengths(cost)(p, BATCH), lambda p: np.linalg.norm(one_by_one(p), axis=1)),
    "pulls": (pulled, lambda p: one_by_one(p)[:, 0]),
    "tug_of_war": (of_labels, plain_gradient),
    "dead_knobs": (lambda p: flat(bang.dead_knobs(cost)(p, BATCH).reason), lambda p: np.zeros(len(flat(p)))),
    "noise": (
        lambda p: [bang.noise_from_examples(cost)(p, BATCH).trace],
        lambda p: [one_by_one(p).var(0, ddof=1).sum()],
    ),
    "watch": (watched, lambda p: [norm(gradient_of(p)), norm(gradient_of(p)), 1.0]),
    "line": (line, lambda p: [costs(p)] * 2),
    "plane": (on_plane, lambda p: [costs(p)] * 4),
    "principal": (first_component, lambda p: [1.0]),
    "of_vector": (of_vector, lambda p: [costs(p)]),
    "cost_after": (after_a_step, stepped_cost),
    "signal_to_noise": (clear, lambda p: np.abs(plain_gradient(p)) / one_by_one(p).std(0, ddof=1)),
    "rescaled": (lambda p: neuron_lengths(landscape.rescaled(jax.random.key(0), p)), neuron_lengths),
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


COUNTING = {"largest", "positions", "named_leaves", "select", "sample", "spread", "on_a_budget"}
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
