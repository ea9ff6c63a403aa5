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
    "never lit": "Of a pixel: zero in every training image, so that the weights from it have no gradient.",
    "update / parameters": "The length of the step over that of the parameters: how much of a layer one step changes.",
    "chords": "Straight pieces between points of the run; with fewer of them than steps the account is coarse.",
}
"""By the word as the pages write it."""

BASICS: dict[str, str] = {
    "parameter": "A number that the training may change: a weight or a bias.",
    "weight": "The strength of one connection: a neuron multiplies what comes in by it.",
    "bias": "A number that a neuron adds to the sum of what comes in.",
    "neuron": "Multiplies its inputs by weights, adds them up with its bias, and passes on a number made of the sum.",
    "hidden": "Between the input and the output of a network.",
    "cost": "How wrong the network is, on average over images; training makes it smaller.",
    "gradient": "How fast the cost changes with each parameter: one number for each of them.",
    "component": "One of the numbers of the gradient; it belongs to one parameter.",
    "nudge": "A small change of one parameter while all others stay.",
    "step": "One change of all parameters at once, computed from one batch.",
    "batch": "The images that one step is computed from.",
    "epoch": "Once through all training images.",
    "label": "The right answer for an image.",
    "learning rate": "The number that the gradient is multiplied by: how long a step is.",
    "optimizer": "The rule that makes a step out of the gradient, such as plain gradient descent or Adam.",
    "Adam": "An optimizer that adapts the length of the step for each parameter.",
    "momentum": "A step that keeps a part of the step before.",
    "held-out": "Kept out of the training, to judge by.",
    "diverged": "The cost became infinite or no number, because the steps were too long.",
    "float64": "Numbers with about 16 digits; training computes with about 7.",
    "logarithmic scale": "Equal distances on the axis are equal factors.",
    "softmax": "Makes positive numbers that sum to 1 out of the outputs.",
    "ReLU": "Passes a positive sum on as it is, and 0 for a negative one.",
    "sigmoid": "Squeezes any number into the range from 0 to 1.",
    "variance": "The mean squared distance from the mean.",
    "temperature": "A number that the outputs are divided by before the softmax; above 1 it makes the network less sure.",
    "local minimum": "A place where every small move raises the cost.",
    "local minima": "Places where every small move raises the cost.",
    "Himmelblau's function": "A well-known test function of two numbers, with four valleys of equal depth.",
    "quadratic": "A bowl whose curvature is the same everywhere.",
    "dropout": "Switching hidden neurons off at random during training.",
    "weight decay": "Pulling all parameters toward 0 a little in every step.",
    "Gaussian noise": "Every pixel is drawn at random from a bell curve.",
    "uniform noise": "Every pixel is drawn at random, every gray equally likely.",
}
"""Words of the field that a page explains once, where they first stand."""


def meanings(text: str, known: set[str] | None = None, *, basics: bool = False) -> dict[str, str]:
    """The words of a text that need a sentence, each with its sentence.

    Args:
        text: Any words of a page.
        known: Words that were explained already; the ones found here are added.
        basics: Also look for the words of `BASICS`.

    Examples:
        >>> list(meanings("Gini 0.85, median radius of trust"))
        ['Gini', 'radius of trust', 'median']
        >>> list(meanings("the gradient noise scale of 3 weights", basics=True))
        ['gradient noise scale', 'weight']
    """
    known = set() if known is None else known
    words = MEANINGS | BASICS if basics else MEANINGS
    there = set()
    # The longest first, and then taken out: "gradient noise scale" is no place to explain "gradient".
    for word in sorted(words, key=len, reverse=True):
        text, count = re.subn(rf"(?<!\w){re.escape(word)}(?:e?s)?(?!\w)", " ", text, flags=re.IGNORECASE)
        if count:
            there.add(word)
    found = {word: meaning for word, meaning in words.items() if word in there - known}
    known.update(found)
    return found
