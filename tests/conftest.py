"""Eight simulated CPU devices, programs compiled once for all workers, and what several tests share."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
from typing import NamedTuple

os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8").strip()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the workers, and the commands that tests start, find it there
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxnet-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import settings

from jaxnet import __main__ as door
from jaxnet import data, devices
from jaxnet.core.types import Batch, Dataset

jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile("jaxnet", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("jaxnet")


@pytest.fixture(autouse=True)
def _names_for_doctests(doctest_namespace):
    doctest_namespace.update(jax=jax, jnp=jnp, np=np)


PRETENDING = jax.default_backend() == "cpu" and bool(os.environ.get("JAXNET_PRETEND_ACCELERATOR"))


@pytest.fixture(autouse=True)
def _pretended(request, monkeypatch):
    if PRETENDING and request.node.get_closest_marker("accelerator"):
        monkeypatch.setattr(devices, "_forced", True)


def pytest_collection_modifyitems(items):
    if jax.default_backend() == "cpu" and not PRETENDING:
        for item in items:
            if item.get_closest_marker("accelerator"):
                item.add_marker(pytest.mark.skip(reason="there is no GPU or TPU here"))


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs `jaxnet ARGUMENTS` in a folder of its own, but in this process: a start takes two seconds of a core."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "keep_compilations", lambda: None)
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)) if number]
    before = [signal.getsignal(number) for number in numbers]

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["jaxnet", *map(str, arguments)])
        code: object = 0
        try:
            door.main()
        except SystemExit as error:
            code = error.code or 0
        return Ended(int(str(code)), *capsys.readouterr())

    yield run
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    jax.config.update("jax_numpy_dtype_promotion", "standard")


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return data.mnist()


@pytest.fixture(scope="session")
def hundred(mnist) -> Batch:
    """The first hundred training images."""
    return Batch(jnp.asarray(mnist.train.images[:100]), jnp.asarray(mnist.train.labels[:100]))


@pytest.fixture(scope="session")
def small(mnist) -> Dataset:
    """Real digits, few enough to train on in a moment."""
    cut = lambda batch, count: Batch(batch.images[:count], batch.labels[:count])
    return Dataset(cut(mnist.train, 2000), cut(mnist.test, 500), mnist.classes)
