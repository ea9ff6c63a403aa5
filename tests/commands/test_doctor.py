"""`jaxnet doctor` says what is there, and what is wrong with its remedy."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

from jaxnet import commands
from jaxnet.commands import _doctor


def checked(**options):
    return {one.topic: one for one in commands.doctor(**{"seconds": 0} | options)}


def test_nothing_is_wrong_here():
    found = checked()
    assert [one for one in found.values() if one.wrong] == []
    assert "jax " in found["versions"].found
    assert "8 x cpu (cpu); commands use cpu:0" in found["devices"].found
    assert "mnist in the package (60,000 + 10,000 images)" in found["data sets"].found


def test_the_speed_is_measured():
    found = checked(seconds=0.1)["speed"]
    assert found.wrong is None
    assert "ms for an epoch of the film's network with batches of 32" in found.found


def versions(monkeypatch, **changed):
    real = importlib.metadata.version

    def version(name):
        if changed.get(name, "") is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return changed.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_versions_that_do_not_go_together_are_named(monkeypatch):
    versions(monkeypatch, optax="0.1.0", rich=None)
    found = checked()["versions"]
    assert "optax is 0.1.0, jaxnet needs >=0.2.5" in found.wrong
    assert "rich is not installed" in found.wrong
    assert "new environment" in found.remedy


def test_a_card_without_its_plugin_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(_doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    found = checked()["card"]
    assert found.wrong == "jax cannot use the card without the CUDA plugin"
    assert found.remedy == "pip install 'jax[cuda13]'"
    monkeypatch.setattr(_doctor.importlib.util, "find_spec", lambda name: name == "jax_cuda12_plugin" or None)
    versions(monkeypatch, **{"jax-cuda12-plugin": "0.1.0"})
    found = checked()["card"]
    assert "jax-cuda12-plugin is 0.1.0 and jaxlib is" in found.wrong
    assert found.remedy == "pip install -U 'jax[cuda12]'"


def test_a_cache_that_cannot_be_written_is_wrong(monkeypatch):
    monkeypatch.setattr(_doctor.devices, "keep_compilations", lambda: None)
    found = checked()["cache"]
    assert "it cannot be written" in found.wrong
    assert "XDG_CACHE_HOME" in found.remedy


def test_a_check_that_fails_leaves_the_others(monkeypatch):
    def broken():
        raise RuntimeError("the driver does not answer")

    monkeypatch.setattr(_doctor, "_memory", broken)
    found = checked()
    assert found["memory"].wrong == "the driver does not answer"
    assert found["cores"].wrong is None


@pytest.mark.slow
def test_a_platform_that_is_not_there_is_one_fault():
    done = subprocess.run(
        [sys.executable, "-m", "jaxnet", "doctor", "--seconds", "0", "--json"], env=os.environ | {"JAX_PLATFORMS": "cuda"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    wrong = [one for one in json.loads(done.stdout.splitlines()[-1]) if one["wrong"]]
    assert [one["topic"] for one in wrong] == ["devices"]
    assert "JAX_PLATFORMS=cuda" in wrong[0]["wrong"]
    assert "JAX_PLATFORMS=cpu" in wrong[0]["remedy"]


def test_the_command_fits_on_80_columns_and_ends_with_1_if_something_is_wrong(command, monkeypatch):
    monkeypatch.setenv(_doctor.devices.NO_CACHE, "1")
    found = command("doctor", "--seconds", "0")
    assert found.code == 0
    assert found.out.splitlines()[-1] == "nothing is wrong"
    assert max(map(len, found.out.splitlines())) <= 80
    versions(monkeypatch, rich=None)
    found = command("doctor", "--seconds", "0")
    assert found.code == 1
    assert found.out.splitlines()[-1] == "1 of 7 checks found something wrong: versions"
