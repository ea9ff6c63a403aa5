"""Devices and number types: find and describe a device, and compute in float64 without side effects."""

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
"""The name of an environment variable. If it is set to anything, `keep_compilations` does nothing."""


PLATFORMS = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
"""Environment variables that tell jax where to compute."""


def cache_folder() -> Path:
    """The jaxnet folder in the user's cache: `$XDG_CACHE_HOME/jaxnet`, or else `~/.cache/jaxnet`.

    Raises:
        RuntimeError: If the user has no home directory, as in a container with an unknown user id.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxnet"


def keep_compilations(folder: Path | None = None) -> Path | None:
    """Let jax save compiled programs on disk, so that the next process need not compile them again.

    Args:
        folder: The folder for the compiled programs. If it is None, the function uses `$JAX_COMPILATION_CACHE_DIR` or
            the folder in jax's configuration. If neither is set, the function uses a folder with this machine's name in
            `cache_folder`.

    Returns:
        The folder, or None if nothing is saved. Nothing is saved if `$JAXNET_NO_COMPILATION_CACHE` is set, if the user
        has no home directory, or if the folder cannot be written to.
    """
    if os.environ.get(NO_CACHE):
        return None
    configured = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    try:
        kept = folder or Path(configured or cache_folder() / "compiled" / platform.node())
        if "://" not in str(kept):  # jax can also save programs in cloud storage
            kept.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    if "://" not in str(kept) and not os.access(kept, os.W_OK | os.X_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(kept))
    # By default jax saves only programs that took a second to compile. Small networks compile faster than that.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return kept


def find(name: str) -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """The first device of a platform.

    Args:
        name: "cpu", "gpu" or "tpu".

    Raises:
        ValueError: If this machine, or this installation of jax, has no such device.
    """
    try:
        return jax.devices(name)[0]
    except (RuntimeError, AssertionError) as error:
        kinds = sorted({device.platform for device in _first()} | {"cpu"})
        raise ValueError(
            f"jax sees no {name!r} here, only {', '.join(kinds)}; for a GPU install jax[cuda13], for a TPU jax[tpu]"
        ) from error


def current() -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """The device that computations use now: the device of the innermost `jax.default_device`, or else jax's first device."""
    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return find(chosen) if isinstance(chosen, str) else chosen or _first()[0]


def _first() -> list[jax.Device]:  # pyright: ignore[reportInvalidTypeForm]
    """The devices that jax uses by default.

    Raises:
        ValueError: If an environment variable names a platform that jax cannot use here.
    """
    try:
        return jax.devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # jax raises an AssertionError if CUDA is installed but there is no card
        asked = next((f"{name}={os.environ[name]}" for name in PLATFORMS if os.environ.get(name)), None)
        if asked is None:
            raise
        raise ValueError(
            f"{asked} asks for a device that jax cannot use here; unset it, or set JAX_PLATFORMS=cpu"
        ) from error


_forced: bool | None = None
"""If it is not None, `resident` returns this value. Tests and benchmarks set it to run an accelerator's code on a CPU."""


def resident() -> bool:
    """Whether the training data stays on the device, and each epoch is one compiled program.

    This is true on every device except a CPU.
    """
    return current().platform != "cpu" if _forced is None else _forced


def cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """The current device in words, such as "1 x cpu" or "8 x NVIDIA H100 80GB HBM3": the number of devices and the kind."""
    device = current()
    alike = sum(other.device_kind == device.device_kind for other in jax.devices(device.platform))
    return f"{alike} x {device.device_kind}"


@contextlib.contextmanager
def double_precision(cost: Any = None) -> Iterator[None]:
    """Compute in float64 inside this context, without side effects on the code after it.

    jax caches compiled programs by shapes and types. If a traced function holds integers of numpy, the cached program
    keeps them as 64-bit integers. Such a program fails outside this context. Therefore all of jax's caches are cleared
    at the end, if this context traced a function that is not part of jaxnet. Every function of the process is then
    traced again at its next call. The function is also compiled again, unless jax saves compiled programs on disk. If
    the process computes in float64 anyway, nothing is cleared.

    Args:
        cost: The function that will be traced in this context. Functions made only of jaxnet's own parts need no
            clearing.
    """
    changes = not jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with jax.enable_x64(True):
            yield
    finally:
        if changes and not _own(cost):
            jax.clear_caches()


def _own(function: Any) -> bool:
    """Whether a function, and every function that it was made from, belongs to jaxnet or jax."""
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
    """Check that a cost computes in float64 throughout if its parameters and images are float64.

    Args:
        cost: `cost(params, ...) -> number`.
        params: Parameters in float64.
        rest: The other arguments of the cost.

    Raises:
        ValueError: If the cost fails. The function also raises it if the cost computes a value that depends on the
            parameters, and this value has a type narrower than float64.
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
            f"with float64 parameters and images this cost still computes in {narrow}, too coarse for small differences; "
            "build the model without a fixed dtype, or with float64"
        )


def _narrow(jaxpr: Any, depends: list[bool]) -> tuple[str | None, list[bool]]:
    """Find the first value that depends on marked inputs and has a type narrower than float64.

    Also return which outputs depend on the marked inputs.
    """
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
            # The results of one iteration of a loop are the inputs of the next one.
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
    """The position of the first carried value among the inputs of a loop's body, or None if the equation is no loop."""
    return {"scan": equation.params.get("num_consts"), "while": equation.params.get("body_nconsts")}.get(
        equation.primitive.name
    )


def holds_primitive(name: str, function: Any, *arguments: Any) -> bool:
    """Whether the jaxpr of a function contains a primitive whose name begins with `name`, at any depth."""

    def holds(jaxpr: Any) -> bool:
        return any(
            equation.primitive.name.startswith(name) or any(map(holds, _inner(equation))) for equation in jaxpr.eqns
        )

    traced = jax.make_jaxpr(function)(*arguments)
    return holds(getattr(traced, "jaxpr", traced))


def _inner(equation: Any) -> list[Any]:
    """The jaxprs nested in one equation."""
    found = []
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                found.append(part)
    return found


@contextlib.contextmanager
def arithmetic(*, device: str | None = None, dtype: str = "float32", precision: str = "highest") -> Iterator[Any]:
    """Use the given device, number type and precision of matrix products inside this context.

    Args:
        device: "cpu", "gpu" or "tpu". If it is None, jax chooses the device.
        dtype: "float64" turns on jax's 64-bit types inside this context only.
        precision: "default", "high" or "highest". On an accelerator "default" rounds the factors of float32 products to
            TF32 or bfloat16.

    Yields:
        The device.

    Raises:
        ValueError: If this machine, or this installation of jax, does not have the device.
    """
    with contextlib.ExitStack() as stack:
        if device is not None:
            stack.enter_context(jax.default_device(find(device)))
        stack.enter_context(jax.default_matmul_precision(precision))
        stack.enter_context(jax.enable_x64(dtype == "float64"))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))  # pixels are uint8, so strict promotion would fail
        yield current()
