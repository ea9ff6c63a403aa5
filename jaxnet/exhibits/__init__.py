"""The experiments on show, in the film's order: each with its question and its pictures."""

from jaxnet.exhibits import accuracy, classics, downhill, first_layer, memorization, minima, nielsen, noise, sensitivity
from jaxnet.exhibits.framing import Exhibit, Moving

FILM: dict[str, Exhibit] = {
    one.name: one
    for one in (
        downhill.exhibit,
        accuracy.exhibit,
        first_layer.exhibit,
        noise.exhibit,
        nielsen.exhibit,
        memorization.exhibit,
        sensitivity.exhibit,
        minima.exhibit,
    )
}
"""The film's questions, in its order."""

PAPERS: dict[str, Exhibit] = {
    one.name: one for one in (classics.lecun, classics.hinton, classics.simard, classics.ciresan)
}
"""Classic networks that the film does not speak of."""

EXHIBITS: dict[str, Exhibit] = {**FILM, **PAPERS}

__all__ = ["EXHIBITS", "FILM", "PAPERS", "Exhibit", "Moving"]
