"""What the words beside the numbers mean, one sentence each, put where a page uses them."""

import re

MEANINGS: dict[str, str] = {
    "Gini": "0 if all parameters buy alike, near 1 if a few buy everything.",
    "radius of trust": "How far a parameter can be moved before the gradient's prediction is off by 10 %.",
    "twin neurons": "Pairs of neurons with the same weights in and out; they always move alike, so one is wasted.",
    "signal to noise": "The mean of the images' gradients over their scatter; near 0 the images disagree.",
    "gradient noise scale": "The batch size at which a batch's gradient is as much noise as signal; smaller ones are mostly noise.",
    "zero gradient": "Their nudges leave the cost as it is; mostly weights from pixels that are never lit.",
    "wrong signs": "Parameters for which so long a nudge raises the cost that the gradient promised to lower.",
    "best single step": "The largest fall of the cost that moving one parameter alone can buy.",
    "best step alone": "How far to move this one parameter for the largest fall of the cost; 'it buys' is that fall.",
    "bought by the best 5 %": "What remains of a small step's fall of the cost if only the best 5 % of the parameters move.",
    "fall of the cost": "How much the average cost on these images fell from the first to the last step.",
    "not accounted for": "What adding up gradients along the way misses of the fall; the smaller, the truer the split.",
    "dC/dp": "The change of the cost per unit of the parameter; its sign says which way the cost rises.",
    "share of a small step": "This parameter's part of what a small plain step buys: its squared gradient over the sum of all.",
    "alive?": "Whether the parameter can learn from these images, and if not, why.",
    "credit over the run": "What this parameter earned of the fall of the cost; negative if it raised the cost.",
    "squared length of the gradient": "The sum of all squared components; large beside the variance where the gradient is clear.",
    "variance of one image's gradient": "How far one image's gradient lies from the average, squared and summed.",
    "times the next": "How many times the gradient of the next one in the ranking.",
    "average cost": "The mean over the training images of how wrong the network is; 0 is perfect.",
    "seed": "The number that decides all random choices; the same seed repeats the run.",
    "Moran's I": "How alike neighboring pixels of a map are: near 0 for random maps, 1 for the smoothest.",
    "AUROC": "How often a digit gets more confidence than a picture that is none: 50 % is guessing, 100 % always.",
    "calibration error": "The average distance between how sure the network is and how often it is right.",
    "interval": "With other seeds the number would lie between the two ends about 95 times of 100.",
    "confidence": "The strongest of the outputs, from 0 to 100 %.",
    "median": "Half of the values are below, half above.",
    "p-value": "How often chance alone gives a number as extreme.",
    "percentile": "The value below which so many of a hundred numbers lie.",
    "correlation": "1 if two things rise together, 0 if they are unrelated, -1 if one falls as the other rises.",
    "curvature": "How fast the slope itself changes; the sharper the bend, the shorter a step may be.",
    "Hessian": "The matrix of all second derivatives of the cost: how the slope bends in every direction.",
    "nats": "The unit of cross-entropy: one nat is a factor of 2.72 in the probability of the right class.",
    "cross-entropy": "Minus the logarithm of the probability given to the right class; 0 is perfect.",
    "validation": "Training images held out to compare settings by.",
    "quartile": "A quarter of the networks lies beyond it.",
    "memorized": "Read rightly only because that very image was in the training.",
    "dead": "Parameters that once had a gradient and have had none for the last 100 watched steps.",
    "never lit": "Parameters that have had no gradient since the watch began, mostly weights from pixels that are always dark.",
    "update / parameters": "The length of the step over that of the parameters: how much of a layer one step changes.",
    "chords": "Straight pieces between points of the run; with fewer of them than steps the account is coarse.",
}
"""By the word as the pages write it."""


def meanings(text: str, known: set[str] | None = None) -> dict[str, str]:
    """The words of a text that need a sentence, each with its sentence.

    Args:
        text: Any words of a page.
        known: Words that were explained already; the ones found here are added.

    Examples:
        >>> list(meanings("Gini 0.85, median radius of trust"))
        ['Gini', 'radius of trust', 'median']
    """
    known = set() if known is None else known
    found = {
        word: meaning
        for word, meaning in MEANINGS.items()
        if word not in known and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
    }
    known.update(found)
    return found
