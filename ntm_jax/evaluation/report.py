"""Evaluates a run and reports it: evaluation.json, figures/, TensorBoard, and a table for the terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
from ml_collections import ConfigDict

from ntm_jax import tasks
from ntm_jax.evaluation import canvas, curves, figures
from ntm_jax.evaluation.episode import Episode
from ntm_jax.evaluation.evaluate import evaluate_model, evaluated_task
from ntm_jax.evaluation.tables import aligned
from ntm_jax.storage import files
from ntm_jax.storage.restore import load_as
from ntm_jax.storage.run_folder import same_run
from ntm_jax.training import metrics, progress

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

SCALARS = ("bits_per_sequence", "bit_errors_per_sequence", "perfect_fraction")
RESULTS = ("evaluation.json", "figures/")
CASE_WIDTH = 23  # characters in the table
# Field of a case -> its heading and format in the table; a source may have more.
COLUMNS = {
    "bits_per_sequence": ("bits/sequence", ".4f"),
    "bit_errors_per_sequence": ("wrong bits", ".3f"),
    "perfect_fraction": ("perfect", ".1%"),
}


def evaluate_run(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Evaluates a run as `evaluate_and_write` does, and returns what `evaluation.json` holds."""
    return evaluate_and_write(config, workdir)[0]


def ignore_case(case: Mapping[str, Any]) -> None:
    """Does nothing with a case's numbers."""


def evaluate_and_write(
    config: ConfigDict,
    workdir: Path,
    *,
    case_done: Callable[[Mapping[str, Any]], None] = ignore_case,
    show: Callable[[str, int, str], progress.Bar] = progress.bar,
) -> tuple[dict[str, Any], list[str]]:
    """Evaluates the newest checkpoint of a run; writes `evaluation.json` and `figures/*.png` beside it.

    Writes the same to TensorBoard, if it is installed. If the folder cannot be written, prints a line on standard
    error instead.

    Args:
      config: a whole config, of the same run; its `evaluate` fields may differ.
      workdir: the run's folder.
      case_done: called with every case's numbers.
      show: makes the progress bar.

    Returns:
      What `evaluation.json` holds, and which of `evaluation.json` and `figures/` were written.

    Raises:
      UserError: another run's folder, no checkpoint, or a model whose number of rows is fixed.
    """
    same_run(workdir, config)
    model, update = load_as(workdir, config, config.evaluate.memory_size or None)
    with ExitStack() as stack:
        output = Output(workdir, update, evaluated_task(config), stack)
        result = evaluate_model(config, model, update, output.draw, case_done=case_done, show=show)
        output.write(result)
    output.report_unwritten()
    return result, output.written()


class Output:
    """Writes an evaluation into a run's folder, as far as it can be written."""

    def __init__(
        self,
        workdir: Path,
        update: int,
        task: tasks.Task,
        stack: ExitStack,
        *,
        figures: bool = True,
    ):
        self._workdir, self._update, self._task, self._figures = workdir, update, task, figures
        self._unwritten: dict[str, OSError] = {}
        self._events: SummaryWriter | None = None
        if figures:
            with self._writing("figures"):
                (workdir / "figures").mkdir(exist_ok=True)
        with self._writing("events.out.tfevents"):
            self._events = _event_writer(workdir, stack)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        """Notes that a file or folder cannot be written."""
        try:
            yield
        except OSError as error:
            self._unwritten.setdefault(name, error)

    def draw(self, name: str, episode: Episode) -> None:
        """Writes the figure of one episode, the first of a case."""
        figure = figures.of_task(self._task, jax.device_get(episode))
        if self._events is not None:
            self._events.add_image(name, canvas.pixels(figure), self._update, dataformats="HWC")
        with self._writing("figures"):
            canvas.save(figure, self._workdir / "figures" / f"{name}.png")

    def write(self, result: dict[str, Any]) -> None:
        """Writes the numbers and the learning curve."""
        if self._events is not None:
            for case in result["cases"]:
                for name in SCALARS:
                    self._events.add_scalar(f"{case['name']}/{name}", case[name], self._update)
        path = self._workdir / "metrics.csv"
        if self._figures and path.exists():
            curve = curves.learning_of_run(metrics.read(path))
            with self._writing("figures"):
                canvas.save(curve, self._workdir / "figures" / "learning_curve.png")
        with self._writing("evaluation.json"):
            text = json.dumps(result, indent=2) + "\n"
            files.write_atomically(self._workdir / "evaluation.json", text.encode())

    def written(self) -> list[str]:
        """Returns which of the results were written."""
        return [name for name in RESULTS if name.rstrip("/") not in self._unwritten]

    def report_unwritten(self) -> None:
        """Prints a line that names what could not be written, if anything."""
        if self._unwritten:
            first = next(iter(self._unwritten.values()))
            print(
                f"ntm_jax: {self._workdir} cannot be written ({first.strerror or first}); "
                f"not written: {', '.join(self._unwritten)}",
                file=sys.stderr,
            )


def _event_writer(workdir: Path, stack: ExitStack) -> "SummaryWriter | None":
    """Returns a writer of TensorBoard events, which closes with the stack; None if that is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        return None
    return stack.enter_context(SummaryWriter(str(workdir), filename_suffix=".evaluation"))


def table(config: ConfigDict, result: Mapping[str, Any]) -> str:
    """Returns what `evaluation.json` holds as a table; `config` is of the run."""
    cases = result["cases"]
    more = evaluated_task(config).source.columns.items()
    shown = COLUMNS | {name: column for name, column in more if any(name in c for c in cases)}
    headings = ["case", *(heading for heading, _ in shown.values())]
    rows = [
        [case["name"]]
        + [format(case[name], form) if name in case else "" for name, (_, form) in shown.items()]
        for case in cases
    ]
    if any("gap_bits_per_sequence" in case for case in cases):
        headings.append("above the optimum")
        for row, case in zip(rows, cases, strict=True):
            error = case["gap_bits_per_sequence_standard_error"]
            row.append(f"{case['gap_bits_per_sequence']:.2f} ± {error:.2f}")
    return aligned(headings, rows, CASE_WIDTH)
