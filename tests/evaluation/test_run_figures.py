"""`--mode figures`: a run's figures for a paper."""

import json

import pytest

from ntm_jax.evaluation import run_figures
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import refused, save

METRICS = "update,sequences,seconds,loss_bits_per_sequence\n1,8,0.5,90.0\n2,16,1.0,5.0\n"


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def evaluated(folder, config):
    """What a run's folder has without a model."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config.to_json())
    (folder / "metrics.csv").write_text(METRICS)
    case = {"name": "length_20", "difficulty": {"length": 20}, "bits_per_sequence": 2.0}
    (folder / "evaluation.json").write_text(json.dumps({"update": 7, "cases": [case]}))


def test_a_run_is_drawn_whole_and_its_files_say_what_they_are(tmp_path):
    config = tiny(seed=3)
    save(tmp_path, config, 7)
    evaluated(tmp_path, config)
    written = run_figures.write(tmp_path, "svg")
    cases = [f"length_{length}" for length in (10, 20, 30, 50, 120)]
    names = ["learning_curve", "generalisation", "memory", *cases]
    assert written == [tmp_path / "figures" / f"{name}.svg" for name in names]
    text = (tmp_path / "figures" / "length_20.svg").read_text()
    assert "copy, ntm-ff, update 7, seed 3" in text
    assert f"{tmp_path.name}: length 20" in text


def test_a_baseline_that_was_shipped_without_weights_has_its_curves(tmp_path):
    evaluated(tmp_path, tiny(model="lstm"))
    written = run_figures.write(tmp_path, "pdf")
    assert [path.name for path in written] == ["learning_curve.pdf", "generalisation.pdf"]


def test_without_the_corpus_what_can_be_drawn_is_drawn(tmp_path, capsys):
    config = tiny("acrostic", "ntm-lstm")
    save(tmp_path, config)
    evaluated(tmp_path, config)
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["task"]["corpus"] = str(tmp_path / "none.npz")
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert len(run_figures.write(tmp_path, "png")) == 2
    error = capsys.readouterr().err
    assert error.startswith("ntm_jax: no episodes: ")
    assert error.count("\n") == 1


def test_nothing_to_draw_is_one_clear_line(tmp_path):
    (tmp_path / "config.json").write_text(tiny().to_json())
    assert "has nothing to draw" in refused(tmp_path, run_figures.write, tmp_path, "png")
