"""Reads the models that the viewer shows, from run folders and weight files, again when they change."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.storage import restore, weights
from ntm_jax.web import episodes, questions
from ntm_jax.web.questions import Question

MODELS_KEPT = 8  # in memory, with different rows


class Source(ABC):
    """One model, by whatever it is stored in.

    `config`, `task` and `update` are those of the newest version seen by `refresh`.
    """

    name: str
    config: ConfigDict
    task: tasks.Task
    update: int

    def __init__(self, path: Path):
        self.path = path
        self._version = ""
        self._models: dict[int, models.Model] = {}
        self.refresh()

    @abstractmethod
    def version(self) -> str:
        """Another text after every change, read from the disk.

        Raises:
          UserError: there is nothing any more.
        """

    @abstractmethod
    def _read(self) -> None:
        """Sets `config` and `update` anew."""

    @abstractmethod
    def _load(self, rows: int | None) -> models.Model:
        """The model, with so many rows if given."""

    def refresh(self) -> str:
        """Looks whether there is something newer; gives the version that `model` has from then on."""
        version = self.version()
        if version != self._version:
            self._models.clear()
            self._read()
            config = self.config.task
            self.task = tasks.make(config.name, **tasks.difficulty(config))
            self._version = version
        return version

    def model(self, rows: int) -> models.Model:
        """The model with so many rows; 0 for one that has none."""
        if rows not in self._models:
            if len(self._models) == MODELS_KEPT:
                self._models.pop(next(iter(self._models)))
            self._models[rows] = self._load(rows or None)
        return self._models[rows]

    @property
    def rows(self) -> int:
        """Those it is evaluated with; 0 if it has no memory."""
        if "memory_size" not in self.config.model:
            return 0
        return int(self.config.evaluate.memory_size or self.config.model.memory_size)

    @property
    def fixed_rows(self) -> bool:
        """Whether something was learned for each row."""
        model = self.config.model
        return "learned" in (model.get("initial_memory"), model.get("initial_weighting"))

    def question(self, given: Mapping[str, str]) -> Question:
        """What an address's parameters ask of this model; see `questions.read`."""
        word_size = int(self.config.model.get("word_size", 0))
        return questions.read(self.task, given, self.rows, word_size, self.fixed_rows)

    def describe(self) -> dict[str, Any]:
        """For the page: what it is, and what can be asked."""
        return {
            "name": self.name,
            "task": self.config.task.name,
            "model": configs.model_name(self.config),
            "version": self.refresh(),
            "update": self.update,
            "parameters": models.parameter_count(self.model(self.rows)),
            "fields": questions.describe(self.task),
            "rows": self.rows,
            "fixed_rows": self.fixed_rows or self.rows == 0,
            "most_rows": questions.MOST_ROWS,
            "keeps_table": self.task.keeps_table,
        }

    def answer(self, question: Question) -> dict[str, Any]:
        """The episode that is asked for, for the page."""
        episode = episodes.watch(self.model(question.rows), question)
        return {
            "name": self.name,
            "version": self._version,
            "update": self.update,
            "difficulty": dict(question.difficulty),
            "seed": question.seed,
            "rows": question.rows,
            "table": question.table,
            **episodes.to_json(episode, question.task),
        }


class RunFolder(Source):
    """The newest checkpoint of a run."""

    def __init__(self, path: Path):
        self.name = path.resolve().name
        super().__init__(path)

    def version(self) -> str:
        """The newest update, or `weights`, and when that was written."""
        newest = restore.find_model(self.path)
        try:
            return f"{newest.stem}-{newest.stat().st_mtime_ns}"
        except OSError:  # removed meanwhile
            raise UserError(f"{self.path} holds no checkpoint; train first") from None

    def _read(self) -> None:
        self.config = configs.read(self.path / "config.json")
        self.update = restore.model_update(restore.find_model(self.path))

    def _load(self, rows: int | None) -> models.Model:
        model, self.update = restore.load_as(self.path, self.config, rows)
        return model


class WeightFile(Source):
    """A safetensors file, or one of the Go implementation."""

    def __init__(self, path: Path):
        self.name = path.name
        super().__init__(path)

    def version(self) -> str:
        """The file's size, and when it was written."""
        try:
            stat = self.path.stat()
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror})") from None
        return f"{stat.st_size}-{stat.st_mtime_ns}"

    def _read(self) -> None:
        self._weights = weights.load(self.path)
        self.config, self.update = self._weights.config, self._weights.update

    def _load(self, rows: int | None) -> models.Model:
        return self._weights.model(rows)


def open_source(path: Path) -> Source:
    """The run or the weights at `path`.

    Raises:
      UserError: neither is there.
    """
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(f"{path} holds no run; train one first")
        return RunFolder(path)
    return WeightFile(path)


def open_sources(paths: Sequence[Path]) -> list[Source]:
    """Each of them, under names that tell them apart."""
    sources = [open_source(path) for path in dict.fromkeys(paths)]
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            source.name = str(source.path)
    return sources


def find_runs(folder: Path) -> list[Path]:
    """Every run with a checkpoint or weights in `folder` and in its `pretrained`, by name."""
    found = [*folder.glob("*/config.json"), *folder.glob("pretrained/*/config.json")]
    return sorted(path.parent for path in found if restore.has_model(path.parent))
