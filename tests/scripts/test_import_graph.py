"""Imports go down only, and the page on the architecture shows what they are."""

import pytest

from scripts import import_graph

MOST_ROOMS, MOST_FLOORS = 20, 10
ABOVE = {
    "web": {"main", "acrostic", "benchmarks"},
    "acrostic": {"main", "benchmarks", "scripts"},
    "main": {"benchmarks", "scripts"},
}


@pytest.fixture(scope="module")
def graph():
    return import_graph.imports()


def test_the_house_is_small_and_has_no_circle(graph):
    assert len(graph) <= MOST_ROOMS
    assert len(import_graph.floors(graph)) <= MOST_FLOORS


@pytest.mark.parametrize("name", ABOVE)
def test_nothing_below_knows_a_room_at_the_top(graph, name):
    assert {other for other, targets in graph.items() if name in targets} <= ABOVE[name]


def test_models_and_tasks_know_neither_each_other_nor_the_disk(graph):
    assert graph["models"] <= {"errors", "config"}
    assert "models" not in graph["tasks"]


def test_the_page_is_up_to_date(graph):
    page = import_graph.PAGE.read_text(encoding="utf-8")
    drawn = page.split(import_graph.BEGIN)[1].split(import_graph.END)[0]
    assert drawn.strip() == import_graph.text(graph)


def test_a_circle_is_named():
    with pytest.raises(ValueError, match="cycle: "):
        import_graph.floors({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a")})


def test_what_a_file_imports(tmp_path):
    (tmp_path / "ntm_jax" / "web").mkdir(parents=True)
    (tmp_path / "ntm_jax" / "web" / "page.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from ntm_jax import errors\n"
        "import jax\n"
        "if TYPE_CHECKING:\n    from ntm_jax import acrostic\n"
        "def late():\n    from ntm_jax.models import cell\n    import benchmarks.speed\n"
    )
    assert import_graph.imports(tmp_path) == {"web": {"errors", "models", "benchmarks"}}
