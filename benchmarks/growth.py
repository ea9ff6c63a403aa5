"""How an epoch's time and memory grow: with width, batch size, images and networks; and the full batch against its roofline.

python benchmarks/growth.py [--draw]

Writes growth.json and growth.png beside itself. Memory is what the compiled program of a chunk of steps needs for intermediates.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from many import peak

from jaxnet import Batch, average, data, gradient_descent, losses, network, train
from jaxnet.core.chunks import chunk_length
from jaxnet.core.descent import vmapped
from jaxnet.core.loop import run_chunk

MNIST = data.mnist().train
COST = average(network.apply, losses.squared_error)
HERE = Path(__file__).parent


def timed(run: Callable[[], object], times: int = 5) -> float:
    """Median seconds after one to warm up."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def epoch(width: int = 16, size: int = 32, images: int = 60_000, networks: int = 1) -> dict[str, float]:
    """Seconds of an epoch of networks 784-width-width-10, and bytes of intermediates."""
    sizes, batch = (784, width, width, 10), Batch(MNIST.images[:images], MNIST.labels[:images])
    descent = gradient_descent(COST, 0.5)
    params = network.init(jax.random.key(0), sizes)
    if networks > 1:
        descent = vmapped(descent)
        params = jax.vmap(lambda key: network.init(key, sizes))(jax.random.split(jax.random.key(0), networks))
    start = descent.init(params)

    def run() -> Any:
        *_, (state, _) = train(descent, start, data.shuffled(jax.random.key(1), batch, size))
        return state

    steps = chunk_length(images // size, size)
    chunk = Batch(np.zeros((steps, size, 28, 28), np.uint8), np.zeros((steps, size), np.uint8))
    memory = run_chunk.lower(descent.update, start, chunk).compile().memory_analysis()
    flops = networks * images * (4 * 784 * width + 6 * (width * width + 10 * width))
    seconds = timed(run)
    return {"seconds": seconds, "bytes": memory.temp_size_in_bytes, "flops_per_second": flops / seconds}


def full_batch(top: float) -> None:
    """The gradient over all 60,000 images at once, against what arithmetic and memory allow."""
    params = network.init(jax.random.key(0))
    gradient = jax.jit(jax.grad(COST))
    on_device = Batch(jnp.asarray(MNIST.images), jnp.asarray(MNIST.labels))
    big = jnp.ones(60_000_000)
    reading = timed(lambda: jnp.vdot(big, big))
    bandwidth = 4 * big.size / reading
    flops, bytes_read = 60_000 * (4 * 784 * 16 + 6 * (16 * 16 + 160)), 2 * MNIST.images.nbytes
    least = max(flops / top, bytes_read / bandwidth)
    chunked = jax.jit(jax.grad(average(network.apply, losses.squared_error, chunk_size=1000)))
    for name, function in (("at once", gradient), ("in chunks of 1,000", chunked)):
        seconds = timed(lambda function=function: function(params, on_device))
        print(
            f"gradient over 60,000 images, {name}: {1000 * seconds:.1f} ms; arithmetic alone {1000 * flops / top:.1f} ms at "
            f"{top / 1e9:.0f} GFLOP/s, reading the bytes twice {1000 * bytes_read / bandwidth:.1f} ms at "
            f"{bandwidth / 1e9:.1f} GB/s: "
            f"{least / seconds:.2f} of the roofline"
        )


def draw(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """One panel a quantity: seconds and megabytes, both logarithmic."""
    from matplotlib.ticker import NullFormatter

    from jaxnet.plot.style import DARK, canvas, grid, headline, key, quiet
    from jaxnet.reports.html import png

    figure = canvas(13.0, 6.4, DARK)
    shown = (("seconds", 1, "seconds an epoch"), ("bytes", 1e-6, "intermediates (MB)"))
    panels = figure.subplots(2, len(found), sharey="row", squeeze=False)
    for column, (name, points) in enumerate(found.items()):
        xs = [int(x) for x in points]
        for row, (what, scale, unit) in enumerate(shown):
            axes = quiet(panels[row][column], DARK)
            axes.loglog(
                xs, [scale * point[what] for point in points.values()], "o-", color=DARK.series[row], label="measured"
            )
            if what == "seconds" and name != "batch size":
                first = next(iter(points.values()))[what]
                axes.loglog(xs, [first * x / xs[0] for x in xs], ":", color=DARK.ink, label="in proportion")
                key(axes, DARK)
            axes.xaxis.set_minor_formatter(NullFormatter())
            grid(axes, DARK, name, unit if column == 0 else "")
    headline(figure, "How an epoch of 784-16-16-10, batches of 32, grows", DARK)
    (HERE / "growth.png").write_bytes(png(figure))


def main() -> None:
    """Measure, print, keep, draw."""
    top = peak()
    full_batch(top)
    series: dict[str, tuple[str, tuple[int, ...]]] = {
        "width": ("width", (8, 16, 32, 64, 128, 256, 512)),
        "batch size": ("size", (1, 4, 16, 32, 64, 128, 512, 2048, 8192)),
        "images": ("images", (1920, 7680, 15360, 30720, 60000)),
        "networks": ("networks", (1, 2, 4, 8, 16, 32, 64)),
    }
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, (argument, values) in series.items():
        found[name] = {}
        for value in values:
            found[name][str(value)] = each = epoch(**{argument: value})
            print(f"{name} {value}: {each['seconds']:.4f} s an epoch, {each['bytes'] / 1e6:.1f} MB, "
                  f"{each['flops_per_second'] / top:.2f} of the matrix product", flush=True)  # fmt: skip
    (HERE / "growth.json").write_text(json.dumps({"matrix_product": top, **found}, indent=1) + "\n")
    draw(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="draw growth.json again")
    if parser.parse_args().draw:
        kept = json.loads((HERE / "growth.json").read_text())
        draw({name: points for name, points in kept.items() if isinstance(points, dict)})
    else:
        main()
