"""A fresh process until it knows that 98 % of the test images are right: `jaxnet train --preset wide` against a PyTorch script.

python benchmarks/cold.py [--rounds 5]

jaxnet's first start in an empty cache folder is shown apart. `--torch` is the PyTorch script itself: one hidden layer of 256,
Adam, one cycle, no shifts, fast batches by index; its epochs were chosen on held-out training images.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def torch_script(epochs: int = 6, size: int = 256, validation: int = 0) -> None:
    """Load, train, score, print."""
    import torch
    from torch import nn

    from jaxnet import data

    mnist = data.mnist()
    as_tensors = lambda batch: (
        torch.tensor(batch.images).reshape(-1, 784).float() / 255,
        torch.tensor(batch.labels).long(),
    )
    (images, labels), (new, truth) = as_tensors(mnist.train), as_tensors(mnist.test)
    if validation:
        images, new, labels, truth = images[validation:], images[:validation], labels[validation:], labels[:validation]
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    steps = len(images) // size * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.008, total_steps=steps)
    loss = nn.CrossEntropyLoss()
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(size)[: len(images) // size]:
            optimizer.zero_grad()
            loss(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        right = (model(new).argmax(1) == truth).float().mean()
    print(f"{100 * right:.2f} % of {len(new):,} test images right", flush=True)


def known(command: list[str], folder: str) -> tuple[float, float, float]:
    """Seconds until the accuracy is printed, seconds until the end, and the accuracy."""
    environment = os.environ | {"XDG_CACHE_HOME": folder}
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    percent = float(process.stdout.readline().split()[0])
    seen = time.perf_counter() - begun
    process.stdout.read()
    process.wait()
    return seen, time.perf_counter() - begun, percent


def main(rounds: int) -> None:
    """Interleave, and print medians."""
    with tempfile.TemporaryDirectory() as folder:
        train = [
            str(Path(sys.executable).parent / "jaxnet"),
            "train",
            "--preset",
            "wide",
            "--overwrite",
            "--out",
            f"{folder}/run",
        ]
        contenders = {
            "jaxnet, no pictures": [*train, "--no-pictures"],
            "jaxnet, pictures and report": train,
            "PyTorch": [sys.executable, __file__, "--torch"],
        }
        first = known(contenders["jaxnet, no pictures"], folder)
        print(f"jaxnet, empty cache: known after {first[0]:.2f} s, {first[2]:.2f} %")
        found = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, command in contenders.items():
                found[name].append(known(command, folder))
    for name, runs in found.items():
        seen, ended, percent = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name}: known after {seen:.2f} s ({min(r[0] for r in runs):.2f} to {max(r[0] for r in runs):.2f}), "
              f"ended after {ended:.2f} s, {percent:.2f} %")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--validation", type=int, default=0)
    told = parser.parse_args()
    if told.torch:
        torch_script(told.epochs, validation=told.validation)
    else:
        main(told.rounds)
