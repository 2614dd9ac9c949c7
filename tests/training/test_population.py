"""Runs that train together end as each does alone, stop alone, and leave folders of ordinary runs."""

import functools
import itertools
import json
import math
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import signals
from ntm_jax.config import read, with_values
from ntm_jax.errors import UserError
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.lstm import LSTM
from ntm_jax.storage import writers
from ntm_jax.storage.checkpoints import FollowerCheckpoints
from ntm_jax.training import loop, population
from ntm_jax.training.metrics import Row
from ntm_jax.training.observers import Begun, Observer
from ntm_jax.training.population import Member, Population
from ntm_jax.training.progress import PopulationProgress
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import quick_compile
from tests.helpers.programs import checkpoints_in
from tests.helpers.runs import StopAt, Stopped, assert_same, config_of, rows, saved

UPDATES = 12
RATES = (1e-2, 3e-3, 1e-2)
LIMITS = (10.0, 10.0, 1e-3)  # of the last, the gradient is always clipped
STAGES = [
    {"start": 0, "task": {"max_length": 1}},
    {"start": 3, "task": {"max_length": 3}, "restart_schedule": True},
]
SETTINGS = {
    "ntm-ff": {"model": "ntm-ff"},
    "ntm-lstm": {"model": "ntm-lstm"},
    "stages": {"curriculum__stages": json.dumps(STAGES), "train__blur_penalty": 0.01},
    "growing": {"curriculum__name": "growing", "curriculum__updates": 6},
}


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def three(**fields):
    """Configs that differ in seed, rate and clipping."""
    usual = {"train__updates": UPDATES, "train__log_every": 2, "train__checkpoint_every": 3}
    return [
        config_of(
            **(usual | fields),
            seed=seed,
            optimizer__learning_rate=rate,
            optimizer__clip_limit=limit,
        )
        for seed, (rate, limit) in enumerate(zip(RATES, LIMITS, strict=True))
    ]


def differ(one, other):
    """Whether any number in two trees differs."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)


def assert_close(one, other, tolerance):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    close = functools.partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance)
    jax.tree.map(close, one, other)


@pytest.mark.parametrize(
    "fields", [{"model__controller_size": 9}, {"train__batch_size": 3}, {"mesh__data": 2}], ids=str
)
def test_what_is_another_program_is_refused(fields):
    every = [config_of(), config_of(**fields)]
    if "mesh__data" in fields:
        every = every[1:]
    (name,) = fields
    with pytest.raises(UserError, match=f"^{name.replace('__', '.')}: .*together"):
        Population(every)


# ---- Numbers

ALIKE = [
    {"optimizer__name": "graves_rmsprop", "optimizer__clip": "global_norm"},
    {"optimizer__name": "sgd", "optimizer__clip": "value", "optimizer__schedule": "cosine"},
    {"optimizer__name": "adam", "optimizer__clip": "none", "optimizer__schedule": "linear"},
    {"optimizer__name": "adamw", "optimizer__schedule": "exponential", "optimizer__warmup": 0},
]


@pytest.mark.parametrize(
    ("model", "fields"),
    [*itertools.product(["ntm-ff", "ntm-lstm"], ALIKE), ("lstm", {"optimizer__name": "sgd"})],
    ids=lambda value: value if isinstance(value, str) else value["optimizer__name"],
)
def test_runs_together_and_alone_agree_in_float64(float64, monkeypatch, model, fields):
    """To rounding: a learning rate or a limit in another precision, or another episode, shows at once."""
    for kind in (NTMCell, LSTM):
        monkeypatch.setitem(kind.__init__.__kwdefaults__, "param_dtype", jnp.float64)
    every = three(model=model, **fields)
    together = Population(every)
    first, _ = together.begin([FollowerCheckpoints() for _ in every])
    begun = together.split(first)
    assert begun[0].parameters["to_output"]["kernel"].dtype == np.float64
    ended = together.split(together.run(first, [UPDATES] * len(every)))
    for config, state, found in zip(every, begun, ended, strict=True):
        alone = Trainer(config).run(jax.tree.map(jnp.asarray, state), jnp.int32(UPDATES))
        assert differ(found.parameters, state.parameters)
        assert_close(found, jax.device_get(alone), 1e-11)


def test_float32_models_train_together_where_jax_has_float64(float64):
    """A learning rate or a limit in float64 would turn their arrays into float64, or be refused."""
    every = three(optimizer__clip="global_norm")
    together = Population(every)
    states, _ = together.begin([FollowerCheckpoints() for _ in every])
    types = jax.tree.map(lambda leaf: leaf.dtype, states)
    states = together.run(states, [2] * len(every))
    assert jax.tree.map(lambda leaf: leaf.dtype, states) == types
    assert int(states.update[0]) == 2


# ---- Sessions


def members(every, folder, observers=((), (), ())):
    return [
        Member(config, folder / f"seed_{config.seed}", watching)
        for config, watching in zip(every, observers, strict=True)
    ]


def never_lost(run, error):
    raise error


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Three runs without a stop: their configs and their folder."""
    every, folder = three(), tmp_path_factory.mktemp("straight")
    population.train(members(every, folder), never_lost)
    return every, folder


def test_each_folder_is_that_of_a_run_alone(straight, tmp_path):
    every, folder = straight
    for config in every:
        together, alone = folder / f"seed_{config.seed}", tmp_path / f"seed_{config.seed}"
        loop.train(config, alone)
        assert files_in(together) == files_in(alone)
        assert read(together / "config.json") == config
        assert checkpoints_in(together) == checkpoints_in(alone)
        assert_rows_close(rows(together), rows(alone))
        (update, state), (_, expected) = saved(together, config), saved(alone, config)
        assert update == UPDATES
        assert_close(state, expected, 1e-4)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_rows_close(found, expected):
    assert [list(row) for row in found] == [list(row) for row in expected]
    numbers = [[[float(text) for text in row.values()] for row in of] for of in (found, expected)]
    np.testing.assert_allclose(*numbers, rtol=1e-4)


def test_an_ordinary_run_resumes_a_member(straight, tmp_path):
    every, folder = straight
    workdir = tmp_path / "seed_1"
    shutil.copytree(folder / "seed_1", workdir)
    longer = with_values(every[1], {"train.updates": UPDATES + 2})
    assert int(loop.train(longer, workdir).update) == UPDATES + 2


@pytest.mark.parametrize("stop", [4, 6])
def test_a_population_that_was_killed_goes_on(straight, tmp_path, stop):
    every, folder = straight
    with pytest.raises(Stopped):
        population.train(members(every, tmp_path, [[StopAt(stop)], [], []]), never_lost)
    # One run lost its last checkpoint: as if killed between two of the same update.
    shutil.rmtree(tmp_path / "seed_2" / "checkpoints" / f"{stop // 3 * 3}")
    updates = [max(checkpoints_in(tmp_path / f"seed_{seed}"), default=0) for seed in range(3)]
    assert updates == [stop // 3 * 3, stop // 3 * 3, stop // 3 * 3 - 3]
    population.train(members(every, tmp_path), never_lost)
    assert_same_runs(every, tmp_path, folder)


def assert_same_runs(every, found, expected):
    for config in every:
        folders = [folder / f"seed_{config.seed}" for folder in (found, expected)]
        assert rows(folders[0]) == rows(folders[1])
        states = [saved(folder, config) for folder in folders]
        assert states[0][0] == states[1][0] == UPDATES
        assert_same(states[0][1], states[1][1])


def test_processes_save_what_one_process_saves(straight, tmp_path, monkeypatch):
    every, folder = straight
    monkeypatch.setattr(writers, "RUNS_A_PROCESS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    population.train(members(every, tmp_path), never_lost)
    assert_same_runs(every, tmp_path, folder)
    for seed in range(3):
        folders = [where / f"seed_{seed}" for where in (tmp_path, folder)]
        assert checkpoints_in(folders[0]) == checkpoints_in(folders[1])


def test_ctrl_c_saves_every_run_and_the_same_call_goes_on(straight, tmp_path):
    every, folder = straight

    class Interrupt(Observer):
        def advance(self, update):
            if update == 4:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(signals.Stopped, match=r"update 6 is saved; the same command resumes"):
        population.train(members(every, tmp_path, [[Interrupt()], [], []]), never_lost)
    assert [checkpoints_in(tmp_path / f"seed_{seed}")[-1] for seed in range(3)] == [6] * 3
    population.train(members(every, tmp_path), never_lost)
    assert_same_runs(every, tmp_path, folder)


def spoiling(seed, updates):
    """A trainer with NaN in one seed's gradient at some updates, counted from 0."""

    class Spoiling(Trainer):
        def device_gradient(self, spec, parameters, moment):
            gradient, costs = super().device_gradient(spec, parameters, moment)
            bad = jnp.isin(moment.update, jnp.array(updates)) & (self.config.seed == seed)
            return jax.tree.map(lambda leaf: jnp.where(bad, jnp.nan, leaf), gradient), costs

    return Spoiling


def test_updates_are_skipped_for_their_run_alone(tmp_path):
    every = three(train__on_nonfinite="skip", train__max_skipped_updates=2)
    population.train(members(every, tmp_path), never_lost, trainer_class=spoiling(0, [4, 5]))
    skipped = [int(saved(tmp_path / f"seed_{c.seed}", c)[1].skipped) for c in every]
    assert skipped == [2, 0, 0]
    assert all(checkpoints_in(tmp_path / f"seed_{seed}")[-1] == UPDATES for seed in range(3))


def test_a_stage_is_a_branch_and_not_a_selection():
    """Otherwise every update would compute the batches of all stages."""
    together = Population(three(**SETTINGS["stages"]))
    states = jax.eval_shape(jax.vmap(together._first_state), together.values)
    ends = jax.ShapeDtypeStruct((3,), jnp.int32)
    program = str(jax.make_jaxpr(together.run_updates)(states, ends, together.values))
    assert " cond[" in program


# ---- What is shown


def test_the_best_the_median_and_the_lost_are_shown(tmp_path, capsys):
    shown = PopulationProgress(3)
    watching = [shown.watch(f"seed_{seed}") for seed in range(3)]
    config = config_of(train__updates=100)
    for one, update in zip(watching, (10, 0, 10), strict=True):
        one.begin(Begun(config, tmp_path, update, 0, {}))
    for one, bits in zip(watching, (8.0, 0.5, 2.0), strict=True):
        one.row(Row(20, 40, 1.0, bits, 0.0, 0.0, 1e-3), {}, int(bits == 2.0))
    assert shown.note() == "best 0.500, median 2.000 bits/sequence, 1 update skipped"
    shown.lose("seed_1", "why")
    assert shown.note() == "best 2.000, median 5.000 bits/sequence, 1 lost, 1 update skipped"
    watching[0].row(Row(30, 60, 1.0, math.nan, 0.0, 0.0, 1e-3), {}, 0)
    assert shown.note().startswith("best 2.000, median 2.000")
    said = capsys.readouterr().err
    assert "seed_1: why\n" in said
    assert "bits/sequence" not in said  # before all runs have a row
    for one in watching:
        one.advance(30)
    for one in watching:
        one.close()
    err = capsys.readouterr().err
    assert "training 3 runs: 30 of 100 (30%)" in err
