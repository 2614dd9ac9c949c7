"""Training: everything trains, a run that stopped ends as if it had not, and every update is what it should be."""

import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import ntm_jax
from ntm_jax.errors import UserError
from ntm_jax.tasks import losses
from ntm_jax.training import curriculum, loop, metrics
from ntm_jax.training.progress import Progress
from ntm_jax.training.trainer import Sums, Trainer, dropout_key, penalty_weight
from tests.helpers.configs import MODELS, TASKS, quick_compile
from tests.helpers.runs import UPDATES, StopAt, Stopped, assert_same, config_of, rows, saved

OPTIMIZERS = (
    {"name": "adam", "schedule": "cosine", "warmup": 0, "clip": "global_norm"},
    {"name": "graves_rmsprop", "learning_rate": 1e-4, "clip": "value"},
    {"name": "sgd", "schedule": "linear", "warmup": 3, "clip": "none"},
)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="module")
def trainer():
    """Of the usual run."""
    return Trainer(config_of())


@pytest.fixture(scope="module")
def by_hand(trainer):
    """Mean nats and wrong bits, the gradient, and the parameters after it, from a state and an update's key."""

    @jax.jit
    def compute(state, key):
        batch_key, model_key = jax.random.split(key)
        batch = trainer.task.sample(batch_key, 2)

        def loss(parameters):
            model = nnx.merge(trainer.structure, parameters)
            logits, _ = ntm_jax.unroll(model, batch.inputs, key=model_key)
            errors = losses.sequence_bit_errors(logits, batch.targets, batch.mask)
            return losses.sequence_nats(logits, batch.targets, batch.mask).mean(), errors.mean()

        costs, gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        steps, _ = trainer.optimizer.update(gradient, state.optimizer, state.parameters)
        return costs, gradient, jax.tree.map(jnp.add, state.parameters, steps)

    return compute


def after(trainer, *numbers):
    """The state after so many updates, and so many more."""
    state = trainer.initial_state()
    for number in numbers:
        state = trainer.run(state, jnp.int32(number))
    return state


def assert_close(one, other):
    """Two trees are equal, but for the order of sums."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7), one, other)


def differ(one, other):
    """Whether any number in two trees differs."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)


# ---- Everything trains


def pairs():
    """Every task and model; the fast ones have every task but acrostics, every model and every optimiser."""
    for task in TASKS:
        for model in MODELS:
            fast = (task == "copy") or (task != "acrostic" and model == "ntm-lstm")
            yield pytest.param(task, model, marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize(("task", "model"), [*pairs()])
def test_every_task_and_model_trains_with_every_optimiser(task, model):
    """Every pair of a task, a model and an optimiser is among these, every optimiser with its own schedule."""
    place = TASKS.index(task) + MODELS.index(model)
    options = OPTIMIZERS[place % len(OPTIMIZERS)]
    options = {"arguments": "", **options}  # a task's are for its own optimiser
    fields = {f"optimizer__{field}": value for field, value in options.items()}
    curriculum = ("growing", "none")[place % 2]
    trainer = Trainer(config_of(task, model, curriculum__name=curriculum, **fields))
    first = jax.tree.map(np.asarray, trainer.initial_state().parameters)

    state = trainer.run(trainer.initial_state(), jnp.int32(2))
    assert int(state.update) == int(state.sums.updates) == 2
    for leaf in jax.tree.leaves(state):
        assert bool(jnp.isfinite(leaf).all())
    assert float(state.sums.nats) > 0
    assert float(state.sums.gradient_norm) > 0
    assert differ(first, state.parameters)

    state = trainer.run(state, jnp.int32(3))
    assert int(state.update) == 5
    assert trainer.run._cache_size() == 1  # another number of updates compiles nothing


# ---- One update


@pytest.mark.parametrize("done", [0, 2])
def test_the_numbers_of_one_update(trainer, by_hand, done):
    """Its batch drawn, loss, gradient and step computed, without the loop."""
    before = after(trainer, done).replace(sums=Sums.zero())
    key = jax.random.fold_in(jax.random.key(0), done)
    (nats, errors), gradient, expected = by_hand(before, key)
    norm = math.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(gradient)))

    state = trainer.run(before, jnp.int32(1))
    assert int(state.update) == done + 1
    np.testing.assert_allclose(state.sums.nats, nats, rtol=1e-5)
    np.testing.assert_allclose(state.sums.bit_errors, errors, rtol=1e-6)
    np.testing.assert_allclose(state.sums.gradient_norm, norm, rtol=1e-4)
    assert norm > 0
    for found, wanted in zip(*map(jax.tree.leaves, (state.parameters, expected)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def blur(trace, mask):
    heads = jnp.concatenate([trace.read_weightings, trace.write_weightings], axis=2)
    return (1 - (heads**2).sum(-1)).sum((0, 2))


def writing_while_answering(trace, mask):
    written = trace.controls.erase + abs(trace.controls.add)
    return jnp.where(mask > 0, written.mean(-1).sum(-1), 0).sum(0)


USES = {"blur_penalty": blur, "write_penalty": writing_while_answering}


@functools.cache
def descending(field):
    """A trainer whose updates are steps of plain gradient descent, and by hand the gradient for a share of a cost of memory."""
    plain = {"optimizer__name": "sgd", "optimizer__warmup": 0, "optimizer__clip": "none"}
    trainer = Trainer(config_of(**plain, **{f"train__{field}": 0.3}))

    @jax.jit
    def gradient(state, share):
        moment = trainer.stages.at(state.update)
        batch, model_key = trainer.task.sample(moment.batch_key, 2), moment.model_key

        def cost(parameters):
            model = nnx.merge(trainer.structure, parameters)
            logits, trace = ntm_jax.unroll(model, batch.inputs, key=model_key)
            nats = losses.sequence_nats(logits, batch.targets, batch.mask)
            return jnp.mean(nats + 0.3 * share * USES[field](trace, batch.mask))

        return jax.grad(cost)(state.parameters)

    return trainer, gradient


@pytest.mark.parametrize(("done", "share"), [(0, 0.0), (2, 0.0), (4, 0.5), (6, 1.0), (7, 1.0)])
@pytest.mark.parametrize("field", USES)
def test_the_costs_of_memory_begin_at_a_quarter_of_the_updates(field, done, share):
    """One step of gradient descent is along the cost of the episode and that share of what the memory's use costs."""
    trainer, gradient = descending(field)
    state = dataclasses.replace(trainer.initial_state(), update=jnp.int32(done))
    rate = trainer.config.optimizer.learning_rate
    slopes = gradient(state, jnp.float32(share))
    expected = jax.tree.map(lambda old, slope: old - rate * slope, state.parameters, slopes)
    new = trainer.run(state, jnp.int32(1)).parameters
    jax.tree.map(
        lambda one, two: np.testing.assert_allclose(one, two, rtol=2e-5, atol=2e-6), new, expected
    )


def test_sums_are_over_all_updates_of_a_run(trainer):
    alone = [after(trainer, done).sums for done in (1, 2, 3)]
    for field in ("nats", "bit_errors", "gradient_norm"):
        values = [float(getattr(sums, field)) for sums in alone]
        assert values[0] <= values[1] <= values[2]
        assert values[2] > values[0]


def test_a_batch_follows_from_the_seed_and_the_update_alone(trainer):
    """Other parameters and sums, the same update: the same loss for parameters that are the same."""
    straight = after(trainer, 3)
    other = trainer.initial_state().replace(update=jnp.int32(3))
    parameters = jax.tree.map(jnp.copy, straight.parameters)
    one = trainer.run(straight.replace(sums=Sums.zero()), jnp.int32(1))
    other = trainer.run(other.replace(parameters=parameters), jnp.int32(1))
    np.testing.assert_array_equal(one.sums.nats, other.sums.nats)

    # At another update, other episodes.
    fourth = other.replace(parameters=trainer.initial_state().parameters, sums=Sums.zero())
    first = after(trainer, 1)
    assert float(trainer.run(fourth, jnp.int32(1)).sums.nats) != float(first.sums.nats)


def test_another_seed_draws_other_episodes_and_parameters():
    trainer, other = (Trainer(config_of(model="lstm", seed=seed)) for seed in (0, 1))
    assert differ(trainer.initial_state().parameters, other.initial_state().parameters)
    state = trainer.initial_state()  # the same parameters for both
    theirs = other.run(jax.tree.map(jnp.copy, state), jnp.int32(1))
    ours = trainer.run(state, jnp.int32(1))
    assert float(ours.sums.nats) != float(theirs.sums.nats)


def test_the_old_states_buffers_are_reused(trainer):
    old = trainer.initial_state()
    trainer.run(old, jnp.int32(1))
    deleted = [leaf.is_deleted() for leaf in jax.tree.leaves((old.parameters, old.optimizer))]
    assert all(deleted)
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(jax.tree.leaves(old.parameters)[0])
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(trainer.initial_state()))


# ---- Curriculum


@pytest.mark.parametrize(("name", "shares"), [("none", [1, 1, 1, 1]), ("growing", [0, 0.25, 1, 1])])
def test_the_curriculums_share(name, shares):
    stages = curriculum.Stages(config_of(curriculum__name=name, curriculum__updates=4))
    found = [float(stages.at(jnp.int32(update)).progress) for update in (0, 1, 4, 9)]
    assert found == shares


def test_a_growing_curriculum_starts_at_the_least_difficulty():
    """The cost of a new model is about one bit for each scored bit: 8 at length 1, 16 at lengths 1 to 3."""
    growing = {"curriculum__name": "growing", "curriculum__updates": 1000}
    trainer = Trainer(config_of(model="lstm", train__batch_size=64, **growing))
    first = trainer.initial_state()
    last = trainer.initial_state().replace(update=jnp.int32(1000))
    for state, bits in ((first, 8), (last, 16)):
        nats = float(trainer.run(state, jnp.int32(1)).sums.nats)
        assert nats == pytest.approx(bits * math.log(2), rel=0.15)


def staged(*stages):
    """The override for stages of these fields."""
    return {"curriculum__stages": json.dumps(stages)}


def test_a_stage_may_have_few_rows_of_memory_and_the_next_has_all():
    """As a model of so many rows alone has it."""
    stages = staged({"start": 0, "memory_rows_per_step": 0.5}, {"start": 2})
    tight = Trainer(config_of(**stages, model__memory_size=16))
    few = round(tight.task.source.answer_steps / 2)
    assert 3 < few < 16
    assert [spec.memory_rows for spec in tight.stages.specs] == [few, None]
    state = tight.initial_state()
    found = jax.jit(tight.total_gradient)
    for few_or_all, updates in ((few, (0, 1)), (16, (2, 3))):
        alone = Trainer(config_of(model__memory_size=few_or_all))
        expected = jax.jit(alone.total_gradient)
        for update in updates:
            state = state.replace(update=jnp.int32(update))
            assert_close(found(state)[0], expected(state)[0])


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("lstm", {}, "curriculum.stages: memory_rows_per_step: an lstm has no memory"),
        (
            "ntm-ff",
            {"model__initial_memory": "learned"},
            "curriculum.stages: memory_rows_per_step: model.initial_memory",
        ),
    ],
)
def test_a_model_that_cannot_begin_with_fewer_rows(model, fields, said):
    few = staged({"memory_rows_per_step": 0.5}, {"start": 1})
    with pytest.raises(UserError, match=said):
        Trainer(config_of(model=model, **few, **fields))


def test_a_stage_has_other_fields_of_the_task_from_its_start_on():
    """Also in the stages after it."""
    shorter, longer = {"max_length": 2}, {"min_length": 2}
    stages = staged({"start": 3, "task": shorter}, {"start": 5, "task": longer})
    found = curriculum.Stages(config_of(**stages))
    ranges = []
    for update in range(8):
        task = found.specs[int(found.at(jnp.int32(update)).kind)].task
        ranges.append((task.min_length, task.max_length))
    assert ranges == [(1, 3)] * 3 + [(1, 2)] * 2 + [(2, 2)] * 3


def test_what_is_never_drawn_or_drawn_before_is_no_other_kind_of_batch():
    stages = staged(
        {"start": 2, "task": {"max_length": 2}},
        {"start": 4, "task": {"max_length": 3}},
        {"start": UPDATES, "task": {"max_length": 1}},
    )
    found = curriculum.Stages(config_of(**stages))
    assert [spec.task.max_length for spec in found.specs] == [3, 2]
    assert [int(found.at(jnp.int32(update)).kind) for update in (1, 2, 3, 4)] == [0, 1, 1, 0]


def test_schedules_restart_as_if_training_had_ended_there():
    restart = staged({"start": 3}, {"start": 4, "restart_schedule": True})
    fields = {"optimizer__schedule": "cosine", "optimizer__warmup": 0}
    once = Trainer(config_of(**restart, **fields))
    ends = once.stages.schedule_ends
    assert ends == (4, UPDATES)
    for updates, part in ((4, range(4)), (UPDATES, range(4, UPDATES))):
        alone = Trainer(config_of(train__updates=updates, **fields))
        for update in map(jnp.int32, part):
            assert float(once.learning_rate(update)) == float(alone.learning_rate(update))
            weights = (penalty_weight(update, e) for e in (ends, alone.stages.schedule_ends))
            assert len({float(weight) for weight in weights}) == 1


def test_a_stage_of_a_field_that_the_task_has_not():
    with pytest.raises(UserError, match="task copy, field: 'items' is unknown"):
        Trainer(config_of(**staged({"start": 1, "task": {"items": 3}})))


# ---- Random keys


def test_the_key_of_dropout_is_the_one_that_shipped_models_were_trained_with():
    """Another would change what the acrostics' command gives."""
    key = dropout_key(jax.random.key(7))
    assert jax.random.key_data(key).tolist() == [2737751932, 2099591257]
    assert (key != dropout_key(jax.random.key(8))).all()


# ---- Stopping and going on


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Runs without a stop, by (log_every, checkpoint_every): folder, config, last state."""
    runs = {}

    def get(log_every, checkpoint_every):
        every = log_every, checkpoint_every
        if every not in runs:
            config = config_of(train__log_every=log_every, train__checkpoint_every=checkpoint_every)
            workdir = tmp_path_factory.mktemp("straight") / "run"
            runs[every] = workdir, config, loop.train(config, workdir)
        return runs[every]

    return get


@pytest.mark.parametrize(
    ("every", "stops"),
    [
        ((2, 4), [4]),  # at a checkpoint that was logged
        ((4, 3), [3]),  # at a checkpoint between two lines: its sums go on
        ((4, 3), [4]),  # after a line that no checkpoint holds
        ((3, 5), [3]),  # before the first checkpoint
        ((1, 3), [5, 7]),  # twice
        ((100, 100), [8]),  # at the end: only the evaluation was missing
    ],
    ids=str,
)
def test_a_run_that_stopped_ends_as_if_it_had_not(tmp_path, straight, trainer, every, stops):
    workdir, config, expected = straight(*every)
    assert_same(expected.replace(sums=None), after(trainer, UPDATES).replace(sums=None))
    for stop in stops:
        if stop < UPDATES:
            with pytest.raises(Stopped):
                loop.train(config, tmp_path / "run", [StopAt(stop)])
        else:
            loop.train(config, tmp_path / "run")
    state = loop.train(config, tmp_path / "run")

    assert_same(state, expected)
    assert rows(tmp_path / "run") == rows(workdir)
    newest, again = saved(tmp_path / "run", config)
    assert newest == UPDATES
    assert_same(again, saved(workdir, config)[1])
    assert_same(again, state)


@pytest.mark.parametrize("every", [(2, 4), (4, 3), (1, 3), (100, 100)], ids=str)
def test_what_metrics_csv_says(straight, trainer, every):
    """A line every `log_every` updates and at the end: means since the line before."""
    workdir, config, _ = straight(*every)
    lines = metrics.read(workdir / "metrics.csv")
    logged = sorted({*range(every[0], UPDATES + 1, every[0]), UPDATES})
    assert [line["update"] for line in lines] == logged
    assert [line["sequences"] for line in lines] == [2 * update for update in logged]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0

    before, sums = 0, np.zeros(3)
    for line in lines:
        update = int(line["update"])
        total = after(trainer, update).sums
        total = np.array([total.nats, total.bit_errors, total.gradient_norm])
        nats, errors, norm = (total - sums) / (update - before)
        np.testing.assert_allclose(line["loss_bits_per_sequence"], nats / math.log(2), rtol=1e-5)
        np.testing.assert_allclose(line["bit_errors_per_sequence"], errors, rtol=1e-5)
        np.testing.assert_allclose(line["gradient_norm"], norm, rtol=1e-4)
        rate = config.optimizer.learning_rate * (update - 1) / 20
        np.testing.assert_allclose(line["learning_rate"], rate, rtol=1e-5)
        before, sums = update, total


def test_solved_is_said_once(tmp_path, capsys):
    """By the first line of metrics below the goal, not again after a stop, and not by a goal of 0."""
    config = config_of(train__log_every=2, train__checkpoint_every=2, train__solved_below=1000.0)
    with pytest.raises(Stopped):
        loop.train(config, tmp_path / "solved", [Progress(), StopAt(4)])
    assert "below 1000 bits/sequence after 4 sequences, " in capsys.readouterr().out
    loop.train(config, tmp_path / "solved", [Progress()])
    loop.train(config_of(train__log_every=2), tmp_path / "no_goal", [Progress()])
    assert "bits/sequence after" not in capsys.readouterr().out


def test_what_is_easier_is_not_yet_solved(tmp_path, capsys):
    config = config_of(
        train__log_every=2,
        train__solved_below=1000.0,
        curriculum__name="growing",
        curriculum__updates=4,
    )
    loop.train(config, tmp_path, [Progress()])
    assert "below 1000 bits/sequence after 12 sequences, " in capsys.readouterr().out


def test_seconds_go_on_after_a_stop(tmp_path):
    config = config_of(train__log_every=4, train__checkpoint_every=4)
    with pytest.raises(Stopped):
        loop.train(config, tmp_path, [StopAt(4)])
    loop.train(config, tmp_path)
    first, second = (line["seconds"] for line in metrics.read(tmp_path / "metrics.csv"))
    assert 0 < first < second


def test_a_finished_run_is_left_as_it_is(straight):
    """TensorBoard's events aside: every session has a file of its own."""
    workdir, config, state = straight(2, 4)

    def files():
        return {
            path.relative_to(workdir): path.read_bytes()
            for path in workdir.rglob("*")
            if path.is_file() and not path.name.startswith("events")
        }

    before = files()
    assert_same(loop.train(config, workdir), state)
    assert files() == before


def test_a_higher_number_of_updates_goes_on(tmp_path, straight):
    """The end is the same as that of one longer run, for this rate does not depend on it."""
    workdir, config, expected = straight(2, 4)
    shorter = config.copy_and_resolve_references()
    shorter.train.updates = 4
    assert int(loop.train(shorter, tmp_path).update) == 4
    assert_same(loop.train(config, tmp_path), expected)
    assert rows(tmp_path) == rows(workdir)


@pytest.mark.parametrize(
    ("done", "log", "checkpoint", "expected"),
    [(0, 2, 3, 2), (2, 2, 3, 3), (3, 2, 3, 4), (4, 2, 3, 6), (6, 9, 9, 8), (7, 1, 1, 8)],
)
def test_where_the_loop_stops_next(done, log, checkpoint, expected):
    config = config_of(train__log_every=log, train__checkpoint_every=checkpoint)
    assert loop.next_stop(config, done) == expected
