"""Where compiled programs are kept."""

import subprocess
import sys

import pytest

from jaxnet import devices

COMPILE = """
import jax
from jaxnet import devices
print(devices.keep_compilations())
jax.jit(lambda x: x * 2 + 1)(3.0).block_until_ready()
"""


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({"XDG_CACHE_HOME": "{tmp}/cache"}, "{tmp}/cache/jaxnet/compiled/"),
        pytest.param({"JAX_COMPILATION_CACHE_DIR": "{tmp}/mine"}, "{tmp}/mine", marks=pytest.mark.slow),
        ({"XDG_CACHE_HOME": "{tmp}/cache", "JAXNET_NO_COMPILATION_CACHE": "1"}, None),
    ],
)
def test_compiled_programs_are_kept_where_the_user_says(variables, kept, tmp_path):
    filled = {name: value.format(tmp=tmp_path) for name, value in variables.items()}
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **filled}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    if kept is None:
        assert done.stdout == "None\n"
        assert files == []
    else:
        assert done.stdout.startswith(kept.format(tmp=tmp_path))
        assert files
        assert all(str(path).startswith(done.stdout.strip()) for path in files)


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert devices.cache_folder() == tmp_path / "jaxnet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert devices.cache_folder() == tmp_path / ".cache" / "jaxnet"
