"""Where the arithmetic happens: naming a device, and saying what there is."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

NO_CACHE = "JAXNET_NO_COMPILATION_CACHE"
"""An environment variable: whatever it is set to, `keep_compilations` does nothing."""


def cache_folder() -> Path:
    """The folder in the user's cache: `$XDG_CACHE_HOME/jaxnet`, else `~/.cache/jaxnet`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxnet"


def keep_compilations(folder: Path | None = None) -> Path | None:
    """Let jax keep what it compiles, so that the next process need not compile it again.

    Args:
        folder: Where; None takes a folder of this machine's name in `cache_folder`, unless `$JAX_COMPILATION_CACHE_DIR`
            or jax's configuration already names one.

    Returns:
        The folder, or None if `$JAXNET_NO_COMPILATION_CACHE` is set: then nothing is kept.
    """
    if os.environ.get(NO_CACHE):
        return None
    configured = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    kept = folder or Path(configured or cache_folder() / "compiled" / platform.node())
    jax.config.update("jax_compilation_cache_dir", str(kept))
    # By default jax keeps only what took a second to compile: of small networks, nothing.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return kept


def find(name: str) -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """The first device of a kind.

    Args:
        name: "cpu", "gpu" or "tpu".

    Raises:
        ValueError: If this machine, or this installation of jax, has none.
    """
    try:
        return jax.devices(name)[0]
    except RuntimeError as error:
        kinds = sorted({device.platform for device in jax.devices()} | {"cpu"})
        raise ValueError(
            f"jax sees no {name!r} here, only {', '.join(kinds)}; for a GPU install jax[cuda13], for a TPU jax[tpu]"
        ) from error


def current() -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """The device that computations go to now: the innermost `jax.default_device`, else jax's first."""
    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return jax.devices(chosen)[0] if isinstance(chosen, str) else chosen or jax.devices()[0]


_forced: bool | None = None
"""What `resident` answers instead; tests and benchmarks set it to take an accelerator's way on a CPU."""


def resident() -> bool:
    """Whether training data stays on the device, where whole epochs are one program each: everywhere but on a CPU."""
    return current().platform != "cpu" if _forced is None else _forced


def cores() -> int:
    """How many of the CPU's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """The current device in words, such as "1 x cpu" or "8 x NVIDIA H100 80GB HBM3": how many alike, and of what kind."""
    device = current()
    alike = sum(other.device_kind == device.device_kind for other in jax.devices(device.platform))
    return f"{alike} x {device.device_kind}"


@contextlib.contextmanager
def arithmetic(*, device: str | None = None, dtype: str = "float32", precision: str = "highest") -> Iterator[Any]:
    """Compute in here on this device, in this type and with this precision of matrix products.

    Args:
        device: "cpu", "gpu" or "tpu"; None leaves the choice to jax.
        dtype: "float64" turns on jax's 64-bit types, in here only.
        precision: "default", "high" or "highest": on an accelerator "default" rounds the factors of float32 products
            to TF32 or bfloat16.

    Yields:
        The device.

    Raises:
        ValueError: If there is no such device.
    """
    with contextlib.ExitStack() as stack:
        if device is not None:
            stack.enter_context(jax.default_device(find(device)))
        stack.enter_context(jax.default_matmul_precision(precision))
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        yield current()
