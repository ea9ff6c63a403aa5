"""jaxnet on a GPU or TPU: what must hold there, how fast it is, and PyTorch on the same work, in at most seven minutes.

python benchmarks/accelerator.py [--tiny] [--only ITEM ...] [--out FOLDER] [--minutes 7]

Every item runs in a process of its own with a time budget. An item that fails or runs out of time keeps what it had measured and
is reported; the others go on. Writes accelerator.json, accelerator.md and accelerator.png. Nothing is fetched, and jaxnet need not
be installed: this script puts the repository on the path. `--tiny` does all of it on a CPU with little data, to show that the
script works; its figures mean nothing.
"""

import argparse
import functools
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxnet import metrics, presets

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
MARK = "ROW "
NOT_A_CARD = "not a GPU or TPU: this figure only shows that the script works"


class Row(NamedTuple):
    """One figure.

    Attributes:
        what: What was measured.
        value: The figure, or a word.
        unit: Of the figure.
        note: How it came about.
        flops: The arithmetic behind one unit of the figure in seconds, for its share of the peak; 0 where that means nothing.
    """

    what: str
    value: float | str
    unit: str = ""
    note: str = ""
    flops: float = 0.0


class Asked(NamedTuple):
    """What an item is told.

    Attributes:
        tiny: Little data and few repetitions.
        ends: When its time is over, by `time.monotonic`.
    """

    tiny: bool
    ends: float


class Goal(NamedTuple):
    """What a figure is held to.

    Attributes:
        least: Whether more is better.
        floor: The figure to reach.
        stretch: The figure to try for.
    """

    least: bool
    floor: float
    stretch: float | None = None


GOALS = {
    "film's network, batches of 32": Goal(False, 0.060, 0.015),
    "10,000 networks on shared batches of 128": Goal(True, 5_000, 15_000),
    "1,024 networks on shared batches of 128": Goal(True, 5_000, 15_000),
    "10,000 networks, 25 epochs, start to end": Goal(False, 60, 20),
    "convnet's training": Goal(False, 20),
    "preset film, 25 epochs, evaluated after each": Goal(False, 1.5, 0.4),
    "convnet, right on the test images": Goal(True, 0.992),
}
FILM, NET = (784, 16, 16, 10), (784, 128, 64, 10)


def arithmetic_of(sizes: tuple[int, ...], images: int) -> float:
    """Floating-point operations of an epoch: two a weight forward, two for its gradient, two passed back (first layer: none)."""
    products = [a * b for a, b in itertools.pairwise(sizes)]
    return images * (4 * products[0] + 6 * sum(products[1:]))


# What needs jax is imported inside the items: the parent process must not take the device's memory.


def images(tiny: bool) -> Any:
    """MNIST, or the first of its images."""
    from jaxnet import Batch, Dataset, data

    mnist = data.mnist()
    if not tiny:
        return mnist
    cut = lambda batch, count: Batch(batch.images[:count], batch.labels[:count])
    return Dataset(cut(mnist.train, 1000), cut(mnist.test, 250), mnist.classes)


def descent_of(name: str) -> tuple[Any, Any]:
    """A descent and its start: film, or net for 784-128-64-10 with Adam."""
    import jax
    import optax

    from jaxnet import average, gradient_descent, losses, network

    if name == "film":
        params = network.init(jax.random.key(0), FILM, weights=network.scaled(1.5))
        return gradient_descent(average(network.apply, losses.squared_error), 1.5), params
    apply = functools.partial(network.apply, activation=network.relu, output=network.identity)
    params = network.init(jax.random.key(0), NET, weights=network.he)
    return gradient_descent(average(apply, losses.cross_entropy), optax.adam(0.001)), params


def epoch_seconds(
    descent: Any, params: Any, train: Any, size: int, *, epochs: int, keyed: bool = False, rounds: int = 3
) -> float:
    """Median over rounds of the seconds of an epoch, of so many in a row, compiled before; every cost is fetched and checked."""
    import jax

    from jaxnet import data, loop

    state, seconds = jax.jit(descent.init)(params), []
    for turn in range(rounds + 1):
        count = epochs if turn else 1
        chunks = data.resident_epochs(jax.random.key(turn), train, size, epochs=count, keyed=keyed)
        begun = time.perf_counter()
        for after, _ in loop.train(descent, state, chunks):
            state = after
        jax.block_until_ready(state)
        seconds.append((time.perf_counter() - begun) / count)
    return statistics.median(seconds[1:])


def about(asked: Asked) -> Iterator[Row]:
    """The card and the versions."""
    import jax

    from jaxnet import devices

    yield Row("device", devices.describe())
    yield Row("platform", jax.default_backend())
    yield Row("machine", f"{platform.machine()}, {os.cpu_count()} CPU cores, Python {platform.python_version()}")
    for name in ("jax", "jaxlib", "optax", "flax", "numpy", "torch"):
        try:
            yield Row(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Row(name, "not installed")
    if tool := shutil.which("nvidia-smi"):
        query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        yield Row("driver", subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip())


def roofline(asked: Asked) -> Iterator[Row]:
    """Peak of matrix products by type and precision, and bandwidth of a copy."""
    import jax
    import jax.numpy as jnp

    side, length = (256, 2**20) if asked.tiny else (8192, 2**29)

    def median(f: Callable[[], Any]) -> float:
        jax.block_until_ready(f())
        seconds = []
        for _ in range(7):
            begun = time.perf_counter()
            jax.block_until_ready(f())
            seconds.append(time.perf_counter() - begun)
        return statistics.median(seconds)

    key = jax.random.key(0)
    for name, dtype, precision in (
        ("float32, highest", jnp.float32, "highest"),
        ("float32, default", jnp.float32, "default"),
        ("bfloat16", jnp.bfloat16, "default"),
    ):
        with jax.default_matmul_precision(precision):
            matrix = jax.random.normal(key, (side, side), dtype)
            product = jax.jit(lambda a: a @ a)
            seconds = median(lambda matrix=matrix, product=product: product(matrix))
        yield Row(f"matrix product, {name}", 2 * side**3 / seconds / 1e12, "TFLOP/s", f"{side:,} x {side:,}")
    vector = jax.random.normal(key, (length,))
    copy = jax.jit(jnp.negative)
    seconds = median(lambda: copy(vector))
    yield Row("copy in memory", 8 * length / seconds / 1e9, "GB/s", "bytes read and written")
    small, zero = jax.jit(lambda a: a + 1), jnp.zeros(())
    yield Row("starting a program", 1e6 * median(lambda: small(zero)), "microseconds", "one addition, waited for")


def held(asked: Asked) -> Iterator[Row]:
    """The tests marked `accelerator`, each told as soon as it ends."""
    import pytest

    class Teller:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or report.outcome != "passed":
                words = {"passed": "", "skipped": str(report.longrepr), "failed": report.longreprtext}[report.outcome]
                reason = next((line[4:] for line in words.splitlines() if line.startswith("E   ")), words)
                name = report.nodeid.removeprefix("tests/test_accelerator.py::")
                tell(Row(name, report.outcome, "", " ".join(reason.split())[:300] or f"{report.duration:.1f} seconds"))

    os.environ["JAXNET_PRETEND_ACCELERATOR"] = "1"
    os.chdir(HERE.parent)
    options = ["-o", "addopts=", "-W", "default", "-s", "-p", "no:cacheprovider"]
    if importlib.util.find_spec("xdist"):
        options += ["-n", "2" if asked.tiny else "4"]
    chosen = ["-k", "fetched or moments"] if asked.tiny else []
    if (code := pytest.main(["tests/test_accelerator.py", *options, *chosen], plugins=[Teller()])) > 1:
        raise RuntimeError(f"pytest ended with {code!r}")
    yield from ()


def epochs(asked: Asked) -> Iterator[Row]:
    """Seconds an epoch, one network at a time."""
    from jaxnet import training

    mnist = images(asked.tiny)
    count, rounds = (1, 1) if asked.tiny else (10, 3)
    for name, words, sizes, batch_sizes in (
        ("film", "film's network", FILM, (32, 128, 10)),
        ("net", "784-128-64-10 by Adam", NET, (128,)),
    ):
        descent, params = descent_of(name)
        for size in batch_sizes:
            seconds = epoch_seconds(descent, params, mnist.train, size, epochs=count, rounds=rounds)
            steps = len(mnist.train.labels) // size
            note = f"{1e6 * seconds / steps:.1f} microseconds a step"
            flops = arithmetic_of(sizes, steps * size)
            yield Row(f"{words}, batches of {size}", seconds, "seconds an epoch", note, flops)
    plan = training.plan(presets.wide, mnist)
    seconds = epoch_seconds(plan.functions.descent, plan.params, plan.train, plan.settings.batch_size, epochs=count,
                            keyed=plan.functions.keyed, rounds=rounds)  # fmt: skip
    flops = arithmetic_of((784, 256, 10), len(plan.train.labels))
    yield Row("preset wide, shifts included, batches of 256", seconds, "seconds an epoch", "", flops)
    settings = presets.film._replace(epochs=2 if asked.tiny else 25)
    for _ in range(2):  # the second time it is compiled
        walked = training.fit_and_record(training.plan(settings, mnist))
    right = f"the last: {walked.evaluations['accuracy'][-1]:.4f} of 10,000 training images"
    yield Row("preset film, 25 epochs, evaluated after each", walked.seconds, "seconds", right)


def steps(asked: Asked) -> Iterator[Row]:
    """Microseconds a step with the flags that XLA_FLAGS holds."""
    mnist = images(asked.tiny)
    work = (("film", "film's network", 32), ("net", "784-128-64-10 by Adam", 128))
    for name, words, size in work[:1] if asked.tiny else work:
        descent, params = descent_of(name)
        count, rounds = (1, 1) if asked.tiny else (4, 3)
        seconds = epoch_seconds(descent, params, mnist.train, size, epochs=count, rounds=rounds)
        yield Row(
            f"a step of {words}, batches of {size}", 1e6 * seconds / (len(mnist.train.labels) // size), "microseconds"
        )


def together(asked: Asked, count: int, epochs: int, *, shared: bool = True) -> tuple[float, Row]:
    """Seconds of many networks from start to end, and a row of their rate: the median of all epochs but the first two."""
    import jax
    import numpy as np

    from jaxnet import ensemble

    mnist, number = (
        images(asked.tiny),
        math.ceil(count / 2000 if count > 2000 else count / 256) if asked.tiny else count,
    )
    settings = presets.film._replace(batch_size=128, epochs=min(epochs, 6) if asked.tiny else epochs)
    members = ensemble.grid(settings, seed=range(number))
    noted, begun = [], time.perf_counter()
    note = lambda seen: noted.append(time.perf_counter())
    found = ensemble.train_together(members, mnist, at_once=number, evaluate_every=0, shared=shared, on_progress=note)
    whole, one = time.perf_counter() - begun, statistics.median(b - a for a, b in itertools.pairwise(noted[3:]))
    middle = float(np.median(found.accuracies[:, -1]))
    if not (found.diverged < 0).all() or middle < (0.1 if asked.tiny else 0.8):
        raise RuntimeError(f"of {number} networks half read fewer than {middle:.3f}, diverged: {found.diverged.max()}")
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    memory = "the device does not tell its memory" if peak is None else f"at most {peak / 2**30:.2f} GiB in use so far"
    how = "on shared batches of 128" if shared else "each in its own order, batches of 128"
    words = f"{count:,} network{'s' if count > 1 else ''} {how}"
    flops = arithmetic_of(FILM, len(mnist.train.labels) // 128 * 128)
    return whole, Row(words, number / one, "network-epochs a second", memory, flops)


def networks(asked: Asked) -> Iterator[Row]:
    """Network-epochs a second of many networks at once, and the most memory that was taken."""
    work = ((1, 40, True), (64, 20, True), (64, 20, False), (1024, 8, True), (1024, 8, False))
    for count, epochs, shared in work[-2:] if asked.tiny else work:
        yield together(asked, count, epochs, shared=shared)[1]


def thousands(asked: Asked) -> Iterator[Row]:
    """10,000 networks, trained whole."""
    whole, row = together(asked, 10_000, 25)
    yield row
    note = "compilation, random starts, evaluation and parameters on the host included"
    yield Row("10,000 networks, 25 epochs, start to end", whole, "seconds", note)


def convnet(asked: Asked) -> Iterator[Row]:
    """The preset, trained whole, the test images scored once."""
    import jax

    from jaxnet import Batch, training

    mnist, settings = images(asked.tiny), presets.convnet
    if asked.tiny:  # XLA's convolutions crawl inside a loop on a CPU
        mnist = mnist._replace(train=Batch(mnist.train.images[:200], mnist.train.labels[:200]))
        settings = settings._replace(epochs=2, batch_size=50)
    plan = training.plan(settings, mnist)
    moments = [time.perf_counter()]
    for progress in training.fit(plan, evaluate_every=0):
        jax.block_until_ready(progress.state)
        moments.append(time.perf_counter())
    later = statistics.median(b - a for a, b in itertools.pairwise(moments[1:]))
    yield Row(
        "convnet, an epoch",
        later,
        "seconds an epoch",
        f"batches of {settings.batch_size}; the first: {moments[1] - moments[0]:.1f} s",
    )
    yield Row(
        "convnet's training", moments[-1] - moments[0], "seconds", f"{settings.epochs} epochs, compilation included"
    )
    judged = training.evaluate(plan.functions.apply, plan.functions.loss, progress.state.params, mnist.test)
    right = float(metrics.exact_accuracy(judged.accuracy, len(mnist.test.labels)))
    yield Row("convnet, right on the test images", right, "", f"seed {settings.seed}")


def instruments(asked: Asked) -> Iterator[Row]:
    """Worth of all parameters, and moments of all gradients."""
    import jax
    import numpy as np

    from jaxnet import Batch, average, bang, losses, network

    mnist, cost = images(asked.tiny).train, average(network.apply, losses.squared_error)
    params = network.init(jax.random.key(0), FILM)
    batch = Batch(mnist.images[:10_000], mnist.labels[:10_000])
    entries = np.arange(40) if asked.tiny else None
    for turn in ("first time", "again"):
        begun = time.perf_counter()
        bang.worth(cost, entries=entries)(params, batch)
        yield Row(
            f"worth of 13,002 parameters, 10,000 images, {turn}", time.perf_counter() - begun, "seconds", "float64"
        )
    resident, seconds = Batch(*(jax.numpy.asarray(part) for part in mnist[:2])), []
    for _ in range(6):
        begun = time.perf_counter()
        jax.block_until_ready(bang.gradient_moments(cost)(params, resident))
        seconds.append(time.perf_counter() - begun)
    yield Row(
        "moments of 60,000 gradients",
        1000 * statistics.median(seconds[1:]),
        "milliseconds",
        "the check of the mean included",
    )


def precision(asked: Asked) -> Iterator[Row]:
    """Default against highest precision, and a run repeated."""
    import jax
    import numpy as np

    from jaxnet import devices, training

    mnist, held_out = images(asked.tiny), 250 if asked.tiny else 10_000
    ends: dict[tuple[str, str, int], Any] = {}
    for name, settings in (
        ("film", presets.film._replace(epochs=5)),
        ("wide", presets.wide),
        ("convnet", presets.convnet._replace(epochs=1, **({"batch_size": 250} if asked.tiny else {}))),
    ):
        for level, turn in (("highest", 0), ("highest", 1), ("default", 0)):
            if asked.tiny and name == "convnet":
                continue  # XLA's convolutions crawl inside a loop on a CPU
            with devices.arithmetic(precision=level):
                plan = training.plan(settings._replace(validation=held_out, precision=level), mnist)
                first = None
                for progress in training.fit(plan, evaluate_every=0):
                    jax.block_until_ready(progress.state)
                    first = first or time.perf_counter()
                seconds = time.perf_counter() - first
                judged = training.evaluate(
                    plan.functions.apply, plan.functions.loss, progress.state.params, plan.judged
                )
            ends[name, level, turn] = params = jax.tree.map(np.asarray, progress.state.params)
            if turn == 0:
                later = settings.epochs - 1
                yield Row(f"{name}, {level}", float(judged.accuracy), "right, held out",
                          f"{seconds / later:.4f} seconds an epoch after the first" if later else "")  # fmt: skip
            digest = hashlib.sha256(b"".join(leaf.tobytes() for leaf in jax.tree.leaves(params))).hexdigest()[:12]
            yield Row(f"{name}, {level}, run {turn + 1}", digest, "bits")
        if (name, "default", 0) in ends:
            one, again, rough = (
                jax.tree.leaves(ends[name, *which]) for which in (("highest", 0), ("highest", 1), ("default", 0))
            )
            farthest = max(float(np.abs(a - b).max()) for a, b in zip(one, rough, strict=True))
            yield Row(f"{name}: farthest parameter between default and highest", farthest)
            same = all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
            yield Row(f"{name}: the same run twice gives the same bits", "yes" if same else "no")


def pytorch(asked: Asked) -> Iterator[Row]:
    """PyTorch on the same work: eager, CUDA graphs and torch.compile; no TF32; the data on the device."""
    try:
        import torch
    except ImportError:
        yield Row("PyTorch", "not installed")
        return
    from torch import nn

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mnist = images(asked.tiny).train
    pixels = torch.tensor(mnist.images).to(device).float().div_(255)
    labels = torch.tensor(mnist.labels).long().to(device)
    hot = torch.eye(10, device=device)
    torch.manual_seed(0)

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def dense(sizes: tuple[int, ...], act: type[nn.Module], last: bool) -> Any:
        layers: list[Any] = [nn.Flatten()]
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), act()]
        return nn.Sequential(*(layers if last else layers[:-1])).to(device)

    def squared(out: Any, y: Any) -> Any:
        return ((out - hot[y]) ** 2).sum(-1).mean()

    class Together(nn.Module):
        """Many film networks: the first layers one product, the others batched."""

        def __init__(self, count: int) -> None:
            super().__init__()
            draw = lambda *shape, fan: nn.Parameter(1.5 / math.sqrt(fan) * torch.randn(*shape, device=device))
            zero = lambda *shape: nn.Parameter(torch.zeros(*shape, device=device))
            self.count, self.first, self.shift = count, draw(784, count * 16, fan=784), zero(count * 16)
            self.second, self.bias2 = draw(count, 16, 16, fan=16), zero(count, 1, 16)
            self.third, self.bias3 = draw(count, 16, 10, fan=16), zero(count, 1, 10)

        def forward(self, x: Any) -> Any:
            x = torch.addmm(self.shift, x.flatten(1), self.first).sigmoid()
            x = x.view(len(x), self.count, 16).transpose(0, 1)
            x = torch.baddbmm(self.bias2, x, self.second).sigmoid()
            return torch.baddbmm(self.bias3, x, self.third).sigmoid()

    def conv() -> Any:
        pooled = lambda a, b: [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(
            nn.Unflatten(1, (1, 28)), *pooled(1, 16), *pooled(16, 32), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10)
        ).to(device)  # fmt: skip

    cross = nn.CrossEntropyLoss()
    sgd = lambda model: torch.optim.SGD(model.parameters(), 1.5)
    adam = lambda model: torch.optim.Adam(model.parameters(), 0.001, fused=True, capturable=device.type == "cuda")
    # A sum over networks gives every one its own gradient.
    summed = lambda out, y: ((out - hot[y]) ** 2).sum((0, 2)).mean()
    film = lambda: dense(FILM, nn.Sigmoid, True)
    work: dict[str, tuple[Callable[[], Any], Any, Any, int, int]] = {
        "film's network, batches of 32": (film, squared, sgd, 32, 1),
        "film's network, batches of 128": (film, squared, sgd, 128, 1),
        "784-128-64-10 by Adam, batches of 128": (lambda: dense(NET, nn.ReLU, False), cross, adam, 128, 1),
        "1,024 networks on shared batches of 128": (
            lambda: Together(5 if asked.tiny else 1024),
            summed,
            sgd,
            128,
            1024,
        ),
        "10,000 networks on shared batches of 128": (
            lambda: Together(5 if asked.tiny else 10_000),
            summed,
            sgd,
            128,
            10_000,
        ),
        "convnet, an epoch": (conv, cross, adam, 64, 1),
    }

    def in_order(size: int) -> Any:
        order = torch.randperm(len(labels), device=device)[: len(labels) // size * size]
        return order.view(-1, size)

    def epoch_by_steps(model: Any, cost: Any, optimizer: Any, size: int) -> Callable[[], None]:
        def epoch() -> None:
            for chosen in in_order(size):
                optimizer.zero_grad()
                cost(pixels[chosen], labels[chosen]).backward()
                optimizer.step()

        return epoch

    def epoch_by_graph(model: Any, cost: Any, optimizer: Any, size: int) -> Callable[[], None]:
        """Up to 125 steps in one CUDA graph, which reads its order from a place of its own."""
        count = len(labels) // size
        length = max(n for n in range(1, min(125, count) + 1) if count % n == 0)
        place = in_order(size)[:length].clone()

        def some(order: Any) -> None:
            for chosen in order:
                optimizer.zero_grad(set_to_none=True)
                cost(pixels[chosen], labels[chosen]).backward()
                optimizer.step()

        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            some(place[:3])
        torch.cuda.current_stream().wait_stream(beside)
        optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            some(place)

        def epoch() -> None:
            for part in in_order(size).split(length):
                place.copy_(part)
                graph.replay()

        return epoch

    def measured(way: str, name: str) -> Row:
        make, loss, rule, size, number = work[name]
        number = min(number, 5) if asked.tiny else number
        model = make()
        optimizer, cost = rule(model), lambda x, y: loss(model(x), y)
        if way == "torch.compile":
            cost = torch.compile(cost, backend="eager") if asked.tiny else torch.compile(cost, mode="reduce-overhead")
        epoch = (epoch_by_graph if way == "CUDA graphs" else epoch_by_steps)(model, cost, optimizer, size)
        epoch()
        wait()
        seconds = []
        for _ in range(1 if asked.tiny else 3):
            begun = time.perf_counter()
            epoch()
            wait()
            seconds.append(time.perf_counter() - begun)
        with torch.no_grad():
            scores = model(pixels[:1000])
        right = (scores.argmax(-1) == labels[:1000]).float().mean().item()
        if not asked.tiny and right < 0.6:
            raise RuntimeError(f"{way}, {name}: does not learn, {right:.3f}")
        middle = statistics.median(seconds)
        if number > 1:
            return Row(f"{name}, {way}", number / middle, "network-epochs a second", f"{100 * right:.0f} % right")
        return Row(f"{name}, {way}", middle, "seconds an epoch", f"{100 * right:.0f} % right")

    ways = {
        "CUDA graphs": list(work) if device.type == "cuda" else [],
        "eager": list(work)[:3] + list(work)[5:] if not asked.tiny else list(work)[:5],
        "torch.compile": list(work)[:1] + list(work)[2:3],
    }
    for way, names in ways.items():
        for name in names:
            try:
                yield measured(way, name)
            except Exception as error:  # one way that fails must not hide the others
                yield Row(f"{name}, {way}", "failed", "", f"{type(error).__name__}: {error}"[:300])


class Item(NamedTuple):
    """One part of the measurement.

    Attributes:
        run: What yields its rows.
        budget: Seconds after which it is ended.
        flags: Added to XLA_FLAGS.
    """

    run: Callable[[Asked], Iterator[Row]]
    budget: int
    flags: str = ""


WAYS = ("CUDA graphs", "torch.compile", "eager")
BUFFERS = "--xla_gpu_enable_command_buffer=+WHILE"
ITEMS = {
    "about": Item(about, 30),
    "roofline": Item(roofline, 30),
    "epochs": Item(epochs, 60),
    "networks": Item(networks, 90),
    "10,000 networks": Item(thousands, 90),
    "tests": Item(held, 80),
    "pytorch": Item(pytorch, 100),
    "convnet": Item(convnet, 60),
    "steps": Item(steps, 30),
    "steps with command buffers": Item(steps, 30, BUFFERS),
    "steps with small command buffers": Item(steps, 30, f"{BUFFERS} --xla_gpu_graph_min_graph_size=1"),
    "precision": Item(precision, 80),
    "instruments": Item(instruments, 50),
}


class Found(NamedTuple):
    """What an item brought.

    Attributes:
        rows: Its figures.
        seconds: How long it took.
        trouble: Why it is not complete; empty where it is.
        when: It began, in UTC.
    """

    rows: list[Row]
    seconds: float
    trouble: str
    when: str = ""


def tell(row: Row) -> None:
    """Hand a figure to the parent process, on a line of its own."""
    print(f"\n{MARK}{json.dumps(row)}", flush=True)


def child(name: str, asked: Asked) -> None:
    """Run one item here and print its rows as they come."""
    if name not in ("tests", "pytorch"):
        import jax

        from jaxnet import devices

        if jax.default_backend() == "cpu":
            devices._forced = True  # an accelerator's way to train, on a CPU
    for row in ITEMS[name].run(asked):
        tell(row)


def run(name: str, tiny: bool, seconds: float, cache: str) -> Found:
    """Run one item in a process of its own, which ends when its time is over; what it said so far is kept."""
    command = [sys.executable, str(Path(__file__).resolve()), "--item", name, "--seconds", f"{seconds:.0f}"]
    command += ["--tiny"] if tiny else []
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH")))),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {ITEMS[name].flags}".strip(),
    }
    begun, trouble, when = time.perf_counter(), "", time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=errors, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            trouble = f"ended after its {seconds:.0f} seconds"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        errors.seek(0)
        lines, told = said.read().splitlines(), [line.strip() for line in errors if line.strip()]
    if not trouble and code:
        trouble = f"failed with exit code {code}: " + (told[-1][:300] if told else "it said nothing")
        if any("Unknown flag" in line for line in told):
            trouble = f"this XLA does not know {ITEMS[name].flags}"
    rows = [Row(*json.loads(line.removeprefix(MARK))) for line in lines if line.startswith(MARK)]
    return Found(rows, time.perf_counter() - begun, trouble, when)


def verdict(row: Row) -> str:
    """How a figure stands to its goal."""
    goal = GOALS.get(row.what)
    if goal is None or not isinstance(row.value, float):
        return ""
    better = lambda limit: row.value >= limit if goal.least else row.value <= limit
    sign = "at least" if goal.least else "at most"
    words = f"{'met' if better(goal.floor) else '**missed**'}: {sign} {goal.floor:g}"
    return (
        words
        if goal.stretch is None
        else f"{words} (try {goal.stretch:g}{', reached' if better(goal.stretch) else ''})"
    )


def number(value: float | str) -> str:
    """A figure with four digits, or the word."""
    return value if isinstance(value, str) else f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def share(row: Row, peak: float) -> str:
    """The part of the highest-precision matrix product's rate that a figure reaches."""
    if not row.flops or not peak or not isinstance(row.value, float):
        return ""
    rate = row.flops * row.value if "a second" in row.unit else row.flops / row.value
    return f"{rate / 1e12:.3g} TFLOP/s, {rate / 1e12 / peak:.2%} of the peak"


def beside(found: dict[str, Found]) -> list[str]:
    """A table of jaxnet and PyTorch on the same work; a ratio above 1 says how much faster jaxnet is than the best of PyTorch."""
    items = [found[name] for name in ("epochs", "networks", "10,000 networks", "convnet", "pytorch") if name in found]
    figures = {row.what: row for each in items for row in each.rows if isinstance(row.value, float)}
    lines = []
    for what, own in figures.items():
        theirs = {way: figures[f"{what}, {way}"].value for way in WAYS if f"{what}, {way}" in figures}
        if theirs:
            best = max(theirs.values()) if "a second" in own.unit else min(theirs.values())
            ratio = own.value / best if "a second" in own.unit else best / own.value
            cells = [what, number(own.value), *(number(theirs[way]) if way in theirs else "" for way in WAYS)]
            lines.append("| " + " | ".join((*cells, f"{ratio:.2f}", own.unit)) + " |")
    head = [
        "| what | jaxnet | " + " | ".join(f"PyTorch, {way}" for way in WAYS) + " | times as fast as the best | unit |"
    ]
    return [*head, "|---" * (len(WAYS) + 4) + "|", *lines, ""] if lines else []


def markdown(found: dict[str, Found], real: bool) -> str:
    """All figures as tables."""
    told = {row.what: str(row.value) for row in found["about"].rows} if "about" in found else {}
    peaks = {row.what: row.value for each in found.values() for row in each.rows if row.unit == "TFLOP/s"}
    peak = float(peaks.get("matrix product, float32, highest", 0.0))
    lines = [f"# jaxnet on {told.pop('device', 'a device that did not say its name')}", ""]
    lines += [] if real else [f"**{NOT_A_CARD}.**", ""]
    lines += [", ".join(f"{name} {value}" for name, value in told.items()) + ".", ""]
    if table := beside(found):
        lines += ["## Beside PyTorch", "", *table]
    for name, each in found.items():
        if name == "about" and not each.trouble:
            continue
        trouble = f" **{each.trouble}.**" if each.trouble else ""
        lines += [f"## {name}", "", f"{each.seconds:.0f} seconds, {each.when}.{trouble}", ""]
        if each.rows:
            lines += ["| what | figure | unit | goal | note |", "|---|---|---|---|---|"]
        for row in each.rows:
            note = "; ".join(filter(None, (row.note, share(row, peak) if real else "")))
            goal = verdict(row) if real else ""
            lines.append(
                "| " + " | ".join((row.what, number(row.value), row.unit, goal, note.replace("|", "/"))) + " |"
            )
        lines.append("")
    return "\n".join(lines)


def draw(found: dict[str, Found], path: Path) -> None:
    """Epochs of one network beside PyTorch's, and network-epochs a second by how many learn at once."""
    from jaxnet.plot.style import DARK, canvas, grid, headline, key, quiet
    from jaxnet.reports.html import png

    of = lambda *names: {row.what: row for name in names for row in getattr(found.get(name), "rows", ())}
    figures = {
        what: row.value for what, row in of("epochs", "convnet", "pytorch").items() if row.unit == "seconds an epoch"
    }
    many = {
        what: row.value
        for what, row in of("networks", "10,000 networks", "pytorch").items()
        if row.unit == "network-epochs a second"
    }
    colors = {"jaxnet": DARK.positive} | dict(zip(WAYS, (DARK.negative, DARK.series[2], DARK.series[5]), strict=True))
    figure = canvas(14.0, 6.6, DARK)
    left, right = (quiet(axes, DARK) for axes in figure.subplots(1, 2, width_ratios=(3, 2)))
    place, ticks, shown = 0.0, {}, set()
    for what in (what for what in figures if not what.endswith(WAYS)):
        own = {way: figures.get(what if way == "jaxnet" else f"{what}, {way}") for way in colors}
        bars = {way: 1000 * value for way, value in own.items() if value}
        ticks[place + (len(bars) - 1) / 2] = what
        for way, milliseconds in bars.items():
            label = "" if way in shown else way if way == "jaxnet" else f"PyTorch, {way}"
            left.barh(place, milliseconds, height=0.86, color=colors[way], label=label)
            left.text(milliseconds * 1.05, place, number(milliseconds), color=DARK.ink, va="center", fontsize=8)
            shown.add(way)
            place += 1
        place += 0.8
    left.set_yticks(list(ticks), list(ticks.values()))
    left.set_xscale("log")
    left.set_xlim(min(figures.values(), default=1) * 500, max(figures.values(), default=1) * 2500)
    left.invert_yaxis()
    grid(left, DARK, "milliseconds an epoch, logarithmic", "")
    number_of = lambda what: int(what.partition(" network")[0].replace(",", ""))
    for ending, color, label in (
        ("on shared batches of 128", DARK.positive, "jaxnet, shared batches"),
        ("each in its own order, batches of 128", DARK.series[3], "jaxnet, each in its own order"),
        ("on shared batches of 128, CUDA graphs", DARK.negative, "PyTorch, CUDA graphs, shared batches"),
    ):
        endings = (f"network {ending}", f"networks {ending}")
        points = sorted((number_of(what), value) for what, value in many.items() if what.endswith(endings))
        if points:
            right.plot(*zip(*points, strict=True), "o-", color=color, label=label)
        for count, value in points:
            place = (0, -14 if "graphs" in label else 7)
            right.annotate(f"{value:,.0f}", (count, value), place, textcoords="offset points", ha="center", color=DARK.ink,
                           fontsize=8)  # fmt: skip
    right.set_xscale("log")
    right.set_yscale("log")
    right.margins(0.12, 0.15)
    grid(right, DARK, "networks at once", "network-epochs a second")
    for axes in (left, right):
        if axes.get_legend_handles_labels()[0]:
            key(axes, DARK, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2 if axes is left else 1)
    headline(figure, f"Training on {of('about')['device'].value if 'about' in found else 'this device'}", DARK)
    path.write_bytes(png(figure))


def kept_of(earlier: dict[str, Any], about: Found) -> dict[str, Found]:
    """What an earlier run measured on the same device with the same versions; nothing of another."""
    kept = {name: Found(**each | {"rows": [Row(**row) for row in each["rows"]]}) for name, each in earlier.items()}
    return kept | {"about": about} if "about" in kept and kept["about"].rows == about.rows else {}


def main() -> None:
    """Run the items one after the other, and write what they found after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="little data, on a CPU too: shows that the script works")
    parser.add_argument(
        "--only", nargs="+", choices=list(ITEMS), default=list(ITEMS), metavar="ITEM", help=", ".join(ITEMS)
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        help="for the results; by default beside this script, of some items or with --tiny a new one. "
        "With --only, what lies there of the same device stays",
    )
    parser.add_argument("--minutes", type=float, default=7.0, help="for everything together")
    parser.add_argument("--item", choices=list(ITEMS), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.item:
        child(asked.item, Asked(asked.tiny, time.monotonic() + asked.seconds))
        return
    items = ["about", *(name for name in asked.only if name != "about")]
    whole = not asked.tiny and len(items) == len(ITEMS)  # only then it may replace what lies beside this script
    out = asked.out or (HERE if whole else Path(tempfile.mkdtemp()))
    out.mkdir(parents=True, exist_ok=True)
    record = out / "accelerator.json"
    earlier = json.loads(record.read_text()) if record.exists() and not whole else {}
    begun, found = time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as cache:
        for name in items:
            left = 60 * asked.minutes - (time.perf_counter() - begun)
            if left < 5:
                if name in found:  # measured earlier
                    continue
                found[name] = Found([], 0.0, "not begun: the time for everything was over")
                continue
            found[name] = run(name, asked.tiny, min(ITEMS[name].budget, left), cache)
            if name == "about":
                found |= kept_of(earlier, found[name])
            found = {name: found[name] for name in ITEMS if name in found}
            told = {row.what: row.value for row in found["about"].rows}
            real = told.get("platform") != "cpu" and not asked.tiny
            kept = {
                name: each._asdict() | {"rows": [row._asdict() for row in each.rows]} for name, each in found.items()
            }
            record.write_text(json.dumps(kept, indent=1) + "\n")
            (out / "accelerator.md").write_text(markdown(found, real))
            print(f"{name}: {found[name].seconds:.0f} s {found[name].trouble}".rstrip(), flush=True)
    draw(found, out / "accelerator.png")
    print((out / "accelerator.md").read_text())
    print(f"{time.perf_counter() - begun:.0f} seconds; written to {out}")
    failed = [row for each in found.values() for row in each.rows if row.value == "failed"]
    if asked.tiny and (failed or any(each.trouble for each in found.values())):
        sys.exit(1)


if __name__ == "__main__":
    main()
