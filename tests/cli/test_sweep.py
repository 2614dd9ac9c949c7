"""Several seeds at once."""

import json

import jax
import pytest
from flax import nnx

from ntm_jax import config as configs
from ntm_jax import models, sweep
from ntm_jax.errors import UserError
from tests.helpers.configs import FOLDER

TINY = [
    "model.memory_size=8",
    "model.word_size=4",
    "model.controller_size=8",
    "task.max_length=2",
    "train.updates=2",
    "train.batch_size=2",
    "train.log_every=1",
    "evaluate.episodes=2",
    "evaluate.memory_size=0",
]


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-3,7", [0, 1, 2, 3, 7]), ("5", [5]), ("2-2,1", [2, 1])]
)
def test_seeds(text, seeds):
    assert sweep.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,1", "3-1", "0-2,1", "1.5"])
def test_seeds_that_cannot_be_read(text):
    with pytest.raises(UserError, match="--seeds"):
        sweep.parse_seeds(text)


def case(bits, perfect):
    return {
        "name": "length_2",
        "difficulty": {"length": 2},
        "episodes": 5,
        "bits_per_sequence": bits,
        "bits_per_sequence_standard_error": 0.5,
        "perfect_fraction": perfect,
    }


def test_summary_of_numbers_made_by_hand(tmp_path):
    folders = []
    config = configs.load(str(FOLDER / "copy.py"), ["train.solved_below=0.5"])
    losses = [[9, 0.4, 0.3], [9, 9, 9], [0.1], [9, 0.5, 0.4]]
    for seed, (bits, perfect) in enumerate([(1.0, 0.5), (2.0, 1.0), (3.0, 0.0), (10.0, 0.25)]):
        folders.append(tmp_path / f"seed_{seed}")
        folders[-1].mkdir()
        text = json.dumps({"cases": [case(bits, perfect)]})
        (folders[-1] / "evaluation.json").write_text(text)
        (folders[-1] / "config.json").write_text(configs.to_json(config))
        lines = [
            f"{10 * line},{100 * line},{loss}" for line, loss in enumerate(losses[seed], start=1)
        ]
        header = "update,sequences,loss_bits_per_sequence"
        (folders[-1] / "metrics.csv").write_text("\n".join([header, *lines, ""]))
    result = sweep.summary(folders, failed=[9])
    assert result["failed"] == [9]
    (summed,) = result["cases"]
    assert summed["bits_per_sequence"] == {
        "median": 2.5,
        "lower_quartile": 1.75,
        "upper_quartile": 4.75,
        "best": 1.0,
        "worst": 10.0,
    }
    assert summed["perfect_fraction"]["best"] == 1.0
    assert "standard_error" not in str(summed)
    assert "length_2" in sweep.table(result)
    assert result["sequences_to_solve"] == {
        "runs": 3,
        "median": 200,
        "lower_quartile": 150,
        "upper_quartile": 250,
        "best": 100,
        "worst": 300,
    }
    assert "solved by 3 runs, after 200 sequences" in sweep.table(result)


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["model.add_activation=cube"], "model.add_activation"),
        (["train.updates=0"], "train.updates"),
        (["no.such=1"], "no.such"),
        (["model.shared_weighting=true", "model.read_heads=2"], "model.shared_weighting"),
        (["task.min_length=30"], "task.max_length"),
        (["optimizer.name=addam"], "optimizer.name"),
        (["model.initial_memory=learned", "evaluate.memory_size=9"], "evaluate.memory_size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_before_any_run_starts(tmp_path, overrides, field):
    with pytest.raises(UserError, match=field):
        sweep.sweep(str(FOLDER / "copy.py"), overrides, [0], 1, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_a_check_allocates_no_parameters(monkeypatch, tmp_path):
    """They may be large, and every run has its own."""
    build, built = models.build, []

    def noted(*arguments):
        model = build(*arguments)
        built.extend(jax.tree.leaves(nnx.state(model, nnx.Param)))
        return model

    def checked(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "build", noted)
    monkeypatch.setattr(sweep, "_run_all", checked)
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(str(FOLDER / "copy.py"), [], [0], 1, tmp_path / "sweep")
    assert built
    assert all(isinstance(array, jax.core.Tracer) for array in built)


def test_the_folder_of_a_sweep_is_named_after_config_and_model(monkeypatch):
    asked = []

    def noted(config, overrides, seeds, jobs, workdir):
        asked.append(str(workdir))
        return {"cases": [], "runs": [], "failed": []}

    monkeypatch.setattr(sweep, "sweep", noted)
    for config in ("configs/copy.py", "configs/copy.py:lstm", "C:/configs/copy.py"):
        sweep.run(["--config", config, "--seeds", "0"])
    assert asked == ["runs/sweep-copy-ntm-ff", "runs/sweep-copy-lstm", "runs/sweep-copy-ntm-ff"]
    sweep.run(["--config", "copy:lstm", "--seeds", "0"])
    assert asked[-1] == "runs/sweep-copy-lstm"


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_stopped(tmp_path):
    config = str(FOLDER / "copy.py")
    sweep.sweep(config, TINY, [0], 1, tmp_path)
    before = (tmp_path / "seed_0" / "metrics.csv").stat().st_mtime_ns
    result = sweep.sweep(config, TINY, [0, 1], 2, tmp_path)
    assert (tmp_path / "seed_0" / "metrics.csv").stat().st_mtime_ns == before
    assert result["runs"] == ["seed_0", "seed_1"]
    assert result["failed"] == []
    assert json.loads((tmp_path / "summary.json").read_text()) == result
    assert (tmp_path / "learning_curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_run_that_fails_is_named(tmp_path):
    folder = tmp_path / "seed_1" / "checkpoints"
    folder.mkdir(parents=True)  # no run, and not empty
    result = sweep.sweep(str(FOLDER / "copy.py"), TINY, [0, 1], 2, tmp_path)
    assert result["failed"] == [1]
    assert result["runs"] == ["seed_0"]
