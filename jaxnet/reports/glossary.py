"""The glossary of the pages. It has an explanation of each word, and a page shows the explanation where it uses the word."""

import re

MEANINGS: dict[str, str] = {
    "Gini": (
        "It is 0 if all parameters lower the cost equally, and near 1 if a few parameters give almost the whole fall."
    ),
    "radius of trust": "How far a parameter can be moved before the gradient's prediction is off by 10 %.",
    "twin neurons": (
        "Pairs of neurons with equal weights in and out. "
        "Training changes both neurons equally, so one of the two is useless."
    ),
    "signal to noise": (
        "The mean of the images' gradients, divided by their scatter. If it is near 0, the images disagree."
    ),
    "gradient noise scale": (
        "The batch size at which signal and noise of a gradient are equal. "
        "In smaller batches the noise is larger than the signal."
    ),
    "zero gradient": (
        "Small changes of these parameters do not change the cost. "
        "Most of them are weights from pixels that are zero in all images."
    ),
    "wrong signs": (
        "Parameters for which the cost rises with a nudge of this length, although the gradient predicts a fall."
    ),
    "best single step": ("The largest fall of the cost that a move of one parameter alone can give."),
    "best step alone": (
        "The move of this one parameter that lowers the cost most. "
        "'fall by the best step' says how much the cost falls."
    ),
    "part of the best 5 %": (
        "In a small step, only the best 5 % of the parameters move. "
        "This is the part of the full fall of the cost that remains."
    ),
    "fall of the cost": "How much the average cost on these images became smaller, in one step or in the whole run.",
    "not accounted for": (
        "The difference between the measured fall of the cost and the sum of all computed parts. "
        "A small difference is good."
    ),
    "dC/dp": (
        "The change of the cost per unit of the parameter. If it is positive, the cost rises when the parameter rises."
    ),
    "share of a small step": (
        "This parameter's part of the fall in a small step: its squared gradient divided by the sum of all "
        "squared gradients."
    ),
    "alive?": (
        "Whether the parameter can learn from these images. If the parameter cannot learn, the column tells the reason."
    ),
    "credit over the run": (
        "This parameter's part of the fall of the cost over the whole run. "
        "It is negative if the parameter raised the cost."
    ),
    "squared length of the gradient": (
        "The sum of all squared components. If the gradient is clear, this sum is much larger than the variance."
    ),
    "variance of one image's gradient": "The mean squared distance of one image's gradient from the average gradient.",
    "signs that bfloat16 flips": (
        "The fraction of the parameters whose derivative has another sign if the network computes in bfloat16."
    ),
    "signs that float16 flips": (
        "The fraction of the parameters whose derivative has another sign if the network computes in float16."
    ),
    "flipped signs": "Parameters whose derivative has another sign in this type, or is zero only in this type.",
    "rank correlation": (
        "How well the order of the magnitudes stays the same. It is 1 if the order is the same, and 0 if it is random."
    ),
    "cosine": "The cosine of the angle between the two gradients. It is 1 if both have the same direction.",
    "times the next": "The ratio of this gradient to the next gradient in the ranking.",
    "average cost": "How wrong the network is, as the mean over the training images. A perfect network has the cost 0.",
    "seed": "The number that decides all random choices. A run with the same seed repeats the same choices.",
    "Moran's I": "How similar neighboring pixels of a map are: near 0 for random maps, 1 for the smoothest maps.",
    "AUROC": (
        "How often a digit gets more confidence than a picture without a digit: 50 % is guessing, 100 % is perfect."
    ),
    "calibration error": "The average distance between the network's confidence and its fraction of right answers.",
    "interval": "The interval contains the true mean with a probability of 95 %.",
    "confidence": "The strongest of the outputs, from 0 to 100 %.",
    "median": "The middle value: half of the values are below it, and half of the values are above it.",
    "p-value": "The probability that chance alone gives a number that is at least as extreme as the measured number.",
    "percentile": "The 5th percentile is above 5 % of the numbers, the 95th percentile above 95 %.",
    "correlation": "1 if two things rise together, 0 if they are unrelated, -1 if one falls as the other rises.",
    "curvature": "How fast the slope changes. With more curvature, a step must be shorter.",
    "Hessian": "The matrix of all second derivatives of the cost: how the slope bends in every direction.",
    "nats": "The unit of cross-entropy: one nat is a factor of 2.72 in the probability of the right class.",
    "cross-entropy": (
        "Minus the logarithm of the probability that the network gives to the right class. A perfect answer has 0."
    ),
    "validation": "Training images that are held out to compare settings.",
    "quartile": "A quarter of the networks lies below the lower quartile, and a quarter above the upper one.",
    "memorized": "The network recognizes this image only because the network was trained on this image.",
    "dead": "Parameters that once had a gradient, but had none in the last 100 steps that were measured.",
    "never lit": (
        "A pixel that is zero in every training image, so that its weights have no gradient; "
        "or a parameter that had no gradient so far."
    ),
    "update / parameters": (
        "The length of the step divided by the length of the parameters: how much one step changes a layer."
    ),
    "chords": (
        "Straight lines between points of the training path. "
        "If there are fewer chords than steps, the result is coarse."
    ),
}
"""For each word, as it stands on the pages: its meaning."""

BASICS: dict[str, str] = {
    "parameter": "A number that the training may change: a weight or a bias.",
    "weight": "The strength of one connection: a neuron multiplies its input by the weight.",
    "bias": "A number that a neuron adds to the sum of its weighted inputs.",
    "neuron": (
        "A part of the network. It multiplies its inputs by weights, adds the products and a bias, and "
        "computes its output from the sum."
    ),
    "hidden": "A hidden layer or a hidden neuron stands between the input and the output of a network.",
    "cost": "How wrong the network is, on average over images. Training makes the cost smaller.",
    "gradient": "How fast the cost changes with each parameter: one number for each parameter.",
    "component": "One of the numbers of the gradient. Each component belongs to one parameter.",
    "nudge": "A small change of one parameter, while all other parameters stay unchanged.",
    "step": "One change of all parameters at once, computed from one batch.",
    "batch": "The images from which one step is computed.",
    "epoch": "The part of a training in which every training image is used once.",
    "label": "The right answer for an image.",
    "learning rate": "The gradient is multiplied by this number. The length of a step is proportional to it.",
    "optimizer": "The rule that computes a step from the gradient, such as plain gradient descent or Adam.",
    "Adam": "An optimizer that adapts the length of the step for each parameter.",
    "momentum": "Every step keeps a part of the previous step.",
    "held-out": "Images that are not used for training. They show how well the network does on new images.",
    "diverged": "The cost became infinite or not a number, because the steps were too long.",
    "float64": "Numbers with about 16 digits. Training uses numbers with about 7 digits.",
    "logarithmic scale": "On this axis, the same distance always means multiplication by the same factor.",
    "softmax": "A function that turns the outputs into positive numbers with the sum 1.",
    "ReLU": "A function that leaves a positive sum unchanged and replaces a negative sum by 0.",
    "sigmoid": "A function that turns any number into a number between 0 and 1.",
    "variance": "The mean of the squared distances from the mean.",
    "temperature": (
        "The outputs are divided by this number before the softmax. A number above 1 makes the network less sure."
    ),
    "local minimum": "A place where every small move raises the cost.",
    "local minima": "Places where every small move raises the cost.",
    "Himmelblau's function": "A well-known test function of two numbers, with four valleys of equal depth.",
    "quadratic": "A function like a bowl. Its curvature is equal everywhere.",
    "dropout": "A method of training: hidden neurons are switched off at random.",
    "weight decay": "A method of training: every step also moves all parameters a little toward 0.",
    "Gaussian noise": "Every pixel is a random number from a normal distribution (a bell curve).",
    "uniform noise": "Every pixel is a random number, and every gray is equally probable.",
}
"""Technical words. A page explains each word where it is used first."""


def meanings(text: str, known: set[str] | None = None, *, basics: bool = False) -> dict[str, str]:
    """Find the words of a text that need an explanation, each with its explanation.

    Args:
        text: Any text of a page.
        known: Words that are already explained. The function adds the words that it finds in the text.
        basics: Whether to look for the words of `BASICS` too.

    Examples:
        >>> list(meanings("Gini 0.85, median radius of trust"))
        ['Gini', 'radius of trust', 'median']
        >>> list(meanings("the gradient noise scale of 3 weights", basics=True))
        ['gradient noise scale', 'weight']
    """
    known = set() if known is None else known
    words = MEANINGS | BASICS if basics else MEANINGS
    there = set()
    # Look for the longest words first, and remove a found word: "gradient noise scale" must not also count as "gradient".
    for word in sorted(words, key=len, reverse=True):
        text, count = re.subn(rf"(?<!\w){re.escape(word)}(?:e?s)?(?!\w)", " ", text, flags=re.IGNORECASE)
        if count:
            there.add(word)
    found = {word: meaning for word, meaning in words.items() if word in there - known}
    known.update(found)
    return found
