"""The README and the documentation tell the truth: their code runs, their files and headings are there."""

import contextlib
import functools
import json
import re
from urllib.parse import urlsplit

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot

import ntm_jax
from ntm_jax import config as configs
from ntm_jax.tasks.copy import Copy
from tests.helpers import ROOT, fumin_oracle
from tests.helpers.configs import MODELS, TASKS, quick_compile, tiny
from tests.helpers.runs import save

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "runs/README.md")),
    *(page for page in sorted(DOCS.rglob("*.md")) if DOCS / "_build" not in page.parents),
]
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
LINKS = [
    pytest.param(path, link, id=f"{path.relative_to(ROOT)}-{link}")
    for path, text in TEXTS.items()
    for link in sorted({a or b for a, b in LINK.findall(text)})
]
LINKS_OUTSIDE = [link for link in LINKS if link.values[1].startswith("http")]
LINKS_INSIDE = [link for link in LINKS if link not in LINKS_OUTSIDE]
# A block with a marker above it, which says why, is not executed.
BLOCK = re.compile(r"(<!-- not executed: [^\n]+ -->\n)?```python\n(.*?)```", re.DOTALL)
LEAST_LINES, MOST_LINES = 120, 150


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def page(name):
    return TEXTS[DOCS / f"{name}.md"]


def section(title):
    """The text under a heading of the README."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def python_blocks(text):
    """The Python of a page that is executed, block by block."""
    return [code for marker, code in BLOCK.findall(text) if not marker]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Runs the blocks of a page in order, in one namespace and a folder of their own; gives the namespace."""

    @functools.cache
    def run(path):
        folder = tmp_path_factory.mktemp(path.stem)
        save(folder / "runs" / "copy-ntm-ff", tiny())
        sizes = fumin_oracle.Sizes(10, 8, 100, 1, 128, 20)
        weights = json.dumps(list(fumin_oracle.weights(sizes)))
        (folder / "seed2_19000").write_text(weights, encoding="utf-8")
        namespace = {"__name__": path.stem}
        with contextlib.chdir(folder):
            for number, block in enumerate(python_blocks(TEXTS[path]), 1):
                exec(compile(block, f"{path.name}, block {number}", "exec"), namespace)
        return namespace

    yield run
    pyplot.close("all")


def test_the_readme_is_short():
    assert LEAST_LINES <= len(README.splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in PAGES
        if python_blocks(TEXTS[path])
    ],
)
def test_the_code_of_a_page_runs(executed, path):
    executed(path)


def test_the_api_has_every_public_name():
    text = page("reference/api/package")
    assert [name for name in ntm_jax.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_a_block_with_a_marker_is_left_out():
    text = (
        "<!-- not executed: needs a cluster -->\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n"
    )
    assert python_blocks(text) == ["x = 1\n"]


def test_the_layer_in_a_model_of_ones_own(executed):
    (block,) = python_blocks(section("The layer in your model"))
    assert block in python_blocks(page("guide/layer"))
    logits = executed(ROOT / "README.md")["logits"]
    assert logits.shape == (8, 20, 5)
    assert bool(jnp.isfinite(logits).all())


def test_without_modules(executed):
    found = executed(DOCS / "guide" / "layer.md")
    steps = 41
    assert found["batch"].inputs.shape == (steps, 4, 9)
    assert found["trace"].read_weightings.shape[1:] == (4, 1, 8)


def test_stages_of_a_config(executed, tmp_path):
    (block,) = python_blocks(page("guide/train"))
    (tmp_path / "staged.py").write_text(block, encoding="utf-8")
    config = configs.load(f"{tmp_path / 'staged.py'}:ntm-lstm", [])
    assert [stage["start"] for stage in config.curriculum.stages] == [0, 10_000]


def test_a_task_of_your_own(executed):
    found = executed(DOCS / "guide" / "adding_a_task.md")
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


def anchors(text):
    """The links to a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("path", "link"), LINKS_OUTSIDE)
def test_a_link_outside_is_well_formed(path, link):
    parts = urlsplit(link)
    assert parts.scheme == "https"
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc)


@pytest.mark.parametrize(("path", "link"), LINKS_INSIDE)
def test_a_link_leads_somewhere(path, link):
    file, _, heading = link.replace("\\_", "_").partition("#")
    target = (path.parent / file).resolve() if file else path
    assert target.exists()
    assert not heading or heading in anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name", sorted({name for t in TEXTS.values() for name in re.findall(r"`(configs/\w+\.py)`", t)})
)
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


OVERRIDES = sorted(
    {
        override
        for text in TEXTS.values()
        for override in re.findall(r"--config\.([\w.]+=(?:\"[^\"]*\"|[\w.+-]+))", text)
        if not override.endswith(("=K", "=P", "=VALUE"))
    }
)


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_field_that_is_shown_can_be_set(override):
    known = ("copy:ntm-ff", "repeat_copy:ntm-ff", "acrostic:ntm-lstm")
    config = known[1] if "task.count" in override or "task.bits" in override else known[0]
    if override.startswith("mesh.data"):
        overrides = [override, "train.batch_size=64"]
    elif override.startswith("task.") and config == known[0]:
        config, overrides = known[2], [override]
    else:
        overrides = [override]
    name, model = config.split(":")
    assert configs.load(f"{ROOT / 'configs' / name}.py:{model}", overrides)


def test_the_readmes_results_are_those_of_the_results_page():
    lines = README.split("<!-- six rows -->\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) == 2 + 6
    full = [
        [cell.strip() for cell in line.split("|")]
        for line in page("reference/results").splitlines()
    ]
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.split("|")][1:6]
        assert cells in [row[1:6] for row in full]
