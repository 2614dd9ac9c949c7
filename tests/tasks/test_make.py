"""Making a task by its name: what a user can get wrong."""

import subprocess
import sys

import pytest

from ntm_jax import config as configs
from ntm_jax import main
from ntm_jax.errors import UserError
from ntm_jax.tasks import TASKS, Case, make
from ntm_jax.tasks.registry import Registry
from tests.helpers import ROOT
from tests.helpers.configs import tiny_overrides
from tests.helpers.runs import save
from tests.helpers.task_oracles import READERS


def test_importing_the_tasks_imports_no_acrostics() -> None:
    code = """
import sys
from ntm_jax import tasks
assert "acrostic" in tasks.TASKS
tasks.make("copy")
print([name for name in sys.modules if "acrostic" in name or name in ("opencc", "ToJyutping")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_tasks_are_registered_as_classes_or_by_where_they_are() -> None:
    found = Registry({"mine": "ntm_jax.tasks.copy:Copy"})
    found["other"] = TASKS["ngram"]
    assert "mine" in found
    assert list(found) == ["mine", "other"]
    assert found["mine"] is TASKS["copy"]
    assert [*found.values()] == [TASKS["copy"], TASKS["ngram"]]
    del found["mine"]
    assert "mine" not in found


@pytest.fixture
def same_tasks():
    """Takes away what a test has registered."""
    before = set(TASKS)
    yield
    for name in set(TASKS) - before:
        del TASKS[name]


CONFIG = """
from dataclasses import dataclass
from typing import ClassVar
from configs import base, copy
from ntm_jax.tasks import TASKS

@dataclass(frozen=True)
class Backwards(TASKS["copy"]):
    name: ClassVar[str] = "backwards"

TASKS["backwards"] = Backwards

def get_config(model="ntm-ff"):
    config = copy.get_config(model)
    config.task.update({"name": "backwards"})
    return config
"""


@pytest.mark.usefixtures("quick_compile", "same_tasks")
def test_a_task_of_a_config_file_needs_that_file_again(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "configs" / "backwards.py"
    path.parent.mkdir()
    path.write_text(CONFIG)
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(TASKS["copy"], "cases", lambda task: [Case("one", {}, task)])
    options = [one for one in tiny_overrides() if not one.startswith("task.")]
    flags = ["--workdir", str(tmp_path / "run"), "--mode", "evaluate"]
    save(tmp_path / "run", configs.load(str(path), [*options, "task.max_length=3"]))
    del TASKS["backwards"]  # a new process

    with pytest.raises(
        UserError, match=r"'backwards' is unknown.*import the config file"
    ) as caught:
        main.run(flags)
    assert "\n" not in str(caught.value)
    overrides = [f"--config.{one}" for one in [*options, "task.max_length=3"]]
    main.run([*flags, "--config", str(path), *overrides])
    assert (tmp_path / "run" / "evaluation.json").exists()
    assert capsys.readouterr().out.startswith("case ")


def test_every_task_has_its_name() -> None:
    assert set(TASKS) == {*READERS, "acrostic"}  # which has tests of its own
    for name, task in TASKS.items():
        assert type(make(name)) is task
        assert make(name).name == name


@pytest.mark.parametrize(
    ("name", "difficulty", "said"),
    [
        ("copy", {"min_length": 5, "max_length": 4}, ["task.max_length", "4", "task.min_length"]),
        ("copy", {"min_length": 21}, ["task.max_length", "20", "task.min_length", "21"]),
        ("copy", {"min_length": 0}, ["task.min_length", "0"]),
        ("copy", {"max_length": 0}, ["task.max_length", "0"]),
        ("copy", {"max_length": -3}, ["task.max_length", "-3"]),
        ("copy", {"min_length": -3}, ["task.min_length", "-3"]),
        ("copy", {"bits": 0}, ["task.bits", "0"]),
        ("copy", {"zero_vector_percent": -1}, ["task.zero_vector_percent", "-1"]),
        ("copy", {"max_length": "20"}, ["task.max_length", "'20'"]),
        ("copy", {"max_length": 2.5}, ["task.max_length", "2.5"]),
        ("copy", {"max_length": True}, ["task.max_length", "True"]),
        ("copy", {"min_length": None}, ["task.min_length", "None"]),
        ("copy", {"length": 20}, ["copy", "'length'", "min_length", "max_length"]),
        ("repeat_copy", {"min_length": 11}, ["task.max_length", "10", "task.min_length", "11"]),
        ("repeat_copy", {"min_length": 0}, ["task.min_length", "0"]),
        ("repeat_copy", {"min_repeats": 3, "max_repeats": 2}, ["task.max_repeats", "2"]),
        ("repeat_copy", {"min_repeats": 0}, ["task.min_repeats", "0"]),
        ("repeat_copy", {"max_repeats": -1}, ["task.max_repeats", "-1"]),
        ("repeat_copy", {"max_repeats": "ten"}, ["task.max_repeats", "'ten'"]),
        ("repeat_copy", {"bits": 0}, ["task.bits", "0"]),
        ("repeat_copy", {"bits": "8"}, ["task.bits", "'8'"]),
        ("repeat_copy", {"zero_vector_percent": 101}, ["task.zero_vector_percent", "101"]),
        ("repeat_copy", {"count": "unary"}, ["task.count", "'unary'", "binary, linear, scalar"]),
        ("repeat_copy", {"count": 3}, ["task.count", "3", "binary, linear, scalar"]),
        ("repeat_copy", {"repeats": 3}, ["repeat_copy", "'repeats'", "max_repeats"]),
        ("associative_recall", {"min_items": 1}, ["task.min_items", "1", "2"]),
        ("associative_recall", {"min_items": 0}, ["task.min_items", "0"]),
        ("associative_recall", {"min_items": 5, "max_items": 3}, ["task.max_items", "3", "5"]),
        ("associative_recall", {"max_items": 1}, ["task.max_items", "1"]),
        ("associative_recall", {"item_length": 0}, ["task.item_length", "0"]),
        ("associative_recall", {"bits": -1}, ["task.bits", "-1"]),
        ("associative_recall", {"bits": "six"}, ["task.bits", "'six'"]),
        ("associative_recall", {"items": 6}, ["associative_recall", "'items'", "max_items"]),
        ("ngram", {"length": 0}, ["task.length", "0"]),
        ("ngram", {"length": 5}, ["task.length", "5"]),
        ("ngram", {"length": -200}, ["task.length", "-200"]),
        ("ngram", {"length": "200"}, ["task.length", "'200'"]),
        ("ngram", {"length": None}, ["task.length", "None"]),
        ("ngram", {"context": 0}, ["task.context", "0"]),
        ("ngram", {"context": 17}, ["task.context", "17", "16"]),
        ("ngram", {"max_length": 200}, ["ngram", "'max_length'", "length"]),
        ("priority_sort", {"items": 15}, ["task.kept", "16", "15"]),
        ("priority_sort", {"kept": 21}, ["task.kept", "21", "20"]),
        ("priority_sort", {"kept": 0}, ["task.kept", "0"]),
        ("priority_sort", {"items": 0}, ["task.items", "0"]),
        ("priority_sort", {"items": -1, "kept": -1}, ["task.items", "-1"]),
        ("priority_sort", {"items": "20"}, ["task.items", "'20'"]),
        ("priority_sort", {"bits": 0}, ["task.bits", "0"]),
        ("priority_sort", {"max_items": 20}, ["priority_sort", "'max_items'", "items"]),
        ("sorting", {}, ["task", "'sorting'", "priority_sort"]),
        ("", {}, ["task", "''", "copy"]),
        (None, {}, ["task", "None", "copy"]),
    ],
    ids=str,
)
def test_impossible_difficulties_are_named(name: str, difficulty: dict, said: list[str]) -> None:
    with pytest.raises(UserError) as error:
        make(name, **difficulty)
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in said if word not in message] == []


def test_the_ways_around_make_are_guarded_too() -> None:
    with pytest.raises(UserError, match="max_length"):
        make("copy").at(min_length=30)
    with pytest.raises(UserError, match="count"):
        TASKS["repeat_copy"](count="unary")
    with pytest.raises(UserError, match="kept"):
        TASKS["priority_sort"](items=4)
