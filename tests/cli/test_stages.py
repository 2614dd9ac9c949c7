"""The stages that a config lists: how they are written, overridden and checked, and made of older configs' numbers."""

import json

import pytest

from ntm_jax import config as configs
from ntm_jax.config import stages
from ntm_jax.config.stages import Stage
from ntm_jax.errors import UserError
from ntm_jax.storage import run_folder
from tests.helpers import ROOT
from tests.helpers.configs import FOLDER, tiny

ACROSTIC = f"{FOLDER / 'acrostic.py'}:ntm-lstm"
SHIPPED = (
    Stage(0, memory_rows_per_step=0.55),
    Stage(4000, {"joined": 40}),
    Stage(12000, {"unusual": 3, "moved": 30, "varied": 70}, restart_schedule=True),
)


def named(stage):
    """A stage with its task's fields by today's names."""
    fields = {
        configs.ALIASES.get(f"task.{name}", f"task.{name}").removeprefix("task."): value
        for name, value in stage.task.items()
    }
    return Stage(stage.start, fields, stage.memory_rows_per_step, stage.restart_schedule)


def older(**fields):
    """A config as it was written with numbers in place of stages, `fields` like `curriculum__late=3`."""
    values = tiny("acrostic", "lstm").to_dict()
    del values["curriculum"]["stages"]
    values["curriculum"] |= {"late": 0, "last": 0, "rows": 0.0}
    values["train"]["first_updates"] = 0
    for field, value in fields.items():
        section, _, name = field.partition("__")
        values[section][name] = value
    return values


def test_the_shipped_run_is_that_of_its_config_file():
    old = json.loads((ROOT / "runs/pretrained/acrostic-ntm-lstm/config.json").read_text())
    new = configs.load(ACROSTIC)
    assert stages.read(new) == tuple(map(named, SHIPPED))
    assert configs.difference(configs.upgrade(old), new) is None


ALL_ON = {"joined": 40, "unusual": 3, "moved": 30, "varied": 70}
RARE = {"unusual": 3, "moved": 30, "varied": 70}


@pytest.mark.parametrize(
    ("numbers", "first", "expected"),
    [
        ({}, ALL_ON, []),
        (
            {"curriculum__late": 5},
            {**ALL_ON, **{n: 0 for n in ALL_ON}, "unusual": 1},
            [(5, ALL_ON)],
        ),
        (
            {"curriculum__late": 5, "curriculum__last": 9},
            {"joined": 0, "unusual": 1, "moved": 0, "varied": 0},
            [(5, {"joined": 40}), (9, RARE)],
        ),
        (
            {"curriculum__late": 5, "curriculum__last": 2},  # then the last come with the late ones
            {"joined": 0, "unusual": 1, "moved": 0, "varied": 0},
            [(5, ALL_ON)],
        ),
        (
            {"curriculum__last": 9},
            {"joined": 40, "unusual": 1, "moved": 0, "varied": 0},
            [(9, RARE)],
        ),
        ({"train__first_updates": 7}, ALL_ON, [(7, {}, True)]),
    ],
)
def test_older_numbers_as_stages(numbers, first, expected):
    fields = {f"task__{name}": value for name, value in ALL_ON.items()}
    config = configs.upgrade(older(**fields, **numbers))
    wanted = tuple(named(Stage(start, task, 0.0, *more)) for start, task, *more in expected)
    assert stages.read(config) == wanted
    assert "first_updates" not in config.train
    assert set(config.curriculum) == {"name", "updates", "stages"}
    assert (
        named(Stage(task={n: v for n, v in first.items()})).task.items()
        <= config.task.to_dict().items()
    )


def test_older_rows_end_where_the_late_episodes_begin():
    config = configs.upgrade(older(curriculum__late=5, curriculum__rows=0.5))
    assert stages.read(config) == (Stage(0, memory_rows_per_step=0.5), Stage(5))


def test_a_config_without_any_of_it_has_no_stages(tmp_path):
    values = older()
    for name in ("late", "last", "rows"):
        del values["curriculum"][name]
    del values["train"]["first_updates"]
    config = configs.upgrade(values)
    assert stages.read(config) == ()
    assert configs.difference(config, tiny("acrostic", "lstm")) is None
    run_folder.register(tmp_path, tiny("acrostic", "lstm"))
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert (
        configs.difference(configs.read(tmp_path / "config.json"), tiny("acrostic", "lstm")) is None
    )


def test_other_stages_are_another_run():
    one = tiny(curriculum__stages='[{"start": 3}]')
    assert configs.difference(one, tiny()) == "curriculum.stages"


# ---- Overrides


def test_a_field_of_a_stage_is_overridden():
    config = configs.load(
        ACROSTIC, ["curriculum.stages.1.start=50", "curriculum.stages.0.memory_rows_per_step=1"]
    )
    assert [stage.start for stage in stages.read(config)] == [0, 50, 12000]
    assert stages.read(config)[0].memory_rows_per_step == 1
    config = configs.load(ACROSTIC, ["curriculum.stages.2.restart_schedule=false"])
    assert not stages.read(config)[2].restart_schedule
    assert stages.read(configs.load(ACROSTIC))[1].start == 4000  # the file's own are as they were


def test_a_field_of_a_stages_task_is_overridden():
    config = tiny(curriculum__stages='[{"start": 3}]', curriculum__stages__0__task__max_length=2)
    assert stages.read(config) == (Stage(3, {"max_length": 2}),)


@pytest.mark.parametrize(
    "name", ["curriculum.late", "curriculum.last", "curriculum.rows", "train.first_updates"]
)
def test_a_number_of_older_configs_is_refused_with_what_to_write(name):
    with pytest.raises(UserError) as caught:
        configs.load(ACROSTIC, [f"{name}=50"])
    message = str(caught.value)
    assert message.startswith(f"{name}: was replaced by stages; write --config.curriculum.stages.")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("curriculum.stages=[", "curriculum.stages: '[' is not a list in JSON"),
        ("curriculum.stages=3", "curriculum.stages: 3 is not a list of mappings"),
        ("curriculum.stages=[3]", "curriculum.stages[0]: 3 is not a mapping"),
        ('curriculum.stages=[{"stop": 3}]', "curriculum.stages[0], field: 'stop' is unknown"),
        ('curriculum.stages=[{"start": -1}]', "curriculum.stages[0].start: -1 is not allowed"),
        (
            'curriculum.stages=[{"start": 1.5}]',
            "curriculum.stages[0].start: 1.5 is not a whole number",
        ),
        (
            'curriculum.stages=[{"start": true}]',
            "curriculum.stages[0].start: True is not a whole number",
        ),
        (
            'curriculum.stages=[{"start": 3}, {"start": 3}]',
            "curriculum.stages[1].start: 3 is not allowed; it must be more than 3, the start of the stage before",
        ),
        (
            'curriculum.stages=[{"memory_rows_per_step": -0.5}]',
            "curriculum.stages[0].memory_rows_per_step: -0.5 is not allowed",
        ),
        (
            'curriculum.stages=[{"memory_rows_per_step": NaN}]',
            "curriculum.stages[0].memory_rows_per_step: nan is not allowed",
        ),
        (
            'curriculum.stages=[{"restart_schedule": 1}]',
            "curriculum.stages[0].restart_schedule: 1 is not true or false",
        ),
        ('curriculum.stages=[{"task": 1}]', "curriculum.stages[0].task: 1 is not a mapping"),
        (
            'curriculum.stages=[{"task": {"max_length": 1.5}}]',
            "curriculum.stages[0].task.max_length: 1.5 is not a name",
        ),
        ("curriculum.stages.0.start=3", "curriculum.stages.0.start: there is no such field"),
        ("curriculum.stages.start=3", "curriculum.stages.start: there is no such field"),
    ],
)
def test_stages_that_cannot_be(override, said):
    with pytest.raises(UserError) as caught:
        configs.load(f"{FOLDER / 'copy.py'}", [override])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
