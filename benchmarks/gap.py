"""What is left between jaxnet and the C program: an epoch of the film's network taken apart, and what was tried to close the gap.

python benchmarks/gap.py [--batch-size 32] [--rounds 5]

Everything is timed in turns in one process, on one epoch's chunks; "steps alone" finds its chunks gathered already.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from contenders import c

from jaxnet import data, presets, training
from jaxnet.core.descent import Info, gradient_descent

ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}


def columns_cost(params: Any, batch: Any) -> Any:
    """The film's cost with the batch as the last axis throughout, which `jax.vmap` does not choose."""
    x = batch.images.reshape(len(batch.images), -1).astype(jnp.float32) / 255
    first, *rest = params
    a = jax.lax.dot_general(first.weights, x, (((1,), (1,)), ((), ())))
    a = jax.nn.sigmoid(a + first.biases[:, None])
    for layer in rest:
        a = jax.nn.sigmoid(layer.weights @ a + layer.biases[:, None])
    return jnp.sum((a - jax.nn.one_hot(batch.labels, 10, axis=0)) ** 2) / x.shape[0]


def main(size: int, rounds: int) -> None:
    """Interleave, and print medians."""
    plan = training.plan(presets.film._replace(batch_size=size), data.mnist())
    descent = plan.functions.descent
    columns = gradient_descent(columns_cost, plan.functions.optimizer)
    shuffled = lambda: data.shuffled(plan.order_key, plan.train, size)
    gathered = list(shuffled())

    def without_norm(state: Any, batch: Any) -> tuple[Any, Info]:
        cost, grads = descent.value_and_grad(state, batch)
        return descent.apply_gradients(state, grads)[0], Info(cost, jnp.zeros(()))

    def steps(
        update: Callable[..., Any], batches: Callable[[], Any], options: dict | None = None
    ) -> Callable[[], object]:
        scan = jax.jit(lambda state, chunk: jax.lax.scan(update, state, chunk), compiler_options=options)

        def epoch() -> object:
            state = descent.init(plan.params)
            for chunk in batches():
                state, _ = scan(state, chunk)
            return jax.block_until_ready(state)

        return epoch

    ready = lambda: gathered
    parts: dict[str, Callable[[], object]] = {
        "C, gathering included": c("film", size)[0],
        "jaxnet's epoch": steps(descent.update, shuffled),
        "gathering alone": lambda: list(shuffled()),
        "steps alone": steps(descent.update, ready),
        "steps alone, no gradient norm": steps(without_norm, ready),
        "steps alone, batch axis last": steps(columns.update, ready),
        "steps alone, one thread": steps(descent.update, ready, ONE_THREAD),
        "jaxnet's epoch, one thread": steps(descent.update, shuffled, ONE_THREAD),
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, run in parts.items():
            run()
            for _ in range(3):
                begun = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - begun)
    limit = statistics.median(seconds["C, gathering included"])
    for name, found in seconds.items():
        print(f"{name}: {1000 * statistics.median(found):.1f} ms, {statistics.median(found) / limit:.2f} x C")
    program = jax.jit(lambda state, chunk: jax.lax.scan(descent.update, state, chunk))
    text = program.lower(descent.init(plan.params), gathered[0]).compile().as_text()
    body = max(text.split("\n\n"), key=lambda part: part.count(" fusion(") + part.count(" dot("))
    print(f"kernels a step: {body.count(' fusion(') + body.count(' dot(') + body.count(' copy(')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    main(told.batch_size, told.rounds)
