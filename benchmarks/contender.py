"""One contender of the race, in a process of its own that `race.py` commands.

python benchmarks/contender.py NAME TASK BATCH_SIZE reads commands from standard input. After `epoch` it trains one epoch, and
prints the seconds. After any other line it prints the fraction of the first 10,000 training images that the network reads
correctly.
"""

import sys
import time

import contenders
import frameworks
import numpy as np


def main(name: str, task: str, size: int) -> None:
    """Obey `race.py`."""
    train_epoch, scores = {**vars(contenders), **vars(frameworks)}[name](task, size)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "epoch":
            begun = time.perf_counter()
            train_epoch()
            print(time.perf_counter() - begun, flush=True)
        else:
            right = scores().argmax(1) == contenders.MNIST.labels[: contenders.JUDGED]
            print(float(np.mean(right)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
