"""The race: everybody trains the same network on the same images, one epoch each in turn, and must learn.

python benchmarks/race.py [film wide] [--rounds 7] [--batch-sizes 10 32 128] [--only NAME ...]
python benchmarks/race.py --draw

Writes race.json beside itself, with all seconds, and race.png, and prints tables of medians and ratios. What is not installed is
left out. Contenders whose name ends in _tuned, _scan or _hand use our tricks; the others are in their usual form.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

NEEDS = {"keras": "keras", "keras_tuned": "keras", "sklearn": "scikit-learn", "torch": "torch", "torch_loader": "torch",
         "torch_hand": "torch", "equinox": "equinox", "equinox_scan": "equinox"}  # fmt: skip
FILM = ("c", "jaxnet", "jax_loop", "jax_device", "numpy", "numpy_tuned", "keras", "keras_tuned", "sklearn", "equinox",
        "equinox_scan", "torch", "torch_loader", "torch_hand", "nnx", "nnx_scan", "nielsen")  # fmt: skip
WIDE = (
    "jaxnet",
    "jax_loop",
    "jax_device",
    "numpy",
    "keras",
    "keras_tuned",
    "sklearn",
    "equinox",
    "torch",
    "torch_loader",
    "nnx",
)
LEAST = 0.8
"""The fraction of training images that every contender must read correctly after its epochs."""


class Runner:
    """A contender in its own process."""

    def __init__(self, name: str, task: str, size: int):
        """Start it, and wait until it is ready."""
        command = [sys.executable, "contender.py", name, task, str(size)]
        here = Path(__file__).parent
        self.process = subprocess.Popen(
            command, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.read("ready")

    def read(self, what: str) -> str:
        """The next line."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"contender {self.process.args[2:]} ended before it said {what}")
        return line.strip()

    def ask(self, what: str) -> float:
        """Let it do something, alone."""
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.read(what))


def installed(name: str) -> bool:
    """Whether what a contender needs is there."""
    try:
        importlib.metadata.version(NEEDS.get(name, "jaxnet"))
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def race(task: str, size: int, names: list[str], rounds: int) -> dict[str, dict]:
    """Two epochs to warm up, then one epoch each in turn; slow ones fewer."""
    runners, seconds = {}, {name: [] for name in names}
    for name in names:
        runners[name] = Runner(name, task, size)
        runners[name].ask("epoch")
    for turn in range(rounds):
        for name in names:
            if turn >= 3 and seconds[name] and statistics.median(seconds[name]) > 1.5:
                continue
            time.sleep(0.2)  # until the threads of the one before have stopped spinning
            if turn == 0 or statistics.median(seconds[name] or [0]) < 0.5:
                runners[name].ask("epoch")  # caches and clocks, back to its own
            seconds[name].append(runners[name].ask("epoch"))
    found = {}
    for name in names:
        score = runners[name].ask("score")
        runners[name].process.stdin.close()
        runners[name].process.wait()
        if score < LEAST:
            raise RuntimeError(f"{name} does not learn: {score:.3f} of the training images after its epochs")
        found[name] = {"seconds": seconds[name], "median": statistics.median(seconds[name]), "learned": score}
    return found


def table(found: dict[str, dict]) -> str:
    """Medians and ratios to jaxnet, the fastest first."""
    own = found["jaxnet"]["median"]
    lines = ["| contender | seconds an epoch | times jaxnet | range | learned |", "|---|---|---|---|---|"]
    for name, each in sorted(found.items(), key=lambda item: item[1]["median"]):
        span = f"{min(each['seconds']):.3f} to {max(each['seconds']):.3f}"
        lines.append(
            f"| {name} | {each['median']:.4f} | {each['median'] / own:.2f} | {span} | {100 * each['learned']:.1f} % |"
        )
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Machine and versions."""
    told = {"machine": f"{platform.machine()}, Python {platform.python_version()}"}
    for name in ("jax", "flax", "optax", "numpy", *sorted(set(NEEDS.values()))):
        try:
            told[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            told[name] = "not installed"
    return told


def draw(kept: dict) -> None:
    """A panel a race, the fastest on top, on one logarithmic scale of ratios."""
    from jaxnet.plot.style import DARK, canvas, grid, headline, quiet
    from jaxnet.reports.html import png

    races = {"film 32": "784-16-16-10, batches of 32, plain SGD", "wide 128": "784-128-64-10, batches of 128, Adam"}
    figure = canvas(13.0, 6.4, DARK)
    for axes, (name, told) in zip(figure.subplots(1, len(races)), races.items(), strict=True):
        quiet(axes, DARK)
        order = sorted(kept[name], key=lambda contender: -kept[name][contender]["median"])
        own = kept[name]["jaxnet"]["median"]
        for row, contender in enumerate(order):
            ratio = kept[name][contender]["median"] / own
            color = DARK.positive if contender == "jaxnet" else DARK.series[5]
            axes.barh(row, ratio, color=color, height=0.7)
            axes.text(ratio * 1.06, row, f"{ratio:.2f}", color=DARK.ink, va="center", fontsize=9)
        axes.set_yticks(range(len(order)), [contender.replace("_", " ") for contender in order])
        axes.set_xscale("log")
        axes.set_xlim(0.4, 2.2 * max(kept[name][contender]["median"] for contender in order) / own)
        axes.set_title(told, color=DARK.ink, fontsize=11)
        grid(axes, DARK, "time of an epoch / jaxnet's", "")
    headline(figure, "One epoch, everybody in turn", DARK)
    (Path(__file__).parent / "race.png").write_bytes(png(figure))


def main() -> None:
    """Race, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=["film", "wide"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128, 10])
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--draw", action="store_true", help="draw race.json again")
    told = parser.parse_args()
    path = Path(__file__).parent / "race.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if told.draw:
        draw(kept)
        return
    kept["versions"] = versions()
    print(kept["versions"])
    for task in told.tasks:
        for size in told.batch_sizes if task == "film" else [128]:
            names = [name for name in (FILM if task == "film" else WIDE) if installed(name)]
            names = [name for name in names if told.only is None or name in told.only]
            found = race(task, size, names, told.rounds)
            print(f"\n{task}, batches of {size}\n\n{table(found)}", flush=True)
            kept[f"{task} {size}"] = found
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(kept, indent=1) + "\n")
            temporary.replace(path)
    if {"film 32", "wide 128"} <= set(kept):
        draw(kept)


if __name__ == "__main__":
    main()
