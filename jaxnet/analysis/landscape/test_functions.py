"""Classic functions of one or two numbers with known minima."""

from typing import Any

import jax.numpy as jnp


def hills(x: Any) -> Any:
    """A curve with many valleys, as in the film: seven minima between -6 and 6, the lowest near -0.7."""
    return x**2 / 20 + jnp.sin(2.2 * x) + 0.7 * jnp.sin(3.7 * x + 1)


def parabola(x: Any) -> Any:
    """A single valley with curvature 1 and minimum 0 at 0."""
    return x**2 / 2


def bowl(place: Any) -> Any:
    """A bowl with minimum 0 at the origin; the curvature is 1 along x and 10 along y."""
    return (place[0] ** 2 + 10 * place[1] ** 2) / 2


def saddle(place: Any) -> Any:
    """A saddle at the origin: a valley along x with curvature 1, and a ridge along y with curvature -1; no minimum."""
    return (place[0] ** 2 - place[1] ** 2) / 2


def two_wells(place: Any) -> Any:
    """Two minima near x = -1 and x = 1 with a pass between them; the left one is deeper."""
    return place[0] ** 4 / 4 - place[0] ** 2 / 2 + place[0] / 20 + place[1] ** 2 / 2


def rosenbrock(place: Any) -> Any:
    """A function with minimum 0 at (1, 1), at the end of a curved valley (Rosenbrock, 1960)."""
    return (1 - place[0]) ** 2 + 100 * (place[1] - place[0] ** 2) ** 2


def himmelblau(place: Any) -> Any:
    """A function with four minima, all 0; one of them is at (3, 2) (Himmelblau, 1972)."""
    return (place[0] ** 2 + place[1] - 11) ** 2 + (place[0] + place[1] ** 2 - 7) ** 2
