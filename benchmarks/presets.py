"""Score every preset on the 10,000 test images, once for each of its seeds, and print the table that README shows.

python benchmarks/presets.py [film modern wide nielsen convnet]
"""

import collections
import sys
import time

import jax
import numpy as np

from jaxnet import data, metrics, presets, training
from jaxnet.training import config

SEEDS = {"film": range(20), "modern": range(5), "wide": range(5), "nielsen": range(5), "convnet": range(3)}


def scored(settings: config.TrainConfig, images: data.Dataset) -> tuple[float, float]:
    """Train once; the fraction of test images read correctly, and the seconds of training, compilation included."""
    plan = training.plan(settings, images)
    begun = time.perf_counter()
    (last,) = collections.deque(training.fit(plan, evaluate_every=0), maxlen=1)
    params = jax.block_until_ready(training.member(last.state.params, training.choose(plan, last.state.params)))
    seconds = time.perf_counter() - begun
    outputs = metrics.predict(plan.functions.apply, params, images.test.images)
    return float(metrics.accuracy(outputs, images.test.labels)), seconds


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the median by resampling the seeds 10,000 times."""
    chosen = np.random.default_rng(0).choice(values, (10_000, len(values)))
    return tuple(np.percentile(np.median(chosen, axis=1), [2.5, 97.5]))


def main(names: list[str]) -> None:
    """Print a row of a Markdown table for each preset, and every seed's figure below it."""
    images = data.mnist()
    print(
        "| preset | parameters | % right on the test images, median | 95 % interval | range | seeds | seconds of training |"
    )
    print("|---|---|---|---|---|---|---|")
    told = []
    for name in names:
        runs = [scored(presets.PRESETS[name]._replace(seed=seed), images) for seed in SEEDS[name]]
        right, seconds = 100 * np.array(runs).T[0], np.array(runs).T[1]
        low, high = interval(right)
        plan = training.plan(presets.PRESETS[name]._replace(candidates=1), images)
        count = sum(leaf.size for leaf in jax.tree.leaves(plan.params))
        print(
            f"| {name} | {count:,} | {np.median(right):.2f} | {low:.2f} to {high:.2f} | {right.min():.2f} to {right.max():.2f} "
            f"| 0-{len(right) - 1} | {np.median(seconds):.1f} |",
            flush=True,
        )
        told.append(f"{name}: " + " ".join(f"{value:.2f}" for value in right))
    print("\n".join(["", "Every seed, from 0:", *told]))


if __name__ == "__main__":
    main(sys.argv[1:] or list(SEEDS))
