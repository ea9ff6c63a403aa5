"""What it costs to distort an image, on the device, many at a time.

python benchmarks/distortions.py
"""

import statistics
import time

import jax
import jax.numpy as jnp

from jaxnet import augment, data

IMAGES, ROUNDS = 3000, 9

images = jnp.asarray(data.mnist().train.images[:IMAGES])
for distortion in (augment.shift, augment.affine, augment.elastic):
    many = jax.jit(lambda key, images, one=distortion: jax.vmap(one)(jax.random.split(key, len(images)), images))
    many(jax.random.key(0), images).block_until_ready()
    seconds = []
    for i in range(ROUNDS):
        begun = time.perf_counter()
        many(jax.random.key(i), images).block_until_ready()
        seconds.append(time.perf_counter() - begun)
    micro = [1e6 * second / IMAGES for second in seconds]
    print(
        f"{distortion.__name__}: {statistics.median(micro):.1f} us an image ({min(micro):.1f} to {max(micro):.1f}), "
        f"{0.06 * statistics.median(micro):.2f} s for 60,000"
    )
