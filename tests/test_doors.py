"""What an instrument must not take in silence: costs that are no means, NaN, narrow types, labels, optimizers, batches."""

import functools
import gc
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from flax import nnx

from jaxnet import Batch, augment, average, bang, data, devices, gradient_descent, losses, metrics, network, train
from jaxnet.analysis import calibration, landscape
from jaxnet.analysis.alignment import match_neurons
from jaxnet.analysis.unrolling import cost_after, finite_differences
from jaxnet.core import chunks as chunks_
from jaxnet.core.descent import transformation, vmapped
from jaxnet.models import flax_nnx

RNG = np.random.default_rng(7)
N = 300
XY = {"x": RNG.normal(size=(N, 3)).astype(np.float32), "y": RNG.normal(size=N).astype(np.float32)}
W = {"w": jnp.array([0.3, -1.0, 0.5])}


def each(p, b):
    return (b["x"] @ p["w"] - b["y"]) ** 2


# A cost is a mean over examples, or refused.

ONE_PADDED = XY | {
    "real": (np.arange(N) != 137).astype(np.float32)
}  # in the middle, where no sample of the first looks
BY_CLASS = XY | {"weight": np.repeat([1.0, 4.0], N // 2).astype(np.float32)}


def masked(p, b):
    return jnp.sum(each(p, b) * b["real"]) / jnp.sum(b["real"])


def weighted(p, b):
    return jnp.sum(each(p, b) * b["weight"]) / jnp.sum(b["weight"])


def summed(p, b):
    return jnp.sum(each(p, b))


def batch_normalized(p, b):
    out = b["x"] @ p["w"]
    return jnp.mean(((out - out.mean()) / (out.std() + 0.1) - b["y"]) ** 2)


def of_tokens(p, b):
    """Lines of words, a head of zeros: every word costs log(5), however long its line."""
    lost = -jax.nn.log_softmax(b["x"][:, :, None] * p["head"][None, None])[..., 0]
    return jnp.sum(lost * b["is_word"]) / jnp.sum(b["is_word"])


LINES = {"x": RNG.normal(size=(60, 8)).astype(np.float32), "is_word": (RNG.random((60, 8)) < 0.6).astype(np.float32)}
NO_MEANS = {
    "one padded example": (masked, W, ONE_PADDED),
    "class weights, sorted": (weighted, W, BY_CLASS),
    "sum": (summed, W, XY),
    "batch statistics": (batch_normalized, W, XY),
    "mean over tokens, zero head": (of_tokens, {"head": jnp.zeros(5)}, LINES),
}
INSTRUMENTS = {
    "moments": lambda cost, p, b: bang.gradient_moments(cost)(p, b),
    "lengths": lambda cost, p, b: bang.per_example_norms(cost)(p, b),
    "noise": lambda cost, p, b: bang.noise_scale(cost)(p, b),
    "credit": lambda cost, p, b: bang.loss_change_allocation(cost)([p, jax.tree.map(lambda leaf: leaf - 0.1, p)], b),
    "dead knobs": lambda cost, p, b: bang.dead_parameters(cost)(p, b),
    "worth": lambda cost, p, b: bang.worth(cost, sizes=[0.1])(p, b),
}


@pytest.mark.parametrize(
    "instrument", ["moments", *(pytest.param(name, marks=pytest.mark.slow) for name in [*INSTRUMENTS][1:])]
)
@pytest.mark.parametrize("case", NO_MEANS)
def test_a_cost_that_is_no_mean_over_examples_is_refused(case, instrument):
    with pytest.raises(ValueError, match=r"not a mean over examples.*weight \* len\(weight\) / weight.sum\(\)"):
        INSTRUMENTS[instrument](*NO_MEANS[case])


@pytest.mark.parametrize("count", [2, 3, 251, 252])
def test_no_example_is_left_unlooked_at(count):
    batch = {name: value[:count] for name, value in XY.items()}
    for odd in {0, count // 2, count - 1}:
        with pytest.raises(ValueError, match="not a mean over examples"):
            bang.gradient_moments(masked)(W, batch | {"real": (np.arange(count) != odd).astype(np.float32)})


def test_the_way_out_is_a_mean_and_has_the_gradient_of_what_was_meant():
    weight = BY_CLASS["weight"] * N / BY_CLASS["weight"].sum()
    cost = lambda p, b: jnp.mean(b["weight"] * each(p, b))
    found = bang.gradient_moments(cost)(W, XY | {"weight": weight})
    np.testing.assert_allclose(found.mean["w"], jax.grad(weighted)(W, BY_CLASS)["w"], rtol=1e-4)


def test_a_mean_near_its_minimum_is_still_taken_for_one():
    best = np.linalg.lstsq(XY["x"], XY["y"], rcond=None)[0]
    found = bang.gradient_moments(lambda p, b: jnp.mean(each(p, b)))({"w": jnp.asarray(best)}, XY)
    assert float(jnp.abs(found.mean["w"]).max()) < 1e-5


@pytest.mark.slow
def test_keys_one_an_example_are_sliced_with_them():
    noisy = lambda w, x, key: jnp.sum((w * x + jax.random.normal(key, x.shape)) ** 2)
    cost = lambda w, b: jnp.mean(jax.vmap(noisy, (None, 0, 0))(w, b["x"], b["key"]))
    keys, w = jax.random.split(jax.random.key(1), N), jnp.ones(3)
    found = bang.gradient_moments(cost)(w, {"x": XY["x"], "key": keys})
    rows = jax.vmap(jax.grad(noisy), (None, 0, 0))(w, XY["x"][:50], keys[:50])
    np.testing.assert_allclose(found.mean, jax.grad(cost)(w, {"x": XY["x"], "key": keys}), rtol=1e-4)
    lengths = bang.per_example_norms(cost)(w, {"x": XY["x"], "key": keys})
    np.testing.assert_allclose(lengths[:50], np.linalg.norm(rows, axis=1), rtol=1e-4)
    shared = lambda w, b: jnp.mean(jax.vmap(noisy, (None, 0, None))(w, b["x"], b["key"]))
    assert bang.per_example_norms(shared)(w, {"x": XY["x"], "key": jax.random.key(2)}).shape == (N,)


# Float64 leaves nothing behind.


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "instrument",
    ["line", *(pytest.param(name, marks=SLOW) for name in ("worth", "spend", "plane", "descend", "curvatures"))],
)
def test_nothing_of_float64_is_seen_afterwards(instrument):
    places = np.array([2, 0, 1])  # numpy's own 64-bit integers, part of the model
    cost = lambda w, x: jnp.mean((x[:, places] @ w[np.array([0, 2])][:, None].repeat(3, 1).T) ** 2)
    w, x = jnp.array([0.3, -0.2, 0.9]), XY["x"][:20]
    before = float(cost(w, x))
    alone = lambda w: cost(w, np.asarray(x, np.float64))
    {
        "worth": lambda: bang.worth(cost, sizes=[0.1])(w, x),
        "spend": lambda: bang.take_partial_step(cost)(w, x, -0.1 * w),
        "line": lambda: landscape.line(cost)(w, w, [0.5], x),
        "plane": lambda: landscape.plane(cost)(w, w, w, [0.5], [0.1], x),
        "descend": lambda: landscape.descend(alone, np.asarray(w)[None], 0.01, 2),
        "curvatures": lambda: landscape.curvatures(alone, w),
    }[instrument]()
    assert float(cost(w, x)) == before
    assert jax.grad(cost)(w, x).dtype == jnp.float32
    assert bang.gradient_moments(cost)(w, x).mean.dtype == jnp.float32
    descent = gradient_descent(cost, 0.1)
    *_, (state, _) = train(descent, descent.init(w), [x])
    assert state.params.dtype == jnp.float32


@pytest.mark.slow
def test_jaxnets_own_costs_forget_no_program():
    cost = average(functools.partial(network.apply, activation=network.tanh), losses.squared_error)
    counted = jax.jit(lambda x: jnp.sin(x) + len(traced.append(1) or "1"))
    traced: list[int] = []
    counted(1.0)
    batch = Batch(RNG.random((8, 4)).astype(np.float32), np.arange(8) % 3)
    bang.worth(cost, sizes=[0.1])(network.init(jax.random.key(0), [4, 5, 3]), batch)
    counted(1.0)
    assert len(traced) == 1
    bang.worth(lambda p, b: cost(p, b), sizes=[0.1])(network.init(jax.random.key(0), [4, 5, 3]), batch)
    counted(1.0)
    assert len(traced) == 2  # the price of a cost of somebody else's, as its docstring says


@pytest.mark.parametrize(
    "kind", [jnp.bfloat16, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (jnp.float16, jnp.float32))]
)
def test_a_narrow_type_anywhere_inside_is_refused(kind):
    class Mixed(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1)(nn.tanh(nn.Dense(8, dtype=kind)(x)))

    net = Mixed()
    params = net.init(jax.random.key(0), XY["x"][:1])
    cost = lambda p, b: jnp.mean((net.apply(p, b["x"])[:, 0] - b["y"]) ** 2)
    for measure in (lambda: bang.worth(cost)(params, XY), lambda: landscape.line(cost)(params, params, [0.0], XY)):
        with pytest.raises(ValueError, match=f"still computes in {jnp.dtype(kind)}"):
            measure()
    rolled = lambda p, b: jnp.mean(
        jax.lax.fori_loop(0, 2, lambda _, h: jnp.tanh(h.astype(kind)).astype(h.dtype), b["x"] @ p["w"])
    )
    with pytest.raises(ValueError, match=f"still computes in {jnp.dtype(kind)}"):
        bang.worth(rolled)(W, XY)


def test_narrow_data_that_no_parameter_touches_is_fine():
    cost = lambda p, b: jnp.mean((b["x"].astype(jnp.float32).astype(p["w"].dtype) @ p["w"] - b["y"]) ** 2)
    with devices.double_precision(cost):
        assert (
            devices.require_double(cost, {"w": jnp.ones(3)}, jax.tree.map(lambda leaf: np.asarray(leaf, float), XY))
            is None
        )


def test_norms_of_half_precision_are_added_up_in_single():
    descent = gradient_descent(lambda p, b: jnp.sum(p["a"] * b) + jnp.sum(p["c"] * b), 1e-4)
    start = {"a": jnp.ones(2, jnp.float16), "c": jnp.ones(2, jnp.bfloat16)}
    _, info = descent.update(descent.init(start), jnp.array([3000.0, 4000.0], jnp.float16))
    assert float(info.gradient_norm) == pytest.approx(5000 * 2**0.5, rel=0.01)


# Custom backward rules.


@jax.custom_vjp
def clipped(x):
    return jnp.sin(x)


clipped.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))


@pytest.mark.slow
def test_a_custom_backward_rule_serves_worth_and_pulls():
    by_rule = lambda p, b: jnp.mean((clipped(b["x"] @ p["w"]) - b["y"]) ** 2)
    plain = lambda p, b: jnp.mean((jnp.sin(b["x"] @ p["w"]) - b["y"]) ** 2)
    found, wanted = (bang.worth(cost)(W, XY) for cost in (by_rule, plain))
    for name in ("gradient", "curvature", "measured", "radius"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-6)
    pulled, known = (bang.per_example_derivative(cost, "w", (1,))(W, XY) for cost in (by_rule, plain))
    np.testing.assert_allclose(pulled, known, rtol=1e-4, atol=1e-6)
    shift = lambda by: {"w": W["w"].at[1].add(by)}
    slope = (each_of(by_rule, shift(1e-3)) - each_of(by_rule, shift(-1e-3))) / 2e-3
    np.testing.assert_allclose(pulled, slope, atol=0.02)


def each_of(cost, p):
    one = lambda x, y: cost(p, {"x": x[None], "y": y[None]})
    return np.asarray(jax.vmap(one)(XY["x"], XY["y"]))


# NaN stays visible, by name.


def test_nan_is_not_hidden():
    grads = {"fine": jnp.array([1.0, 2.0]), "lost": jnp.array([jnp.nan, 4.0])}
    assert all(jnp.isnan(leaf).all() for leaf in jax.tree.leaves(bang.share(grads)))
    assert all(jnp.isnan(leaf).all() for leaf in jax.tree.leaves(bang.share({"a": jnp.array([jnp.inf, 1.0])})))
    mask = bang.top_mask(grads, 0.5)
    assert jnp.isnan(mask["lost"][0])
    assert (mask["fine"].tolist(), float(mask["lost"][1])) == ([0.0, 1.0], 1.0)
    for rank in (bang.top, lambda g: bang.largest(g, 1)):
        with pytest.raises(ValueError, match="the gradient of 'lost' holds NaN"):
            rank(grads)
    with pytest.raises(ValueError, match="'lost' is NaN"):
        bang.take_partial_step(lambda p, b: jnp.mean(b) * (jnp.sum(p["fine"]) + jnp.sum(p["lost"])))(
            {"fine": np.ones(2), "lost": np.ones(2)}, np.ones(4), {"fine": np.ones(2), "lost": np.array([np.nan, 1])}
        )
    frugal = bang.keep_top(optax.sgd(1.0), 0.5)
    updates, _ = frugal.update(grads, frugal.init(grads))
    assert jnp.isnan(updates["lost"][0])


def root(p, b):
    """Finite, with an infinite slope at zero behind a `where`: the gradient is NaN."""
    return jnp.mean(b["x"]) + jnp.where(p["a"] > 0, jnp.sqrt(p["a"]), 0.0) + jnp.mean(b["y"]) * p["c"] ** 2


@pytest.mark.slow
def test_instruments_name_the_leaf_whose_gradient_is_nan():
    start = {"a": jnp.array(0.0), "c": jnp.array(1.0)}
    steep = lambda p, b: jnp.mean(b["x"]) + jnp.mean(b["y"]) * p["c"] ** 2 + jnp.sqrt(p["a"])
    with pytest.raises(ValueError, match="the gradient of 'a' is NaN or infinite"):
        bang.worth(steep)(start, XY)
    with pytest.raises(ValueError, match="a noise scale needs finite gradients"):
        bang.noise_scale(root)(start, XY)
    assert bang.count_dead(bang.dead_parameters(root)(start, XY)) == {
        "a": {"its value or its gradient is NaN or infinite": 1}
    }
    layers = network.init(jax.random.key(0), [3, 4, 2])
    broken = [layers[0]._replace(biases=layers[0].biases.at[1].set(jnp.nan)), layers[1]]
    cost = average(functools.partial(network.apply, output=network.identity), losses.cross_entropy)
    counted = bang.count_dead(bang.dead_parameters(cost)(broken, Batch(XY["x"], np.arange(N) % 2)))
    assert counted["0/biases"]["its value or its gradient is NaN or infinite"] >= 1


def test_a_watched_step_with_a_nan_gradient_is_logged():
    descent = bang.watch(gradient_descent(root, 0.1), every=2)
    _, info = jax.lax.scan(descent.update, descent.init({"a": jnp.array(0.0), "c": jnp.array(1.0)}), stack([XY] * 3))
    rows = list(bang.signal_rows(info, ["a", "c"]))
    assert [step for step, _ in rows] == [0, 2]
    assert np.isnan(rows[0][1]["gradient/a"])


def stack(batches):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)


def test_outputs_that_are_nan_answer_nothing():
    outputs = np.full((10, 4), np.nan, np.float32)
    outputs[3] = [0, 1, 0, 0]
    labels = np.array([0, 1, 2, 1, 0, 3, 0, 0, 2, 1])
    found = metrics.evaluation(losses.squared_error, outputs, labels)
    assert float(found.accuracy) == pytest.approx(0.1)
    assert int(found.confusion.sum()) == 1
    assert np.isnan(found.cost)
    assert len(metrics.mistakes(outputs, labels)) == 9


def test_a_fraction_of_images_is_a_quotient_of_whole_numbers():
    assert metrics.exact_accuracy(np.float32(0.982), 10_000) == 0.982
    assert metrics.exact_accuracy(np.array([0.1, np.nan], np.float32), 60_000)[0] == 0.1


# Labels.


@pytest.mark.parametrize("loss", [losses.squared_error, losses.half_squared_error, losses.cross_entropy])
@pytest.mark.parametrize("label", [np.eye(3, dtype=int)[1], np.eye(3, dtype=np.float32)[1], np.array([1]), 1.0])
def test_a_label_is_one_whole_number(loss, label):
    with pytest.raises(ValueError, match=r"each row of outputs needs one label, a whole number.*argmax"):
        loss(jnp.array([0.1, 0.7, 0.3]), label)
    assert float(loss(jnp.array([0.1, 0.7, 0.3]), np.uint8(1))) > 0


LOGITS = functools.partial(network.apply, output=network.identity)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0], [1], [2], [0]]), r"one axis, got int64 of shape \(4, 1\).*labels\[:, 0\]"),
        (np.eye(4, dtype=int), "for one-hot rows pass"),
        (np.array([0, 1, -1, 2]), r"must lie in 0..2 for 3 outputs, got -1 at position 2"),
        (np.array([1, 2, 3, 1]), r"got 3 at position 2; labels that count from 1 need labels - 1"),
        (np.array([0.0, 1, 2, 0]), "whole numbers"),
    ],
)
def test_labels_that_are_no_classes_are_refused_at_every_door(labels, message):
    params, images = network.init(jax.random.key(0), [5, 3]), np.ones((4, 5), np.float32)
    outputs = RNG.normal(size=(4, 3)).astype(np.float32)
    doors = [
        lambda: average(LOGITS, losses.cross_entropy)(params, Batch(images, labels)),
        lambda: metrics.evaluation(losses.squared_error, outputs, labels),
        lambda: metrics.accuracy(outputs, labels),
        lambda: metrics.cost_by_output(outputs, labels),
        lambda: metrics.mistakes(outputs, labels),
    ]
    for door in doors:
        with pytest.raises(ValueError, match=message):
            door()


def test_what_the_command_line_refuses_python_refuses_too():
    for apply in (network.apply, functools.partial(network.apply, activation=network.relu)):
        with pytest.raises(ValueError, match=r"cross_entropy takes logits.*output=network.identity"):
            average(apply, losses.cross_entropy)
    assert average(LOGITS, losses.cross_entropy).loss is losses.cross_entropy
    bright = Batch(RNG.integers(0, 256, (20, 4, 4)).astype(np.float32), np.arange(20) % 3)
    for door in (
        lambda: next(data.shuffled(jax.random.key(0), bright, 4)),
        lambda: next(data.resident_epochs(jax.random.key(0), bright, 4)),
        lambda: average(LOGITS, losses.cross_entropy)(network.init(jax.random.key(0), [16, 3]), bright),
    ):
        with pytest.raises(ValueError, match="pass them as uint8, or divide by 255"):
            door()
    with pytest.raises(ValueError, match="classes are counted from 0, got the label -1"):
        data.shuffled(jax.random.key(0), bright._replace(images=bright.images / 255, labels=np.arange(20) - 1), 4)


# Modules of flax that change.


class Noisy(nnx.Module):
    def __init__(self, rngs):
        self.rngs, self.layer = rngs, nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.layer(x + jax.random.normal(self.rngs.noise(), x.shape))


class Counting(nnx.Module):
    def __init__(self, rngs):
        self.layer, self.seen = nnx.Linear(4, 3, rngs=rngs), nnx.Variable(jnp.zeros((), int))

    def __call__(self, x):
        self.seen[...] += 1
        return self.layer(x) + self.seen[...]


class Recurrent(nnx.Module):
    def __init__(self, rngs):
        self.cells = nnx.RNN(nnx.GRUCell(2, 3, rngs=rngs), rngs=rngs)

    def __call__(self, x):
        return self.cells(x.reshape(1, 2, 2))[0, -1]


@pytest.mark.parametrize(
    ("module", "name"), [(Noisy, "Noisy"), (Counting, "seen"), pytest.param(Recurrent, "cells", marks=pytest.mark.slow)]
)
def test_any_state_that_a_reading_changes_is_found_and_can_be_frozen(module, name):
    image = jnp.arange(4.0)

    def read():
        apply, params = flax_nnx.functional(module(nnx.Rngs(0)))
        apply(params, image)

    with pytest.raises(ValueError, match=rf"{name} would change when.*frozen=True"):
        read()
    apply, params = flax_nnx.functional(module(nnx.Rngs(0)), frozen=True)
    first, second = apply(params, image), apply(params, image)
    np.testing.assert_array_equal(first, second)
    grads = jax.grad(lambda p: apply(p, image).sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


# Any optax transformation.

OPTIMIZERS = {
    "lbfgs": lambda: optax.lbfgs(),
    "polyak": lambda: optax.polyak_sgd(),
    "plateau": lambda: optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau(patience=100)),
    "momo": lambda: optax.contrib.momo(0.1),
    "sam": lambda: optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05), sync_period=2, opaque_mode=True),
    "lookahead": lambda: optax.lookahead(optax.sgd(0.1), 3, 0.5),
    "multi steps": lambda: optax.MultiSteps(optax.adam(0.1), 2),
    "schedule": lambda: optax.linear_schedule(0.2, 0.1, 50),
    "rate": lambda: 0.1,
    "array": lambda: jnp.float32(0.1),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("momo", "plateau", "rate", "schedule") else ())
        for name in OPTIMIZERS
    ],
)
def test_any_optimizer_of_optax_goes_downhill(name):
    cost = lambda p, b: jnp.mean(each(p, b))
    descent = gradient_descent(cost, OPTIMIZERS[name]())
    *_, (state, _) = train(descent, descent.init(W), [XY] * 200)
    best = np.linalg.lstsq(XY["x"], XY["y"], rcond=None)[0]
    assert float(cost(state.params, XY)) < float(cost(W, XY))
    np.testing.assert_allclose(state.params["w"], best, atol=0.2)


def test_lookahead_pulls_the_fast_parameters_back():
    descent = gradient_descent(lambda p, _: p**2, optax.lookahead(optax.sgd(0.25), 2, 0.5))
    state = descent.init(jnp.array(4.0))
    places = []
    for _ in range(2):
        state, _ = descent.update(state, None)
        places.append(float(state.params))
    assert places == [2.0, 2.5]  # 4, 2, then 1, halfway back to 4


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adam", "the name 'adam'"),
        (functools.partial(optax.adam, b1=0.8), "adam was not called"),
        (optax.adam, r"adam was not called.*optax.adam\(0.001\)"),
        (None, "NoneType"),
        ([0.1], "list"),
    ],
)
def test_slips_with_the_optimizer_are_named(optimizer, message):
    with pytest.raises(TypeError, match=message):
        transformation(optimizer)


def test_a_wrapped_lookahead_is_still_outermost():
    cost = lambda p, _: jnp.sum(p**2)
    for optimizer in (
        bang.keep_top(optax.lookahead(optax.sgd(0.1), 2, 0.5), 0.5),
        optax.lookahead(optax.sgd(0.1), 2, 0.5),
    ):
        descent = gradient_descent(cost, optimizer)
        state, _ = descent.update(descent.init(jnp.array([4.0, 1.0])), None)
        assert float(cost(state.params, None)) < 17
        *_, (state, _) = train(descent, descent.init(jnp.ones(2)), [None] * 3, guarded=False, in_place=True)
        assert int(state.step) == 3


def test_a_budget_of_complex_parameters_goes_to_what_earns_most():
    cost = lambda z, _: jnp.sum(jnp.abs(z - jnp.array([3j, 1])) ** 2)
    descent = gradient_descent(cost, bang.keep_top(optax.sgd(0.1), 0.5))
    state, _ = descent.update(descent.init(jnp.zeros(2, complex)), None)
    assert abs(complex(state.params[0])) > 0
    assert complex(state.params[1]) == 0


def test_what_select_left_out_earns_nothing():
    grads = {"a": jnp.array([1.0, 2.0]), "b": jnp.ones(3)}
    found = bang.earned(bang.select(grads, "a"), grads)
    assert found["a"].tolist() == [-1.0, -4.0]
    assert len(jax.tree.leaves(found)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [lambda: optax.MultiSteps(optax.adam(0.1), 2), lambda: optax.apply_if_finite(optax.adam(0.1), 3)]
)
def test_roots_behind_a_condition_are_guarded_too(make):
    cost = lambda w, batch: jnp.mean((batch.images @ w - batch.labels) ** 2)
    after = cost_after(cost, make())
    images = np.array([[1.0, 0, 2], [0.5, 0, -1]], np.float32)
    examples = Batch(jnp.asarray(images), jnp.array([1.0, -1.0]))
    order = jnp.array([[[0, 1], [1, 0], [0, 1]]])
    slopes = jax.grad(lambda x: after(jnp.ones(3), examples._replace(images=x), order))(examples.images)
    assert np.isfinite(slopes).all()
    assert np.abs(slopes).max() > 0


def test_other_losses_take_other_labels_outside_jit_as_inside():
    far = average(lambda p, x: x @ p, lambda out, y: (out - y) ** 2)
    batch = Batch(XY["x"], XY["y"])
    assert float(far(W["w"], batch)) == pytest.approx(float(jax.jit(far)(W["w"], batch)), rel=1e-6)
    parts = average(lambda p, x: x["a"] @ p, lambda out, y: (out - y) ** 2)
    assert np.isfinite(float(parts(W["w"], Batch({"a": XY["x"]}, XY["y"]))))
    assert next(data.shuffled(jax.random.key(0), batch, 50)).labels.dtype == np.float32
    counts = np.array([[20.0, 3, 0], [1, 0, 5]], np.float32)
    assert np.isfinite(
        float(
            average(LOGITS, losses.cross_entropy)(
                network.init(jax.random.key(0), [3, 2]), Batch(counts, np.array([0, 1]))
            )
        )
    )
    rows = Batch(XY["x"][:32, :1], np.eye(32, dtype=np.float32)[:, :1])
    descent = gradient_descent(lambda p, b: jnp.mean((b.images * p - b.labels) ** 2), 0.1)
    assert int(next(train(descent, descent.init(jnp.ones(())), [rows]))[0].step) == 1


def test_stacked_chunks_of_many_networks_are_recognized():
    descent = vmapped(gradient_descent(lambda w, b: jnp.mean((b[0] @ w - b[1]) ** 2), 0.1))
    chunk = (XY["x"].reshape(6, 50, 3), XY["y"].reshape(6, 50))
    start = descent.init(jnp.zeros((2, 3)))
    assert list(train(descent, start, [chunk], stacked=True, guarded=False))[-1][0].step.tolist() == [6, 6]
    assert list(train(descent, start, pairs(6, 50), guarded=False))[-1][0].step.tolist() == [6, 6]


def test_narrow_data_inside_a_loop_is_fine_and_a_narrow_carry_is_not():
    def cost(p, b, kind=jnp.float64):
        turn = lambda total, x: (
            (total + p["w"].sum() * jnp.tanh(x).astype(kind)).astype(kind).astype(total.dtype),
            None,
        )
        return jax.lax.scan(turn, jnp.zeros((), p["w"].dtype), b)[0]

    with devices.double_precision(cost):
        devices.require_double(cost, {"w": jnp.ones(3)}, np.ones(5, np.float32))
        with pytest.raises(ValueError, match="still computes in float32"):
            devices.require_double(
                functools.partial(cost, kind=jnp.float32), {"w": jnp.ones(3)}, np.ones(5, np.float32)
            )


def test_lookahead_inside_a_chain_is_told_where_it_belongs():
    descent = gradient_descent(lambda p, _: p**2, optax.chain(optax.clip(1.0), optax.lookahead(optax.sgd(0.1), 2, 0.5)))
    with pytest.raises(TypeError, match="must be outermost"):
        descent.init(jnp.array(4.0))


@pytest.mark.parametrize("batch", [Batch(XY["x"], np.arange(N)), XY], ids=["Batch", "dict"])
def test_one_batch_in_place_of_a_sequence_is_refused(batch):
    descent = gradient_descent(lambda p, b: jnp.sum(p), 0.1)
    with pytest.raises(TypeError, match=r"got one (Batch|dict); pass \[batch\]"):
        next(train(descent, descent.init(jnp.zeros(3)), batch))


def test_complex_parameters_go_downhill_and_their_parts_are_counted():
    goal = jnp.array([1 + 3j, -2j])
    cost = lambda z, _: jnp.sum(jnp.abs(z - goal) ** 2)
    for optimizer in (0.1, optax.sgd(0.05, momentum=0.9), optax.adam(0.1)):
        descent = bang.watch(gradient_descent(cost, optimizer))
        walked = [info for _, info in train(descent, descent.init(jnp.zeros(2, complex)), [None] * 200)]
        assert float(walked[-1].cost[0]) < 0.05 * float(walked[0].cost[0])
        assert float(walked[0].signals.share[0, 0]) == pytest.approx(1)
    grads = jax.grad(cost)(jnp.zeros(2, complex), None)
    np.testing.assert_allclose(bang.share(grads), [10 / 14, 4 / 14], rtol=1e-5)
    step = -0.001 * jnp.conj(grads)
    fall = float(cost(jnp.zeros(2, complex), None) - cost(step, None))
    assert float(bang.earned(grads, step).sum()) == pytest.approx(fall, rel=0.01)


# Ordinary batches, chunks and data of any shape.


def pairs(count, size):
    return [(XY["x"][i * size : (i + 1) * size], XY["y"][i * size : (i + 1) * size]) for i in range(count)]


def test_train_takes_batches_and_chunks_and_does_not_confuse_them():
    cost = lambda w, b: jnp.mean((b[0] @ w - b[1]) ** 2)
    descent, start = gradient_descent(cost, 0.1), jnp.zeros(3)
    by_hand = descent.init(start)
    for batch in pairs(6, 50):
        by_hand, _ = descent.update(by_hand, batch)
    walk = lambda batches, **how: list(train(descent, descent.init(start), batches, **how))[-1][0]
    whole = jax.tree.map(lambda *leaves: np.stack(leaves), *pairs(6, 50))
    for state in (walk(pairs(6, 50)), walk([whole], stacked=True), walk(iter(pairs(6, 50)), stacked=False)):
        assert int(state.step) == 6
        np.testing.assert_allclose(state.params, by_hand.params, rtol=1e-5)
    assert int(walk(data.shuffled(jax.random.key(0), (XY["x"], XY["y"]), 50)).step) == 6
    assert int(walk(data.resident_epochs(jax.random.key(0), (XY["x"], XY["y"]), 50)).step) == 6
    dark = average(network.apply, losses.squared_error)
    descent = gradient_descent(dark, 0.1)
    params = network.init(jax.random.key(0), [3, 2])
    images = [Batch(XY["x"][:10], np.arange(10) % 2)] * 4
    assert int(list(train(descent, descent.init(params), images))[-1][0].step) == 4
    assert int(list(train(descent, descent.init(params), [stack(images)], stacked=True))[-1][0].step) == 4


WRAPPED = {
    "as it is": lambda chunks: chunks,
    "islice": lambda chunks: itertools.islice(chunks, 100),
    "list": list,
    "generator": lambda chunks: (chunk for chunk in chunks),
    "one array changed": lambda chunks: ((2 * chunk[0], chunk[1]) for chunk in chunks),
    "as a dictionary": lambda chunks: ({"x": chunk[0], "y": chunk[1]} for chunk in chunks),
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("forced", [False, True])
def test_shuffled_chunks_are_known_through_any_iterator(wrapped, forced, monkeypatch):
    monkeypatch.setattr(devices, "_forced", forced)
    part = lambda b, i, name: b[name] if isinstance(b, dict) else b[i]
    descent = gradient_descent(lambda w, b: jnp.mean((part(b, 0, "x") @ w - part(b, 1, "y")) ** 2), 0.1)
    chunks = data.shuffled(jax.random.key(0), (XY["x"], XY["y"]), 20, epochs=2, steps=5)
    *_, (state, _) = train(descent, descent.init(jnp.zeros(3)), WRAPPED[wrapped](chunks))
    assert int(state.step) == 2 * (len(XY["x"]) // 20)


def test_what_may_be_a_batch_or_a_chunk_is_asked_for():
    descent = gradient_descent(lambda w, b: jnp.mean((b[0].sum(-1) * w - b[1]) ** 2), 0.1)
    changed = lambda: (jax.tree.map(jnp.asarray, chunk) for chunk in [(np.ones((4, 6, 2)), np.zeros((4, 6)))])
    walk = lambda **how: int(list(train(descent, descent.init(jnp.ones(())), changed(), **how))[-1][0].step)
    with pytest.raises(
        ValueError, match=r"lengths \(4, 6\) may be one batch, or 4 batches .*pass stacked=False or stacked=True"
    ):
        walk()
    assert (walk(stacked=False), walk(stacked=True)) == (1, 4)


def test_chunks_are_remembered_no_longer_than_they_live():
    before = len(chunks_._stacked)
    chunk = next(data.shuffled(jax.random.key(0), Batch(np.zeros((40, 2)), np.arange(40) % 2), 4, keyed=True))
    assert chunks_.is_chunk(chunk)
    assert not chunks_.is_chunk(jax.tree.map(lambda leaf: leaf[0], chunk))
    del chunk
    gc.collect()
    assert len(chunks_._stacked) <= before


@pytest.mark.parametrize("kind", ["tuple", "dictionary", "nested"])
@pytest.mark.parametrize("forced", [False, True])
def test_any_pytree_with_a_leading_axis_is_shuffled_together(kind, forced, monkeypatch):
    monkeypatch.setattr(devices, "_forced", forced)
    numbers = np.arange(40)
    whole = {"tuple": (numbers, 2.0 * numbers), "dictionary": {"x": numbers, "y": -numbers},
             "nested": {"a": (numbers, [numbers + 1]), "key": jax.random.split(jax.random.key(0), 40)}}[kind]  # fmt: skip
    chunks = list(data.shuffled(jax.random.key(3), whole, 4, steps=5))
    assert jax.tree.structure(chunks[0]) == jax.tree.structure(whole)
    (epoch,) = data.resident_epochs(jax.random.key(3), whole, 4)
    first = np.concatenate([jax.tree.leaves(chunk)[0].ravel() for chunk in chunks])
    assert sorted(first) == list(range(40))
    np.testing.assert_array_equal(jax.tree.leaves(epoch.batches())[0].ravel(), first)
    for chunk in chunks:
        one, other = jax.tree.leaves(chunk)[:2]
        relation = {"tuple": 2.0 * one, "dictionary": -one, "nested": one + 1}[kind]
        np.testing.assert_array_equal(np.asarray(other), np.asarray(relation))


def test_data_that_cannot_be_shuffled_together_is_refused():
    with pytest.raises(ValueError, match=r"one leading axis, got leading lengths \['3', '4'\] in a tuple"):
        data.shuffled(jax.random.key(0), (np.ones(3), np.ones(4)), 2)
    with pytest.raises(ValueError, match="keyed=True needs a Batch"):
        data.shuffled(jax.random.key(0), (np.ones(4), np.ones(4)), 2, keyed=True)


def test_many_networks_are_watched_one_by_one():
    descent = gradient_descent(lambda p, _: jnp.sum(p**2), 0.1)
    with pytest.raises(ValueError, match=r"vmapped\(bang.watch\(descent\)\)"):
        bang.watch(vmapped(descent))
    both = vmapped(bang.watch(descent))
    _, info = both.update(both.init(jnp.array([[3.0, 4.0], [0.3, 0.4]])), None)
    np.testing.assert_allclose(info.gradient_norm, [10, 1], rtol=1e-6)


# Through training, in order, on types, in words.


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [optax.rmsprop, *(pytest.param(make, marks=SLOW) for make in (optax.adam, optax.adagrad, optax.amsgrad))]
)
def test_training_has_a_gradient_where_a_gradient_is_zero(make):
    images = RNG.random((8, 5))
    images[:, 2] = 0  # a pixel that is never lit
    with jax.enable_x64(True):
        examples = Batch(jnp.asarray(images), jnp.asarray(np.arange(8) % 3))
        params = network.init(jax.random.key(1), [5, 4, 3], dtype=jnp.float64)
        after = cost_after(average(network.apply, losses.squared_error), make(0.01))
        order = jnp.asarray(np.tile(np.arange(8), 3).reshape(1, 6, 4))
        value = lambda images: after(params, examples._replace(images=images), order)
        slopes = np.asarray(jax.grad(value)(examples.images)).ravel()
        lit = [0, 1, 3, 9]
        np.testing.assert_allclose(slopes[lit], finite_differences(value, examples.images, lit, nudge=1e-6), atol=1e-6)
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("scale", [1e-8, 1e-6, 1.0, 1e6])
def test_networks_of_any_size_of_weights_are_aligned(scale):
    net = jax.tree.map(lambda leaf: np.asarray(leaf) * scale, network.init(jax.random.key(3), [5, 7, 4]))
    order = RNG.permutation(7)
    mixed = (
        network.Layer(net[0].weights[order], net[0].biases[order]),
        network.Layer(net[1].weights[:, order], net[1].biases),
    )
    back = match_neurons(mixed, net)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(net), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_stacked_networks_are_normalized_one_by_one():
    layers = jax.vmap(lambda key: network.init(key, [6, 4, 3]))(jax.random.split(jax.random.key(0), 2))
    layers = jax.tree.map(lambda leaf: leaf * jnp.array([100.0, 1.0]).reshape(-1, *[1] * (leaf.ndim - 1)), layers)
    direction = landscape.filter_normalized(jax.random.key(1), layers)
    length = lambda tree: np.sqrt(np.sum(np.asarray(tree[0].weights) ** 2, axis=2))
    np.testing.assert_allclose(length(direction), length(layers), rtol=1e-4)
    assert not np.any(direction[0].biases)


@pytest.mark.parametrize("distort", [augment.affine, augment.elastic])
@pytest.mark.parametrize(
    "kind", [bool, np.int8, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (np.int32, np.uint16))]
)
def test_masks_and_whole_numbers_are_rounded_when_distorted(distort, kind):
    shape = np.zeros((20, 20))
    shape[5:15, 7:13] = 1
    key = jax.random.key(5)
    exact, found = distort(key, shape.astype(np.float32)), distort(key, shape.astype(kind))
    assert found.dtype == kind
    np.testing.assert_array_equal(np.asarray(found), np.round(np.asarray(exact)).astype(kind))


def test_words_follow_the_biases_where_they_tell_which_axis_counts_neurons():
    from typing import Any, NamedTuple

    class Dense(NamedTuple):
        weights: Any
        biases: Any

    turned = [Dense(np.zeros((6, 2)), np.zeros(2))]
    turned[0].weights[5, 1] = -3.0
    assert bang.top(turned, 1)[0].text.startswith("nudge layer 1, neuron 1, weight from input 5 up")
    assert bang.top([network.Layer(turned[0].weights.T, np.zeros(2))], 1)[0].text == bang.top(turned, 1)[0].text


@pytest.mark.parametrize(
    "entries", [np.array([True, False, True]), np.array([0.0, 1.0]), np.array([1, 1]), np.array([[0, 1]])]
)
def test_entries_that_are_no_positions_are_refused(entries):
    with pytest.raises(ValueError, match="entries must"):
        bang.worth(lambda p, b: jnp.mean(each(p, b)), entries=entries)(W, XY)


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16, jnp.int32, complex])
def test_outputs_of_any_type_are_read_in_double_precision_or_refused(kind):
    outputs = np.asarray(jnp.asarray([[3, 1, 0], [0, 2, 2]], kind))
    for read in (calibration.probabilities, calibration.confidence, calibration.normalized, calibration.entropy):
        if kind is complex:
            with pytest.raises(ValueError, match="real numbers, got complex"):
                read(outputs)
        else:
            np.testing.assert_array_equal(read(outputs), read(outputs.astype(np.float64)))
