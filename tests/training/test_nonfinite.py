"""A loss or gradient that is not finite: nothing of it is applied or saved, it is named, and skipped if asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.storage import run_folder
from ntm_jax.training import loop, nonfinite
from ntm_jax.training.progress import Progress
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import assert_same, config_of, rows, saved

UPDATES = 12


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def config_with(**fields):
    usual = {"train__updates": UPDATES, "train__log_every": 2, "train__checkpoint_every": 3}
    return config_of(**(usual | fields))


def spoiling(updates, *, value=np.nan, loss=False):
    """A trainer with `value` in one number of the gradient, or in the loss, at some updates, counted from 0."""

    class Spoiling(Trainer):
        def device_gradient(self, spec, parameters, moment):
            gradient, (nats, bit_errors) = super().device_gradient(spec, parameters, moment)
            bad = jnp.isin(moment.update, jnp.array(updates))
            if loss:
                return gradient, (jnp.where(bad, value, nats), bit_errors)
            bias = gradient["to_output"]["bias"]
            bias = bias.at[0].set(jnp.where(bad, value, bias[0]))
            to_output = gradient["to_output"] | {"bias": bias}
            return gradient | {"to_output": to_output}, (nats, bit_errors)

    return Spoiling


def stopped(config, workdir, trainer=Trainer):
    """The message with which training stops."""
    with pytest.raises(UserError) as caught:
        loop.train(config, workdir, trainer_class=trainer)
    message = str(caught.value)
    assert "\n" not in message
    return message


def finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("value", "loss"),
    [(np.nan, False), pytest.param(-np.inf, False, marks=pytest.mark.slow), (np.inf, True)],
    ids=str,
)
def test_training_stops_and_names_the_update_the_norms_and_the_checkpoint(tmp_path, value, loss):
    message = stopped(config_with(), tmp_path, spoiling([7], value=value, loss=loss))
    assert message.startswith("update 8: the loss or the gradient is not finite (")
    assert "; update 6 is saved and valid; " in message
    spoiled_norm = message.split("to_output/bias ")[1].split(",")[0]
    assert (spoiled_norm in ("nan", "inf")) != loss
    assert "to_output/kernel " in message
    assert "to_output/kernel nan" not in message
    update, state = saved(tmp_path, config_with())
    assert update == 6
    assert finite(state)
    assert [row["update"] for row in rows(tmp_path)] == ["2", "4", "6"]

    # What was wrong is mended: it goes on as if nothing had been.
    mended = spoiling([-1], value=value, loss=loss)  # the same program, to the last bit
    state = loop.train(config_with(), tmp_path, trainer_class=mended)
    assert_same(state, loop.train(config_with(), tmp_path / "straight", trainer_class=mended))


def test_nothing_was_saved_yet(tmp_path):
    assert "; no checkpoint was saved; " in stopped(config_with(), tmp_path, spoiling([1]))


def by_hand(config, skipped):
    """Parameters after all updates but those."""
    trainer = Trainer(config)
    state = trainer.initial_state()
    for update in range(UPDATES):
        if update in skipped:
            state = state.replace(update=state.update + 1)
        else:
            state = trainer.run(state, jnp.int32(1))
    return state


def test_updates_are_skipped_counted_and_said_also_across_a_stop(tmp_path, capsys):
    skipped = [4, 5, 9]
    config = config_with(train__on_nonfinite="skip", train__max_skipped_updates=3)
    expected = by_hand(config, skipped)
    trainer = spoiling(skipped)
    shorter = config_with(
        train__on_nonfinite="skip", train__max_skipped_updates=3, train__updates=6
    )
    loop.train(shorter, tmp_path, [Progress()], trainer_class=trainer)
    assert "update 6: 2 were not finite, and skipped, so far" in capsys.readouterr().out
    state = loop.train(config, tmp_path, [Progress()], trainer_class=trainer)
    assert "update 10: 3 were not finite, and skipped, so far" in capsys.readouterr().out
    assert int(state.update) == UPDATES
    assert int(state.skipped) == 3
    assert_same(state.parameters, expected.parameters)
    assert_same(state.optimizer, expected.optimizer)
    lines = {row["update"]: float(row["loss_bits_per_sequence"]) for row in rows(tmp_path)}
    assert list(lines) == ["2", "4", "6", "8", "10", "12"]
    assert np.isnan(lines.pop("6"))  # both of its updates were skipped
    assert all(np.isfinite(bits) and bits > 0 for bits in lines.values())


def test_no_more_are_skipped_than_the_limit(tmp_path):
    trainer = spoiling([2, 4, 7])
    config = config_with(train__on_nonfinite="skip", train__max_skipped_updates=2)
    message = stopped(config, tmp_path, trainer)
    assert message.startswith(
        "update 8: the loss or the gradient is not finite, after 2 that were skipped ("
    )
    assert saved(tmp_path, config)[0] == 6
    # Both may change between two sessions.
    config.train.max_skipped_updates = 3
    assert int(loop.train(config, tmp_path, trainer_class=trainer).skipped) == 3


def test_what_was_skipped_is_no_reason_to_stop_later(tmp_path):
    shorter = config_with(train__on_nonfinite="skip", train__updates=4)
    loop.train(shorter, tmp_path, trainer_class=spoiling([1]))
    state = loop.train(config_with(), tmp_path, trainer_class=spoiling([1]))
    assert int(state.update) == UPDATES
    assert int(state.skipped) == 1


def test_such_an_update_changes_counts_alone():
    """What it would have made of parameters, optimiser and sums is undone, also if all of it is NaN."""
    trainer = Trainer(config_with())
    before = trainer.run(trainer.initial_state(), jnp.int32(2))
    gradient, (nats, errors) = jax.jit(trainer.total_gradient)(before)
    spoiled = jax.tree.map(lambda leaf: leaf * jnp.nan, gradient)
    for slope, cost in ((spoiled, nats), (gradient, nats * jnp.inf)):
        after = jax.jit(trainer.apply)(before, slope, (cost, errors))
        assert_same(after.parameters, before.parameters)
        assert_same(after.optimizer, before.optimizer)
        assert_same(after.sums, before.sums)
        assert (int(after.update), int(after.skipped), bool(after.nonfinite)) == (3, 1, True)
    after = jax.jit(trainer.apply)(before, gradient, (nats, errors))
    assert (int(after.update), int(after.skipped), bool(after.nonfinite)) == (3, 0, False)
    assert int(after.sums.updates) == 3


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    """From a finite gradient, as an optimiser whose numbers overflow would make them."""

    class Overflowing(Trainer):
        def update(self, state):
            new = super().update(state)
            bad = new.update == 6
            big = jax.tree.map(lambda leaf: jnp.where(bad, jnp.inf, leaf), new.parameters)
            return new.replace(parameters=big)

    message = stopped(config_with(), tmp_path, Overflowing)
    assert message.startswith("update 6: the parameters after it are not finite")
    assert "; update 3 is saved and valid; " in message
    update, state = saved(tmp_path, config_with())
    assert update == 3
    assert finite(state)


def test_a_rate_far_too_high_ends_in_one_line_with_finite_checkpoints(tmp_path):
    """Nothing injected."""
    config = config_with(
        train__updates=5000,
        train__checkpoint_every=1,
        optimizer__name="sgd",
        optimizer__learning_rate=1e3,
        optimizer__clip="none",
        optimizer__warmup=0,
    )
    config.optimizer.arguments = "momentum=3.0"
    message = stopped(config, tmp_path)
    assert "not finite" in message
    update, state = saved(tmp_path, config)
    assert f"; update {update:,} is saved and valid; " in message
    assert finite(state.parameters)


def test_configs_of_older_runs_have_neither_field(tmp_path):
    config = tiny()
    run_folder.register(tmp_path, config)
    older = config.copy_and_resolve_references()
    for field in ("on_nonfinite", "max_skipped_updates"):
        del older.train[field]
    (tmp_path / "config.json").write_text(configs.to_json(older))
    upgraded = configs.read(tmp_path / "config.json")
    assert configs.difference(upgraded, config) is None
    assert nonfinite.limit(upgraded) == nonfinite.limit(config) == 0


def test_another_word_is_refused():
    with pytest.raises(UserError, match=r"on_nonfinite: 'go on' is unknown; choose one of"):
        tiny(train__on_nonfinite="go on")
