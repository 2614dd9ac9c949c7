"""The program as its user meets it."""

import importlib
import json
import subprocess
import sys

import pytest
from flax import nnx

from ntm_jax import config as configs
from ntm_jax import main, models, tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation import evaluate
from ntm_jax.storage import weights
from scripts import write_configuration_page
from tests.helpers import ROOT
from tests.helpers.configs import quick_compile, tiny, tiny_overrides

COPY = str(ROOT / "configs" / "copy.py")


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture
def small_cases(monkeypatch):
    """Copy is evaluated at length 2 alone."""

    def cases(task):
        return [tasks.Case("length_2", {"length": 2}, task.at(min_length=2, max_length=2))]

    monkeypatch.setattr(tasks.TASKS["copy"], "cases", cases)


def flags(**fields):
    """A tiny copy run on a command line."""
    usual = {"train__updates": 2, "optimizer__schedule": "constant"}
    overrides = tiny_overrides(**(usual | fields))
    return ["--config", COPY, *(f"--config.{override}" for override in overrides)]


def called(monkeypatch, capsys, *arguments):
    """Exit status and standard error of `main` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["ntm_jax.main", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return caught.value.code, err


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ntm_jax.main", "--help"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 0
    out = capsys.readouterr().out
    words = "--config --workdir --mode train evaluate --config.<field>=<value> ntm-lstm runs/<task>-<model>"
    assert all(word in out for word in words.split())


def test_help_config_lists_the_fields_of_a_config(capsys):
    main.run([*flags(), "--help-config"])
    out = capsys.readouterr().out
    config = configs.load(f"{COPY}:ntm-ff", tiny_overrides(train__updates=2))
    for name in dict(configs.flatten(config)):
        assert f"  --config.{name}=" in out
    assert (
        "--config.train.updates=2\n      Updates of the whole run. Allowed: from 1 to 1e+09." in out
    )
    assert "task.kept" not in out


def test_help_config_lists_the_fields_of_a_run(tmp_path, capsys):
    (tmp_path / "config.json").write_text(configs.to_json(tiny(train__updates=7)))
    main.run(["--workdir", str(tmp_path), "--help-config"])
    assert "--config.train.updates=7\n" in capsys.readouterr().out


def test_help_config_alone_lists_every_field(capsys):
    main.run(["--help-config"])
    out = capsys.readouterr().out
    assert all(f"  --config.{name}=" in out for name in configs.FIELDS)
    assert all(field.help.split()[0] in out for field in configs.FIELDS.values())


def test_the_page_of_the_fields_is_up_to_date():
    text = write_configuration_page.PAGE.read_text(encoding="utf-8")
    assert text == write_configuration_page.page(), "run scripts/write_configuration_page.py"
    assert all(f"| `{name}`" in text for name in configs.FIELDS)


def test_weights_are_evaluated_as_asked(tmp_path, capsys, small_cases, monkeypatch):
    config, asked = tiny(), []
    parameters = nnx.to_pure_dict(nnx.state(models.build(config, 9, 8), nnx.Param))
    path = tmp_path / "weights"
    path.write_bytes(weights.dump(parameters, config, 3))
    evaluated = evaluate.evaluate_model

    def noted(*arguments):
        asked.append(evaluated(*arguments))
        return asked[-1]

    importlib.import_module("ntm_jax.evaluation.report")  # which must not keep the stand-in
    monkeypatch.setattr(evaluate, "evaluate_model", noted)
    usual = ["--mode", "evaluate", "--weights", str(path)]
    main.run(usual)
    main.run([*usual, "--config.evaluate.episodes=5", "--config.evaluate.memory_size=16"])
    assert [result["cases"][0]["episodes"] for result in asked] == [2, 5]
    assert asked[1]["memory_size"] == 16
    assert "length_2" in capsys.readouterr().out
    for override in ("seed=1", "evaluate.episode=3", "evaluate.episodes=0"):
        with pytest.raises(UserError, match=override.partition("=")[0]):
            main.run([*usual, f"--config.{override}"])


def test_train_then_evaluate(monkeypatch, tmp_path, capsys, small_cases):
    monkeypatch.chdir(tmp_path)
    main.run(flags())
    workdir = tmp_path / "runs" / "copy-ntm-ff"
    out = capsys.readouterr().out
    assert "length_2" in out
    assert "bits/sequence" in out
    made = {path.name for path in workdir.iterdir() if not path.name.startswith("events.out")}
    assert made == {
        "config.json",
        "metrics.csv",
        "checkpoints",
        "evaluation.json",
        "figures",
        "lock",
    }
    assert len(list(workdir.glob("events.out.tfevents*"))) == 2  # of training and of evaluation
    first = json.loads((workdir / "evaluation.json").read_text())
    assert first["update"] == 2
    assert json.loads((workdir / "config.json").read_text())["train"]["updates"] == 2

    # Evaluating again: no update more, and what is asked of `evaluate` alone may change.
    main.run([*flags(evaluate__episodes=3, evaluate__memory_size=16), "--mode", "evaluate"])
    second = json.loads((workdir / "evaluation.json").read_text())
    assert second["update"] == 2
    assert second["memory_size"] == 16
    assert second["cases"][0]["episodes"] == 3
    assert len(list(workdir.glob("events.out.tfevents*"))) == 3

    # The folder knows its config.
    of_run = ["--mode", "evaluate", "--workdir", str(workdir)]
    main.run([*of_run, "--config.evaluate.episodes=4"])
    third = json.loads((workdir / "evaluation.json").read_text())
    assert third["cases"][0]["episodes"] == 4
    assert third["cases"][0]["bits_per_sequence"] == pytest.approx(
        first["cases"][0]["bits_per_sequence"], rel=0.5
    )
    with pytest.raises(UserError, match="seed=0 instead of 1"):
        main.run([*of_run, "--config.seed=1"])

    # The same command goes on.
    main.run(flags(train__updates=3))
    assert json.loads((workdir / "evaluation.json").read_text())["update"] == 3


def test_the_workdir_that_is_asked_for(monkeypatch, tmp_path, small_cases):
    monkeypatch.chdir(tmp_path)
    main.run([*flags(), "--workdir", "somewhere/else"])
    assert (tmp_path / "somewhere" / "else" / "evaluation.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["somewhere"]


@pytest.mark.parametrize(
    "fields",
    [{"model__initial_memory": "learned"}, {"model__initial_weighting": "learned"}],
    ids=str,
)
def test_a_memory_that_cannot_grow_is_refused_before_it_is_trained(
    monkeypatch, tmp_path, small_cases, fields
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="memory_size"):
        main.run(flags(evaluate__memory_size=16, **fields))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "--config: required for training"),
        (["--config"], "--config: expected one argument; see python -m ntm_jax.main --help"),
        (["--config", COPY, "--mode", "dream"], "invalid choice: 'dream'"),
        (["--mode", "evaluate"], "--workdir: required"),
        (["--mode", "evaluate", "--workdir", "gone"], "gone holds no run"),
        (["--mode", "serve", "--config.seed=1"], "--config.seed=1: needs --config"),
        (["--mode", "figures"], "--workdir: required for figures"),
        (["--mode", "figures", "--workdir", "gone"], "gone"),
        (["--mode", "figures", "--workdir", "gone", "--format", "jpg"], "invalid choice: 'jpg'"),
        (["--mode", "figures", "--weights", "w"], "--weights: not for --mode figures"),
        (["--config", COPY, "--format", "svg"], "--format: only for --mode figures"),
        (["--config", "nowhere.py"], "nowhere.py"),
        (["--config", "copi"], "there is no file copi; built-in configs are acrostic, "),
        (["--config", COPY + ":gru"], "'gru'"),
        (["--config", "copy:gru"], "'gru'"),
        (["--config", r"C:\ntm\configs\copy.py"], r"there is no file C:\ntm\configs\copy.py"),
        (["--mode", "evaluate", "--weights", "w", "--config.seed=1"], "only evaluate.* can be set"),
        (["--config", COPY, "--config.seed=-1"], "seed: -1"),
        (["--config", COPY, "--config.seed"], "--config.seed"),
        (["--config", COPY, "--config.seed", "3"], "write --config.seed=VALUE"),
        (["--config", COPY, "--config.sed=1"], "sed: "),
        (["--config", COPY, "--config.train.updates=x"], "train.updates: 'x'"),
        (["--config", COPY, "--config.optimizer.name=addam"], "'addam'"),
        (["--config", COPY, "--config.task.min_length=30"], "task.max_length: 20"),
        (["--config", COPY, "--learning_rate=1"], "--learning_rate=1"),
        (["--config", COPY, "--verbose"], "--verbose"),
        (["--config", COPY, "extra"], "extra"),
        (["--config", COPY, "--work", "x"], "--work"),  # no abbreviations
        (["--config", COPY, "--mode", "evaluate"], "holds no run"),
        (["--config", COPY, "--mode", "evaluate", "--workdir", "gone"], "gone holds no run"),
    ],
    ids=lambda value: " ".join(value[1:]).replace(COPY, "") if isinstance(value, list) else "",
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(
    monkeypatch, tmp_path, capsys, arguments, part
):
    monkeypatch.chdir(tmp_path)
    status, err = called(monkeypatch, capsys, *arguments)
    assert status == 2
    assert err.startswith("ntm_jax: ")
    assert err.count("\n") == 1
    assert part in err
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_is_said_in_one_line(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "run", interrupted)
    status, err = called(monkeypatch, capsys)
    assert status == 130
    assert err.count("\n") == 1


def test_another_error_is_not_hidden(monkeypatch):
    def broken(arguments):
        raise ValueError("a bug")

    monkeypatch.setattr(main, "run", broken)
    with pytest.raises(ValueError, match="a bug"):
        main.main()


def test_the_program_itself():
    """From the repository's root, as the README has it."""
    command = "-m ntm_jax.main --config configs/copy.py --config.train.updates=0"
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "ntm_jax: train.updates: 0 is not allowed; it must be from 1 to 1e+09\n"
