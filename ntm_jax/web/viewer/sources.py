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
from ntm_jax.web.viewer import episodes, questions
from ntm_jax.web.viewer.questions import Question

MODELS_KEPT = 8  # in memory, with different rows


class Source(ABC):
    """Provides one model, from a run's folder or a weight file.

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
        """Returns a text that differs after every change on disk.

        Raises:
          UserError: there is nothing any more.
        """

    @abstractmethod
    def _read(self) -> None:
        """Sets `config` and `update` anew."""

    @abstractmethod
    def _load(self, rows: int | None) -> models.Model:
        """Loads the model, with another number of rows if given."""

    def refresh(self) -> str:
        """Reloads the source if it has changed, and returns its version."""
        version = self.version()
        if version != self._version:
            self._models.clear()
            self._read()
            config = self.config.task
            self.task = tasks.make(config.name, **tasks.difficulty(config))
            self._version = version
        return version

    def model(self, rows: int) -> models.Model:
        """Returns the model with a number of rows; 0 for a model without memory."""
        if rows not in self._models:
            if len(self._models) == MODELS_KEPT:
                self._models.pop(next(iter(self._models)))
            self._models[rows] = self._load(rows or None)
        return self._models[rows]

    @property
    def rows(self) -> int:
        """Returns the number of rows for evaluation; 0 without memory."""
        if "memory_size" not in self.config.model:
            return 0
        return int(self.config.evaluate.memory_size or self.config.model.memory_size)

    @property
    def fixed_rows(self) -> bool:
        """Returns whether the model has parameters for each row."""
        model = self.config.model
        return "learned" in (model.get("initial_memory"), model.get("initial_weighting"))

    def question(self, given: Mapping[str, str]) -> Question:
        """Returns the question in an address's parameters; see `questions.read`."""
        word_size = int(self.config.model.get("word_size", 0))
        return questions.read(
            self.task, given, self.rows, word_size, self.fixed_rows, self.least_rows
        )

    @property
    def least_rows(self) -> int:
        """Returns the fewest rows that the model's shifts do not reach around."""
        return 2 * int(self.config.model.get("shift_range", 0)) + 1

    def trouble(self) -> str | None:
        """Returns why no episode can be drawn here, such as a corpus that is not there, or None."""
        try:
            _ = self.task.source.shapes  # which reads the data, if the task has any
        except UserError as error:
            return questions.CONFIG_NAMES.sub("", str(error))
        return None

    def describe(self) -> dict[str, Any]:
        """Describes the model and its settings, for the page."""
        return {
            "name": self.name,
            "task": self.config.task.name,
            "model": configs.model_name(self.config),
            "version": self.refresh(),
            "update": self.update,
            "parameters": models.parameter_count(self.model(self.rows)),
            "fields": questions.describe(self.task),
            "seed": self.task.opening_seed,
            "trouble": self.trouble(),
            "rows": self.rows,
            "least_rows": self.least_rows,
            "fixed_rows": self.fixed_rows or self.rows == 0,
            "most_rows": questions.MOST_ROWS,
            "keeps_table": self.task.keeps_table,
        }

    def answer(self, question: Question) -> dict[str, Any]:
        """Returns the requested episode, for the page."""
        episode = episodes.watch(self.model(question.rows), question)
        return {**self.about(question), **episodes.to_json(episode, question.task)}

    def about(self, question: Question) -> dict[str, Any]:
        """Returns what an answer says of the model and the question."""
        return {
            "name": self.name,
            "version": self._version,
            "update": self.update,
            "difficulty": dict(question.difficulty),
            "seed": question.seed,
            "rows": question.rows,
            "table": question.table,
            "model": configs.model_name(self.config),
            "changed": bool(question.interventions),
            "cosine_epsilon": self.config.model.get("cosine_epsilon"),
        }


class RunFolder(Source):
    """Provides the newest checkpoint of a run."""

    def __init__(self, path: Path):
        self.name = path.resolve().name
        super().__init__(path)

    def version(self) -> str:
        """Returns the newest update, or `weights`, and when it was written."""
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
    """Provides the model in a safetensors file or a file of the Go implementation."""

    def __init__(self, path: Path):
        self.name = path.name
        super().__init__(path)

    def version(self) -> str:
        """Returns the file's size and modification time."""
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
    """Opens the run or the weights at `path`.

    Raises:
      UserError: `path` holds neither.
    """
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UserError(f"{path} holds no run; train one first")
        return RunFolder(path)
    return WeightFile(path)


def open_sources(paths: Sequence[Path]) -> list[Source]:
    """Opens each path, under a distinct name."""
    sources = [open_source(path) for path in dict.fromkeys(paths)]
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            source.name = str(source.path)
    return sources


def find_runs(folder: Path) -> list[Path]:
    """Finds every run with a checkpoint or weights in `folder` and in its `pretrained`, by name."""
    found = [*folder.glob("*/config.json"), *folder.glob("pretrained/*/config.json")]
    return sorted(path.parent for path in found if restore.has_model(path.parent))
