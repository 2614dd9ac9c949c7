"""Draws the figures of one run for a paper: `--mode figures`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation import canvas, clip, curves, evaluate, figures, memory_figures
from ntm_jax.storage import restore
from ntm_jax.training import metrics

FOLDER = "figures"


def write(workdir: Path, kind: str) -> list[Path]:
    """Draws a run's learning curve, costs by case, memory use and an episode of each case.

    The files are `figures/learning_curve`, `generalisation`, `memory` and one named after each case. Their metadata
    names the run, its task, seed and update. What cannot be drawn is left out, with a line on standard error.

    Args:
      workdir: the run's folder.
      kind: of the files, one of `canvas.FORMATS`.

    Returns:
      The files written.

    Raises:
      UserError: there is no run or nothing to draw, or the folder cannot be written.
    """
    config = configs.read(workdir / "config.json")
    written = []
    for name, figure, about in _figures(workdir, config, kind):
        path = workdir / FOLDER / f"{name}.{kind}"
        keywords = f"{about}, seed {config.seed}"
        title = f"{workdir.name}: {name.replace('_', ' ')}"
        try:
            path.parent.mkdir(exist_ok=True)
            canvas.save(figure, path, _metadata(kind, title, keywords))
        except OSError as error:
            raise UserError(
                f"--workdir: {path} cannot be written ({error.strerror or error})"
            ) from None
        written.append(path)
    if not written:
        raise UserError(f"--workdir: {workdir} has nothing to draw; train first")
    return written


def write_clip(workdir: Path) -> Path:
    """Draws a clip of a run's heads on an episode, `figures/heads.gif`: the case of its memory picture.

    Raises:
      UserError: there is no run, its model has no memory, or the folder cannot be written.
    """
    config = configs.read(workdir / "config.json")
    if config.model.kind != "ntm":
        raise UserError(
            f"--format: gif shows a memory, and the {config.model.kind} in {workdir} has none"
        )
    model, update = restore.load_as(workdir, config, config.evaluate.memory_size or None)
    task = evaluate.evaluated_task(config)
    cases = {case.name: case for case in task.cases()}
    picture = task.memory_picture()
    case = cases[picture.case] if picture is not None else next(iter(cases.values()))
    shown = clip.scene(model, case.task, evaluate.case_key(config, case.name))
    about = f"{workdir.name}, {case.name.replace('_', ' ')}, seed {config.seed}, update {update}"
    path = workdir / FOLDER / "heads.gif"
    try:
        path.parent.mkdir(exist_ok=True)
        clip.save(path, shown, about)
    except OSError as error:
        raise UserError(
            f"--workdir: {path} cannot be written ({error.strerror or error})"
        ) from None
    return path


def _metadata(kind: str, title: str, keywords: str) -> dict[str, str]:
    """Returns title and keywords under the names that a format has for them."""
    return {"Title": title, "Description" if kind == "png" else "Keywords": keywords}


def _figures(
    workdir: Path, config: ConfigDict, kind: str
) -> Iterator[tuple[str, canvas.Figure, str]]:
    """Yields name, figure and what it is of."""
    model_name = configs.model_name(config)
    about = f"{config.task.name}, {model_name}"
    if (workdir / metrics.NAME).exists():
        yield (
            "learning_curve",
            curves.learning({model_name: [metrics.read(workdir / metrics.NAME)]}),
            about,
        )
    if (workdir / "evaluation.json").exists():
        result = json.loads((workdir / "evaluation.json").read_text(encoding="utf-8"))
        summary = {
            "runs": [workdir.name],
            "cases": [_of_one_seed(case) for case in result["cases"]],
        }
        figure = curves.generalisation({model_name: summary}, most_trained(config))
        yield "generalisation", figure, f"{about}, update {result['update']}"
    if not restore.has_model(workdir):
        return
    try:
        model, update = restore.load_as(workdir, config, config.evaluate.memory_size or None)
        memory = memory_figures.picture(workdir)
        if memory is not None:
            yield "memory", memory, f"{about}, update {update}"
        for name, figure in _episodes(config, model, kind):
            yield name, figure, f"{about}, update {update}"
    except UserError as error:
        print(f"ntm_jax: no episodes: {error}", file=sys.stderr)


def _episodes(
    config: ConfigDict, model: models.Model, kind: str
) -> Iterator[tuple[str, canvas.Figure]]:
    """Yields the first evaluation episode of each case."""
    task = evaluate.evaluated_task(config)
    for case in task.cases():
        if case.task.source.evaluation_shapes(1):
            key = evaluate.case_key(config, case.name)
            _, episode = evaluate.score(model, case.task, key, 1)
            yield case.name, figures.of_task(task, jax.device_get(episode), kind)


def _of_one_seed(case: dict[str, float]) -> dict[str, object]:
    """Returns a case of `evaluation.json` in the form of a sweep's summary of one seed."""
    costs = ("bits_per_sequence", "gap_bits_per_sequence")
    same = ("median", "best", "worst")
    return {**case, **{name: dict.fromkeys(same, case[name]) for name in costs if name in case}}


def most_trained(config: ConfigDict) -> dict[str, float]:
    """Returns the greatest value of each number of a run's task in training, such as 20 for `length`."""
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    return {field.name: getattr(task, field.sets[-1]) for field in task.viewer_fields()}
