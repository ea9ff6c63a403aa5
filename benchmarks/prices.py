"""What checkpoints, reproducible bits and mixed precision cost, in pairs with a plain training in the same process.

python benchmarks/prices.py [--pairs 9]

Each line is the median of the quotients: the time with the option, divided by the time without it. The two are measured one after
the other.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax

from jaxnet import data, presets, training
from jaxnet.training.checkpoints import Checkpoints


def trained(settings: Any, digits: Any, *, every: float = 0) -> float:
    """Train, and return the seconds. If `every` is not 0, save a checkpoint every so many seconds."""
    plan = training.plan(settings, digits)
    with tempfile.TemporaryDirectory() as folder:
        kept = Checkpoints(folder, every=every) if every else None
        begun = time.perf_counter()
        for snapshot in training.fit(plan, evaluate_every=0, checkpoints=kept):
            last = snapshot
        jax.block_until_ready(last.state)
        return time.perf_counter() - begun


def compared(name: str, without: Callable[[], float], with_it: Callable[[], float], pairs: int) -> None:
    """Print the median quotient, and the range of the middle half."""
    without(), with_it()  # both compile
    quotients = []
    for number in range(pairs):
        first, second = (without, with_it) if number % 2 else (with_it, without)
        seconds = {first: first()} | {second: second()}
        quotients.append(seconds[with_it] / seconds[without])
    low, middle, high = statistics.quantiles(quotients, n=4)
    print(f"| {name} | {middle:.3f} | {low:.3f} to {high:.3f} | {pairs} |", flush=True)


def main() -> None:
    """Measure all prices."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pairs", type=int, default=9)
    pairs = parser.parse_args().pairs
    digits = data.mnist()
    film, wide = presets.film._replace(epochs=60), presets.wide._replace(epochs=3)
    short = film._replace(epochs=10)
    print("| option | time with it / without it | middle half | pairs |\n|---|---|---|---|")
    compared(
        "film, 60 epochs: a checkpoint every second",
        lambda: trained(film, digits),
        lambda: trained(film, digits, every=1),
        pairs,
    )
    for name, settings in (("film, batches of 32", short), ("wide", wide)):
        kept = settings._replace(reproducible=True)
        compared(
            f"{name}: reproducible", lambda s=settings: trained(s, digits), lambda s=kept: trained(s, digits), pairs
        )
    mixed = wide._replace(dtype="mixed")
    compared("wide: mixed precision", lambda: trained(wide, digits), lambda: trained(mixed, digits), max(3, pairs // 3))


if __name__ == "__main__":
    main()
