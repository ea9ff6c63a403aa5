"""Divide one training among several devices: the batches along one axis of a mesh, wide layers along another axis."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxnet.core.chunks import Epoch, as_chunk
from jaxnet.core.descent import Descent, Info, State, gradient_norm
from jaxnet.core.devices import current
from jaxnet.core.types import Batch, Cost, Params

SHARDS = 16
"""`reproducible` cuts a batch into this number of equal parts, and sums their gradients in a fixed order.

At most 8 devices can share the 16 parts. A device with a single part would need no loop over its parts, and XLA would
compile the gradient of this part in another way.
"""


def mesh_of(devices: int, layer_devices: int = 1) -> Mesh:
    """The mesh of a training.

    Args:
        devices: The number of all devices.
        layer_devices: The number of devices that share each layer.

    Returns:
        A mesh with the axes "batch" and "layer". Its devices are of the current device's platform.

    Raises:
        ValueError: If there are fewer devices, or their number is not a multiple of `layer_devices`.
    """
    here = current()
    there = jax.local_devices(backend=here.platform)
    shape = (batch_devices(devices, layer_devices), layer_devices)
    if devices > len(there):
        remedy = f"JAX_NUM_CPU_DEVICES={devices} in the environment simulates them" if here.platform == "cpu" else ""
        raise ValueError(
            f"devices must be at most the {len(there)} {here.platform} devices of this process, got {devices}"
            + (f"; {remedy}" if remedy else "")
        )
    return jax.make_mesh(shape, ("batch", "layer"), axis_types=(AxisType.Auto,) * 2, devices=there[:devices])


def batch_devices(devices: int, layer_devices: int) -> int:
    """How many devices, or groups of devices that hold a layer together, share every batch.

    Raises:
        ValueError: If the devices cannot be divided into such groups.
    """
    if devices % layer_devices:
        raise ValueError(
            f"devices must be a multiple of layer_devices, got {devices} devices and {layer_devices} for each layer"
        )
    return devices // layer_devices


def place_state(state: Any, mesh: Mesh, *, stacked: bool = False) -> Any:
    """Put a training's state on the devices of a mesh.

    Every device gets a copy. If the mesh divides layers, each array with two or more axes is divided instead. It is
    divided along its first axis that gives equal parts: an array of weights along its neurons.

    Args:
        state: The state.
        mesh: The mesh from `mesh_of`.
        stacked: Whether the first axis of the arrays counts networks. This axis is not divided.
    """
    parts = mesh.shape["layer"]

    def sharding(leaf: Any) -> NamedSharding:
        axes = range(int(stacked), leaf.ndim)
        divided = next((axis for axis in axes if parts > 1 and len(axes) > 1 and leaf.shape[axis] % parts == 0), None)
        names = ["layer" if axis == divided else None for axis in range(leaf.ndim)]
        return NamedSharding(mesh, PartitionSpec(*names))

    return jax.device_put(state, jax.tree.map(sharding, state))


def place_chunk(chunk: Any, mesh: Mesh) -> Any:
    """Divide the batches of a chunk of steps among the devices of a mesh. Each device gets a part of every batch."""
    everywhere, divided = (NamedSharding(mesh, PartitionSpec(*names)) for names in ((), (None, "batch")))
    if isinstance(chunk, Epoch):
        examples = jax.device_put(chunk.examples, everywhere)
        return chunk._replace(examples=examples, order=jax.device_put(chunk.order, divided))
    placed = lambda leaf: jax.device_put(leaf, divided if jnp.ndim(leaf) > 1 else everywhere)
    return as_chunk(jax.tree.map(placed, chunk))


def require_divisible(batch_size: int, devices: int, *, into_shards: bool) -> None:
    """Check that every device gets an equal part of a batch.

    Args:
        batch_size: The number of images in a step.
        devices: The number of devices that divide a batch.
        into_shards: Whether the batch is cut for `reproducible`.

    Raises:
        ValueError: If the parts would not be equal. The message names possible sizes.
    """
    parts = SHARDS if into_shards else devices
    if batch_size % parts:
        below, above = batch_size // parts * parts, (batch_size // parts + 1) * parts
        sizes = f"{above}" if not below else f"{below} or {above}"
        why = (
            f"reproducible cuts every batch into {SHARDS} parts"
            if into_shards
            else f"{devices} devices share every batch"
        )
        raise ValueError(
            f"batch_size must be a multiple of {parts}, because {why}, got {batch_size}; for example {sizes}"
        )
    if into_shards and (SHARDS % devices or devices > SHARDS // 2):
        raise ValueError(f"reproducible works on 1, 2, 4 or {SHARDS // 2} devices, got {devices}")


def reproducible(descent: Descent, cost: Cost, mesh: Callable[[], Mesh]) -> Descent:
    """Make a descent whose steps have the same bits on 1, 2, 4 and 8 devices.

    Every batch is cut into 16 equal parts. The gradient of each part is computed by the same program on every device.
    Pairs of gradients are summed in a fixed order, so no sum depends on the number of devices.

    Args:
        descent: The descent from `gradient_descent`.
        cost: The cost of the descent, a mean over the examples of a `Batch`.
        mesh: A function that returns the mesh. It is called while jax traces.
    """
    assert descent.apply_gradients is not None
    apply_gradients = descent.apply_gradients

    def value_and_grad(state: State, batch: Batch) -> tuple[Any, Params]:
        over = mesh()
        spec = Batch(PartitionSpec("batch"), PartitionSpec("batch"), PartitionSpec())  # pyright: ignore[reportArgumentType]
        per_device = jax.shard_map(
            lambda params, part: _summed(cost, params, part, over.shape["batch"]),
            mesh=over, in_specs=(PartitionSpec(), spec), out_specs=PartitionSpec(), check_vma=False,
        )  # fmt: skip
        return jax.lax.optimization_barrier(per_device(state.params, batch))

    def update(state: State, batch: Batch) -> tuple[State, Info]:
        value, grads = value_and_grad(state, batch)
        return apply_gradients(state, grads, value, batch)[0], Info(value, gradient_norm(grads))

    return Descent(descent.init, update, value_and_grad, apply_gradients)


def _summed(cost: Cost, params: Params, part: Batch, devices: int) -> Any:
    """The cost and the gradient, each as the mean over all parts of the batch. Every device runs this function."""
    own = SHARDS // devices
    first = jax.lax.axis_index("batch") * own
    cut = lambda leaf: leaf.reshape(own, -1, *leaf.shape[1:])

    def of_shard(shard: Any) -> Any:
        number, images, labels = shard
        key = None if part.key is None else jax.random.fold_in(part.key, number)
        return jax.lax.optimization_barrier(jax.value_and_grad(cost)(params, Batch(images, labels, key)))

    each = jax.lax.map(of_shard, (first + jnp.arange(own), cut(part.images), cut(part.labels)))
    local = jax.tree.map(_pairwise, each)
    together = jax.tree.map(lambda leaf: _pairwise(jax.lax.all_gather(leaf, "batch")), local)
    mean = jax.tree.map(lambda leaf: leaf / SHARDS, together)
    identity = [(i, i) for i in range(devices)]
    return jax.tree.map(lambda leaf: jax.lax.ppermute(leaf, "batch", identity), mean)


def _pairwise(leaf: Any) -> Any:
    """Sum along the first axis in pairs: neighbors first, then pairs of neighbors, and so on."""
    while len(leaf) > 1:
        leaf = jax.lax.optimization_barrier(leaf[0::2] + leaf[1::2])
    return leaf[0]
