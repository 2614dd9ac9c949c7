"""A program that prints the seconds of training by the fast path and by `nnx.RNN`, in a process of its own.

The processor's option of `ntm_jax.cli`, as all programs have it, can only be set before JAX compiles anything.
"""

import json
import time

import jax
import numpy as np

from benchmarks import training_speed
from ntm_jax import cli
from ntm_jax import config as configs
from ntm_jax.training.trainer import Trainer

UPDATES, ROUNDS = 40, 7


def main():
    """Best of several rounds in turn, so that what else runs on the machine slows down both."""
    cli.compile_small_loops_whole()
    task, model, overrides = training_speed.SETTINGS["copy ntm-ff"]
    plain_has_none = ("train.blur_penalty=0", "train.write_penalty=0")
    path = f"{training_speed.CONFIGS / task}.py:{model}"
    config = configs.load(path, [*overrides, *plain_has_none, "train.batch_size=1"])
    trainer = Trainer(config)
    plain = training_speed.plain_update(trainer)

    def ours(state):
        return trainer.run(state, np.int32(UPDATES))

    def theirs(state):
        for _ in range(UPDATES):
            state = plain(state)
        return state

    def seconds(train):
        state = jax.block_until_ready(trainer.initial_state())
        start = time.perf_counter()
        jax.block_until_ready(train(state))
        return time.perf_counter() - start

    for train in (ours, theirs):
        seconds(train)  # compiles
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    print(json.dumps([min(times) for times in zip(*pairs, strict=True)]))


if __name__ == "__main__":
    main()
