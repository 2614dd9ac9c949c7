"""The results: a sweep's best run is shipped whole, the table says what the files say, and so does the README."""

import json
from pathlib import Path

import pytest

from ntm_jax import checkpoints, evaluate, results
from ntm_jax import config as configs
from ntm_jax.errors import UserError

ROOT = Path(__file__).parent.parent
PRETRAINED = ROOT / results.PRETRAINED
RUNS = sorted(path.parent for path in PRETRAINED.glob("*/config.json"))


def spread(median, best, worst):
    return {"median": median, "best": best, "worst": worst}


def write_sweep(folder, wrong):
    """A sweep of copy with as many wrong bits in each seed as given, and as many updates as its number."""
    for seed, errors in wrong.items():
        run = folder / f"seed_{seed}"
        for update in (seed, 100 + seed):
            checkpoint = run / "checkpoints" / str(update)
            checkpoint.mkdir(parents=True)
            (checkpoint / "commit_success.txt").write_text(f"committed to {checkpoint}")
        (run / "figures").mkdir()
        case = {
            "name": "length_20",
            "bits_per_sequence": 5.0,
            "bit_errors_per_sequence": errors,
        }
        result = {"task": "copy", "model": "ntm-ff", "update": 100 + seed, "cases": [case]}
        (run / "evaluation.json").write_text(json.dumps(result))
        (run / "config.json").write_text("{}")
        (run / "metrics.csv").write_text("update\n")
    runs = [f"seed_{seed}" for seed in wrong]
    summary = {"runs": runs, "failed": [], "cases": []}
    (folder / "summary.json").write_text(json.dumps(summary))


def test_the_run_with_the_fewest_wrong_bits_is_shipped_with_its_newest_checkpoint(tmp_path):
    write_sweep(tmp_path / "sweep", {1: 0.5, 2: 0.25, 3: 2.0})
    (tmp_path / "copy-ntm-ff").mkdir()
    (tmp_path / "copy-ntm-ff" / "older").write_text("")
    target = results.ship(tmp_path / "sweep", tmp_path)
    assert target == tmp_path / "copy-ntm-ff"
    assert sorted(path.name for path in target.iterdir()) == sorted(
        [*results.SHIPPED, "seeds.json"]
    )
    assert [path.name for path in (target / "checkpoints").iterdir()] == ["102"]
    assert (target / "checkpoints" / "102" / "commit_success.txt").read_text() == ""
    assert json.loads((target / "seeds.json").read_text())["shipped"] == "seed_2"


def test_no_sweep_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="holds no finished sweep"):
        results.ship(tmp_path, tmp_path / "pretrained")
    with pytest.raises(UserError, match="is not there"):
        results.run(["--pretrained", str(tmp_path / "none")])


def test_a_table_of_numbers_made_by_hand(tmp_path):
    for name, case, bits in (
        ("copy-ntm-ff", {"name": "length_20"}, spread(0.004, 0.001, 12.345)),
        ("ngram-ntm-lstm", {"name": "length_200", "gap_bits_per_sequence": spread(2, 1, 3)}, 130.0),
    ):
        (tmp_path / name).mkdir()
        entry = {**case, "bits_per_sequence": bits}
        summary = {"runs": ["seed_0", "seed_1", "seed_2"], "cases": [entry]}
        (tmp_path / name / "seeds.json").write_text(json.dumps(summary))
    assert results.table(tmp_path) == (
        "| bits per sequence | `ntm-ff` | `ntm-lstm` | the paper | `fumin/ntm` | best peer |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| copy, length 20 | **0.0040** (0.0010 - 12), 3 seeds |  | near 0 | 0.044 | 0 |\n"
        "| ngram, length 200 |  | **2.00** (1.00 - 3.00), 3 seeds | about 2 | 7.7 - 14.3 |  |"
    )


def test_the_readme_has_today_s_table():
    assert f"<!-- results -->\n{results.table(PRETRAINED)}\n" in (ROOT / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("folder", RUNS, ids=lambda path: path.name)
def test_a_shipped_run_costs_what_its_evaluation_says(folder):
    config = configs.from_json(folder / "config.json")
    config.evaluate.episodes = 200
    config.evaluate.seed += 1
    rows = config.evaluate.memory_size or None
    model, update = checkpoints.load_as(folder, config, rows)
    told = json.loads((folder / "evaluation.json").read_text())
    assert told["update"] == update
    for case, before in zip(
        evaluate.evaluate_model(config, model, update)["cases"], told["cases"], strict=True
    ):
        wrong = [of["perfect_fraction"] for of in (case, before)]
        assert wrong[0] == pytest.approx(wrong[1], abs=0.12), case["name"]
        errors = [of["bits_per_sequence_standard_error"] for of in (case, before)]
        bits = [of["bits_per_sequence"] for of in (case, before)]
        # Between, a few episodes in a thousand decide the mean.
        if wrong == [1, 1] or wrong[1] < 0.9:
            assert bits[0] == pytest.approx(bits[1], abs=5 * sum(errors) + 0.01), case["name"]
