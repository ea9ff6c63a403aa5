"""What the instruments cost and whether they are true: the figures of `jaxnet.bang` in the tables of docs/bang.md.

python benchmarks/bang.py [worth examples ledger watching budget]

`examples` also times PyTorch and BackPACK where they are installed; they are no dependency of jaxnet.
"""

import copy
import itertools
import sys
import time
from collections.abc import Callable

import jax
import numpy as np

from jaxnet import Batch, average, bang, data, losses, network, presets, train, training
from jaxnet.bang import _sweep
from jaxnet.bang._dense import dense_form
from jaxnet.bang.streaming import widened

COST = average(network.apply, losses.squared_error)


def timed(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, interleaved; in every round each warms up once and is then timed three times."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            time.sleep(0.3)  # until the threads of the one before have stopped spinning
            jax.block_until_ready(run())
            for _ in range(3):
                begun = time.perf_counter()
                jax.block_until_ready(run())
                seconds[name].append(time.perf_counter() - begun)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def worth() -> None:
    """All 13,002 nudges over 10,000 images; the plain sweep does the same for 100 random parameters."""
    params, mnist = network.init(jax.random.key(0)), data.mnist()
    batch = Batch(mnist.train.images[:10_000], mnist.train.labels[:10_000])
    begun = time.perf_counter()
    found = bang.worth(COST)(params, batch)
    whole = time.perf_counter() - begun
    entries = bang.sample(jax.random.key(1), params, 200)
    begun = time.perf_counter()
    plain = bang.worth(COST, entries=entries[::2])(params, batch)
    part = time.perf_counter() - begun
    print(
        f"worth: {whole:.1f} s, compilation included; the plain sweep {part * 130.02:,.0f} s (100 parameters, times 130)"
    )
    print(f"       {part * 130.02 / whole:.1f} x faster")
    with jax.enable_x64(True):
        double, images = widened(params), widened(batch)
        by_hand = _sweep.plain(COST, double, images, entries)
        way = np.where(found.gradient[entries] > 0, -1.0, 1.0)
        worst = np.abs(by_hand.falls(found.sizes[:, None] * way) - found.measured[:, entries]).max()
        curvature = np.abs(by_hand.curvature - found.curvature[entries]).max() / np.abs(found.curvature).max()
    print(
        f"       200 random entries, largest difference from plain nudging {worst:.1e}; curvature from nested jvp {curvature:.1e}"
    )
    print(
        f"       radii of both, largest relative difference {np.nanmax(np.abs(plain.radius / found.radius[entries[::2]] - 1)):.1e}"
    )
    print(
        f"       zero gradient: {np.sum(found.gradient == 0):,}; wrong signs by size {bang.wrong_signs(found).sum(1)}"
    )
    rest = {}
    for size in (0.08, 0.04, 0.02, 0.01, 0.005):
        with jax.enable_x64(True):
            sweep = _sweep.dense(dense_form(COST, double, images), double, images)
            way = np.where(sweep.gradient > 0, -1.0, 1.0)
            left = sweep.falls((size * way)[None])[0] - size * np.abs(sweep.gradient) + sweep.curvature * size**2 / 2
        rest[size] = np.abs(left[sweep.gradient != 0]).max()
    ratios = [a / b for a, b in itertools.pairwise(rest.values())]
    print("       measured - predicted - curvature, largest, by nudge:", {k: f"{v:.2e}" for k, v in rest.items()})
    print("       falls when the nudge halves by", [f"{ratio:.2f}" for ratio in ratios])


def examples() -> None:
    """Mean and variance of each component over the gradients of 60,000 images."""
    params, images = network.init(jax.random.key(0)), data.mnist().train
    batch = Batch(jax.device_put(images.images), jax.device_put(images.labels))
    ours, general = bang.gradient_moments(COST), bang.gradient_moments(lambda params, batch: COST(params, batch))
    contenders = {
        "jaxnet, outer products": lambda: ours(params, batch),
        "jaxnet, any model": lambda: general(params, batch),
    }
    try:
        contenders |= with_torch(params, images)
    except ModuleNotFoundError as error:
        print(f"examples: {error.name} is not installed, so it is not timed")
    for name, seconds in (found := timed(contenders, 4)).items():
        print(f"examples: {name}: {1000 * seconds:.0f} ms, {seconds / found['jaxnet, outer products']:.1f} x")


def with_torch(params, train: Batch) -> dict[str, Callable[[], object]]:
    """The same network in PyTorch: `vmap(grad)` at its best chunk of several, and BackPACK's summed squares."""
    import torch
    from backpack import backpack, extend
    from backpack.extensions import SumGradSquared

    images = torch.tensor(np.asarray(train.images).reshape(len(train.labels), -1)).float() / 255
    targets = torch.nn.functional.one_hot(torch.tensor(np.asarray(train.labels).astype(np.int64)), 10).float()
    layers = []
    for weights, biases in params:
        linear = torch.nn.Linear(weights.shape[1], weights.shape[0])
        linear.weight.data, linear.bias.data = torch.tensor(np.asarray(weights)), torch.tensor(np.asarray(biases))
        layers += [linear, torch.nn.Sigmoid()]
    net = torch.nn.Sequential(*layers)
    named = {name: value.detach() for name, value in net.named_parameters()}

    def loss(values, image, target):
        return torch.sum((torch.func.functional_call(net, values, (image[None],))[0] - target) ** 2)

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))

    def functional(size: int) -> None:
        sums = {name: (torch.zeros_like(value), torch.zeros_like(value)) for name, value in named.items()}
        for start in range(0, len(images), size):
            for name, grads in each(named, images[start : start + size], targets[start : start + size]).items():
                sums[name][0].add_(grads.sum(0))
                sums[name][1].add_((grads**2).sum(0))

    sizes = {}
    for size in (50, 100, 250, 500, 1000):
        begun = time.perf_counter()
        functional(size)
        sizes[size] = time.perf_counter() - begun
    best = min(sizes, key=sizes.__getitem__)
    extended, summed = extend(copy.deepcopy(net)), extend(torch.nn.MSELoss(reduction="sum"))

    def with_backpack(size: int = 1000) -> None:
        totals = None
        for start in range(0, len(images), size):
            extended.zero_grad()
            with backpack(SumGradSquared()):
                summed(extended(images[start : start + size]), targets[start : start + size]).backward()
            found = [(value.grad, value.sum_grad_squared) for value in extended.parameters()]
            totals = found if totals is None else [(a + c, b + d) for (a, b), (c, d) in zip(totals, found, strict=True)]

    return {f"torch.func vmap(grad), chunks of {best}": lambda: functional(best), "BackPACK": with_backpack}


def ledger() -> None:
    """The first 500 steps of the film's run, all 60,000 images, along every step."""
    mnist = data.mnist()
    plan = training.plan(presets.film, mnist)
    for panels in (1, 2, 4):
        path = (params for _, params in itertools.islice(training.replay(plan), 501))
        begun = time.perf_counter()
        found = bang.loss_change_allocation(plan.functions.cost, labels=10, panels=panels)(path, mnist.train)
        fall = found.cost[0] - found.cost[-1]
        print(
            f"ledger: {panels} panels a step: fall {fall:.5f}, gap {found.gap:.2e}, {abs(found.gap) / fall:.1e} of it; "
            f"{time.perf_counter() - begun:.0f} s"
        )


def watching() -> None:
    """One epoch of the film's run, watched in several ways."""
    plan = training.plan(presets.film, data.mnist())
    plain = plan.functions.descent
    few = ("gradient", "ratio", "share", "dead", "never_lit")
    descents = {
        "not watched": plain,
        "everything, one step in 25": bang.watch(plain, every=25),
        "norms, ratio, share, dead, every step": bang.watch(plain, signals=few),
        "everything, every step": bang.watch(plain),
    }

    def epoch(descent) -> object:
        *_, (state, _) = train(descent, descent.init(plan.params), data.shuffled(plan.order_key, plan.train, 32))
        return state

    found = timed({name: lambda descent=descent: epoch(descent) for name, descent in descents.items()}, 7)
    for name, seconds in found.items():
        print(f"watching: {name}: {seconds:.4f} s an epoch, {seconds / found['not watched']:.2f} x")


def budget() -> None:
    """The budget curve against real steps, and what training on a budget costs in accuracy on held-out images."""
    params, mnist = network.init(jax.random.key(0)), data.mnist()
    grads = jax.jit(jax.grad(COST))(params, mnist.train)
    spent = bang.take_partial_step(COST)(params, mnist.train, jax.tree.map(lambda g: -1e-3 * g, grads))
    print(
        "budget: measured / predicted",
        dict(zip(spent.fractions.tolist(), (spent.measured / spent.predicted).round(5), strict=True)),
    )
    for fraction in (1.0, 0.2, 0.05, 0.01):
        right = []
        for seed in range(3):
            plan = training.plan(presets.film._replace(epochs=10, validation=10_000, budget=fraction, seed=seed), mnist)
            *_, last = training.fit(plan, evaluate_every=10)
            right.append(100 * float(last.evaluation.accuracy))
        print(
            f"budget: {fraction:.0%} of the parameters a step, 10 epochs: held-out {[f'{value:.2f}' for value in right]}"
        )


def main(names: list[str]) -> None:
    """Run the named measurements, or all."""
    every = {f.__name__: f for f in (worth, examples, ledger, watching, budget)}
    print(jax.devices()[0].device_kind, jax.__version__)
    for name in names or every:
        every[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
