"""Finds tasks by name and imports their modules when they are used."""

import importlib
from collections.abc import Iterator, Mapping, MutableMapping

from ntm_jax.tasks.base import Task


class Registry(MutableMapping[str, type[Task]]):
    """Maps names to tasks. A value can be set as a class or as its import path, "module:Class".

    Args:
      entries: the first entries.
    """

    def __init__(self, entries: Mapping[str, type[Task] | str]):
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> type[Task]:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = getattr(importlib.import_module(module), attribute)
            self._entries[name] = entry
        return entry

    def __setitem__(self, name: str, task: type[Task] | str) -> None:
        self._entries[name] = task

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
