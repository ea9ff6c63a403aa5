"""Many networks at once: network-epochs a second on shared batches and on own ones, against one by one and PyTorch.

python benchmarks/many.py [--rounds 3]

An epoch's seconds are those of a long training less those of one epoch, divided by the difference: compiling, judging and starting
up fall out.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from race import Runner, installed

from jaxnet import data, ensemble, presets, training

SETTINGS = presets.film._replace(batch_size=128, validation=0)
FLOPS = 60_000 * (4 * 784 * 16 + 6 * (16 * 16 + 16 * 10))
"""Of one network's epoch: two for every weight forward, two for its gradient, two for what is passed back;
the first layer passes nothing back."""


def peak() -> float:
    """Floating-point operations a second of a large matrix product."""
    side = 4096
    product, matrix = jax.jit(jnp.matmul), jnp.ones((side, side))
    product(matrix, matrix).block_until_ready()
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / statistics.median(seconds)


def marginal(train: Callable[[int], object], more: int) -> float:
    """Seconds of one epoch, from that many more than one."""
    seconds = []
    for epochs in (1, 1 + more):
        begun = time.perf_counter()
        train(epochs)
        seconds.append(time.perf_counter() - begun)
    return (seconds[1] - seconds[0]) / more


def main(rounds: int) -> None:
    """Interleave, and print medians."""
    mnist = data.mnist()

    def alone(epochs: int) -> None:
        for progress in training.fit(training.plan(SETTINGS._replace(epochs=epochs), mnist), evaluate_every=0):
            last = progress
        jax.block_until_ready(last.state)

    def together(count: int, **how) -> Callable[[int], object]:
        def train(epochs: int) -> object:
            members = ensemble.grid(SETTINGS._replace(epochs=epochs), seed=range(count))
            return ensemble.train_together(members, mnist, evaluate_every=0, **how)

        return train

    ways: dict[str, tuple[int, int, Callable[[int], object]]] = {
        "one by one": (1, 60, alone),
        "64, shared batches": (64, 3, together(64)),
        "256, shared batches, 64 at once": (256, 1, together(256)),
        "256, shared batches, 128 at once": (256, 1, together(256, at_once=128)),
        "8, each in its own order": (8, 15, together(8, shared=False)),
    }
    torch = Runner("torch", "film", 128) if installed("torch") else None
    rates: dict[str, list[float]] = {name: [] for name in (*ways, *(["PyTorch, one by one"] if torch else []))}
    if torch:
        torch.ask("epoch")
    for _ in range(rounds):
        for name, (count, more, train) in ways.items():
            rates[name].append(count / marginal(train, more))
        if torch:
            torch.ask("epoch")
            rates["PyTorch, one by one"].append(1 / torch.ask("epoch"))
    top, own = peak(), statistics.median(rates["one by one"])
    print(f"matrix product: {top / 1e9:.0f} GFLOP/s")
    for name, found in rates.items():
        middle = statistics.median(found)
        print(f"{name}: {middle:.1f} network-epochs a second ({min(found):.1f} to {max(found):.1f}), "
              f"{middle / own:.2f} x one by one, {middle * FLOPS / top:.2f} of the matrix product")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    main(parser.parse_args().rounds)
