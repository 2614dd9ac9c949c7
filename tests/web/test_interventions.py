"""What is changed inside a model does what it says, from its step on and not before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import models
from ntm_jax.errors import UserError
from ntm_jax.web import packing
from ntm_jax.web.viewer import interventions, sources
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save

STEP = 4


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="module", params=["ntm-ff", "ntm-lstm"])
def source(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    save(folder, tiny(model=request.param, model__read_heads=2, model__memory_size=8))
    return sources.open_source(folder)


def arrays(source, **given):
    answer = source.answer(source.question({"length": "5", "seed": "1", **given}))
    return {name: packing.unpack(packed) for name, packed in answer["arrays"].items()}


def both(source, text):
    """The arrays of the untouched episode, and of the one with the change."""
    return arrays(source), arrays(source, **{"break": text})


def test_no_change_is_the_model(source):
    """The plain scan of the viewer beside the scan that everything else uses."""
    cell = source.model(8)
    inputs = jax.random.normal(jax.random.key(0), (9, cell.input_size))
    made = interventions.changes([], cell, 8)
    state = cell.initial_state()
    logits, reads, weightings, controls, memory = interventions.unroll(
        cell, state, inputs, made, jax.random.key(1)
    )
    expected, trace = models.unroll(cell, inputs[:, None], memory=True)
    np.testing.assert_allclose(logits, expected[:, 0], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(reads, trace.reads[:, 0], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(memory, trace.memory[:, 0], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(weightings[:, :2], trace.read_weightings[:, 0], atol=2e-6)
    np.testing.assert_allclose(controls.key, trace.controls.key[:, 0], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "text",
    ["gate_0_1_4", "strength_1_50_4", "shift_2_-1_4", "freeze_2_4", "erase_0_4", "noise_0.5_4"],
)
def test_nothing_changes_before_its_step(source, text):
    untouched, changed = both(source, text)
    for name in ("probabilities", "memory", "read_weightings", "gate"):
        np.testing.assert_allclose(
            changed[name][:STEP], untouched[name][:STEP], rtol=1e-3, atol=1e-5, err_msg=name
        )
    assert np.abs(changed["probabilities"] - untouched["probabilities"])[STEP:].max() > 1e-6


@pytest.mark.parametrize(("name", "value"), [("gate", 0.25), ("strength", 7.5)])
def test_a_forced_control_has_its_value(source, name, value):
    untouched, changed = both(source, f"{name}_1_{value}_{STEP}")
    np.testing.assert_allclose(changed[name][STEP:, 1], value)
    assert (untouched[name][STEP:, 1] != value).all()
    assert (changed[name][:, 0] != value).all()  # of the head beside


def test_a_forced_shift_is_one_move(source):
    _, changed = both(source, f"shift_2_-1_{STEP}")
    np.testing.assert_array_equal(changed["shift"][STEP:, 2], [[1, 0, 0]] * (11 - STEP))
    assert (changed["shift"][STEP:, 0] != 1).all()


def test_a_frozen_head_stays(source):
    _, changed = both(source, f"freeze_1_{STEP}")
    frozen = changed["read_weightings"][:, 1]
    np.testing.assert_array_equal(frozen[STEP:], np.tile(frozen[STEP - 1], (11 - STEP, 1)))
    assert (changed["read_weightings"][STEP, 0] != changed["read_weightings"][STEP - 1, 0]).any()


def test_an_erased_row_holds_only_what_is_written_at_the_step(source):
    _, changed = both(source, f"erase_3_{STEP}")
    weight = changed["write_weightings"][STEP, 0, 3]
    np.testing.assert_allclose(
        changed["memory"][STEP, 3], weight * changed["add"][STEP, 0], rtol=1e-3, atol=1e-6
    )


def test_noise_has_its_deviation():
    memory = jnp.zeros((200, 50))
    cell_free = interventions.Changes(
        **{name: np.zeros(0) for name in ("gate", "strength", "shift", "gate_from")},
        **{name: np.zeros(0) for name in ("strength_from", "shift_from", "freeze_from")},
        erase_at=np.full(200, interventions.NEVER),
        noise=np.float32(0.5),
        noise_from=np.int32(3),
    )
    add = interventions._changed_memory
    assert not add(memory, jnp.int32(2), cell_free, jax.random.key(0)).any()
    third, fourth = (add(memory, jnp.int32(t), cell_free, jax.random.key(0)) for t in (3, 4))
    assert abs(third.std() - 0.5) < 0.02
    assert (third != fourth).mean() > 0.99


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("blur_0_1_2", "'blur'"),
        ("gate_0_2_0", "from 0 to 1"),
        ("gate_0_0.5", "needs 3 numbers"),
        ("gate_0.5_0.5_1", "no head, row or step"),
        ("gate_7_0.5_1", "no head 7"),
        ("shift_0_2_1", "from -1 to 1"),
        ("erase_8_1", "no row 8"),
        ("noise_nan_1", "needs 2 numbers"),
        ("noise_11_1", "from 0 to 10"),
        ("freeze_-1_1", "no head, row or step"),
        ("*".join(["freeze_0_1"] * 17), "at most 16"),
    ],
)
def test_what_cannot_be_is_one_sentence(source, text, part):
    with pytest.raises(UserError) as caught:
        arrays(source, **{"break": text})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_heads_cannot_be_broken(tmp_path):
    save(tmp_path / "run", tiny(model="lstm"))
    source = sources.open_source(tmp_path / "run")
    with pytest.raises(UserError, match="no heads"):
        arrays(source, **{"break": "freeze_0_1"})
