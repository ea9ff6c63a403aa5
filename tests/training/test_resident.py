"""An accelerator's way to train, taken on a CPU: the host's order, the host's steps, one program for all epochs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import data, devices, ensemble, loop, training
from jaxnet.core import chunks
from jaxnet.core.descent import gradient_descent
from jaxnet.core.loop import Diverged, train
from jaxnet.core.types import Batch, Dataset
from jaxnet.training.presets import convnet, film, modern

SMALL_STEPS = modern._replace(candidates=1, epochs=1, learning_rate=0.001)


@pytest.fixture
def resident(monkeypatch):
    monkeypatch.setattr(devices, "_forced", True)


@pytest.fixture
def compiled():
    """The programs that are compiled while a test runs."""
    seen = []

    def listen(event, seconds, **more):
        if event.endswith("backend_compile_duration"):
            seen.append(more.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def counted(count):
    return Batch(np.arange(count, dtype=np.int32).reshape(-1, 1, 1), np.arange(count, dtype=np.int32))


def late(epochs):
    """The wrong way: every step reads what is meant for one example before it."""
    for epoch in epochs:
        yield epoch._replace(order=np.roll(np.asarray(epoch.order).reshape(-1), 1).reshape(epoch.order.shape))


def stacked(chunks):
    """Images, labels and the keys' words of all steps."""
    words = lambda key: () if key is None else (jax.random.key_data(key),)
    each = [(chunk.images, chunk.labels, *words(chunk.key)) for chunk in chunks]
    return [np.concatenate(column) for column in zip(*each, strict=True)]


def apart(one, other):
    """How far two pytrees are from each other, where they differ most."""
    return max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max())
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 40])
def test_the_order_and_the_keys_are_the_hosts(batch_size, keyed):
    how = {"batch_size": batch_size, "epochs": 3, "keyed": keyed}
    host = stacked(data.shuffled(jax.random.key(2), counted(40), **how))
    epochs = list(data.resident_epochs(jax.random.key(2), counted(40), **how))
    for one, other in zip(host, stacked(epoch.batches() for epoch in epochs), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(host[1], stacked(epoch.batches() for epoch in late(epochs))[1])
    if keyed:
        wrong = (epoch._replace(first=epoch.first + np.uint32(1)) for epoch in epochs)
        assert not np.array_equal(host[2], stacked(epoch.batches() for epoch in wrong)[2])


def test_every_network_can_have_its_own_order_and_keys():
    keys = jax.random.split(jax.random.key(3), 3)
    for number, epoch in enumerate(data.resident_epochs(keys, counted(40), 4, epochs=2, keyed=True)):
        together = epoch.batches()
        assert together.images.shape == (10, 3, 4, 1, 1)
        for i, key in enumerate(keys):
            own = list(data.shuffled(key, counted(40), 4, epochs=2, keyed=True, steps=10))[number]
            np.testing.assert_array_equal(own.labels, together.labels[:, i])
            np.testing.assert_array_equal(own.images, together.images[:, i])
            assert jnp.array_equal(own.key, together.key[:, i])


@pytest.mark.parametrize(("steps_at_a_time", "count"), [(1, 14), (2, 7), (3, 7), (7, 2), (100, 1)])
def test_no_more_is_gathered_than_fits(steps_at_a_time, count, monkeypatch):
    monkeypatch.setattr(chunks, "GATHERED", steps_at_a_time * 5 * 8)  # five images and labels of an int32 each
    (epoch,) = data.resident_epochs(jax.random.key(2), counted(70), 5, keyed=True)
    assert len(epoch.cut().order) == count
    descent = gradient_descent(lambda p, batch: jnp.mean((batch.images - p) ** 2) + jax.random.uniform(batch.key), 0.01)
    state, info = loop.run_chunk(descent.update, descent.init(jnp.zeros(())), epoch)
    monkeypatch.undo()
    whole, history = loop.run_chunk(descent.update, descent.init(jnp.zeros(())), epoch)
    assert info.cost.shape == (14,)
    np.testing.assert_allclose(info.cost, history.cost, rtol=1e-6)
    np.testing.assert_allclose(state.params, whole.params, rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(film._replace(epochs=1), marks=pytest.mark.slow),
        pytest.param(SMALL_STEPS, marks=pytest.mark.slow),
        pytest.param(SMALL_STEPS._replace(candidates=2, shift=0), marks=pytest.mark.slow),
        pytest.param(SMALL_STEPS._replace(dropout=0.3, distortion="affine"), marks=pytest.mark.slow),
        film._replace(epochs=1, batch_size=2000),
        pytest.param(convnet._replace(epochs=1, learning_rate=0.0003), marks=pytest.mark.slow),
    ],
    ids=["film", "shifts", "candidates", "dropout", "full batch", "convnet"],
)
def test_an_epoch_ends_where_the_hosts_ends(settings, small, monkeypatch):
    if settings.model == "convnet":
        small = Dataset(Batch(small.train.images[:256], small.train.labels[:256]), small.test, small.classes)
    plan = training.plan(settings, small)
    *_, host = training.fit(plan)
    monkeypatch.setattr(devices, "_forced", True)
    (device,) = training.fit(plan)
    assert device.step == host.step == plan.num_steps
    assert apart(device.state.params, host.state.params) < 1e-6
    assert apart(device.evaluation.cost, host.evaluation.cost) < 1e-5
    np.testing.assert_allclose(device.info.cost[-len(host.info.cost) :], host.info.cost, rtol=1e-4)
    monkeypatch.setattr(data, "resident_epochs", lambda *a, made=data.resident_epochs, **more: late(made(*a, **more)))
    (wrong,) = training.fit(plan)
    if settings.batch_size < 2000:
        assert apart(wrong.state.params, host.state.params) > 1e-5


@pytest.mark.slow
def test_a_watched_run_sees_what_the_host_sees(small, monkeypatch):
    plan = training.plan(film._replace(epochs=2), small)
    host = training.fit_and_record(plan, watch_every=10)
    monkeypatch.setattr(devices, "_forced", True)
    seen = []
    device = training.fit_and_record(plan, watch_every=10, on_progress=seen.append)
    assert [each.step for each in seen] == [62, 124, 124]  # the last evaluation is told when it is done
    assert [each.accuracy is None for each in seen] == [True, False, False]
    assert device.retraced == ()
    np.testing.assert_array_equal(device.signals["step"], host.signals["step"])
    for name, values in host.signals.items():
        np.testing.assert_allclose(device.signals[name], values, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(device.evaluations["cost"], host.evaluations["cost"], rtol=1e-5)
    np.testing.assert_allclose(device.history["cost"], host.history["cost"], rtol=1e-4)


@pytest.mark.parametrize("settings", [film, SMALL_STEPS._replace(dropout=0.2)], ids=["film", "keyed"])
def test_all_epochs_are_one_program(settings, small, resident, compiled):
    plan = training.plan(settings._replace(epochs=4), small)
    counts = [len(compiled) for _ in training.fit(plan)]
    assert counts[0] > 0
    assert counts[1:] == counts[:1] * 3


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_all_epochs_of_many_networks_are_one_program(shared, small, resident, compiled):
    members = ensemble.grid(film._replace(epochs=4), seed=range(3))
    counts = []
    ensemble.train_together(members, small, shared=shared, on_progress=lambda seen: counts.append(len(compiled)))
    assert len(counts) == 5  # before the first epoch and after each
    assert compiled.count("jit(_run_chunk)") == compiled.count("jit(_evaluate_stack)") == 1
    assert compiled[counts[3] :] == []


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    "settings",
    [film, SMALL_STEPS._replace(dropout=0.2)],
    ids=["film", "keyed"],
)
def test_many_networks_end_where_the_hosts_end(settings, shared, small, monkeypatch):
    members = ensemble.grid(settings._replace(epochs=1, validation=500), seed=[0, 7])
    train_all = lambda: ensemble.train_together(members, small, shared=shared)
    host = train_all()
    monkeypatch.setattr(devices, "_forced", True)
    device = train_all()
    for i in range(2):
        assert apart(device.params(i), host.params(i)) < 1e-6
        assert apart(device.params(i), host.params(1 - i)) > 1e-3
    np.testing.assert_allclose(device.costs, host.costs, rtol=1e-5)
    np.testing.assert_allclose(device.train_costs, host.train_costs, rtol=1e-5)
    np.testing.assert_allclose(device.accuracies, host.accuracies, atol=0.005)


def test_a_state_that_was_yielded_stays_valid_and_a_donated_one_is_noticed(small, resident, monkeypatch):
    plan = training.plan(film._replace(epochs=3), small)
    states = [progress.state for progress in training.fit(plan)]
    assert [int(state.step) for state in states] == [62, 124, 186]
    assert all(np.isfinite(state.params[0].weights).all() for state in states)
    assert np.isfinite(plan.params[0].weights).all()
    monkeypatch.setattr(
        loop, "run_chunk", loop._run_chunk_in_place
    )  # the wrong way: every epoch writes over the last one's state
    states = [progress.state for progress in training.fit(plan, evaluate_every=0)]
    with pytest.raises(RuntimeError, match="deleted"):
        np.isfinite(states[0].params[0].weights)


def test_in_place_a_state_is_written_over_and_the_end_is_the_same(small):
    plan = training.plan(film._replace(epochs=1), small)
    descent = plan.functions.descent
    walk = lambda **how: train(
        descent, jax.jit(descent.init)(plan.params), data.shuffled(plan.order_key, plan.train, 32, steps=31), **how
    )
    kept = [state for state, _ in walk()]
    start = plan.params
    first, last = (state for state, _ in walk(guarded=False, in_place=True))
    jax.tree.map(np.testing.assert_array_equal, last, kept[-1])
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(first.params[0].weights)
    assert np.isfinite(start[0].weights).all()  # what came stays
    with pytest.raises(ValueError, match="in_place=True needs guarded=False"):
        next(walk(in_place=True))


@pytest.mark.parametrize("position", [0, 5, 11])
def test_infinity_inside_an_epoch_is_blamed_on_its_step(position):
    images = np.zeros((24, 2, 2), np.uint8)
    whole = Batch(images, np.zeros(24, np.int32))
    (epoch,) = data.resident_epochs(jax.random.key(0), whole, 2)
    images[epoch.order[position, 1]] = 255
    (epoch,) = data.resident_epochs(jax.random.key(0), whole, 2)
    descent = gradient_descent(lambda p, batch: p * jnp.where(jnp.max(batch.images) == 255, jnp.inf, 1.0), 0.5)
    with pytest.raises(Diverged, match=f"step {position} made the parameter NaN or infinite") as caught:
        list(train(descent, descent.init(jnp.float32(1)), [epoch]))
    assert float(caught.value.state.params) == pytest.approx(1 - 0.5 * position)


def test_told_to_stop_it_ends_after_the_epoch(small, resident):
    plan = training.plan(film._replace(epochs=5), small)
    asked = []
    walked = training.fit_and_record(plan, asked=asked, on_progress=lambda seen: asked.append(15))
    assert int(walked.state.step) == 62
    assert walked.signal == 15


@pytest.mark.parametrize(("batch_size", "message"), [(0, "got 0"), (41, "40, the number of examples, got 41")])
def test_impossible_batches_are_refused(batch_size, message):
    with pytest.raises(ValueError, match=message):
        data.resident_epochs(jax.random.key(0), counted(40), batch_size)
