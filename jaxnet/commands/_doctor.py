"""The command `jaxnet doctor` as a function: what this machine has, what jax uses of it, how fast it is, and what is wrong."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from jaxnet import training
from jaxnet.core import devices
from jaxnet.data import tfds
from jaxnet.data.embedded import mnist
from jaxnet.training import presets, run_folder


class Checked(NamedTuple):
    """The result of one check.

    Attributes:
        topic: What was checked, in a word or two.
        found: What the check found.
        wrong: What is wrong. If nothing is wrong, it is None.
        remedy: How to mend it. If nothing is wrong, it is None.
    """

    topic: str
    found: str
    wrong: str | None = None
    remedy: str | None = None


def doctor(*, seconds: int | float = 3) -> tuple[Checked, ...]:
    """Check the installation and the machine.

    Args:
        seconds: How long to measure the speed. 0 leaves this measurement out.

    Returns:
        One result for each check. If a check raises an error, its result says that something is
        wrong.
    """
    checks: list[tuple[str, Callable[[], Checked]]] = [
        ("versions", _versions),
        ("devices", _devices),
        ("card", _card),
        ("memory", _memory),
        ("cores", lambda: Checked("cores", f"{devices.cores()} of {os.cpu_count()} may be used")),
        ("cache", _cache),
        ("data sets", _data_sets),
    ]
    if seconds:
        checks.append(("speed", lambda: _speed(seconds)))
    return tuple(_safely(topic, check) for topic, check in checks)


def _safely(topic: str, check: Callable[[], Checked]) -> Checked:
    try:
        return check()
    except Exception as error:  # a broken driver or installation can raise anything, and the other checks still count
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return Checked(
            topic, "the check failed", said, "mend what the message names, or install jaxnet in a new environment"
        )


def _versions() -> Checked:
    from packaging.requirements import Requirement  # matplotlib needs this package, so it is installed

    found = ", ".join(f"{name} {version}" for name, version in run_folder.package_versions().items())
    wrong = []
    for line in importlib.metadata.requires("jaxnet") or ():
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is not installed")
            continue
        if not needed.specifier.contains(version, prereleases=True):
            wrong.append(f"{needed.name} is {version}, jaxnet needs {needed.specifier}")
    remedy = "install jaxnet in a new environment: python3 -m venv .venv && .venv/bin/pip install ."
    return Checked("versions", found, "; ".join(wrong) or None, remedy if wrong else None)


def _devices() -> Checked:
    asked = [f"{name}={os.environ[name]}" for name in devices.PLATFORMS if os.environ.get(name)]
    try:
        used = devices.current()
    except ValueError as error:
        wrong, _, remedy = str(error).rpartition("; ")
        return Checked("devices", "jax finds none", wrong, remedy)
    kinds: dict[str, int] = {}
    for device in jax.devices():
        kinds[f"{device.platform} ({device.device_kind})"] = (
            kinds.get(f"{device.platform} ({device.device_kind})", 0) + 1
        )
    why = f"because of {', '.join(asked)}" if asked else "because jax prefers an accelerator, and --device changes this"
    there = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
    return Checked("devices", f"{there}; commands use {used.platform}:{used.id}, {why}")


def _platforms() -> set[str]:
    """The platforms of the devices that jax finds. If jax finds none, the check of the devices says so."""
    try:
        devices.current()
    except ValueError:
        return set()
    return {device.platform for device in jax.devices()}


def _card() -> Checked:
    driver = Path("/proc/driver/nvidia/version")
    card = driver.exists() or shutil.which("nvidia-smi") is not None
    plugins = {
        name: importlib.metadata.version(name)
        for name in ("jax-cuda12-plugin", "jax-cuda13-plugin")
        if importlib.util.find_spec(name.replace("-plugin", "").replace("jax-cuda", "jax_cuda") + "_plugin")
    }
    jaxlib = importlib.metadata.version("jaxlib")
    different = {name: version for name, version in plugins.items() if version != jaxlib}
    named = ", ".join(f"{name} {version}" for name, version in plugins.items()) or "no CUDA plugin"
    found = f"{'an NVIDIA driver' if card else 'no NVIDIA driver'}, {named}"
    if different:
        name, version = next(iter(different.items()))
        extra = "cuda12" if "12" in name else "cuda13"
        return Checked(
            "card",
            found,
            f"{name} is {version} and jaxlib is {jaxlib}; they must be equal",
            f"pip install -U 'jax[{extra}]'",
        )
    if card and not plugins:
        return Checked("card", found, "jax cannot use the card without the CUDA plugin", "pip install 'jax[cuda13]'")
    if card and "gpu" not in _platforms() and not any(os.environ.get(name) for name in devices.PLATFORMS):
        return Checked(
            "card",
            found,
            "jax does not see the card",
            "look at the output of nvidia-smi: the driver may be too old for CUDA",
        )
    return Checked("card", found)


def _memory() -> Checked:
    if "gpu" not in _platforms():
        return Checked("memory", "without a GPU, jax takes memory as it needs it")
    if os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "").lower() in ("false", "0"):
        return Checked("memory", "jax takes the card's memory as it needs it (XLA_PYTHON_CLIENT_PREALLOCATE=false)")
    share = os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", ".75")
    return Checked(
        "memory",
        f"jax takes {share} of the card's memory when it starts; with XLA_PYTHON_CLIENT_PREALLOCATE=false jax takes memory as "
        "needed, with XLA_PYTHON_CLIENT_MEM_FRACTION=.30 it takes less",
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cache() -> Checked:
    if os.environ.get(devices.NO_CACHE):
        return Checked("cache", f"compiled programs are not kept, because {devices.NO_CACHE} is set")
    try:
        folder = devices.cache_folder()
    except RuntimeError:
        return Checked(
            "cache",
            "nothing is kept",
            "you have no home directory",
            "set XDG_CACHE_HOME to a folder that you may write",
        )
    kept = devices.keep_compilations()
    if kept is None:
        return Checked(
            "cache", f"{folder}", "it cannot be written, so every command compiles again",
            "change its permissions, or set XDG_CACHE_HOME to a folder that you may write",
        )  # fmt: skip
    files = _size(folder) if folder.is_dir() else 0
    return Checked("cache", f"{files / 1e6:,.0f} MB in {folder}; compiled programs in {kept}")


def _data_sets() -> Checked:
    digits = mnist()
    folder = tfds.default_folder()
    prepared = sorted(path.stem for path in (folder / "arrays").glob("*.npz")) if folder.is_dir() else []
    others = f"; prepared in {folder}: {', '.join(prepared)}" if prepared else f"; none prepared in {folder}"
    return Checked(
        "data sets", f"mnist in the package ({len(digits.train.labels):,} + {len(digits.test.labels):,} images){others}"
    )


SEEN = {
    "cpu": "50 to 80 ms on two cores of an AMD EPYC",
    "gpu": "52 ms on an NVIDIA H200",
}
"""How long the benchmarks took for an epoch of the film's network with batches of 32 (`benchmarks/README.md`)."""


def _speed(seconds: int | float) -> Checked:
    settings = presets.film._replace(epochs=10_000)
    plan = training.plan(settings, mnist())
    per_epoch = plan.num_steps // settings.epochs
    times: list[float] = []
    with devices.arithmetic():
        begun = last = time.perf_counter()
        for snapshot in training.fit(plan, evaluate_every=0):
            if snapshot.step % per_epoch:
                continue
            jax.block_until_ready(snapshot.state)
            now = time.perf_counter()
            times.append(now - last)
            last = now
            if now - begun > seconds and len(times) > 2:
                break
    warm = sorted(times[1:])
    kind = devices.current().platform
    beside = f"; the benchmarks saw {SEEN[kind]}" if kind in SEEN else ""
    return Checked(
        "speed",
        f"{1000 * warm[len(warm) // 2]:.0f} ms for an epoch of the film's network with batches of 32 (median of {len(warm)}), "
        f"{times[0]:.1f} s for the first one with its compilation, on {platform.machine()} {kind}{beside}",
    )
