"""The README tells the truth: its code runs, its files are there."""

import re
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import config as configs
from ntm_jax.tasks import Batch
from ntm_jax.tasks.copy import Copy
from tests.helpers import ROOT
from tests.helpers.configs import MODELS, TASKS, quick_compile, tiny
from tests.helpers.runs import save

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = sorted(
    {link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")}
)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def section(title):
    """The text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def python_blocks(title):
    return re.findall(r"```python\n(.*?)```", section(title), re.DOTALL)


def test_the_cell_in_a_model_of_ones_own():
    found = {}
    exec(python_blocks("The cell in your own model")[0], found)
    assert found["logits"].shape == (8, 20, 5)
    assert bool(jnp.isfinite(found["logits"]).all())


def test_without_modules(tmp_path):
    save(tmp_path, tiny())
    block = python_blocks("The cell in your own model")[1]
    assert '"runs/copy-ntm-ff"' in block
    found = {}
    exec(block.replace('"runs/copy-ntm-ff"', repr(str(tmp_path))), found)
    steps = 41
    assert found["batch"].inputs.shape == (steps, 4, 9)
    assert found["logits"].shape == (steps, 4, 8)
    assert found["trace"].read_weightings.shape == (steps, 4, 1, 8)


def test_a_task_of_your_own():
    (block,) = python_blocks("A task of your own")
    found = {"dataclass": dataclass, "Copy": Copy, "ClassVar": ClassVar, "Batch": Batch, "jnp": jnp}
    exec(block, found)
    reverse, copy = found["Reverse"](1, 5), Copy(1, 5)
    assert reverse.name == "reverse"
    forward = jax.jit(copy.sample, static_argnums=1)(jax.random.key(0), 20)
    backward = jax.jit(reverse.sample, static_argnums=1)(jax.random.key(0), 20)
    np.testing.assert_array_equal(backward.inputs, forward.inputs)
    np.testing.assert_array_equal(backward.mask, forward.mask)
    lengths = set()
    for b in range(20):
        scored = np.asarray(forward.mask[:, b]) > 0
        lengths.add(int(scored.sum()))
        wanted = np.asarray(forward.targets[:, b])[scored][::-1]
        np.testing.assert_array_equal(backward.targets[:, b][scored], wanted)
        assert not np.asarray(backward.targets[:, b])[~scored].any()
    assert lengths == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_somewhere(link):
    assert (ROOT / link.replace("\\_", "_")).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(configs/\w+\.py)`", README))))
def test_a_config_that_is_named_is_there(name):
    assert (ROOT / name).is_file() or name == "configs/reverse.py"  # the reader's own


@pytest.mark.parametrize("marker", ["train", "test"])
def test_a_marked_command_is_one_line(marker):
    assert README.count(f"<!-- {marker} -->") == 1
    block = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)\n```\n", README, re.DOTALL)
    command = block.group(1)
    assert "\n" not in command
    assert command.strip() == command != ""
    wanted = {
        "train": "-m ntm_jax.main --config configs/copy.py",
        "test": "pytest -n 2 --dist loadfile",
    }[marker]
    assert command.endswith(wanted)


def test_every_task_and_model_is_named():
    table = section("Tasks and models")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(TASKS)
    assert all(f"`{model}`" in table for model in MODELS)


@pytest.mark.parametrize(
    "line", [line for line in README.splitlines() if re.match(r"--config\.|--mode evaluate ", line)]
)
def test_every_field_that_is_shown_can_be_set(line):
    line = line.split("   ")[0].strip()
    overrides = [word.strip().replace('"', "") for word in line.split("--config.")[1:]]
    config = "repeat_copy" if "task.count" in line else "copy"
    assert configs.load(str(ROOT / "configs" / f"{config}.py"), overrides)
