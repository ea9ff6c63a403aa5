"""Classic fully connected networks on MNIST with their own protocols: LeCun 1998, Hinton 2005, Simard 2003, Ciresan 2010."""

from typing import NamedTuple

import numpy as np

from jaxnet.core.types import Dataset
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, mean
from jaxnet.experiments.scoring import trained
from jaxnet.training import config, ensemble, presets
from jaxnet.training.progress import OnProgress, no_progress


class Protocol(NamedTuple):
    """A published network.

    Attributes:
        settings: The settings of the training here. Learning rates and weight decay are the best on 10,000 held-out images.
        error: The published error, in percent of the test images.
        source: The paper.
        deviates: The differences between the training here and the training in the paper.
    """

    settings: config.TrainConfig
    error: float
    source: str
    deviates: str


_LECUN = presets.film._replace(
    activation="tanh", initializer="glorot", learning_rate=0.4, epochs=20, batch_size=32
)  # squared error, plain gradient descent with a falling rate
_ENTROPY = presets.film._replace(
    activation="relu", initializer="he", loss="cross_entropy", output="identity", optimizer="adam", schedule="onecycle",
    learning_rate=0.003, epochs=25, batch_size=128,
)  # fmt: skip
_DEEP = _ENTROPY._replace(activation="tanh", initializer="glorot", distortion="elastic", learning_rate=0.001)
_PLAIN = _LECUN._replace(
    activation="relu", initializer="he", loss="cross_entropy", output="identity", learning_rate=0.6
)
_FALLING = "ReLU, as no activation is stated; batches of 32 instead of single images; a rate that falls to zero"
_SGD = "sigmoid outputs; batches of 32 instead of single images; one falling rate instead of the paper's second-order step sizes"
_ADAM = "ReLU, as no activation is stated; Adam with one cycle of the rate instead of plain gradient descent"
_BIG = "Adam with one cycle of the rate instead of a falling rate of plain gradient descent"
_AFFINE = "distorted anew at every epoch instead of once; "

PROTOCOLS: dict[str, Protocol] = {
    "linear, one layer": Protocol(_LECUN._replace(sizes=()), 12.0, "LeCun et al. 1998", _SGD),
    "300 hidden, MSE": Protocol(_LECUN._replace(sizes=(300,)), 4.7, "LeCun et al. 1998", _SGD),
    "1000 hidden, MSE": Protocol(_LECUN._replace(sizes=(1000,)), 4.5, "LeCun et al. 1998", _SGD),
    "300 + 100 hidden": Protocol(_LECUN._replace(sizes=(300, 100)), 3.05, "LeCun et al. 1998", _SGD),
    "500 + 150 hidden": Protocol(_LECUN._replace(sizes=(500, 150)), 2.95, "LeCun et al. 1998", _SGD),
    "300 hidden, MSE, distorted": Protocol(
        _LECUN._replace(sizes=(300,), distortion="affine"), 3.6, "LeCun et al. 1998", _AFFINE + _SGD
    ),
    "300 + 100 hidden, distorted": Protocol(
        _LECUN._replace(sizes=(300, 100), distortion="affine"), 2.5, "LeCun et al. 1998", _AFFINE + _SGD
    ),
    "500 + 150 hidden, distorted": Protocol(
        _LECUN._replace(sizes=(500, 150), distortion="affine"), 2.45, "LeCun et al. 1998", _AFFINE + _SGD
    ),
    "500 + 300 hidden, softmax, weight decay": Protocol(
        _ENTROPY._replace(
            sizes=(500, 300), activation="sigmoid", initializer="glorot", optimizer="adamw", learning_rate=0.005,
            weight_decay=0.1, epochs=40,
        ),
        1.53, "Hinton 2005", "AdamW with one cycle of the rate instead of gradient descent with momentum",
    ),
    "500 + 300 hidden, gradient descent with momentum": Protocol(
        _PLAIN._replace(
            sizes=(500, 300), activation="sigmoid", initializer="glorot", optimizer="momentum", learning_rate=0.8,
            weight_decay=3e-5, epochs=40,
        ),
        1.53, "Hinton 2005", "Nesterov's momentum; a rate that falls to zero",
    ),
    "800 hidden, gradient descent": Protocol(
        _PLAIN._replace(sizes=(800,), epochs=30), 1.6, "Simard et al. 2003", _FALLING
    ),
    "800 hidden, affine, gradient descent": Protocol(
        _PLAIN._replace(sizes=(800,), distortion="affine", epochs=60), 1.1, "Simard et al. 2003", _FALLING
    ),
    "800 hidden, cross-entropy": Protocol(_ENTROPY._replace(sizes=(800,)), 1.6, "Simard et al. 2003", _ADAM),
    "800 hidden, affine distortions": Protocol(
        _ENTROPY._replace(sizes=(800,), distortion="affine", epochs=60), 1.1, "Simard et al. 2003", _ADAM
    ),
    "800 hidden, elastic distortions": Protocol(
        _ENTROPY._replace(sizes=(800,), distortion="elastic", epochs=160, learning_rate=0.002), 0.7,
        "Simard et al. 2003", f"elastic distortions with small affine ones; {_ADAM}",
    ),
    "1000-500, elastic": Protocol(
        _DEEP._replace(sizes=(1000, 500), epochs=100), 0.49, "Ciresan et al. 2010 [from memory]",
        f"fewer epochs than the roughly 800 of the paper; {_BIG}",
    ),
    "2500-2000-1500-1000-500, elastic": Protocol(
        _DEEP._replace(sizes=(2500, 2000, 1500, 1000, 500), epochs=800), 0.35, "Ciresan et al. 2010", _BIG
    ),
}  # fmt: skip
"""The published networks by name."""


TOLD = {"missed": "Not met", "undecided": "Undecided, because only the interval reaches the published error"}
"""The first words of a sentence about networks that do not meet the published error, by verdict."""


class ClassicsSettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        networks: Names from `PROTOCOLS`.
        seeds: The number of networks to train for each name.
        epochs: The number of epochs; 0 means the number of the protocol.
    """

    networks: tuple[str, ...]
    seeds: int
    epochs: int


def by(author: str) -> tuple[str, ...]:
    """Return the names of the networks of one paper. `author` is the name of its first author."""
    return tuple(name for name, protocol in PROTOCOLS.items() if protocol.source.startswith(author))


def measure(
    settings: ClassicsSettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Train the networks, and score them on the test images.

    Returns:
        The arrays by name:

        - `names` (network,): the names of the networks.
        - `error` (network, seed): the percentage of the test images that are misread.
        - `epochs` (network,): the epochs of the training.
        - `images`: a few training images.
    """

    def of(name: str) -> Arrays:
        members = ensemble.grid(_settings(name, settings), seed=range(settings.seeds))
        return {"error": 100 - trained(members, dataset, on_progress)[1]}

    parts = [keep(name, lambda name=name: of(name)) for name in settings.networks]
    return {
        "names": np.array(settings.networks),
        "error": np.stack([part["error"] for part in parts]),
        "epochs": np.array([_settings(name, settings).epochs for name in settings.networks]),
        "images": np.asarray(dataset.train.images[:8]),
    }


def _settings(name: str, settings: ClassicsSettings) -> config.TrainConfig:
    own = PROTOCOLS[name].settings
    return own._replace(epochs=settings.epochs) if settings.epochs else own


def answer(settings: ClassicsSettings, arrays: Arrays) -> Answer:
    """Evaluate: is each published error met or beaten?"""
    findings = []
    for name, errors, epochs in zip(arrays["names"].tolist(), arrays["error"], arrays["epochs"], strict=True):
        protocol = PROTOCOLS[name]
        findings.append(
            mean(
                f"{name}, {epochs} epochs ({protocol.deviates})", errors, published=f"{protocol.error} % error",
                source=protocol.source, most=protocol.error, unit="% error",
            )
        )  # fmt: skip
    names = arrays["names"].tolist()
    having = lambda verdict: [name for name, found in zip(names, findings, strict=True) if found.verdict == verdict]
    others = "".join(f" {told}: {', '.join(having(verdict))}." for verdict, told in TOLD.items() if having(verdict))
    short = f" with {settings.epochs} epochs instead of the protocol's" if settings.epochs else ""
    words = (
        f"{len(having('reproduced'))} of {len(names)} published errors are met or beaten over {settings.seeds} seeds{short}."
        f"{others}"
    )
    return Answer(words, (*findings, *_others(settings)))


def _others(settings: ClassicsSettings) -> list[Finding]:
    """Make findings for the other networks of these papers. They were not trained."""
    authors, nan = {PROTOCOLS[name].source.split()[0] for name in settings.networks}, float("nan")
    return [
        Finding(name, f"{one.error} % error", one.source, nan, nan, nan, 0, "not run here", "% error")
        for name, one in PROTOCOLS.items()
        if one.source.split()[0] in authors and name not in settings.networks
    ]


def plan(settings: ClassicsSettings) -> str:
    """Write the plan of the experiment in words."""
    epochs = [_settings(name, settings).epochs for name in settings.networks]
    told = "; ".join(f"{name}, {count} epochs" for name, count in zip(settings.networks, epochs, strict=True))
    return f"{settings.seeds} networks of each of: {told}"


def _experiment(author: str, quick: int, seconds: tuple[float | int, float | int]) -> Experiment:
    names = by(author)
    return Experiment(ClassicsSettings(names, 2, quick), ClassicsSettings(names, 3, 0), measure, answer, plan, seconds)


lecun = _experiment("LeCun", 2, (90, 900))
hinton = _experiment("Hinton", 2, (45, 290))
simard = _experiment("Simard", 2, (120, 2300))
ciresan = Experiment(
    ClassicsSettings(by("Ciresan")[:1], 2, 4),
    ClassicsSettings(by("Ciresan"), 3, 0),
    measure,
    answer,
    plan,
    (40, 900_000),
)
