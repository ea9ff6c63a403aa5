"""All experiments in the film's order, each with its question and its pictures."""

from jaxnet.experiments.accuracy.figures import entry as accuracy
from jaxnet.experiments.classics.figures import ciresan, hinton, lecun, simard
from jaxnet.experiments.downhill.figures import entry as downhill
from jaxnet.experiments.entry import Entry
from jaxnet.experiments.first_layer.figures import entry as first_layer
from jaxnet.experiments.memorization.figures import entry as memorization
from jaxnet.experiments.minima.figures import entry as minima
from jaxnet.experiments.nielsen.figures import entry as nielsen
from jaxnet.experiments.noise.figures import entry as noise
from jaxnet.experiments.sensitivity.figures import entry as sensitivity

FILM: dict[str, Entry] = {
    one.name: one for one in (downhill, accuracy, first_layer, noise, nielsen, memorization, sensitivity, minima)
}
"""The film's questions, in the film's order."""

PAPERS: dict[str, Entry] = {one.name: one for one in (lecun, hinton, simard, ciresan)}
"""Classic networks of papers. They are not part of the film."""

EXPERIMENTS: dict[str, Entry] = {**FILM, **PAPERS}
