"""Many networks at once do what each would do alone."""

import threading

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh

from jaxnet import devices, ensemble, presets, training
from jaxnet.core import stats
from jaxnet.core.devices import arithmetic
from jaxnet.training.ensemble import together

QUICK = presets.film._replace(epochs=1, batch_size=40, validation=500)
MEMBERS = ensemble.grid(QUICK, learning_rate=[0.5, 3.0], seed=[0, 7, 1])


def trained(plan):
    with arithmetic(dtype=plan.settings.dtype):
        *_, last = training.fit(plan)
        return jax.tree.map(np.asarray, last.state.params)


def distance(results, member, alone):
    """How far a member is from a network trained alone, at its farthest parameter."""
    apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), results.params(member), alone)
    return max(jax.tree.leaves(apart))


@pytest.mark.slow  # test_on_one_cpu_every_core_has_as_much_to_do is the quick one
@pytest.mark.parametrize("way", ["shared", "own, a core each", "own, one program"])
def test_a_member_ends_where_it_would_end_alone(way, small, monkeypatch):
    if way == "own, one program":
        monkeypatch.setattr(devices, "_forced", True)  # as on an accelerator
    shared = way == "shared"
    members = [member._replace(dtype="float64") for member in MEMBERS]
    results = ensemble.train_together(members, small, shared=shared)
    with arithmetic(dtype="float64"):
        plan = ensemble.alone(members, 4, small, shared=shared)
    alone = trained(plan)
    assert distance(results, 4, alone) < 1e-10
    assert distance(results, 3, alone) > 1e-3  # another seed
    assert distance(results, 1, alone) > 1e-3  # another learning rate
    turned = plan._replace(order_key=jax.random.key(123))
    assert distance(results, 4, trained(turned)) > 1e-5  # another order
    assert results.groups[0].params[0].weights.shape == (6, 16, 784)
    assert together._mesh().size == 8  # six networks on eight devices


def on_one_cpu(monkeypatch, cores):
    """The same as where all devices are one CPU; lists the threads that walked, and with how many networks."""
    walked, walk = [], together._train

    def seen(notes, group, *rest):
        walked.append((threading.get_ident(), len(group)))
        return walk(notes, group, *rest)

    monkeypatch.setattr(together, "_train", seen)
    monkeypatch.setattr(together, "_mesh", lambda: Mesh(np.asarray(jax.devices()[:1]), ("member",)))
    monkeypatch.setattr(together, "cores", lambda: cores)
    return walked


@pytest.mark.slow
def test_on_one_cpu_every_core_has_its_share_and_every_network_its_own_numbers(small, monkeypatch):
    walked = on_one_cpu(monkeypatch, 3)
    results = ensemble.train_together(MEMBERS[:5], small)
    # The last program is filled up, and the filling thrown away.
    assert sorted(count for _, count in walked) == [1, 2, 2]
    assert len({thread for thread, _ in walked}) > 1
    assert threading.get_ident() not in {thread for thread, _ in walked}
    plan = ensemble.alone(MEMBERS, 4, small)
    assert distance(results, 4, trained(plan)) < 1e-5
    assert distance(results, 3, trained(plan)) > 1e-3
    walked.clear()
    ensemble.train_together(MEMBERS[:5], small, at_once=2)
    assert [count for _, count in walked] == [1] * 5
    assert len({thread for thread, _ in walked}) <= 2  # no more at a time than asked for, on three cores
    walked.clear()
    ensemble.train_together(MEMBERS[:3], small, shared=False, at_once=1)
    assert {thread for thread, _ in walked} == {threading.get_ident()}


def test_on_one_cpu_every_core_has_as_much_to_do(small, monkeypatch):
    walked = on_one_cpu(monkeypatch, 2)
    ensemble.train_together(MEMBERS, small, at_once=4, stopped=lambda: True)
    assert [count for _, count in walked] == [2, 2, 2]  # not 3 and 3: four at once were allowed


@pytest.mark.slow
def test_an_interruption_ends_all_threads(small, monkeypatch):
    walked = on_one_cpu(monkeypatch, 2)
    shown = []

    def on_progress(seen):
        shown.append(seen.phase)
        if len(shown) == 3:
            raise KeyboardInterrupt

    members = ensemble.grid(QUICK._replace(epochs=400), seed=[0, 1])
    with pytest.raises(KeyboardInterrupt):
        ensemble.train_together(members, small, on_progress=on_progress)
    assert len(walked) == 2
    assert len(shown) < 100  # of thousands


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 0.003), ("sgd", 1.0)])
def test_in_single_precision_fifty_steps_stay_together(optimizer, rate, small):
    settings = presets.film._replace(epochs=1, batch_size=30, validation=500, optimizer=optimizer, schedule="onecycle")
    members = ensemble.grid(settings, learning_rate=[rate], weight_decay=[0.0, 0.1], seed=[3])
    results = ensemble.train_together(members, small)
    plan = ensemble.alone(members, 1, small)
    assert plan.num_steps == 50
    alone = trained(plan)
    assert distance(results, 1, alone) < 1e-5
    assert distance(results, 0, alone) > 1e-5


@pytest.mark.slow
def test_own_order_without_holding_out_is_what_train_does(small):
    members = ensemble.grid(QUICK._replace(validation=0), seed=[4, 9])
    results = ensemble.train_together(members, small, shared=False)
    assert results.judged_by == "2,000 training images"
    assert distance(results, 1, trained(training.plan(members[1], small))) < 1e-6


@pytest.mark.slow
def test_shapes_are_grouped_and_order_is_kept(small):
    members = ensemble.grid(QUICK, sizes=[(4,), (6,)], initializer=["scaled", "he"], batch_size=[30, 50], seed=[0, 1])
    results = ensemble.train_together(members, small, at_once=3)
    assert sorted(len(group.members) for group in results.groups) == [4, 4, 4, 4]
    assert [results.params(i)[0].weights.shape[0] for i in range(16)] == [4] * 8 + [6] * 8
    assert results.costs.shape == (16, 1)
    assert np.isfinite(results.train_costs).all()
    plan = ensemble.alone(members, 11, small)
    assert plan.settings.initializer == "scaled"
    *_, last = training.fit(plan)
    assert distance(results, 11, jax.tree.map(np.asarray, last.state.params)) < 1e-4
    assert results.costs[11, -1] == pytest.approx(float(last.evaluation.cost), rel=1e-4)
    assert results.accuracies[11, -1] == pytest.approx(float(last.evaluation.accuracy), abs=0.005)


@pytest.mark.slow
def test_a_member_that_diverges_stops_none_of_the_others(small):
    settings = QUICK._replace(activation="relu", output="identity", epochs=2)
    members = ensemble.grid(settings, learning_rate=[0.01, 1e6], seed=[0])
    results = ensemble.train_together(members, small, evaluate_every=1)
    assert results.diverged[0] == -1
    assert 0 < results.diverged[1] < 37
    assert np.isfinite(results.costs[0]).all()
    assert np.isnan(results.accuracies[1]).all()
    assert results.epochs.tolist() == [1, 2]
    assert results.costs[0, 1] < results.costs[0, 0]


def test_what_was_stopped_is_returned_as_far_as_it_came(small):
    members = ensemble.grid(QUICK._replace(epochs=3), seed=[0, 1])
    asked = []
    shown = []

    def on_progress(seen):
        shown.append(seen)
        asked.append(seen.step >= 2 * 1480)  # an epoch of both

    results = ensemble.train_together(
        members, small, evaluate_every=1, stopped=lambda: asked[-1], on_progress=on_progress
    )
    assert np.isfinite(results.costs[:, 0]).all()
    assert np.isnan(results.costs[:, 1:]).all()
    assert shown[-1].num_steps == 2 * 3 * 1500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "there are no members to train"),
        ([{}, {"epochs": 2}], "all members must have the same epochs, got 1, 2"),
        ([{"candidates": 8}], "a member is one network, so candidates must be 1, got 8"),
        ([{"epochs": 0}], "epochs must be at least 1, got 0"),
        ([{"batch_size": 5000}], "batch_size must be at most the 1,500 training images, got 5000"),
        ([{"learning_rate": -1.0}], "learning_rate must be a positive number, got -1.0"),
    ],
)
def test_members_that_do_not_go_together_are_refused(changes, message, small):
    with pytest.raises(ValueError, match=message):
        ensemble.train_together([QUICK._replace(**change) for change in changes], small)


def test_at_once_must_be_positive(small):
    with pytest.raises(ValueError, match="at_once must be at least 1 network, got 0"):
        ensemble.train_together(MEMBERS, small, at_once=0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=9))
def test_a_spread_encloses_its_mean_and_sorts_its_quantiles(values):
    found = stats.spread(np.array(values))
    assert found.low <= found.mean <= found.high
    assert (np.diff(found.quantiles) >= 0).all()
    assert found.quantiles[0] == min(values)
    assert found.quantiles[4] == max(values)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(5.0, 2.0, (6, 4000))
    found = stats.spread(samples)
    inside = np.mean((found.low < 5) & (found.high > 5))
    assert 0.94 < inside < 0.96
    too_narrow = 1.96 * samples.std(0, ddof=1) / np.sqrt(6)  # the normal distribution's instead of Student's
    assert np.mean(np.abs(samples.mean(0) - 5) < too_narrow) < 0.92


def test_one_that_diverged_counts_as_infinity():
    found = stats.spread(np.array([1.0, 2.0, np.nan, 3.0]))
    assert found.quantiles.tolist() == [1.0, 1.75, 2.5, np.inf, np.inf]
    assert np.isnan(found.mean)
    with pytest.raises(ValueError, match="the spread of no members is undefined"):
        stats.spread(np.empty((0, 3)))
