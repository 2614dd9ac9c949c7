"""The shipped models cost on the second generator's episodes what their evaluation.json says; wrong numbers are found."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

import ntm_jax
from ntm_jax.errors import ProgramEnd, UserError
from scripts import check_results, paper_episodes
from scripts.check_results import Comparison, Measured, fisher_probability
from tests.helpers.shipped import SHIPPED

RUNS = check_results.find_runs(SHIPPED)
# The largest case of each task within training's ranges.
IN_RANGE = (
    "length_20",
    "length_10_repeats_10",
    "items_6",
    "length_200",
    "items_20_kept_16",
)
EPISODES = 300


def test_the_runs_that_are_measured():
    tasks = ("associative_recall", "copy", "ngram", "priority_sort", "repeat_copy")
    assert [run.name for run in RUNS] == [f"{t}-{m}" for t in tasks for m in ("ntm-ff", "ntm-lstm")]


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_shipped_model_costs_what_is_published(run):
    (found,) = check_results.compare(run, EPISODES, check_results.SEED, IN_RANGE)
    assert not found.differs, found.row()


@pytest.mark.slow
def test_a_published_cost_that_is_wrong_ends_the_program_with_status_1(tmp_path, capsys):
    run = tmp_path / "copy-ntm-ff"
    shutil.copytree(SHIPPED / "copy-ntm-ff", run)
    published = json.loads((run / "evaluation.json").read_text())
    published["cases"][1]["bits_per_sequence"] *= 1.1
    (run / "evaluation.json").write_text(json.dumps(published))
    flags = ["--pretrained", str(tmp_path), "--cases", "length_20", "--episodes", "300"]
    with pytest.raises(ProgramEnd, match="1 of 1 cases differ") as caught:
        check_results.run(flags)
    assert caught.value.status == 1
    assert capsys.readouterr().out.splitlines()[2].endswith("| differs |")


@pytest.mark.slow
def test_episodes_of_another_task_cost_much_more():
    """Sorted from the lowest priority."""
    run = SHIPPED / "priority_sort-ntm-ff"
    drawn = paper_episodes.draw_priority_sort(np.random.default_rng(0), 100, 20, 16)
    drawn.inputs[:, :, paper_episodes.PRIORITY] *= -1
    assert check_results.measure(ntm_jax.load(run), drawn).wrong_bits > 40


def measured(bits=1.0, standard_error=0.1, perfect=1.0, episodes=1000):
    return Measured(episodes, bits, standard_error, 0.0, perfect)


@pytest.mark.parametrize(
    ("independent", "apart", "differs"),
    [
        (measured(1.0), 0.0, False),
        (measured(1.5), 0.5 / np.sqrt(0.02), False),  # 3.5
        (measured(0.3), -0.7 / np.sqrt(0.02), True),  # -4.9
        (measured(perfect=0.99), 0.0, False),  # 10 failures and none: 1 in 500
        (measured(perfect=0.98), 0.0, True),  # 20 failures and none: 1 in 500,000
        (measured(perfect=0.97, episodes=100), 0.0, False),  # 3 of 100 and none: 1 in 1,300
    ],
)
def test_what_differs(independent, apart, differs):
    found = Comparison("copy", "ntm-ff", "length_20", measured(), independent)
    assert found.standard_errors == pytest.approx(apart)
    assert found.differs is differs
    mirrored = dataclasses.replace(found, published=independent, independent=measured())
    assert mirrored.differs is differs


@pytest.mark.parametrize(
    ("failures", "episodes", "probability"),
    [
        ((1, 3), (4, 4), 34 / 70),  # the lady tasting tea
        ((0, 4), (4, 4), 2 / 70),
        ((0, 0), (1000, 300), 1),
        ((0, 20), (1000, 1000), 2 * np.prod([(1000 - i) / (2000 - i) for i in range(20)])),
        ((3, 0), (100, 1000), np.prod([(100 - i) / (1100 - i) for i in range(3)])),
    ],
)
def test_fishers_exact_test_by_hand(failures, episodes, probability):
    assert fisher_probability(failures, episodes) == pytest.approx(probability)
    assert fisher_probability(failures[::-1], episodes[::-1]) == pytest.approx(probability)


@pytest.mark.parametrize(
    ("bits", "error", "shown"),
    [
        (0.00047194, 0.00000231, "0.0004719 ± 0.0000023"),
        (54.536, 1.637, "54.5 ± 1.6"),
        (337.56, 18.2, "338 ± 18"),
        (5846.2, 138, "5846 ± 138"),
        (2.0, 0.0, "2.000 ± 0.000"),
    ],
)
def test_costs_are_shown_with_two_digits_of_their_error(bits, error, shown):
    assert measured(bits, error).shown_bits == shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--episodes", "1"], "--episodes: 1 is less than 2"),
        (["--seed", "-1"], "--seed: -1 is negative"),
        (["--only", "copy-lstm"], "--only: 'copy-lstm' is none of associative_recall-ntm-ff, "),
        (["--cases", "length_11"], "--cases: 'length_11' is none of items_2, items_3, "),
        (["--only", "copy-ntm-ff", "--cases", "items_6"], "--cases: 'items_6' is none of length_"),
        (["--pretrained", "nowhere"], "--pretrained: nowhere holds no run of the paper's tasks"),
        (["--episodes", "x"], "argument --episodes: invalid int value: 'x'"),
    ],
)
def test_bad_arguments_are_refused(flags, message):
    with pytest.raises(UserError) as caught:
        check_results.run(["--pretrained", str(SHIPPED), *flags])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
