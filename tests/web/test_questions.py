"""What a visitor may ask for: limits are named, and what is asked is what is drawn."""

import dataclasses

import pytest

from ntm_jax import tasks
from ntm_jax.errors import UserError
from ntm_jax.web.viewer import questions

COPY = tasks.make("copy", min_length=1, max_length=20)
SORT = tasks.make("priority_sort", items=20, kept=16)
NGRAM = tasks.make("ngram", length=200)


def ask(task=COPY, usual_rows=128, fixed=False, **given):
    return questions.read(task, given, usual_rows, 20, fixed)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_nothing_asked_is_the_hardest_of_the_tasks_own(name):
    task = tasks.make(name)
    question = ask(task)
    hardest = {
        f.name: getattr(task, f.name.replace("min_", "max_")) for f in dataclasses.fields(task)
    }
    assert {f.name: getattr(question.task, f.name) for f in dataclasses.fields(task)} == hardest
    assert (question.seed, question.rows, question.table) == (0, 128, None)
    assert {f["name"] for f in questions.describe(task)} == {n for n, _ in question.difficulty}


def test_a_length_is_the_length():
    question = ask(length="7", seed="3", rows="40")
    assert (question.task.min_length, question.task.max_length) == (7, 7)
    assert (question.seed, question.rows) == (3, 40)


def test_other_fields_of_the_task_stay():
    task = tasks.make("repeat_copy", count="binary", bits=6)
    question = ask(task, length="3", repeats="4")
    assert (question.task.count, question.task.bits, question.task.max_repeats) == ("binary", 6, 4)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"length": "1000000"}, ["length: 1000000", "1 to 1000"]),
        ({"length": "1001"}, ["1 to 1000"]),
        ({"length": "9" * 5000}, ["length: 9999", "1 to 1000"]),
        ({"length": "0"}, ["1 to 1000"]),
        ({"length": "-3"}, ["-3", "1 to 1000"]),
        ({"length": "2.5"}, ["'2.5'", "whole number"]),
        ({"length": ""}, ["whole number"]),
        ({"length": "1_0"}, ["whole number"]),
        ({"length": "٣"}, ["whole number"]),
        ({"seed": "2147483648"}, ["seed", "0 to 2147483647"]),
        ({"rows": "0"}, ["rows", "1 to 4096"]),
        ({"rows": "4097"}, ["rows", "1 to 4096"]),
        ({"rows": "4096", "length": "1000"}, ["rows: 4096", "at most 399", "2001 steps"]),
        ({"size": "3"}, ["'size'", "length, rows, seed"]),
        ({"table": "3"}, ["'table'"]),  # of n-grams alone
        ({"<script>": "1"}, ["<script>"]),
    ],
    ids=str,
)
def test_what_is_not_allowed_is_one_sentence(given, parts):
    with pytest.raises(UserError) as caught:
        ask(**given)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message
    assert len(message) < 200


def test_what_the_task_itself_refuses():
    with pytest.raises(UserError, match=r"^kept: 9 .* items \(8\)"):
        ask(SORT, items="8", kept="9")


def test_too_many_steps_are_refused():
    task = tasks.make("repeat_copy")
    with pytest.raises(UserError, match=r"40202 steps.*at most 3000"):
        ask(task, length="200", repeats="200")


def test_rows_of_a_model_that_learned_its_rows_stay():
    assert ask(fixed=True, rows="128").rows == 128
    with pytest.raises(UserError, match="each of its 128 rows"):
        ask(fixed=True, rows="64")


def test_a_model_without_memory_has_no_rows():
    assert ask(usual_rows=0).rows == 0


def test_a_kept_table():
    assert ask(NGRAM, table="5").table == 5


@dataclasses.dataclass(frozen=True)
class Reverse(tasks.TASKS["copy"]):
    name = "reverse"


def test_a_task_that_says_nothing_offers_its_whole_numbers():
    class Silent(Reverse):
        viewer_fields = tasks.Task.viewer_fields

    question = ask(Silent(1, 5), max_length="9")
    assert (question.task.min_length, question.task.max_length) == (1, 9)


def test_a_task_derived_from_another_offers_the_same():
    question = ask(Reverse(1, 5), length="9")
    assert (question.task.min_length, question.task.max_length) == (9, 9)


@pytest.mark.parametrize("name", ["copy", "repeat_copy"])
def test_episodes_are_like_those_of_evaluation(name):
    """And so without the vectors of zeros that only training adds."""
    task = tasks.make(name, zero_vector_percent=50)
    asked = ask(task, length="5").task
    assert asked.zero_vector_percent == 0
    assert asked.cases()[0].task.zero_vector_percent == 0
    assert task.zero_vector_percent == 50
