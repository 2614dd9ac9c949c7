"""Configs: every file and model builds, and whatever is wrong is said in one line."""

import dataclasses
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.acrostic import corpus
from ntm_jax.config import built_in, stages
from ntm_jax.errors import UserError
from ntm_jax.models import cell, controllers, heads, initial_state, linear, precision
from ntm_jax.models.build import KINDS
from ntm_jax.tasks import repeat_copy
from ntm_jax.training import optimizers
from tests.helpers import ROOT
from tests.helpers.configs import (
    COPY,
    FOLDER,
    MODELS,
    TASKS,
    tiny,
    tiny_overrides,
)

BAD_FILE = "def get_config(model='ntm-ff'):\n    "

# ---- The smallest runs, which the tests of training, evaluation and the program share


# ---- Loading


def refused(argument, *overrides):
    """The message with which a config is refused: one line."""
    with pytest.raises(UserError) as caught:
        configs.load(argument, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_there_is_a_config_for_every_task():
    assert set(TASKS) == set(tasks.TASKS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_every_config_and_model_builds(task, model):
    config = configs.load(f"{FOLDER / task}.py:{model}")
    assert config.task.name == task
    assert configs.model_name(config) == model
    made = tasks.make(config.task.name, **tasks.difficulty(config.task))
    built = nnx.eval_shape(lambda: models.build(config, made.input_size, made.output_size))
    assert models.parameter_count(built) > 1000
    optimizers.build(config, (config.train.updates,))


@pytest.mark.parametrize("task", TASKS)
def test_the_default_model_is_ntm_ff(task):
    path = str(FOLDER / f"{task}.py")
    assert configs.load(path) == configs.load(f"{path}:ntm-ff")


def test_the_first_parameters_follow_from_the_seed_alone():
    def built(**fields):
        config = tiny(**fields)
        return jax.tree.leaves(nnx.state(models.build(config, 3, 2), nnx.Param))

    def same(one, other):
        return all((a == b).all() for a, b in zip(one, other, strict=True))

    assert same(built(seed=0), built(seed=0, train__batch_size=5))
    assert not same(built(seed=0), built(seed=1))


LIGHT = """
import sys, types
package = types.ModuleType("ntm_jax")
package.__path__ = [sys.argv[1]]
sys.modules["ntm_jax"] = package
import ntm_jax.config
print([name for name in ("jax", "flax", "orbax", "optax", "numpy", "ntm_jax.models") if name in sys.modules])
"""


def test_configs_need_no_jax():
    """Beside what `import ntm_jax` loads."""
    command = [sys.executable, "-c", LIGHT, str(ROOT / "ntm_jax")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


# ---- Overrides


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("seed=7", 7),
        ("train.updates=500", 500),
        ("model.memory_size=1_000", 1000),
        ("optimizer.learning_rate=3e-4", 3e-4),
        ("optimizer.learning_rate=1", 1.0),
        ("model.shared_weighting=true", True),
        ("model.output_reads=False", False),
        ("optimizer.name=lion", "lion"),
        ("optimizer.arguments=b1=0.9, b2=0.99", "b1=0.9, b2=0.99"),
        ("optimizer.arguments=", ""),
    ],
)
def test_an_override_has_the_type_of_its_field(override, value):
    config = configs.load(COPY, [override])
    found = dict(configs.flatten(config))[override.partition("=")[0]]
    assert found == value
    assert type(found) is type(value)


def test_the_last_override_counts():
    assert configs.load(COPY, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("train.updates", ["train.updates", "no value"]),
        ("train.update=5", ["train.update:", "no such field", "do you mean train.updates?"]),
        ("train.updates.more=5", ["train.updates.more", "no such field"]),
        ("updates=5", ["updates:", "no such field"]),
        ("train=5", ["train:", "no such field"]),
        ("=5", ["no such field"]),
        ("model.memory_sizes=5", ["do you mean model.memory_size?"]),
        ("train.updates=", ["train.updates: ''", "whole number"]),
        ("train.updates=1e3", ["train.updates: '1e3'", "whole number"]),
        ("train.updates=many", ["train.updates: 'many'", "whole number"]),
        ("task.max_length=2.5", ["task.max_length: '2.5'", "whole number"]),
        ("optimizer.learning_rate=fast", ["optimizer.learning_rate: 'fast'", "finite number"]),
        ("optimizer.learning_rate=nan", ["optimizer.learning_rate: 'nan'", "finite number"]),
        ("optimizer.learning_rate=-inf", ["optimizer.learning_rate: '-inf'", "finite number"]),
        ("optimizer.clip_limit=inf", ["optimizer.clip_limit: 'inf'", "finite number"]),
        ("model.output_reads=1", ["model.output_reads: '1'", "true or false"]),
    ],
)
def test_an_override_that_cannot_be_set(override, parts):
    message = refused(COPY, override)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("seed=-1", "from 0"),
        ("seed=2147483648", "to 2"),
        ("model.controller_size=0", "from 1"),
        ("model.controller_layers=0", "from 1"),
        ("model.memory_size=0", "from 1"),
        ("model.word_size=0", "from 1"),
        ("model.read_heads=65", "from 1 to 64"),
        ("model.write_heads=0", "from 1 to 64"),
        ("model.shift_range=-1", "from 0 to 64"),
        ("optimizer.learning_rate=-0.001", "from 1e-12"),
        ("optimizer.learning_rate=0", "from 1e-12"),
        ("optimizer.warmup=-1", "from 0"),
        ("optimizer.clip_limit=0", "from 1e-12"),
        ("curriculum.updates=0", "from 1"),
        ("train.updates=0", "from 1"),
        ("train.batch_size=0", "from 1"),
        ("train.log_every=0", "from 1"),
        ("train.checkpoint_every=0", "from 1"),
        ("evaluate.episodes=0", "from 1"),
        ("evaluate.memory_size=-1", "from 0"),
        ("evaluate.seed=-1", "from 0"),
    ],
)
def test_a_value_beyond_its_limits(override, allowed):
    field, _, value = override.partition("=")
    message = refused(COPY, override)
    assert message.startswith(f"{field}: ")
    assert value in message
    assert "it must be " in message
    assert allowed in message


def test_every_field_of_the_table_is_in_a_config():
    every = [*(tiny(task, model) for task in TASKS for model in MODELS)]
    known = {field for config in every for field, _ in configs.flatten(config)}
    unused = {name for name in configs.FIELDS if not name.startswith("task.")} - known
    assert unused == {"model.cosine_epsilon"}  # of weights of fumin/ntm alone


def test_every_field_of_a_config_is_in_the_table():
    for config in (tiny(task, model) for task in TASKS for model in MODELS):
        for name, value in configs.flatten(config):
            assert isinstance(value, configs.FIELDS[name].type), name


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_table_has_the_fields_of_the_tasks(name):
    in_table = {
        field.removeprefix("task.") for field, f in configs.FIELDS.items() if name in f.tasks
    }
    assert in_table == {field.name for field in dataclasses.fields(tasks.TASKS[name])}


def bounded_task_fields():
    for field, of in configs.FIELDS.items():
        for task in of.tasks:
            for bound, step in ((of.least, -1), (of.most, 1)):
                if bound is not None:
                    yield task, field.removeprefix("task."), bound + step


@pytest.mark.parametrize(("task", "field", "value"), list(bounded_task_fields()))
def test_the_tasks_have_the_bounds_of_the_table(task, field, value):
    with pytest.raises(UserError, match=r"^task\.\w+: "):
        tasks.make(task, **{field: value})


@pytest.mark.parametrize("name", [name for name in configs.FIELDS if name.startswith("model.")])
def test_the_table_has_the_fields_of_the_models(name):
    """With their defaults, but for those of the initial state, and for the LSTM's layers."""
    field, last = configs.FIELDS[name], name.removeprefix("model.")
    if last in ("kind", "embedding_size", "dropout"):
        return
    parameter = inspect.signature(KINDS["ntm"].__init__).parameters[last]
    if not isinstance(field.default, type) and last not in ("initial_memory", "initial_reads"):
        assert field.default == parameter.default


CHOICES = {
    "model.kind": KINDS,
    "model.controller": cell.CONTROLLERS,
    "model.activation": controllers.ACTIVATIONS,
    "model.key_activation": heads.KEYS,
    "model.strength_activation": heads.STRENGTHS,
    "model.shift_activation": heads.SHIFTS,
    "model.add_activation": heads.ADDS,
    "model.reads_from": cell.READS_FROM,
    "model.initial_memory": initial_state.MEMORIES,
    "model.initial_weighting": initial_state.WEIGHTINGS,
    "model.initial_reads": initial_state.READS,
    "model.compute": linear.COMPUTE,
    "model.precision": precision.PRECISIONS,
    "model.engine": cell.ENGINES,
    "optimizer.schedule": optimizers.SCHEDULES,
    "optimizer.clip": optimizers.CLIPPINGS,
    "task.count": repeat_copy.COUNTS,
    "task.part": corpus.PARTS,
}


def test_the_choices_of_the_table_are_those_of_the_code():
    table = {name: set(field.choices) for name, field in configs.FIELDS.items() if field.choices}
    assert {name: table.pop(name) for name in CHOICES} == {n: set(c) for n, c in CHOICES.items()}
    assert table.keys() == {"curriculum.name", "train.on_nonfinite"}  # compared where they are read


STAGES = configs.Field(
    [],
    "Stages.",
    items={"start": configs.Field(0, "First update.", 0, 9), "name": configs.Field("", "Name.")},
)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], None),
        ([{"start": 9}, {"name": "last"}], None),
        ([ConfigDict({"start": 1})], None),
        (3, "x: 3 is not a list of mappings"),
        ([3], "x[0]: 3 is not a mapping"),
        ([{}, {"start": 10}], "x[1].start: 10 is not allowed; it must be from 0 to 9"),
        ([{"stat": 1}], "x[0], field: 'stat' is unknown; choose one of name, start"),
        ([{"name": 1}], "x[0].name: 1 is not text"),
    ],
    ids=str,
)
def test_a_field_that_is_a_list_of_mappings(value, message):
    if message is None:
        STAGES.check("x", value)
        return
    with pytest.raises(UserError) as caught:
        STAGES.check("x", value)
    assert str(caught.value) == message


def test_a_list_of_mappings_is_overridden_in_json(monkeypatch, tmp_path):
    monkeypatch.setitem(configs.FIELDS, "curriculum.list", STAGES)
    config = tiny()
    config.curriculum.list = ()
    configs.override(config, ['curriculum.list=[{"start": 3}]'])
    assert config.curriculum.list == [{"start": 3}]
    (tmp_path / "config.json").write_text(configs.to_json(config))
    assert configs.difference(configs.read(tmp_path / "config.json"), config) is None
    for text in ("[", "3"):
        with pytest.raises(UserError, match=r"^curriculum\.list: "):
            configs.override(config, [f"curriculum.list={text}"])


def test_limits_are_inclusive():
    assert configs.load(COPY, ["seed=2147483647", "train.updates=1", "model.read_heads=64"])


def test_a_huge_whole_number_is_refused_in_one_line():
    assert refused(COPY, "seed=" + "9" * 400).startswith("seed: ")


def test_a_shift_that_reaches_around_the_memory():
    message = refused(COPY, "model.memory_size=4", "model.shift_range=2")
    assert message.startswith("model.shift_range: 2 ")
    assert "model.memory_size=4" in message


def test_an_unknown_curriculum():
    message = refused(COPY, "curriculum.name=shrinking")
    assert message == "curriculum.name: 'shrinking' is unknown; choose one of growing, none"


# ---- Files


@pytest.mark.parametrize(
    ("argument", "path", "model"),
    [
        ("configs/copy.py", "configs/copy.py", ""),
        ("configs/copy.py:lstm", "configs/copy.py", "lstm"),
        ("configs/copy.py:gru", "configs/copy.py", "gru"),
        ("configs/copy.py:", "configs/copy.py", ""),
        (r"C:\ntm\configs\copy.py", r"C:\ntm\configs\copy.py", ""),
        (r"C:\ntm\configs\copy.py:lstm", r"C:\ntm\configs\copy.py", "lstm"),
        ("C:/ntm/configs/copy.py", "C:/ntm/configs/copy.py", ""),
        ("C:copy.py", "C:copy.py", ""),
    ],
)
def test_a_path_may_have_colons(argument, path, model):
    assert configs.split_argument(argument) == (Path(path), model)


def test_a_file_whose_name_ends_as_if_with_a_model(tmp_path):
    path = tmp_path / "copy.py:lstm"
    path.touch()
    assert configs.split_argument(str(path)) == (path, "")
    assert configs.split_argument(f"{path}:ntm-ff") == (path, "ntm-ff")


def test_a_file_that_is_not_there_is_named_with_its_colon():
    assert r"no file C:\ntm\copy.py" in refused(r"C:\ntm\copy.py")


def test_a_copy_of_a_config_alone_loads(tmp_path):
    shutil.copy(COPY, tmp_path / "mine.py")
    assert configs.difference(configs.load(f"{tmp_path}/mine.py"), configs.load(COPY)) is None


OWN = """
from configs import base, shared
def get_config(model="ntm-ff"):
    config = base.get_config(model)
    config.task.update({"name": "copy", "max_length": shared.LENGTH})
    return config
"""


@pytest.fixture
def elsewhere(tmp_path):
    """Loads configs in another process, where the package is on the path and the folder configs is not."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "ntm_jax").symlink_to(ROOT / "ntm_jax")

    def load(path):
        code = f"from ntm_jax import config; print(config.load({path!r}).task.max_length)"
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path / "packages")},
            capture_output=True,
            text=True,
            check=False,
        )

    return load


def test_configs_that_import_from_their_folder(tmp_path, elsewhere):
    """As all did before 0.2.0."""
    (tmp_path / "mine.py").write_text(OWN)
    last = elsewhere("mine.py").stderr.splitlines()[-1]
    assert "mine.py imports configs, which is not found" in last
    assert "`from ntm_jax.config import base`" in last
    folder = tmp_path / "configs"
    folder.mkdir()
    shutil.copy(FOLDER / "base.py", folder)
    (folder / "shared.py").write_text("LENGTH = 7")
    (tmp_path / "mine.py").rename(folder / "mine.py")
    assert elsewhere("configs/mine.py").stdout == "7\n"


@pytest.mark.parametrize("model", ["", *MODELS])
@pytest.mark.parametrize("task", TASKS)
def test_a_built_in_config_by_its_name(tmp_path, monkeypatch, task, model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{task}.py").write_text("a file of this name is another config")
    end = f":{model}" if model else ""
    assert configs.to_json(configs.load(f"{task}{end}")) == configs.to_json(
        configs.load(f"{FOLDER / task}.py{end}")
    )


def test_built_in_configs_lie_in_the_package_of_a_wheel(tmp_path):
    package = tmp_path / "ntm_jax"
    for folder in (tmp_path / "configs", package / "configs"):
        assert list(built_in.paths(package)) == []
        folder.mkdir(parents=True)
        for name in ("copy.py", "base.py", "__init__.py", "ngram.py"):
            (folder / name).touch()
        assert built_in.paths(package) == {n: folder / f"{n}.py" for n in ("copy", "ngram")}
        shutil.rmtree(folder)


@pytest.mark.parametrize("given", ["copi", "copi:lstm", "configs/copi.py", "copi.py"])
def test_what_is_neither_built_in_nor_a_file(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").touch()
    names = "acrostic, associative_recall, copy, ngram, priority_sort, repeat_copy"
    path = given.removesuffix(":lstm")
    assert refused(given) == f"--config: there is no file {path}; built-in configs are {names}"


def test_old_names_in_a_config_file_are_replaced(tmp_path):
    """They would be fields of their own otherwise, and do nothing."""
    path = tmp_path / "older.py"
    path.write_text(
        "from configs import base\n"
        "def get_config(model='ntm-ff'):\n"
        "    config = base.get_config(model)\n"
        "    config.task.update({'name': 'copy', 'max_length': 5})\n"
        "    config.train.update({'blur_cost': 1})\n"
        "    del config.mesh\n"
        "    return config\n"
    )
    config = configs.load(str(path), ["optimizer.clip_at=3"])
    assert config.train.blur_penalty == 1
    assert "blur_cost" not in config.train
    assert config.optimizer.clip_limit == 3
    assert config.mesh.data == 1
    assert config.task.zero_vector_percent == 0


def test_no_such_file_names_those_that_there_are(tmp_path):
    message = refused(f"{FOLDER}/copi.py")
    assert f"no file {FOLDER}/copi.py" in message
    assert all(f"{task}.py" in message for task in TASKS)
    assert "base.py" not in message
    assert f"no file {tmp_path}/mine.py; built-in configs are" in refused(f"{tmp_path}/mine.py")
    assert refused(f"{tmp_path}/copy.py").endswith("; the built-in config is called copy")


def test_a_folder_is_no_file():
    assert "no file" in refused(str(FOLDER))


def test_an_unknown_model():
    message = refused(f"{COPY}:ntm")
    assert message == "model: 'ntm' is unknown; choose one of lstm, ntm-ff, ntm-lstm"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BAD_FILE + "return 1 / 0\n", "ZeroDivisionError"),
        (BAD_FILE + "raise RuntimeError('one\\ntwo')\n", "RuntimeError"),
        (BAD_FILE + "return {}\n", "returns no ConfigDict"),
        ("def get_config(:\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("x = 1\n", "AttributeError"),
        ("def get_config():\n    return None\n", "TypeError"),
    ],
    ids=["raises", "two_lines", "no_config_dict", "syntax", "import", "no_get_config", "no_model"],
)
def test_a_file_that_does_not_load(tmp_path, text, reason):
    path = tmp_path / "wrong.py"
    path.write_text(text)
    message = refused(f"{path}:ntm-ff")
    assert str(path) in message
    assert reason in message


def test_a_file_that_is_not_python(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert "is not a Python file" in refused(str(tmp_path / "config.yaml"))


def test_a_config_without_the_usual_fields_is_refused(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text(
        "from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict()\n"
    )
    assert refused(str(path))


# ---- JSON, and what may change within a run


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_json_round_trip(tmp_path, task, model):
    config = tiny(task, model, optimizer__learning_rate=0.1 + 0.2)
    path = tmp_path / "config.json"
    path.write_text(configs.to_json(config))
    again = configs.read(path)
    assert dict(configs.flatten(again)) == dict(configs.flatten(config))
    assert configs.difference(again, config) is None
    assert isinstance(again, ConfigDict)


OLDER = [
    *sorted((ROOT / "runs" / "pretrained").glob("*/config.json")),
    *sorted((ROOT / "tests" / "storage" / "layouts").glob("*/config.json")),
]


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.parent.name)
def test_configs_of_older_runs(path):
    """What they say stays, under the current names; what they do not say is as it was then."""
    written = dict(configs.flatten(ConfigDict(json.loads(path.read_text()))))
    config = configs.read(path)
    found = dict(configs.flatten(config))
    later = {f"task.{n}": v for stage in stages.read(config) for n, v in stage.task.items()}
    for name, value in written.items():
        current = configs.ALIASES.get(name, name)
        if current not in stages.REPLACED:
            first = found.pop(current)
            assert later.get(current, first) == value
    if any(written.get(name) for name in stages.REPLACED):
        assert found.pop("curriculum.stages")  # which ones: test_stages.py
    assert found == {name: configs.FIELDS[name].before for name in found}
    task = config.task.name
    kind = config.model.kind
    expected = {
        n
        for n, f in configs.FIELDS.items()
        if f.before is not None and not f.tasks and (not f.models or kind in f.models)
    }
    expected |= {n for n, f in configs.FIELDS.items() if f.before is not None and task in f.tasks}
    assert expected <= dict(configs.flatten(config)).keys()
    assert not set(configs.ALIASES) & dict(configs.flatten(config)).keys()
    assert configs.difference(ConfigDict(json.loads(path.read_text())), config) is None
    tasks.make(task, **tasks.difficulty(config.task))


def test_fields_of_other_tasks_are_not_added():
    task = {"name": "ngram", "length": 9}
    assert configs.upgrade({"task": task}).task.to_dict() == task
    assert configs.upgrade({"task": {"name": "mine", "zeros": "none"}}).task.zeros == "none"


@pytest.mark.parametrize(
    ("task", "old", "new"),
    [
        ("copy", "zeros", "zero_vector_percent"),
        ("repeat_copy", "zeros", "zero_vector_percent"),
        ("acrostic", "joined", "concatenated_percent"),
        ("acrostic", "moved", "shifted_linefeeds_percent"),
        ("acrostic", "unusual", "irregular_weight"),
        ("acrostic", "varied", "message_like_percent"),
        ("acrostic", "more", "extra_keywords_percent"),
    ],
)
def test_old_names_of_a_tasks_fields(task, old, new):
    overridden = tiny(task, **{f"task__{old}": 7})
    assert overridden.task[new] == 7
    assert old not in overridden.task
    upgraded = configs.upgrade({"task": {"name": task, old: 7}}).task
    assert upgraded[new] == 7
    assert old not in upgraded
    mine = configs.upgrade({"task": {"name": "mine", old: 7}})
    assert mine.task.to_dict() == {"name": "mine", old: 7}
    assert configs.override(mine, [f"task.{old}=8"]).task[old] == 8


@pytest.mark.parametrize(
    "text", [None, "", "{", "[1, 2]", "3", "null", "{}", '{"seed": "one"}', "\x00", "[" * 100_000]
)
def test_json_that_is_no_config(tmp_path, text):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=re.escape(str(path))) as caught:
        configs.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("seed=1", "seed"),
        ("model.memory_size=9", "model.memory_size"),
        ("task.max_length=4", "task.max_length"),
        ("optimizer.name=sgd", "optimizer.name"),
        ("train.batch_size=3", "train.batch_size"),
        ("curriculum.updates=3", "curriculum.updates"),
        ("train.updates=3", None),
        ("train.log_every=3", None),
        ("train.checkpoint_every=3", None),
        ("evaluate.episodes=3", None),
        ("evaluate.memory_size=9", None),
        ("evaluate.seed=3", None),
    ],
)
def test_the_difference_of_two_configs(override, field):
    one, other = tiny(), configs.load(COPY, [*tiny_overrides(), override])
    assert configs.difference(one, one) is None
    assert configs.difference(one, other) == configs.difference(other, one) == field


def test_a_field_that_only_one_config_has_is_a_difference():
    assert configs.difference(tiny(), tiny(model="lstm")).startswith("model.")
