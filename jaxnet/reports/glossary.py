"""The glossary of the pages: one sentence for each word, shown where a page uses the word."""

import re

MEANINGS: dict[str, str] = {
    "Gini": "0 if all parameters buy the same part of the fall, near 1 if a few parameters buy everything.",
    "radius of trust": "How far a parameter can be moved before the gradient's prediction is off by 10 %.",
    "twin neurons": "Pairs of neurons with equal weights in and out; training changes both equally, so one is wasted.",
    "signal to noise": "The mean of the images' gradients divided by their scatter; near 0 the images disagree.",
    "gradient noise scale": "The batch size at which signal and noise of a gradient are equal; smaller batches are noisier.",
    "zero gradient": "Small changes of these parameters do not change the cost; most are weights from pixels that are never lit.",
    "wrong signs": "Parameters for which the cost rises with a nudge of this length, although the gradient predicts a fall.",
    "best single step": "The largest fall of the cost that a move of one parameter alone can buy.",
    "best step alone": "The move of this one parameter that lowers the cost most; 'it buys' is the fall of the cost.",
    "bought by the best 5 %": "The part of a small step's fall of the cost that is left if only the best 5 % of parameters move.",
    "fall of the cost": "How much the average cost on these images fell from the first to the last step.",
    "not accounted for": "The part of the fall that the sum of the gradients along the path misses; small is good.",
    "dC/dp": "The change of the cost per unit of the parameter; its sign says which way the cost rises.",
    "share of a small step": "This parameter's part of the fall in a small step: its squared gradient over the sum of all squares.",
    "alive?": "Whether the parameter can learn from these images, and if not, why.",
    "credit over the run": "This parameter's part of the fall of the cost; negative if the parameter raised the cost.",
    "squared length of the gradient": "The sum of all squared components; much larger than the variance if the gradient is clear.",
    "variance of one image's gradient": "The mean squared distance of one image's gradient from the average gradient.",
    "times the next": "The ratio of this gradient to the next one in the ranking.",
    "average cost": "The mean over the training images of how wrong the network is; 0 is perfect.",
    "seed": "The number that decides all random choices; the same seed repeats the run.",
    "Moran's I": "How similar neighboring pixels of a map are: near 0 for random maps, 1 for the smoothest.",
    "AUROC": "How often a digit gets more confidence than a picture without a digit: 50 % is guessing, 100 % is perfect.",
    "calibration error": "The average distance between the network's confidence and the fraction of right answers.",
    "interval": "With other seeds the number would lie between the two ends about 95 times of 100.",
    "confidence": "The strongest of the outputs, from 0 to 100 %.",
    "median": "Half of the values are below, half above.",
    "p-value": "The probability that chance alone gives a number at least this extreme.",
    "percentile": "The 5th percentile is above 5 % of the numbers, the 95th percentile above 95 %.",
    "correlation": "1 if two things rise together, 0 if they are unrelated, -1 if one falls as the other rises.",
    "curvature": "How fast the slope changes; with more curvature a step must be shorter.",
    "Hessian": "The matrix of all second derivatives of the cost: how the slope bends in every direction.",
    "nats": "The unit of cross-entropy: one nat is a factor of 2.72 in the probability of the right class.",
    "cross-entropy": "Minus the logarithm of the probability given to the right class; 0 is perfect.",
    "validation": "Training images that are held out to compare settings.",
    "quartile": "A quarter of the networks lies below the lower quartile, and a quarter above the upper one.",
    "memorized": "The image is read correctly only because the network was trained on this same image.",
    "dead": "Parameters that once had a gradient and have had none for the last 100 watched steps.",
    "never lit": "A pixel that is zero in every training image; the weights from this pixel have no gradient.",
    "update / parameters": "The length of the step divided by the length of the parameters: how much one step changes a layer.",
    "chords": "Straight lines between points of the training path; with fewer chords than steps the result is coarse.",
}
"""The meaning of each word, by the word as it stands on the pages."""

BASICS: dict[str, str] = {
    "parameter": "A number that the training may change: a weight or a bias.",
    "weight": "The strength of one connection: a neuron multiplies its input by the weight.",
    "bias": "A number that a neuron adds to the sum of its weighted inputs.",
    "neuron": "Multiplies its inputs by weights, adds them and its bias, and passes on a number computed from the sum.",
    "hidden": "Between the input and the output of a network.",
    "cost": "How wrong the network is, on average over images; training makes it smaller.",
    "gradient": "How fast the cost changes with each parameter: one number for each parameter.",
    "component": "One of the numbers of the gradient; it belongs to one parameter.",
    "nudge": "A small change of one parameter while all others stay.",
    "step": "One change of all parameters at once, computed from one batch.",
    "batch": "The images that one step is computed from.",
    "epoch": "Once through all training images.",
    "label": "The right answer for an image.",
    "learning rate": "The number that the gradient is multiplied by; the length of a step is proportional to this number.",
    "optimizer": "The rule that computes a step from the gradient, such as plain gradient descent or Adam.",
    "Adam": "An optimizer that adapts the length of the step for each parameter.",
    "momentum": "Every step keeps a part of the previous step.",
    "held-out": "Not used for training, but for judging the network.",
    "diverged": "The cost became infinite or not a number, because the steps were too long.",
    "float64": "Numbers with about 16 digits; training uses numbers with about 7 digits.",
    "logarithmic scale": "Equal distances on the axis are equal factors.",
    "softmax": "Turns the outputs into positive numbers that sum to 1.",
    "ReLU": "Passes on a positive sum unchanged, and 0 instead of a negative sum.",
    "sigmoid": "Squeezes any number into the range from 0 to 1.",
    "variance": "The mean squared distance from the mean.",
    "temperature": "A number that the outputs are divided by before the softmax; above 1 it makes the network less sure.",
    "local minimum": "A place where every small move raises the cost.",
    "local minima": "Places where every small move raises the cost.",
    "Himmelblau's function": "A well-known test function of two numbers, with four valleys of equal depth.",
    "quadratic": "A bowl whose curvature is the same everywhere.",
    "dropout": "Hidden neurons are switched off at random during training.",
    "weight decay": "Every step pulls all parameters a little toward 0.",
    "Gaussian noise": "Every pixel is drawn at random from a bell curve.",
    "uniform noise": "Every pixel is drawn at random, every gray equally likely.",
}
"""Words of the field; a page explains each one at its first use."""


def meanings(text: str, known: set[str] | None = None, *, basics: bool = False) -> dict[str, str]:
    """The words of a text that need an explanation, each with its sentence.

    Args:
        text: Any text of a page.
        known: Words that are already explained; the words found in the text are added.
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
    # Longest words first, each removed when found: "gradient noise scale" must not also count as "gradient".
    for word in sorted(words, key=len, reverse=True):
        text, count = re.subn(rf"(?<!\w){re.escape(word)}(?:e?s)?(?!\w)", " ", text, flags=re.IGNORECASE)
        if count:
            there.add(word)
    found = {word: meaning for word, meaning in words.items() if word in there - known}
    known.update(found)
    return found
