"""Lists which part of the project imports which: `python scripts/import_graph.py`.

A room is a module or a folder directly below `ntm_jax/`, or a folder beside it. The page calls it a module, and its
floor a layer. The floor of a room is the length of the longest chain of imports below it, so imports only go down.
`--write` puts the result into docs/project/architecture.md, between two marks.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "ntm_jax"
BESIDE = ("configs", "benchmarks", "scripts")
PAGE = ROOT / "docs" / "project" / "architecture.md"
BEGIN, END = "<!-- import graph -->", "<!-- end of import graph -->"

Graph = Mapping[str, frozenset[str]]  # room -> the rooms it imports


def room(module: str) -> str | None:
    """Returns the room of a module by its dotted name, or None for modules of other projects."""
    first, *rest = module.split(".")
    if first in BESIDE:
        return first
    if first != PACKAGE:
        return None
    is_room = bool(rest) and ((ROOT / PACKAGE / rest[0]).is_dir() or _file(rest[0]).is_file())
    return rest[0] if is_room else PACKAGE


def imports(root: Path = ROOT) -> Graph:
    """Returns the imports of each room, at the top of a file or inside a function."""
    found: dict[str, set[str]] = {}
    for folder in (PACKAGE, *BESIDE):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            here = room(".".join(parts).removesuffix(".__init__")) or folder
            tree = ast.parse(path.read_text(encoding="utf-8"))
            targets = {room(name) for name in _imported(tree)} - {None, here}
            found.setdefault(here, set()).update(target for target in targets if target)
    return {name: frozenset(targets) for name, targets in found.items()}


def floors(graph: Graph) -> list[list[str]]:
    """Returns the rooms floor by floor, the lowest first.

    Raises:
      ValueError: the imports have a cycle.
    """
    floor: dict[str, int] = {}
    try:
        for name in TopologicalSorter(graph).static_order():
            floor[name] = 1 + max((floor[target] for target in graph.get(name, ())), default=-1)
    except CycleError as error:
        raise ValueError(f"the imports have a cycle: {' -> '.join(error.args[1])}") from None
    result: list[list[str]] = [[] for _ in range(max(floor.values()) + 1)]
    for name in sorted(floor):
        result[floor[name]].append(name)
    return result


def text(graph: Graph) -> str:
    """Returns the graph as Markdown: counts, then a table with the highest floor first."""
    rows = floors(graph)
    arrows = sum(len(targets) for targets in graph.values())
    lines = [
        f"{len(graph)} modules in {len(rows)} layers, {arrows} imports, no cycle.",
        "",
    ]
    lines += ["| layer | module | imports |", "| --- | --- | --- |"]
    for number in reversed(range(len(rows))):
        for name in rows[number]:
            targets = ", ".join(f"`{target}`" for target in sorted(graph[name])) or "none"
            lines.append(f"| {number} | `{name}` | {targets} |")
    return "\n".join(lines)


def _file(name: str) -> Path:
    return ROOT / PACKAGE / f"{name}.py"


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yields the dotted names that a file imports, except under `TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imported(node)


def main(arguments: Sequence[str]) -> None:
    """Prints the graph, or writes it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="write it into docs/project/architecture.md"
    )
    options = parser.parse_args(arguments)
    drawn = text(imports())
    if not options.write:
        print(drawn)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{drawn}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
