"""How many photos `jaxnet predict` reads: own digits, MNIST's test images as ink, blank pages, pages with two digits.

    jaxnet train --preset convnet --no-pictures --out runs/convnet
    python benchmarks/photos.py runs/convnet --count 500 --seed 100000

Photo n of a kind depends on the seed plus n alone. The settings of the reader were chosen on seeds below 10,000 and on
training images. Own digits count as right where the network answers what was drawn, MNIST's where it answers what it
answers to the original image, and pages that are blank or show two digits where there is a remark.
"""

import argparse
import functools
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from jaxnet import metrics

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import photo_generator as photos

from jaxnet import data
from jaxnet.data.photo import cut, read
from jaxnet.training import run_folder

KINDS = ("drawn", "mnist", "blank", "two", "perspective", "curved")
"""The last two are MNIST digits on lined and squared paper, seen at an angle or bulging."""


@functools.cache
def originals():
    """MNIST's test images."""
    return data.mnist().test.images


def seen(job):
    """Draw a photo, save it, and read it: the image for the network or None, and the remarks."""
    kind, seed = job
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if kind == "drawn":
        photo = photos.photo(rng, lambda size, pen: photos.drawn(rng, seed % 10, size, pen))
    elif kind == "mnist":
        image = originals()[seed % len(originals())]
        photo = photos.photo(rng, lambda size, pen: photos.pasted(image, size), pen=20.0)
    elif kind in ("perspective", "curved"):
        image, paper = originals()[seed % len(originals())], str(rng.choice(("lined", "squared")))
        photo = photos.photo(rng, lambda size, pen: photos.pasted(image, size), kind=paper, pen=20.0, bent=kind)
    elif kind == "blank":
        photo = photos.photo(rng, None)
    else:
        pen = float(rng.uniform(4, 25))
        photo = photos.photo(
            rng, lambda size, pen: photos.drawn(rng, int(rng.integers(10)), size, pen), pen=pen, count=2
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"photo{photo.suffix}"
        file.write_bytes(photo.content)
        try:
            page = read(file)
            found = cut(page)
        except ValueError as error:
            return None, (str(error),), photo.told
    return found[0], tuple(found[1]), photo.told


def main():
    """Print a line for each kind, and with --verbose one for each failure and each false alarm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS[:4])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    originals()
    jobs = {kind: [(kind, options.seed + n) for n in range(options.count)] for kind in options.kinds}
    with get_context("fork").Pool(options.processes) as pool:
        found = {kind: pool.map(seen, jobs[kind], chunksize=5) for kind in jobs}
    run = run_folder.load(options.run)
    read = lambda images: np.asarray(
        metrics.predict(run.functions.apply, run.params, np.stack(images), chunk_size=100)
    ).argmax(-1)
    for kind, results in found.items():
        seeds = [seed for _, seed in jobs[kind]]
        whole = [image if image is not None else np.zeros((28, 28), np.uint8) for image, _, _ in results]
        empty = np.array([image is None for image, _, _ in results])
        answers = np.where(empty, -1, read(whole))
        warned = np.array([bool(remarks) for _, remarks, _ in results])
        if kind in ("blank", "two"):
            right = warned
        else:
            expected = (
                np.array(seeds) % 10
                if kind == "drawn"
                else read([originals()[seed % len(originals())] for seed in seeds])
            )
            right = answers == expected
        print(f"{kind}: {right.sum()} of {len(right)} right, {warned.sum()} with remarks", flush=True)
        alarms = warned & (kind not in ("blank", "two"))
        for n in np.flatnonzero(~right | alarms) if options.verbose else ():
            print("   ", seeds[n], int(answers[n]), results[n][2], results[n][1])


if __name__ == "__main__":
    main()
