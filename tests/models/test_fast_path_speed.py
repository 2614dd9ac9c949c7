"""The fast path's speed: XLA may stop compiling its forms well without any number changing."""

import time

import jax
import numpy as np
import pytest

from benchmarks import training_speed
from ntm_jax import config as configs
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import FOLDER

LEAST = 2.0  # times as fast as the plain path; it is 3 to 4 times on an idle machine
UPDATES, ROUNDS = 40, 7


@pytest.fixture
def promotion():
    """Optax's promotions of types."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.usefixtures("promotion")
def test_training_is_at_least_twice_as_fast_as_flax_nnx_rnn():
    """The best of several rounds in turn, so that what else runs on the machine slows down both or neither."""
    task, model, overrides = training_speed.SETTINGS["copy ntm-ff"]
    plain_has_none = ("train.blur_penalty=0", "train.write_penalty=0")
    config = configs.load(
        f"{FOLDER / task}.py:{model}", [*overrides, *plain_has_none, "train.batch_size=1"]
    )
    trainer = Trainer(config)
    plain = training_speed.plain_update(trainer)

    def ours(state):
        return trainer.run(state, np.int32(UPDATES))

    def theirs(state):
        for _ in range(UPDATES):
            state = plain(state)
        return state

    def seconds(path):
        state = jax.block_until_ready(trainer.initial_state())
        start = time.perf_counter()
        jax.block_until_ready(path(state))
        return time.perf_counter() - start

    seconds(ours)
    seconds(theirs)
    fast, slow = np.min([(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)], axis=0)
    print(f"{1e3 * fast / UPDATES:.2f} ms an update, plain {1e3 * slow / UPDATES:.2f} ms")
    assert slow / fast >= LEAST
