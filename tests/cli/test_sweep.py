"""Several seeds at once."""

import json

import jax
import pytest
from flax import nnx

from ntm_jax import config as configs
from ntm_jax import models, sweep
from ntm_jax.errors import UserError
from ntm_jax.evaluation import report, sweep_summary
from ntm_jax.tasks.copy import Copy
from ntm_jax.training import population
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
    result = sweep_summary.summary(folders, failed=[9])
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
    assert "length_2" in sweep_summary.table(result)
    assert result["sequences_to_solve"] == {
        "runs": 3,
        "median": 200,
        "lower_quartile": 150,
        "upper_quartile": 250,
        "best": 100,
        "worst": 300,
    }
    assert "solved by 3 runs, after 200 sequences" in sweep_summary.table(result)


def test_a_summary_of_lost_runs_alone_has_no_heading():
    result = sweep_summary.summary([], failed=[0, 1])
    assert sweep_summary.table(result) == "0 runs; failed: seeds [0, 1]"


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

    def noted(config, overrides, seeds, jobs, workdir, **options):
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


# ---- Settings, and runs as one program


def test_every_combination_of_what_is_varied():
    assert sweep.parse_vary(["a=1,2", "b=3"]) == [("a=1", "b=3"), ("a=2", "b=3")]
    assert sweep.parse_vary([]) == [()]


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=1,", "seed=1,2"])
def test_what_cannot_be_varied(text):
    with pytest.raises(UserError, match="--vary"):
        sweep.parse_vary([text])


@pytest.mark.parametrize(
    ("vary", "together", "said"),
    [
        ("model.memory_size=64,128", True, r"model.memory_size: cannot differ .* only seed, opt"),
        ("optimizer.clip=value,none", True, "optimizer.clip: cannot differ"),
        ("optimizer.learning_rate=1e-4,0.0001", False, "--vary: two settings have the same name"),
        ("optimizer.learning_rate=1e-4,high", True, "optimizer.learning_rate: 'high' is not"),
        ("optimizer.name=adam,addam", False, "optimizer.name"),
        ("monitor.port=0", True, "monitor.port: --together has no monitor"),
    ],
)
def test_settings_that_are_not_allowed(tmp_path, vary, together, said):
    with pytest.raises(UserError, match=said):
        sweep.sweep(
            str(FOLDER / "copy.py"), [], [0], 1, tmp_path / "s", vary=[vary], together=together
        )
    assert not (tmp_path / "s").exists()


def test_jobs_are_for_processes():
    with pytest.raises(UserError, match="--jobs: --together is one process"):
        sweep.run(["--config", "copy", "--seeds", "0", "--together", "--jobs", "2"])


@pytest.fixture
def one_case(monkeypatch):
    """Of the copy task's, for each is compiled and drawn for every run."""
    cases = Copy.cases
    monkeypatch.setattr(Copy, "cases", lambda task: cases(task)[:1])


def test_seeds_and_settings_together(tmp_path, capsys, one_case):
    """Each is a run that `main` evaluates, and what is finished stays as it is."""
    arguments = ["--config", str(FOLDER / "copy.py"), "--workdir", str(tmp_path), "--together"]
    arguments += ["--vary", "optimizer.learning_rate=1e-3,2e-4"]
    arguments += [f"--config.{override}" for override in TINY]
    with jax.numpy_dtype_promotion("standard"):
        sweep.run([*arguments, "--seeds", "0"])
        name = "seed_0-learning_rate_0.001"
        before = (tmp_path / name / "evaluation.json").stat().st_mtime_ns
        sweep.run([*arguments, "--seeds", "0,3"])
    assert (tmp_path / name / "evaluation.json").stat().st_mtime_ns == before
    result = json.loads((tmp_path / "summary.json").read_text())
    first, second = result["settings"]
    assert first["setting"] == {"optimizer.learning_rate": 0.001}
    assert first["runs"] == [name, "seed_3-learning_rate_0.001"]
    assert second["runs"] == ["seed_0-learning_rate_0.0002", "seed_3-learning_rate_0.0002"]
    out = capsys.readouterr().out
    assert "optimizer.learning_rate=0.0002\nbits/sequence" in out
    run = tmp_path / second["runs"][1]
    config = configs.read(run / "config.json")
    assert (config.seed, config.optimizer.learning_rate) == (3, 2e-4)
    found = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").unlink()
    with jax.numpy_dtype_promotion("standard"):
        alone = report.evaluate_run(config, run)
    assert (run / "figures").is_dir()
    assert numbers(found) == pytest.approx(numbers(alone), rel=1e-4)
    assert without_numbers(found) == without_numbers(alone)


def numbers(result):
    return [value for case in result["cases"] for value in case.values() if type(value) is float]


def without_numbers(result):
    cases = [{k: v for k, v in c.items() if type(v) is not float} for c in result["cases"]]
    return {**result, "cases": cases}


def test_a_run_that_is_lost_is_named_and_the_others_are_evaluated(
    tmp_path, monkeypatch, capsys, one_case
):
    train = population.train

    def losing(members, on_lost):
        states = train(members[:1], on_lost)
        on_lost(1, UserError("update 1: it is not finite"))
        return [*states, None]

    monkeypatch.setattr(population, "train", losing)
    with jax.numpy_dtype_promotion("standard"):
        result = sweep.sweep(
            str(FOLDER / "copy.py"), TINY, [0, 1], 1, tmp_path / "sweep", together=True
        )
    assert (result["runs"], result["failed"]) == (["seed_0"], [1])
    assert (tmp_path / "sweep" / "seed_1.log").read_text() == "update 1: it is not finite\n"
    assert "seed_1: update 1: it is not finite" in capsys.readouterr().err
