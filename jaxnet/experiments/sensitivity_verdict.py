"""The verdict on easy examples and loss-sensitivity, and on the gradient through training, from the numbers alone."""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxnet.experiments.findings import Answer, Arrays, Finding, mean, number, share

KINDS = ("real digits", "random inputs", "random labels")
"""What is learned from: the same images and labels, images of normal noise, the digits with their labels shuffled."""

SURE = 1e-4
"""The largest relative error that the gradient through training may have against difference quotients."""

CHECKED = (100, 5, 2)
"""Examples, examples a step and epochs of the run through which that gradient is taken."""


def uneven(learned: Any, networks: int) -> Float[np.ndarray, "..."]:
    """How much more the learned shares vary over examples than if all were equally hard: 1 for a binomial scatter.

    That holds for networks that are equally good; unequal ones bring it somewhat below 1.

    Args:
        learned: (..., example), the share of networks that learned each, in 0..1.
        networks: How many there were.
    """
    learned = np.asarray(learned, np.float64)
    chance = learned.mean(-1)
    return np.asarray(learned.var(-1) / (chance * (1 - chance) / networks))


def errors(arrays: Arrays) -> Float[np.ndarray, "entry"]:
    """The relative error of every checked gradient."""
    return np.abs(arrays["gradients"] - arrays["quotients"]) / np.abs(arrays["quotients"])


def answer(settings: Any, arrays: Arrays) -> Answer:
    """Judge: are real examples less alike than random ones, in both senses, and is the gradient right."""
    paper = "Arpit et al. 2017"
    spreads, times = 100 * arrays["learned"].std(-1), uneven(arrays["learned"], settings.networks)
    wider = (spreads[:, :1] > spreads[:, 1:]).all(1)
    gini = arrays["gini"]
    above = gini[0] > gini[1:]
    findings = [
        share(
            "easy examples: repetitions in which how often an example is learned varies most over real digits",
            int(wider.sum()), len(wider), published="far more over real than over random", source=paper, least=95.0,
        ),
        *(
            mean(f"easy examples, {kind}: standard deviation over examples", spreads[:, i], source=paper, unit="points")
            for i, kind in enumerate(KINDS)
        ),
        *(
            mean(
                f"easy examples, {kind}: variance over examples, as a multiple of the binomial's", times[:, i],
                published="1, as the binomial [from memory]" if i == 1 else "", equal=1.0 if i == 1 else None, within=0.1,
                source=paper,
            )
            for i, kind in enumerate(KINDS)
        ),
        *(
            share(
                f"loss-sensitivity: seeds in which the Gini of real digits is above that of {kind}", int(higher.sum()),
                len(higher), published="real above random", source=paper, least=95.0,
            )
            for kind, higher in zip(KINDS[1:], above, strict=True)
        ),
        *(mean(f"loss-sensitivity, {kind}: Gini over examples", gini[i], source=paper) for i, kind in enumerate(KINDS)),
    ]  # fmt: skip
    first_epoch = arrays["gini_after"][:, :, 0]
    findings.append(
        share(
            "loss-sensitivity after the first epoch alone: seeds in which the Gini of real digits is above both",
            int((first_epoch[0] > first_epoch[1:]).all(0).sum()), first_epoch.shape[1], source=paper,
        )
    )  # fmt: skip
    off, examples_a_step = errors(arrays), CHECKED[1]
    through = f"gradient through {CHECKED[0] // examples_a_step * CHECKED[2]} steps of training by"
    for what, value in (
        (f"{through} {len(off) - 1} pixels", float(off[:-1].max())),
        (f"{through} the learning rate", float(off[-1])),
    ):
        findings.append(
            Finding(
                f"{what}: largest relative error against difference quotients in float64", f"at most {SURE:g}",
                "this package's own limit", value, float("nan"), float("nan"), 1,
                "reproduced" if value <= SURE else "missed",
            )
        )  # fmt: skip
    random = f"{number(times[:, 1].mean())} and {number(times[:, 2].mean())}"
    first = (
        f"How often an example is learned in one epoch varies over real digits {number(times[:, 0].mean())} times as much "
        f"as coin flips would, over random inputs and random labels {random} times; real digits vary most in "
        f"{int(wider.sum())} of {len(wider)} repetitions, so "
        f"{'they come in easy and hard, as the paper says' if wider.mean() >= 0.95 else 'the paper is not confirmed'}."
    )
    both = above.all(0)
    second = (
        f"What the cost owes to single examples, back through all of training, is more unequal over real digits (Gini "
        f"{number(gini[0].mean())}) than over random inputs ({number(gini[1].mean())}) and random labels "
        f"({number(gini[2].mean())}) in {int(both.sum())} of {len(both)} seeds: "
        f"{'the paper’s ordering' if both.mean() >= 0.95 else 'not reliably the paper’s ordering'}."
    )
    if (early := (first_epoch[0] > first_epoch[1:]).all(0).mean()) < 0.5 <= both.mean():
        second += f" That takes a while: after the first epoch alone it holds in {100 * early:.0f} % of the seeds."
    right = off.max() <= SURE
    third = f"The gradient through training {'agrees' if right else 'does not agree'} with difference quotients"
    return Answer(f"{first} {second} {third}, to {number(float(off.max()))}.", tuple(findings))
