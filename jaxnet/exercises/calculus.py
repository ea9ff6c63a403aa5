"""Exercises about slopes: steps downhill, three ways to get a derivative, and the meaning of a gradient's components."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.exercises import _samples
from jaxnet.exercises._model import Exercise, Slip


def _bowl(place: Any) -> Any:
    return jnp.sum(place**2) + jnp.sum(place**3) / 10


def _hills(place: Any) -> Any:
    return jnp.sum(jnp.sin(2 * place) + place**2 / 5)


def _descents() -> tuple[tuple[Any, ...], ...]:
    return (_bowl, jnp.asarray(2.0), 0.3), (_hills, _samples.normal(0, 3), 0.1)


def _differences() -> tuple[tuple[Any, ...], ...]:
    return (jnp.exp, 1.0, 0.5), (jnp.sin, 0.5, 0.25), (lambda x: x**3, -1.0, 0.1)


def _neurons() -> tuple[tuple[Any, ...], ...]:
    return (0.7, -0.2, 1.5, 1.0), (-1.1, 0.4, 0.8, 0.0), (2.0, 0.1, -0.5, 1.0)


def _slope(weight: Any, bias: Any, pixel: Any, wanted: Any) -> Any:
    lit = jax.nn.sigmoid(weight * pixel + bias)
    return 2 * (lit - wanted) * lit * (1 - lit) * pixel


def _line_loss(params: Any, image: Any) -> Any:
    return (params @ image) ** 2 / 2 + jnp.sum(jnp.tanh(params))


def _quartic_loss(params: Any, image: Any) -> Any:
    return jnp.sum((params - image) ** 4)


def _examples() -> tuple[tuple[Any, ...], ...]:
    return (_line_loss, _samples.normal(1, 4), _samples.normal(2, 6, 4)), (
        _quartic_loss,
        _samples.normal(3, 5),
        _samples.normal(4, 5, 5),
    )


def _each(loss: Any, params: Any, images: Any) -> Any:
    return jax.vmap(jax.grad(loss), in_axes=(None, 0))(params, images)


def _gradients() -> tuple[tuple[Any, ...], ...]:
    return (np.array([3.0, 1.0]),), (np.array([-2.0, 0.5, 0.0, 4.0]),), (_samples.normal(5, 20),)


EXERCISES = {
    "03-step": Exercise(
        "Write a function `step(cost, place, learning_rate)` that gives the place after one step of gradient descent.",
        lambda cost, place, rate: place - rate * jax.grad(cost)(place),
        "learning is this one line, repeated many times.",
        (
            Slip(
                lambda cost, place, rate: place + rate * jax.grad(cost)(place),
                "you walked uphill: the gradient points up, so add its negative.",
            ),
            Slip(lambda cost, place, rate: place - jax.grad(cost)(place), "you forgot the learning rate."),
            Slip(
                lambda cost, place, rate: -rate * jax.grad(cost)(place),
                "your answer is only the step; add the step to the place.",
            ),
            Slip(
                lambda cost, place, rate: place - rate * jnp.sign(jax.grad(cost)(place)),
                "all your steps have the same length; if steps are proportional to the slope, they become shorter near the bottom.",
            ),
            Slip(
                lambda cost, place, rate: place - rate * cost(place),
                "you used the cost as the step; the slope of the cost says which way is down.",
            ),
        ),
        _descents,
    ),
    "03-overshoot": Exercise(
        "The cost is C(x) = 5 x^2. Above which learning rate does gradient descent get farther away from the bottom with every "
        "step?",
        0.2,
        "a valley with more curvature needs shorter steps: the limit is 2 divided by the curvature.",
        (
            Slip(0.1, "with this learning rate the first step ends exactly at the bottom; try a larger learning rate."),
            Slip(0.4, "you took 5 for the curvature; the second derivative of 5 x^2 is larger."),
            Slip(2.0, "your answer is the limit for a curvature of 1."),
            Slip(
                10.0,
                "your answer is the curvature; the limit of the learning rate is inversely proportional to the curvature.",
            ),
        ),
    ),
    "03-on-or-off": Exercise(
        "With a `step` activation the hidden neurons are either on or off. What does `jax.grad` give for the weights into these "
        "neurons: 'zero', 'infinity', 'an error' or 'small numbers'?",
        "zero",
        "without a slope you do not know which way to nudge: that is why the activation of an "
        "artificial neuron changes gradually.",
        (
            Slip(
                "infinity", "the function jumps only at single points; what does a tiny nudge change everywhere else?"
            ),
            Slip(
                "an error",
                "jax differentiates the step without an error; look how flat the function is left and right of the jump.",
            ),
            Slip("small numbers", "a flat function has no slope at all, not a small one."),
        ),
        choices=("zero", "infinity", "an error", "small numbers"),
    ),
    "04-difference": Exercise(
        "Write a function `slope(f, x, h)` that estimates the derivative of f at x from its values at x - h and x + h.",
        lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h),
        "this method computes two costs for every parameter, 26,004 for the film's network; `jax.grad` takes "
        "the time of three costs.",
        (
            Slip(
                lambda f, x, h: (f(x + h) - f(x)) / h,
                "that uses one side only; its error is proportional to h. With both sides the error is proportional to h squared.",
            ),
            Slip(
                lambda f, x, h: (f(x + h) - f(x - h)) / h,
                "you divided by h, but the distance between the two places is 2 h.",
            ),
            Slip(
                lambda f, x, h: f(x + h) - f(x - h),
                "your answer is the change of f; divide this change by the distance between the two places.",
            ),
            Slip(
                lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h),
                "the sign is wrong: take the value at x + h minus the value at x - h.",
            ),
        ),
        _differences,
    ),
    "04-by-hand": Exercise(
        "The cost of one neuron is (sigmoid(weight * pixel + bias) - wanted)^2. Work out its derivative by the weight by hand, and "
        "write a function `slope(weight, bias, pixel, wanted)` that gives this derivative.",
        _slope,
        "the chain rule multiplies one factor for each stage; `jax.grad` applies the chain rule to any function.",
        (
            Slip(lambda w, b, pixel, y: _slope(w, b, pixel, y) / 2, "the derivative of a square has a factor 2."),
            Slip(
                lambda w, b, pixel, y: 2 * (jax.nn.sigmoid(w * pixel + b) - y) * pixel,
                "you left out the slope of the sigmoid, lit * (1 - lit).",
            ),
            Slip(
                lambda w, b, pixel, y: _slope(w, b, pixel, y) / pixel,
                "your answer is the derivative by the bias; the derivative by the weight has the pixel as one more factor.",
            ),
            Slip(
                lambda w, b, pixel, y: -_slope(w, b, pixel, y),
                "your answer has the wrong sign: the difference is the neuron's output minus the wanted output.",
            ),
        ),
        _neurons,
    ),
    "04-each": Exercise(
        "Write a function `each(loss, params, images)` that gives the gradient of `loss(params, image)` by the params for every "
        "image, along a leading axis.",
        _each,
        "`vmap` of `grad` gives in one line the gradient of each image.",
        (
            Slip(
                lambda loss, params, images: _each(loss, params, images).mean(0),
                "that is the mean over the images; the question asks for the gradient of each image.",
            ),
            Slip(
                lambda loss, params, images: jax.vmap(loss, in_axes=(None, 0))(params, images),
                "your answer has the losses; the question asks for the gradient of each loss.",
            ),
            Slip(
                lambda loss, params, images: jax.vmap(jax.grad(loss, argnums=1), in_axes=(None, 0))(params, images),
                "you differentiated by the image; differentiate by the first argument, the params.",
            ),
            Slip(
                lambda loss, params, images: jnp.broadcast_to(_each(loss, params, images[:1]), images.shape),
                "every row of your answer belongs to the first image; let vmap run over the images.",
            ),
            Slip(
                lambda loss, params, images: _each(loss, params, images).sum(0),
                "your answer is the sum over the images; the question asks for the gradient of each image.",
            ),
        ),
        _examples,
    ),
    "06-direction": Exercise(
        "Write a function `direction(gradient)` that says for every parameter which way to nudge it to lower the cost: 1 for up, "
        "-1 for down, 0 for no change.",
        lambda gradient: -np.sign(gradient),
        "the sign of each component says which way to move one single parameter.",
        (
            Slip(np.sign, "you took the gradient itself, not its negative."),
            Slip(
                np.negative,
                "your answer is the negative gradient; the question asks only for the signs of its components.",
            ),
            Slip(
                np.abs,
                "your answer is how much each parameter matters; it does not say which way to nudge the parameter.",
            ),
            Slip(
                lambda gradient: np.where(gradient > 0, -1.0, 1.0),
                "if the gradient of a parameter is zero, a nudge gains nothing: leave this parameter unchanged.",
            ),
        ),
        _gradients,
    ),
    "06-times": Exercise(
        "The gradient's components for three weights are -6, 1.5 and 3. In the film's reading, a nudge to the first "
        "weight matters more than the same nudge to the second weight: by which factor?",
        4.0,
        "the ratio of magnitudes says which nudge gives more bang for your buck.",
        (
            Slip(-4.0, "the sign only says which way to nudge; the magnitude says how much the nudge matters."),
            Slip(
                16.0,
                "you compared squares: that is the ratio of the shares of a step, in which each weight moves by its own gradient.",
            ),
            Slip(2.0, "you compared the first weight with the third weight."),
            Slip(
                0.25,
                "your answer is the ratio of the second weight to the first; the question asks for the first to the second.",
            ),
            Slip(7.5, "you took the difference; the question asks for a ratio."),
        ),
    ),
    "06-share": Exercise(
        "Write a function `share(gradient)` that gives each parameter's fraction of the fall of the cost in a small step of plain "
        "gradient descent.",
        lambda gradient: gradient**2 / np.sum(gradient**2),
        "a parameter with three times the slope also moves three times as far, so it lowers the cost nine times as much.",
        (
            Slip(
                lambda gradient: np.abs(gradient) / np.sum(np.abs(gradient)),
                "you divided by magnitude; but a parameter with a larger slope also takes a longer step.",
            ),
            Slip(lambda gradient: gradient**2, "these are not fractions yet: divide so that they add up to 1."),
            Slip(
                lambda gradient: gradient / np.linalg.norm(gradient),
                "your answer is the direction with length 1; the fall is the slope times the step, and this product is a square.",
            ),
            Slip(
                lambda gradient: np.abs(gradient) / np.linalg.norm(gradient),
                "you divided by the gradient's length, so the fractions do not add up to 1. The fall is the slope "
                "times the step, and this product is a square.",
            ),
        ),
        _gradients,
    ),
}
