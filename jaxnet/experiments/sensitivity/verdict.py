"""The verdict on easy examples, loss-sensitivity and the gradient through training, made from the numbers alone."""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxnet.experiments.findings import Answer, Arrays, Finding, mean, number, share

KINDS = ("real digits", "random inputs", "random labels")
"""The three kinds of training data: digits with their labels, images of normal noise, and digits with shuffled labels."""

SURE = 1e-4
"""The largest allowed relative error of the gradient through training, compared with finite differences."""

CHECKED = (100, 5, 2)
"""The examples, batch size and epochs of the training that checks the gradient."""


def uneven(learned: Any, networks: int) -> Float[np.ndarray, "..."]:
    """Divide the variance of the learned shares by the binomial variance, which holds for equally hard examples.

    For equally hard examples the result is 1 if all networks are equally good, and slightly less if they are not.

    Args:
        learned: The share of networks that learned each example in 0..1, (..., example).
        networks: The number of networks.
    """
    learned = np.asarray(learned, np.float64)
    chance = learned.mean(-1)
    return np.asarray(learned.var(-1) / (chance * (1 - chance) / networks))


def errors(arrays: Arrays) -> Float[np.ndarray, "entry"]:
    """Return the relative error of every checked gradient."""
    return np.abs(arrays["gradients"] - arrays["quotients"]) / np.abs(arrays["quotients"])


def answer(settings: Any, arrays: Arrays) -> Answer:
    """Evaluate: do real examples differ more than random examples, by both measures? Is the gradient correct?"""
    paper = "Arpit et al. 2017"
    spreads, times = 100 * arrays["learned"].std(-1), uneven(arrays["learned"], settings.networks)
    wider = (spreads[:, :1] > spreads[:, 1:]).all(1)
    gini = arrays["gini"]
    above = gini[0] > gini[1:]
    findings = [
        share(
            "easy examples: share of repetitions in which the frequency of learning varies most for real digits",
            int(wider.sum()), len(wider), published="far more for real than for random data", source=paper, least=95.0,
        ),
        *(
            mean(f"easy examples, {kind}: standard deviation over examples", spreads[:, i], source=paper, unit="points")
            for i, kind in enumerate(KINDS)
        ),
        *(
            mean(
                f"easy examples, {kind}: variance over examples, divided by the binomial variance", times[:, i],
                published="1, the binomial variance [from memory]" if i == 1 else "", equal=1.0 if i == 1 else None, within=0.1,
                source=paper,
            )
            for i, kind in enumerate(KINDS)
        ),
        *(
            share(
                f"loss-sensitivity: share of seeds in which the Gini of real digits is above the Gini of {kind}", int(higher.sum()),
                len(higher), published="real above random", source=paper, least=95.0,
            )
            for kind, higher in zip(KINDS[1:], above, strict=True)
        ),
        *(mean(f"loss-sensitivity, {kind}: Gini over examples", gini[i], source=paper) for i, kind in enumerate(KINDS)),
    ]  # fmt: skip
    first_epoch = arrays["gini_after"][:, :, 0]
    findings.append(
        share(
            "loss-sensitivity after one epoch: share of seeds in which the Gini of real digits is above both other Ginis",
            int((first_epoch[0] > first_epoch[1:]).all(0).sum()), first_epoch.shape[1], source=paper,
        )
    )  # fmt: skip
    off, examples_a_step = errors(arrays), CHECKED[1]
    through = f"gradient through {CHECKED[0] // examples_a_step * CHECKED[2]} steps of training with respect to"
    for what, value in (
        (f"{through} {len(off) - 1} pixels", float(off[:-1].max())),
        (f"{through} the learning rate", float(off[-1])),
    ):
        findings.append(
            Finding(
                f"{what}: largest relative error, compared with difference quotients in float64", f"at most {SURE:g}",
                "this package's own limit", value, float("nan"), float("nan"), 1,
                "reproduced" if value <= SURE else "missed",
            )
        )  # fmt: skip
    random = f"{number(times[:, 1].mean())} and {number(times[:, 2].mean())}"
    first = (
        f"In one epoch, not all examples are learned with the same frequency. For real digits, this frequency varies "
        f"{number(times[:, 0].mean())} times as much as coin flips. For random inputs and random labels, the frequency "
        f"varies {random} times as much as coin flips. Real digits vary most in "
        f"{int(wider.sum())} of {len(wider)} repetitions, so "
        f"{'some digits are easy and some are hard, as the paper says' if wider.mean() >= 0.95 else 'the paper is not confirmed'}."
    )
    both = above.all(0)
    second = (
        f"Through all of training, the cost depends unequally on single examples. The Gini coefficient of this "
        f"dependence is {number(gini[0].mean())} for real digits, {number(gini[1].mean())} for random inputs and "
        f"{number(gini[2].mean())} for random labels. The coefficient of real digits is the largest in "
        f"{int(both.sum())} of {len(both)} seeds. This result "
        f"{'agrees' if both.mean() >= 0.95 else 'does not reliably agree'} with the order in the paper."
    )
    if (early := (first_epoch[0] > first_epoch[1:]).all(0).mean()) < 0.5 <= both.mean():
        second += f" This order needs time: after the first epoch it holds in only {100 * early:.0f} % of the seeds."
    right = off.max() <= SURE
    third = f"The gradient through training {'agrees' if right else 'does not agree'} with difference quotients."
    error = f"The largest relative error is {number(float(off.max()))}."
    return Answer(f"{first} {second} {third} {error}", tuple(findings))
