"""Classic functions of one or two numbers with known minima."""

from typing import Any

import jax.numpy as jnp


def hills(x: Any) -> Any:
    """A curve with many valleys, as in the film. It has seven minima between -6 and 6. The lowest is near -0.7."""
    return x**2 / 20 + jnp.sin(2.2 * x) + 0.7 * jnp.sin(3.7 * x + 1)


def parabola(x: Any) -> Any:
    """A single valley with curvature 1 and minimum 0 at 0."""
    return x**2 / 2


def bowl(place: Any) -> Any:
    """A bowl with minimum 0 at the origin. The curvature is 1 along x and 10 along y."""
    return (place[0] ** 2 + 10 * place[1] ** 2) / 2


def saddle(place: Any) -> Any:
    """A saddle at the origin without a minimum. The curvature is 1 along x (a valley) and -1 along y (a ridge)."""
    return (place[0] ** 2 - place[1] ** 2) / 2


def two_wells(place: Any) -> Any:
    """A function with two minima near x = -1 and x = 1, and a pass between them. The left minimum is deeper."""
    return place[0] ** 4 / 4 - place[0] ** 2 / 2 + place[0] / 20 + place[1] ** 2 / 2


def rosenbrock(place: Any) -> Any:
    """A function with minimum 0 at (1, 1), at the end of a curved valley (Rosenbrock, 1960)."""
    return (1 - place[0]) ** 2 + 100 * (place[1] - place[0] ** 2) ** 2


def himmelblau(place: Any) -> Any:
    """A function with four minima, where its value is 0. One minimum is at (3, 2) (Himmelblau, 1972)."""
    return (place[0] ** 2 + place[1] - 11) ** 2 + (place[0] + place[1] ** 2 - 7) ** 2
