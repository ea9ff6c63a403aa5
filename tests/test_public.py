"""The public names are exact, and the import is light."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxnet

PACKAGES = [
    jaxnet,
    *(
        importlib.import_module(f"jaxnet.{name}")
        for name in (
            "analysis",
            "analysis.landscape",
            "analysis.spatial",
            "bang",
            "data",
            "exercises",
            "models",
            "plot",
            "training",
        )
    ),
]
MODULES = sorted(module.name for module in pkgutil.walk_packages(jaxnet.__path__, "jaxnet."))
FOLDER = Path(jaxnet.__file__).parent


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_public_names_are_sorted_and_complete(package):
    assert package.__all__ == sorted(package.__all__)
    tree = ast.parse(Path(package.__file__).read_text())
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxnet")
        for alias in node.names
    }
    assert set(package.__all__) == imported
    assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_every_module_says_what_it_is_for_and_has_no_function_of_its_own_name(name):
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip()
    if not hasattr(module, "__path__"):
        assert not callable(getattr(module, name.rpartition(".")[2], None))


def test_every_package_is_reachable_after_import_jaxnet_and_only_public_names_are_shown():
    packages = [
        path.parent.name for path in FOLDER.glob("*/__init__.py") if path.parent.name not in ("cli", "core", "reports")
    ]
    code = f"import jaxnet; [getattr(jaxnet, name).__doc__ for name in {packages}]; print(dir(jaxnet) == sorted(jaxnet.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    with pytest.raises(AttributeError, match="has no attribute 'plots'"):
        jaxnet.plots  # noqa: B018


def test_importing_jaxnet_brings_no_heavy_library():
    heavy = ("matplotlib", "flax", "orbax", "tensorflow_datasets", "tensorflow", "PIL", "tyro", "rich", "grain")
    code = f"import sys, jaxnet; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_training_waits_for_no_library_that_draws():
    code = "import sys, jaxnet.commands; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_version_stands_in_one_place():
    assert jaxnet.__version__ == importlib.metadata.version("jaxnet")
    places = [path for path in FOLDER.rglob("*.py") if jaxnet.__version__ in path.read_text()]
    assert [path.name for path in places] == ["_version.py"]


def test_a_layer_of_wrong_shapes_is_refused_at_the_door():
    import jax
    import jax.numpy as jnp

    params = jaxnet.network.init(jax.random.key(0), [4, 3])
    with pytest.raises(ValueError, match="reads 4 pixels"):
        jaxnet.network.apply(params, jnp.ones(5))
    broken = (params[0]._replace(biases=jnp.ones(2)),)
    with pytest.raises(
        ValueError, match=r"layer 1 gets 4 inputs, but has weights of shape \(3, 4\) and biases of shape \(2,\)"
    ):
        jaxnet.network.apply(broken, jnp.ones(4))
