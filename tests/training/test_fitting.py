"""Runs learn, repeat bit for bit, stop when told, and choose among candidates."""

import jax
import numpy as np
import pytest

from jaxnet import data, devices, losses, training
from jaxnet.core.descent import vmapped
from jaxnet.core.loop import train
from jaxnet.training import records
from jaxnet.training.presets import film, modern


def finished(settings, small, **options):
    plan = training.plan(settings, small)
    return plan, list(training.fit(plan, **options))


def test_training_learns_to_read(small):
    plan, progress = finished(film._replace(epochs=10), small)
    before = training.evaluate(plan.functions.apply, plan.functions.loss, plan.params, plan.judged)
    after = progress[-1].evaluation
    assert before.accuracy < 0.3
    assert after.accuracy > 0.8
    assert after.cost < before.cost / 2
    assert progress[-1].step == plan.num_steps == 10 * (2000 // 32)


def test_the_same_settings_give_the_same_bits(small):
    one, other = (
        finished(modern._replace(candidates=1, epochs=2, seed=5), small)[1][-1].state.params for _ in range(2)
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)
    third = finished(modern._replace(candidates=1, epochs=2, seed=6), small)[1][-1].state.params
    assert not np.array_equal(one[0].weights, third[0].weights)


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3]), (2, [2, 3]), (0, [])])
def test_evaluations_come_at_the_cadence_asked_for_and_at_the_end(every, expected, small):
    plan, progress = finished(film._replace(epochs=3), small, evaluate_every=every)
    per_epoch = plan.num_steps // 3
    assert [p.step / per_epoch for p in progress if p.evaluation is not None] == expected


def test_a_run_that_is_told_to_stop_ends_after_the_chunk_and_is_still_checked(small):
    asked = []
    plan = training.plan(film._replace(epochs=3), small)
    walked = training.fit_and_record(
        plan, asked=asked, on_progress=lambda seen: asked.append(15) if seen.step >= 40 else None
    )
    assert 40 <= int(walked.state.step) < plan.num_steps
    assert walked.signal == 15
    assert len(walked.history["step"]) == int(walked.state.step)
    wild = film._replace(epochs=3, activation="relu", output="identity", learning_rate=1e9)
    asked.clear()
    walked = training.fit_and_record(training.plan(wild, small), asked=asked, on_progress=lambda seen: asked.append(2))
    assert walked.diverged is not None
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(walked.state.params))


def test_held_out_images_are_not_trained_on(small):
    plan = training.plan(film._replace(validation=500), small)
    assert (len(plan.train.labels), len(plan.judged.labels)) == (1500, 500)
    assert plan.held_out
    seen = {image.tobytes() for image in plan.train.images}
    assert not any(image.tobytes() in seen for image in plan.judged.images)
    assert not training.plan(film, small).held_out


def test_a_batch_larger_than_the_data_is_refused(small):
    with pytest.raises(ValueError, match="at most the 2,000 training images, got 3000"):
        training.plan(film._replace(batch_size=3000), small)


@pytest.mark.parametrize("batch_size", [1, 2000])
def test_one_example_at_a_time_and_full_batch_are_only_batch_sizes(batch_size, small):
    plan, progress = finished(film._replace(batch_size=batch_size, epochs=1, learning_rate=0.05), small)
    assert progress[-1].step == 2000 // batch_size
    assert (
        progress[-1].evaluation.cost
        < training.evaluate(plan.functions.apply, plan.functions.loss, plan.params, plan.judged).cost
    )


@pytest.mark.slow
def test_of_several_candidates_the_one_that_fits_the_training_images_best_is_kept(small):
    plan, progress = finished(modern._replace(candidates=3, epochs=2), small)
    state = progress[-1].state
    costs = [
        float(
            training.evaluate(
                plan.functions.apply, plan.functions.loss, training.member(state.params, i), plan.train
            ).cost
        )
        for i in range(3)
    ]
    assert len(set(costs)) == 3
    assert progress[-1].info.cost.shape[1] == progress[-1].evaluation.cost.shape[0] == 3
    walked = training.fit_and_record(plan)
    assert walked.chosen == int(np.argmin(costs))
    np.testing.assert_array_equal(walked.state.params[0].weights, state.params[0].weights[walked.chosen])
    assert walked.history["cost"].shape == (plan.num_steps,)
    np.testing.assert_array_equal(walked.history["cost"][-3:], progress[-1].info.cost[-3:, walked.chosen])
    assert walked.evaluations["cost"][-1] == progress[-1].evaluation.cost[walked.chosen]


@pytest.mark.slow
def test_a_candidate_trained_side_by_side_is_the_network_trained_alone():
    with jax.enable_x64(True):
        batch = data.arrays(np.random.default_rng(0).integers(0, 256, (64, 5, 5)), np.arange(64) % 3)
        settings = film._replace(dtype="float64", sizes=(4,), candidates=2, epochs=3)
        plan = training.plan(settings, data.Dataset(batch, batch, ("a", "b", "c")))
        batches = list(data.shuffled(plan.order_key, plan.train, 8, epochs=3))
        end = lambda descent, params: list(train(descent, descent.init(params), batches))[-1][0].params
        together = end(vmapped(plan.functions.descent), plan.params)
        for i in range(2):
            alone = end(plan.functions.descent, training.member(plan.params, i))
            for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(training.member(together, i)), strict=True):
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
            assert not np.allclose(alone[0].weights, training.member(together, 1 - i)[0].weights)


def test_histories_of_chunks_join_to_one_of_steps(small):
    plan, progress = finished(film._replace(epochs=1), small)
    history = records.stack(p.info for p in progress)
    assert history.cost.shape == history.gradient_norm.shape == (plan.num_steps,)
    first = losses.average(plan.functions.apply, plan.functions.loss)
    assert history.cost[0] == pytest.approx(float(first(plan.params, plan.judged)), rel=0.3)


def test_columns_survive_a_csv_file(tmp_path):
    table = records.columns([{"step": i, "cost": np.float32(0.1) * i} for i in range(5)])
    records.write_csv(tmp_path / "a.csv", table)
    back = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(back["cost"].astype(np.float32), table["cost"])
    assert records.columns([]) == {}


def test_the_device_is_an_argument():
    with devices.arithmetic(device="cpu", dtype="float64", precision="highest") as device:
        assert device.platform == "cpu"
        assert jax.numpy.zeros(1).dtype == "float64"
    assert jax.numpy.zeros(1).dtype == "float32"
    assert "cpu" in devices.describe()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is an accelerator")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"jax sees no 'gpu' here, only cpu; for a GPU install"):
        devices.find("gpu")


def test_the_keys_of_many_runs_are_those_of_each():
    seeds = [0, 7, 2**31 - 1, 2**31, 2**32 - 1]
    for x64 in (False, True):
        with jax.enable_x64(x64):
            together = training.many_keys(seeds)
            for i, seed in enumerate(seeds):
                for one, other in zip(training.keys(seed), training.member(together, i), strict=True):
                    np.testing.assert_array_equal(jax.random.key_data(one), jax.random.key_data(other))
    assert len({bytes(words) for words in np.asarray(jax.random.key_data(training.many_keys(range(50)).init))}) == 50
