"""Evaluation: hand-made numbers, the same episodes every time, and the files that it writes."""

import builtins
import errno
import io
import json
import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntm_jax
from ntm_jax import main, models, tasks
from ntm_jax.evaluation import canvas, report
from ntm_jax.evaluation.evaluate import Scores, case_key, score, summary
from ntm_jax.training.metrics import Metrics, Row
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import files, save

LN2 = math.log(2)
CASE_KEYS = {
    "name",
    "difficulty",
    "episodes",
    "bits_per_sequence",
    "bits_per_sequence_standard_error",
    "bit_errors_per_sequence",
    "perfect_fraction",
}
OPTIMUM_KEYS = {
    "optimal_bits_per_sequence",
    "gap_bits_per_sequence",
    "gap_bits_per_sequence_standard_error",
}
# Instead of the real cases, which take longer: their lengths.
LENGTHS = {"copy": (2, 5), "ngram": (20, 30)}
NAMES = {task: [f"length_{length}" for length in lengths] for task, lengths in LENGTHS.items()}


def short_cases(task):
    fields = ("min_length", "max_length") if task.name == "copy" else ("length",)
    return [
        tasks.Case(f"length_{n}", {"length": n}, task.at(**dict.fromkeys(fields, n)))
        for n in LENGTHS[task.name]
    ]


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()), pytest.MonkeyPatch.context() as patch:
        for task in LENGTHS:
            patch.setattr(tasks.TASKS[task], "cases", short_cases)
        yield


def evaluated(tmp_path_factory, task, **fields):
    """Folder, config and result of an evaluation of a run that was hardly trained."""
    config = tiny(task, **fields)
    workdir = tmp_path_factory.mktemp(task) / "run"
    save(workdir, config)
    with Metrics(workdir, 0) as session:
        for update in range(1, 20):
            session.write(
                Row(update, 2 * update, 0.1 * update, 20 / update, 10 / update, 1.0, 1e-3)
            )
    return workdir, config, report.evaluate_run(config, workdir)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return evaluated(tmp_path_factory, "copy", evaluate__episodes=3)


@pytest.fixture(scope="module")
def ngram(tmp_path_factory):
    return evaluated(tmp_path_factory, "ngram", evaluate__episodes=3)


@pytest.fixture(scope="module")
def short():
    """A task of length 2, and models for it."""
    task = tasks.make("copy", min_length=2, max_length=2)

    def model(name):
        return models.build(tiny(model=name), task.input_size, task.output_size)

    return task, model


# ---- Numbers


def test_a_summary_of_hand_made_numbers():
    scores = Scores(np.array([1.0, 2.0, 6.0]) * LN2, np.array([0.0, 0.0, 3.0]), None)
    found = summary(scores)
    assert found == {
        "episodes": 3,
        "bits_per_sequence": pytest.approx(3),
        "bits_per_sequence_standard_error": pytest.approx(math.sqrt(7 / 3)),  # variance 14 / 2
        "bit_errors_per_sequence": 1.0,
        "perfect_fraction": pytest.approx(2 / 3),
    }
    assert all(type(value) in (int, float) for value in found.values())


def test_a_summary_with_an_optimum():
    bits, optimal = np.array([5.0, 9.0]), np.array([4.0, 6.0])
    found = summary(Scores(bits * LN2, np.zeros(2), optimal * LN2))
    assert found["optimal_bits_per_sequence"] == pytest.approx(5)
    assert found["gap_bits_per_sequence"] == pytest.approx(2)
    # Of the differences 1 and 3, not of the costs themselves.
    assert found["gap_bits_per_sequence_standard_error"] == pytest.approx(1)


def test_one_episode_has_no_standard_error():
    found = summary(Scores(np.array([LN2]), np.zeros(1), np.array([LN2])))
    assert found["bits_per_sequence_standard_error"] == 0
    assert found["gap_bits_per_sequence_standard_error"] == 0
    json.dumps(found, allow_nan=False)


# ---- Episodes


def test_as_many_scores_as_episodes(short, monkeypatch):
    task, model = short[0], short[1]("lstm")
    key = jax.random.key(3)
    scores, example = score(model, task, key, 150)
    assert scores.nats.shape == scores.bit_errors.shape == (150,)
    assert scores.optimal_nats is None
    assert len(np.unique(scores.nats)) > 140
    assert example.inputs.shape == (task.steps, task.input_size)
    assert example.read_weightings.shape == (task.steps, 0, 0)

    again, _ = score(model, task, key, 150)
    jax.tree.map(np.testing.assert_array_equal, scores, again)

    # Batched otherwise, as many, of the same distribution.
    monkeypatch.setattr(tasks.Source, "episodes_at_once", 60)
    other, _ = score(model, task, key, 150)
    assert other.nats.shape == (150,)
    error = np.std(scores.nats) * math.sqrt(2 / 150)
    assert abs(np.mean(scores.nats) - np.mean(other.nats)) < 4.5 * error


def test_one_episode(short):
    task, model = short
    scores, _ = score(model("lstm"), task, jax.random.key(3), 1)
    assert scores.nats.shape == (1,)


def test_scores_are_the_models_costs_on_the_tasks_episodes(short):
    task, model = short[0], short[1]("ntm-ff")
    scores, example = score(model, task, jax.random.key(3), 5)
    batch_key, model_key = jax.random.split(jax.random.split(jax.random.key(3), 1)[0])
    batch = task.sample(batch_key, 5)
    logits, trace = ntm_jax.unroll(model, batch.inputs, key=model_key)
    chance = np.asarray(jax.nn.sigmoid(logits), np.float64)
    wanted = np.asarray(batch.targets)
    bits = -np.log2(np.where(wanted > 0, chance, 1 - chance))
    scored = np.asarray(batch.mask)[:, :, None]
    np.testing.assert_allclose(scores.nats / LN2, (bits * scored).sum((0, 2)), rtol=1e-4)
    errors = ((chance > 0.5) != (wanted > 0.5)) * scored
    np.testing.assert_array_equal(scores.bit_errors, errors.sum((0, 2)))
    np.testing.assert_array_equal(example.inputs, batch.inputs[:, 0])
    np.testing.assert_array_equal(example.targets, batch.targets[:, 0])
    np.testing.assert_allclose(example.probabilities, chance[:, 0], rtol=1e-5)
    np.testing.assert_allclose(
        example.write_weightings, trace.write_weightings[:, 0], rtol=1e-4, atol=1e-6
    )


def test_every_case_and_seed_has_its_own_episodes():
    def data(name, **fields):
        return tuple(jax.random.key_data(case_key(tiny(**fields), name)).tolist())

    names = [f"length_{length}" for length in range(200)]
    assert len({data(name) for name in names}) == len(names)
    assert data("length_10") == data("length_10", seed=5, train__batch_size=7)
    assert data("length_10") != data("length_10", evaluate__seed=5)


def test_test_episodes_are_not_training_episodes():
    """Even with one seed for both: no key that training splits or folds is a case's."""
    config = tiny(seed=7, evaluate__seed=7)
    root = jax.random.key(7)
    training = jax.vmap(lambda update: jax.random.fold_in(root, update))(jnp.arange(20_000))
    used = jax.vmap(jax.random.split)(training)
    seen = np.concatenate([jax.random.key_data(keys).reshape(-1, 2) for keys in (training, used)])
    seen = {tuple(row) for row in seen.tolist()}
    for task in tasks.TASKS.values():
        for case in task().cases():
            key = case_key(config, case.name)
            for test_key in (key, *jax.random.split(key, 10)):
                assert tuple(jax.random.key_data(test_key).tolist()) not in seen


# ---- Files


@pytest.mark.parametrize("task", ["copy", "ngram"])
def test_evaluation_json(request, task):
    workdir, config, result = request.getfixturevalue(task)
    text = (workdir / "evaluation.json").read_text()
    assert json.loads(text) == result
    json.dumps(result, allow_nan=False)
    assert set(result) == {"task", "model", "update", "parameters", "cases"}
    assert result["task"] == task
    assert result["model"] == "ntm-ff"
    assert result["update"] == 3
    built = Trainer(config).initial_state().parameters
    assert result["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(built))
    assert [case["name"] for case in result["cases"]] == NAMES[task]
    assert [case["difficulty"]["length"] for case in result["cases"]] == list(LENGTHS[task])
    for case in result["cases"]:
        assert set(case) == CASE_KEYS | (OPTIMUM_KEYS if task == "ngram" else set())
        assert case["episodes"] == 3
        assert case["bits_per_sequence"] > 0
        assert 0 <= case["perfect_fraction"] <= 1


def test_the_gap_is_the_cost_above_the_optimum(ngram):
    for case in ngram[2]["cases"]:
        gap = case["bits_per_sequence"] - case["optimal_bits_per_sequence"]
        assert case["gap_bits_per_sequence"] == pytest.approx(gap, rel=1e-4)
        length = case["difficulty"]["length"]
        assert 0.2 * length < case["optimal_bits_per_sequence"] < length


@pytest.mark.parametrize("task", ["copy", "ngram"])
def test_a_figure_for_every_case_and_the_learning_curve(request, task):
    figures = request.getfixturevalue(task)[0] / "figures"
    names = {f"{name}.png" for name in [*NAMES[task], "learning_curve"]}
    assert {path.name for path in figures.iterdir()} == names
    for path in figures.iterdir():
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 10_000


def test_no_figure_is_known_to_pyplot(copy):
    from matplotlib import pyplot as plt

    assert plt.get_fignums() == []


def test_evaluating_again_gives_the_same_with_another_number_of_rows_noted(
    copy, tmp_path, monkeypatch
):
    _, config, result = copy
    monkeypatch.setattr(canvas, "save", lambda figure, path: None)
    save(tmp_path, config)
    first = report.evaluate_run(config, tmp_path)
    assert "memory_size" not in first
    assert report.evaluate_run(config, tmp_path) == first

    grown = config.copy_and_resolve_references()
    grown.evaluate.memory_size = 16
    second = report.evaluate_run(grown, tmp_path)
    assert second["memory_size"] == 16
    assert second["parameters"] == first["parameters"] == result["parameters"]
    assert second["cases"] != first["cases"]


def test_a_log_gets_whole_lines_of_its_progress(copy, tmp_path, capsys, monkeypatch):
    """And few: one every 30 seconds, and the last."""
    monkeypatch.setattr(canvas, "save", lambda figure, path: None)
    save(tmp_path, copy[1])
    report.evaluate_run(copy[1], tmp_path)
    said = capsys.readouterr().err
    assert "\r" not in said
    (line,) = said.splitlines()
    assert line.startswith("evaluating: 2 of 2 (100%), ")


def test_the_table_names_every_case_and_the_gap(copy, ngram):
    for task, (_, config, result) in (("copy", copy), ("ngram", ngram)):
        lines = report.table(config, result).splitlines()
        assert [line.split()[0] for line in lines] == ["case", *NAMES[task]]
        assert lines[0].endswith("above the optimum") == (task == "ngram")
        for line, case in zip(lines[1:], result["cases"], strict=True):
            gap = f"{case.get('gap_bits_per_sequence', 0):.2f} ± "
            assert (gap in line) == (task == "ngram")


def test_the_table_of_the_readme():
    case = {"name": "length_10", "bits_per_sequence": 0.0004, "bit_errors_per_sequence": 0.0}
    lines = report.table(tiny(), {"cases": [{**case, "perfect_fraction": 1.0}]}).splitlines()
    assert lines == [
        "case                     bits/sequence  wrong bits  perfect",
        "length_10                       0.0004       0.000   100.0%",
    ]


# ---- Folders that cannot be written


def refuse_to_write(monkeypatch, below):
    """As a read-only file system refuses: root may write where permissions forbid it."""

    def refusing(function, opens):
        def instead(path, *arguments, **options):
            mode = options.get("mode") or next(iter(arguments), "r")
            if (not opens or set(mode) & set("wax+")) and Path(path).is_relative_to(below):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, *arguments, **options)

        return instead

    for module, name in ((builtins, "open"), (io, "open"), (os, "mkdir"), (os, "makedirs")):
        monkeypatch.setattr(module, name, refusing(getattr(module, name), name == "open"))


@pytest.fixture
def on_a_read_only_disk(tmp_path, monkeypatch):
    """A run that was never evaluated, or was: what it holds stays."""
    config = tiny()
    save(tmp_path, config)
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        refuse_to_write(patch, tmp_path)
        yield tmp_path, config
    assert files(tmp_path) == before


def test_a_read_only_folder_is_one_line(on_a_read_only_disk, capfd):
    workdir, config = on_a_read_only_disk
    result = report.evaluate_run(config, workdir)
    assert [case["name"] for case in result["cases"]] == NAMES["copy"]
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("ntm_jax: ")]
    assert lines == [
        f"ntm_jax: {workdir} cannot be written ({os.strerror(errno.EROFS)}); "
        "not written: figures, events.out.tfevents, evaluation.json"
    ]


def test_the_program_prints_the_table_of_a_read_only_folder(on_a_read_only_disk, capfd):
    workdir, _ = on_a_read_only_disk
    main.run(["--mode", "evaluate", "--workdir", str(workdir)])
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["case", *NAMES["copy"]]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("failing", "written"), [("evaluation.json", "figures/"), ("figures", "evaluation.json")]
)
def test_the_program_names_what_it_wrote(tmp_path, monkeypatch, capfd, failing, written):
    save(tmp_path, tiny())
    monkeypatch.setattr(report, "evaluate_model", lambda *_, **__: {"cases": []})
    if failing == "figures":  # a file in the place of a folder, or a folder in that of a file
        (tmp_path / failing).touch()
    else:
        (tmp_path / failing).mkdir()
    main.run(["--mode", "evaluate", "--workdir", str(tmp_path)])
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == f"{tmp_path}: {written}"
    assert f"not written: {failing}" in err


def test_what_there_was_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, capfd):
    """The disk is full when the last file is written."""
    config = tiny()
    save(tmp_path, config)
    with monkeypatch.context() as patch:
        patch.setattr(canvas, "save", lambda figure, path: None)
        report.evaluate_run(config, tmp_path)
    before = (tmp_path / "evaluation.json").read_bytes()

    def full(path, content):
        path.with_suffix(".partial").write_bytes(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(report.files, "write_atomically", full)
    capfd.readouterr()
    report.evaluate_run(config, tmp_path)
    assert (tmp_path / "evaluation.json").read_bytes() == before
    assert "not written: figures, evaluation.json" in capfd.readouterr().err
