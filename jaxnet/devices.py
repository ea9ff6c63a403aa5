"""Where the arithmetic happens, and in which type: naming a device, saying what there is, and float64 that leaves no trace."""

import contextlib
import dataclasses
import functools
import inspect
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

NO_CACHE = "JAXNET_NO_COMPILATION_CACHE"
"""An environment variable: whatever it is set to, `keep_compilations` does nothing."""


PLATFORMS = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
"""Environment variables that tell jax where to compute."""


def cache_folder() -> Path:
    """The folder in the user's cache: `$XDG_CACHE_HOME/jaxnet`, else `~/.cache/jaxnet`.

    Raises:
        RuntimeError: If the user has no home, as in a container whose user id nobody knows.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxnet"


def keep_compilations(folder: Path | None = None) -> Path | None:
    """Let jax keep what it compiles, so that the next process need not compile it again.

    Args:
        folder: Where; None takes a folder of this machine's name in `cache_folder`, unless `$JAX_COMPILATION_CACHE_DIR`
            or jax's configuration already names one.

    Returns:
        The folder, or None if `$JAXNET_NO_COMPILATION_CACHE` is set, the user has no home, or the folder cannot be written
        to: then nothing is kept.
    """
    if os.environ.get(NO_CACHE):
        return None
    configured = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    try:
        kept = folder or Path(configured or cache_folder() / "compiled" / platform.node())
        if "://" not in str(kept):  # jax keeps programs in buckets too
            kept.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    if "://" not in str(kept) and not os.access(kept, os.W_OK | os.X_OK):
        return None
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
    except (RuntimeError, AssertionError) as error:
        kinds = sorted({device.platform for device in _first()} | {"cpu"})
        raise ValueError(
            f"jax sees no {name!r} here, only {', '.join(kinds)}; for a GPU install jax[cuda13], for a TPU jax[tpu]"
        ) from error


def current() -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """The device that computations go to now: the innermost `jax.default_device`, else jax's first."""
    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return find(chosen) if isinstance(chosen, str) else chosen or _first()[0]


def _first() -> list[jax.Device]:  # pyright: ignore[reportInvalidTypeForm]
    """The devices that jax chooses by itself.

    Raises:
        ValueError: If the environment asks for a platform that is not there.
    """
    try:
        return jax.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # of the latter jax has one where CUDA is installed and no card is there
        asked = next((f"{name}={os.environ[name]}" for name in PLATFORMS if os.environ.get(name)), None)
        if asked is None:
            raise
        raise ValueError(
            f"{asked} asks for a device that jax cannot use here; unset it, or set JAX_PLATFORMS=cpu"
        ) from error


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
def double_precision(cost: Any = None) -> Iterator[None]:
    """Compute in here in float64, whatever the process computes in, and leave no trace.

    jax remembers what it traced by shapes and types; integers of numpy that a function holds are remembered as 64-bit ones,
    and outside they no longer fit. So where a function of somebody else's was traced in here, jax forgets everything that it
    has traced and compiled: afterwards every program of the process is traced again at its next call (and compiled again,
    unless jax keeps compiled programs on disk). Nothing is forgotten where the process computes in float64 anyway.

    Args:
        cost: The function to be traced in here. Functions that jaxnet itself made of its own parts leave no trace.
    """
    changes = not jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with jax.enable_x64(True):
            yield
    finally:
        if changes and not _own(cost):
            jax.clear_caches()


def _own(function: Any) -> bool:
    """Whether a function is jaxnet's or jax's own, with all the functions that it was made from."""
    if isinstance(function, functools.partial):
        return all(_own(part) for part in (function.func, *function.args, *function.keywords.values()))
    if dataclasses.is_dataclass(function) and not isinstance(function, type):
        parts = [getattr(function, field.name) for field in dataclasses.fields(function)]
        return type(function).__module__.startswith("jaxnet.") and all(_own(part) for part in parts)
    if not callable(function):
        return True
    function = inspect.unwrap(function)
    ours = str(getattr(function, "__module__", "")).partition(".")[0] in ("jaxnet", "jax")
    return ours and not getattr(function, "__closure__", None)


def require_double(cost: Any, params: Any, *rest: Any) -> None:
    """Make sure that a cost computes in float64 all the way where it is given float64 parameters and images.

    Args:
        cost: `cost(params, ...) -> number`.
        params: float64.
        rest: What else it takes.

    Raises:
        ValueError: If it fails, or anything that depends on the parameters is computed in a narrower type.
    """
    try:
        traced = jax.make_jaxpr(cost)(params, *rest)
    except TypeError as error:
        raise ValueError(
            f"this cost does not take float64 parameters and images: {error}; let the model compute in the type it is given"
        ) from error
    jaxpr = getattr(traced, "jaxpr", traced)
    count = len(jax.tree.leaves(params))
    narrow = _narrow(jaxpr, [i < count for i in range(len(jaxpr.invars))])[0]
    if narrow is None and jaxpr.outvars[0].aval.dtype != np.float64:
        narrow = str(jaxpr.outvars[0].aval.dtype)
    if narrow is not None:
        raise ValueError(
            f"with float64 parameters and images this cost still computes in {narrow}, where small falls drown in rounding; "
            "build the model without a fixed dtype, or with float64"
        )


def _narrow(jaxpr: Any, depends: list[bool]) -> tuple[str | None, list[bool]]:
    """The first narrower type in which something is computed that depends on marked inputs, and which outputs depend on them."""
    marked = {variable for variable, marks in zip(jaxpr.invars, depends, strict=True) if marks}
    of = lambda variables: [not hasattr(variable, "val") and variable in marked for variable in variables]
    for equation in jaxpr.eqns:
        inputs = of(equation.invars)
        if not any(inputs):
            continue
        for inner in _inner(equation):
            known = len(inner.invars) <= len(inputs)
            given = inputs[len(inputs) - len(inner.invars) :] if known else [True] * len(inner.invars)
            found, outputs = _narrow(inner, given)
            carried = _carried(equation)
            # What one turn of a loop brings, the next one begins with.
            while found is None and carried is not None and len(outputs) > 1:
                after = [a or b for a, b in zip(given[carried:], outputs, strict=False)]
                again = [*given[:carried], *after, *given[carried + len(after) :]]
                if again == given:
                    break
                given = again
                found, outputs = _narrow(inner, given)
            if found is not None:
                return found, []
        for variable in equation.outvars:
            marked.add(variable)
            kind = getattr(variable.aval, "dtype", np.dtype(bool))
            if jax.numpy.issubdtype(kind, np.floating) and jax.numpy.finfo(kind).bits < 64:
                return f"{kind} ({equation.primitive.name})", []
    return None, of(jaxpr.outvars)


def _carried(equation: Any) -> int | None:
    """The position of the first number that a loop carries among its program's inputs; None where it is no loop."""
    return {"scan": equation.params.get("num_consts"), "while": equation.params.get("body_nconsts")}.get(
        equation.primitive.name
    )


def holds_primitive(name: str, function: Any, *arguments: Any) -> bool:
    """Whether a function's program holds, at any depth, a primitive whose name begins so."""

    def holds(jaxpr: Any) -> bool:
        return any(
            equation.primitive.name.startswith(name) or any(map(holds, _inner(equation))) for equation in jaxpr.eqns
        )

    traced = jax.make_jaxpr(function)(*arguments)
    return holds(getattr(traced, "jaxpr", traced))


def _inner(equation: Any) -> list[Any]:
    """The programs inside one equation."""
    found = []
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                found.append(part)
    return found


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
        stack.enter_context(jax.numpy_dtype_promotion("standard"))  # whatever the environment says: pixels are uint8
        yield current()
