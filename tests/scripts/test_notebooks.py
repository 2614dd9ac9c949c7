"""The notebooks in docs/ run from top to bottom, and what they claim is true."""

import os
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tests.helpers.notebooks import program

PAGES = sorted((ROOT / "docs" / "notebooks").glob("*.md"))
CPU_SECONDS = 120  # of one core; a busy machine takes longer


def test_there_are_notebooks():
    assert len(PAGES) >= 3


def test_a_program_has_the_cells_and_nothing_else():
    page = "---\na: 1\n---\ntext\n```{code-cell} python\nx = 1\n```\n```python\nx = 2\n```\n```{code-cell}\ny = x;\n```\n"
    found = {}
    exec(program(page), found)
    assert (found["x"], found["y"]) == (1, 1)
    assert program(page).splitlines()[5] == "x = 1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_a_notebook_with_claims(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("---\njupytext:\n")
    code = program(text)
    compile(code, str(page), "exec")
    last_cell = text.rsplit("```{code-cell}", 1)[1]
    assert re.search(r"^assert ", last_cell, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)\s#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_runs(page, tmp_path):
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program(page.read_text(encoding="utf-8")), encoding="utf-8")
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    environment.pop("XLA_FLAGS", None)
    before = os.times().children_user
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * CPU_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert os.times().children_user - before < CPU_SECONDS
