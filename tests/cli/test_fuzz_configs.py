"""Configs drawn at random: valid ones train to finite numbers, broken ones are one line and nothing else."""

import functools
import itertools
import re
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntm_jax import config as configs
from ntm_jax import main
from ntm_jax.storage import run_folder
from ntm_jax.training import loop, metrics
from ntm_jax.training.trainer import Trainer
from tests.helpers.compiling import QUICK
from tests.helpers.configs import FOLDER, quick_compile, tiny, tiny_overrides
from tests.helpers.runs import files
from tests.helpers.strategies import MOST, examples, overrides, valid

COPY = FOLDER / "copy.py"
TRIED = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


# ---- Valid ones


def load(drawn):
    """The config of what `drawn.valid` gives; it sets every field."""
    task, model, fields = drawn
    config = configs.load(f"{FOLDER / task}.py:{model}", overrides(fields))
    fixed = {"task.name", "model.kind", "model.controller"}
    assert dict(configs.flatten(config)).keys() - fixed == fields.keys()
    return config


def assert_finite(state):
    assert int(state.update) == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


@examples(4, slow=False)
@given(valid())
def test_a_valid_config_trains(drawn):
    config = load(drawn)
    with tempfile.TemporaryDirectory() as folder:
        assert_finite(loop.train(config, Path(folder)))
        rows = metrics.read(Path(folder) / "metrics.csv")
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert rows[-1]["update"] == 2


def trains(drawn):
    """None if two updates give finite numbers, else what happened instead."""
    try:
        trainer = Trainer(load(drawn))
        run = jax.jit(trainer.run_updates, compiler_options=QUICK)
        assert_finite(run(trainer.initial_state(), jnp.int32(2)))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if next(TRIED) % 50 == 0:
        jax.clear_caches()  # or hundreds of programs stay in memory
    return None


@functools.cache
def sixty():
    """Valid configs, or as many as are asked for."""
    drawn = []

    @examples(60)
    @given(valid())
    def draw(config):
        drawn.append(config)

    draw()
    assert len(drawn) >= 60
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize("tenth", range(10))
def test_60_valid_configs_train(tenth):
    drawn = sixty()[tenth::10]
    outcomes = [trains(one) for one in drawn]
    wrong = [(*case, outcome) for case, outcome in zip(drawn, outcomes, strict=True) if outcome]
    assert not wrong, f"{len(wrong)} of {len(drawn)}, the first: {wrong[0]}"


# ---- Broken ones

NUMBERS = sorted(
    name
    for name, field in configs.FIELDS.items()
    if field.least is not None and not name.startswith("task.")
)
ODD_TEXT = st.text(max_size=20) | st.sampled_from(
    ["nan", "inf", "1e999", "0x10", "\n", "\x1b[0m", "٣a"]
)
WORDS = (
    *("optimizer.name", "optimizer.schedule", "optimizer.clip", "curriculum.name"),
    *("train.on_nonfinite", "model.activation", "model.key_activation"),
    *("model.strength_activation", "model.shift_activation"),
    *("model.add_activation", "model.reads_from", "model.kind", "model.controller", "task.name"),
    *("model.initial_memory", "model.initial_weighting", "model.initial_reads"),
)
TOGETHER = (  # each allowed alone
    {"model.memory_size": 4, "model.shift_range": 2},
    {"model.initial_memory": "constant", "model.initial_weighting": "uniform"},
    {"model.controller_layers": 2},
    {"model.shared_weighting": True, "model.read_heads": 2},
    {"model.initial_memory": "learned", "evaluate.memory_size": 9},
    {"task.min_length": 4},  # tiny runs have 3
    {"task.min_length": 0},
    {"evaluate.memory_size": 1, "model.shift_range": 1},
    {"monitor.port": 0, "monitor.host": "no.such.host.invalid"},
)


def beyond(least, most):
    """Numbers outside limits, as text; some of more digits than Python reads."""
    low = st.integers(-(10**40), int(np.floor(least)) - 1)
    high = st.integers(int(np.ceil(most)) + 1, 10**40)
    return (low | high).map(str) | st.just("9" * 5000)


@st.composite
def broken(draw):
    """Flags after `--config` and its file, with which a tiny copy run is refused."""
    unknown_choice = st.sampled_from
    kind = draw(
        unknown_choice(["limit", "type", "word", "field", "together", "task", "arguments", "flag"])
    )
    match kind:
        case "limit":
            field = draw(unknown_choice(NUMBERS))
            limits = configs.FIELDS[field]
            return [f"--config.{field}={draw(beyond(limits.least, limits.most))}"]
        case "type":
            field, text = draw(unknown_choice(NUMBERS)), draw(ODD_TEXT)
            return [f"--config.{field}={'_' if is_number(text) else text}"]
        case "word":
            field = draw(unknown_choice(WORDS))
            return [f"--config.{field}={draw(ODD_TEXT)}?"]
        case "field":
            name = draw(ODD_TEXT | unknown_choice(NUMBERS).map(lambda name: name + "s"))
            return [f"--config.{name.replace('=', '')}?={draw(ODD_TEXT)}"]
        case "together":
            return [f"--config.{one}" for one in overrides(draw(unknown_choice(TOGETHER)))]
        case "task":
            value = draw(st.integers(-MOST, 0) | st.integers(10**7, 10**30))
            return [f"--config.task.max_length={value}"]
        case "arguments":
            return [f"--config.optimizer.arguments={draw(ODD_TEXT)}("]
    return [draw(unknown_choice(["--", "-", "--config.", "--seed=", ""])) + draw(ODD_TEXT) + "?"]


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


@functools.cache
def base():
    """A folder with a run."""
    folder = Path(tempfile.mkdtemp())
    run_folder.register(folder / "run", tiny())
    return folder


def refusal(arguments, capsys):
    """Status and line of the program; it must not get as far as training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ntm_jax.main", *arguments])
        patch.setattr(loop, "Session", None)
        with pytest.raises(SystemExit) as caught:
            main.main()
    out, err = capsys.readouterr()
    assert out == ""
    return caught.value.code, err


def check_refused(capsys, flags, workdir):
    path = base() / workdir
    before = files(base())
    usual = [f"--config.{one}" for one in tiny_overrides()]
    status, err = refusal(["--config", str(COPY), "--workdir", str(path), *usual, *flags], capsys)
    assert status == 2
    assert re.fullmatch(r"ntm_jax: [^\n]+\n", err), err
    assert all(character.isprintable() for character in err[:-1])
    assert files(base()) == before


WORKDIRS = st.sampled_from(["run", "new", "new/deeper"])


@examples(50, slow=False)
@given(flags=broken(), workdir=WORKDIRS)
def test_a_broken_config_is_one_line_and_an_untouched_folder(capsys, flags, workdir):
    check_refused(capsys, flags, workdir)


@pytest.mark.slow
@examples(500)
@given(flags=broken(), workdir=WORKDIRS)
def test_500_broken_configs_are(capsys, flags, workdir):
    check_refused(capsys, flags, workdir)
