"""What a narrow type does to a gradient: the numbers are those of a computation by hand, and mixed precision learns as well."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import bang, training
from jaxnet.bang.precision import agreement
from jaxnet.bang.selection import in_words
from jaxnet.core.types import Batch
from jaxnet.reports import bang_report
from jaxnet.training.functions import build, computed_in
from jaxnet.training.presets import convnet, film, wide


def by_hand(one, other):
    one, other = np.asarray(one, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    counted = [(a, b) for a, b in zip(one, other, strict=True) if a or b]
    flipped = sum(np.sign(a) != np.sign(b) for a, b in counted) / len(counted)
    ranks = [np.argsort(np.argsort(np.abs(part))) for part in (one, other)]
    return flipped, np.corrcoef(*ranks)[0, 1], one @ other / np.sqrt(one @ one) / np.sqrt(other @ other)


def test_the_numbers_are_those_by_hand():
    rng = np.random.default_rng(0)
    one = {"w": rng.normal(size=(5, 4)), "b": rng.normal(size=5)}
    other = jax.tree.map(lambda leaf: leaf + rng.normal(size=leaf.shape) / 2, one)
    found = agreement(one, other)
    for name in ("w", "b"):
        np.testing.assert_allclose(found[name], by_hand(one[name], other[name]), rtol=1e-12)
    whole = (np.concatenate([tree["b"].ravel(), tree["w"].ravel()]) for tree in (one, other))
    np.testing.assert_allclose(found["all parameters"], by_hand(*whole), rtol=1e-12)
    assert found["w"].flipped > 0


def test_equal_gradients_agree_and_zeros_count_once():
    grads = {"w": np.array([1.0, -2.0, 0.0, 4.0])}
    assert agreement(grads, grads)["w"] == pytest.approx((0, 1, 1))
    assert agreement(grads, {"w": np.array([1.0, -2.0, 3.0, 0.0])})["w"].flipped == 0.5
    nothing = agreement({"w": np.zeros(3)}, {"w": np.zeros(3)})["w"]
    assert nothing.flipped == 0
    assert np.isnan(nothing.rank)
    assert np.isnan(nothing.cosine)
    with pytest.raises(ValueError, match="both gradients must have the same arrays, got w and b"):
        agreement(grads, {"b": np.zeros(4)})


@pytest.mark.slow
def test_the_report_has_the_numbers_of_a_computation_by_hand(small):
    plan = training.plan(film._replace(sizes=(8,), epochs=1), small)
    batch = plan.train._replace(key=None)
    exact = jax.grad(plan.functions.cost)(plan.params, batch)
    run = types.SimpleNamespace(functions=plan.functions, settings=plan.settings, image_shape=(28, 28))
    subject = bang_report.Subject(run, plan, plan.params, exact, batch, small.classes, "after training")
    heads, rows = bang_report.of_precision(subject).tables["The gradient in half precision"]
    assert heads == ("type", "array", "flipped signs (%)", "rank correlation", "cosine")
    assert len(rows) == 2 * 5

    wanted = jax.nn.one_hot(batch.labels, 10)

    def outputs(params, dtype):  # the film's network in a narrow type, written out
        x = jnp.asarray(batch.images.reshape(len(batch.images), -1), dtype) / jnp.asarray(255, dtype)
        for weights, biases in params:
            x = jax.nn.sigmoid(x @ weights.astype(dtype).T + biases.astype(dtype)[None])
        return x.astype(jnp.float32)

    for dtype in ("bfloat16", "float16"):
        cost = lambda params, dtype=dtype: jnp.mean(jnp.sum((outputs(params, dtype) - wanted) ** 2, axis=1))
        for (name, one), (_, other) in zip(
            bang.named_leaves(exact), bang.named_leaves(jax.grad(cost)(plan.params)), strict=True
        ):
            flipped, rank, cosine = by_hand(one, other)
            row = next(row for row in rows if row[:2] == (dtype, in_words(name)))
            assert float(row[2]) / 100 == pytest.approx(flipped, abs=0.05)
            assert float(row[3]) == pytest.approx(rank, abs=0.05)
            assert float(row[4]) == pytest.approx(cosine, abs=0.002)
    assert float(rows[4][4]) < 1 - 1e-6, "bfloat16 changes the direction"


@pytest.mark.slow
def test_mixed_precision_keeps_parameters_and_memory_in_single(small):
    settings = wide._replace(sizes=(16,), epochs=2, batch_size=50)
    plain, mixed = (training.plan(settings._replace(dtype=dtype), small) for dtype in ("float32", "mixed"))
    one, other = training.fit_and_record(plain).state, training.fit_and_record(mixed).state
    assert {leaf.dtype for leaf in jax.tree.leaves(other) if jnp.issubdtype(leaf.dtype, jnp.floating)} == {
        np.dtype(np.float32)
    }
    jax.tree.map(np.testing.assert_array_equal, plain.params, mixed.params)
    assert not np.array_equal(one.params[0].weights, other.params[0].weights)
    distance = max(
        float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (one.params, other.params)), strict=True)
    )
    assert distance < 0.2


@pytest.mark.parametrize("preset", [wide, pytest.param(convnet, marks=pytest.mark.slow)], ids=["dense", "convnet"])
def test_every_product_of_mixed_precision_is_narrow(preset):
    functions = build(preset._replace(dtype="mixed"), image_shape=(28, 28), classes=10, steps=10)
    params = jax.eval_shape(functions.init, jax.random.key(0))
    batch = Batch(np.zeros((4, 28, 28), np.uint8), np.arange(4), jax.random.key(1))
    products = [
        line.partition(":")[2].split("[")[0]
        for line in str(jax.make_jaxpr(jax.grad(functions.augmented_cost))(params, batch)).splitlines()
        if "= dot_general[" in line or "= conv_general_dilated[" in line
    ]
    assert len(products) >= 3
    assert set(products) == {"bf16"}
    narrow = jax.make_jaxpr(functions.cost)(params, batch)
    assert "bf16" not in str(narrow), "the instruments' cost stays in float32"


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"dropout": 0.2}, {"candidates": 2}, {"distortion": "affine"}])
def test_mixed_precision_goes_with_every_other_setting(changes, small):
    settings = film._replace(sizes=(8,), epochs=1, dtype="mixed", **changes)
    result = training.fit_and_record(training.plan(settings, small))
    assert result.diverged is None
    assert result.history["cost"].dtype == np.float32
    assert np.isfinite(result.history["cost"]).all()


def test_a_narrowed_function_returns_the_type_of_its_parameters():
    apply = computed_in(jnp.bfloat16, lambda params, image: params["w"] * image)
    found = apply({"w": jnp.float32(1.0009765625)}, jnp.float32(1))
    assert found.dtype == jnp.float32
    assert float(found) == 1.0
    slope = jax.grad(lambda params: apply(params, jnp.float32(3)))({"w": jnp.float32(2)})
    assert slope["w"].dtype == jnp.float32
    assert float(slope["w"]) == 3
