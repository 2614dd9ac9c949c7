"""Evaluation: a run's model on its task's named cases, to evaluation.json and figures."""

import json
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from ml_collections import ConfigDict
from tensorboardX import SummaryWriter
from tqdm import tqdm

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.evaluation import figures as plots
from ntm_jax.storage import files
from ntm_jax.storage.restore import load_as
from ntm_jax.storage.run_folder import same_run
from ntm_jax.tasks import losses


@struct.dataclass
class Scores:
    """What each of E episodes cost."""

    nats: jax.Array  # [E]
    bit_errors: jax.Array  # [E]; of symbols, those that are not the most probable
    optimal_nats: jax.Array | None  # [E], where the task knows a best predictor
    statistics: dict[str, jax.Array] = field(default_factory=dict)  # [E, ...], the task's own


@struct.dataclass
class Example:
    """One episode as `plots.episode` draws it, in the channels of the task's `picture`."""

    inputs: jax.Array  # [T, in]
    targets: jax.Array  # [T, out]
    mask: jax.Array  # [T]
    probabilities: jax.Array  # [T, out]
    read_weightings: jax.Array  # [T, R, N]
    write_weightings: jax.Array  # [T, H, N]


def evaluate(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Evaluates the newest checkpoint of a run; writes `evaluation.json` and `figures/*.png` beside it.

    TensorBoard gets the same numbers and figures. A folder that cannot be written is reported in a line on
    standard error.

    Args:
      config: a whole config, of the same run; its `evaluate` fields may differ.
      workdir: the run's folder.

    Returns:
      What `evaluation.json` holds.

    Raises:
      UserError: another run's folder, nothing to restore, or a memory that cannot change its size.
    """
    same_run(workdir, config)
    model, update = load_as(workdir, config, config.evaluate.memory_size or None)
    figures = workdir / "figures"
    unwritten: dict[str, OSError] = {}

    @contextmanager
    def writing(path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            unwritten.setdefault(path.relative_to(workdir).parts[0], error)

    with writing(figures):
        figures.mkdir(exist_ok=True)
    with ExitStack() as stack:
        events = None
        with writing(workdir / "events.out.tfevents"):
            events = stack.enter_context(SummaryWriter(str(workdir), filename_suffix=".evaluation"))

        def draw(name: str, example: Example) -> None:
            title = f"{config.task.name}, {name.replace('_', ' ')}"
            figure = plots.episode(title=title, **vars(jax.device_get(example)))
            if events is not None:
                events.add_image(name, plots.pixels(figure), update, dataformats="HWC")
            with writing(figures / f"{name}.png"):
                plots.save(figure, figures / f"{name}.png")

        result = evaluate_model(config, model, update, draw)
        for case in result["cases"] if events is not None else ():
            for name in ("bits_per_sequence", "bit_errors_per_sequence", "perfect_fraction"):
                events.add_scalar(f"{case['name']}/{name}", case[name], update)
    if (workdir / "metrics.csv").exists():
        curve = plots.learning_curve(workdir / "metrics.csv")
        with writing(figures / "learning_curve.png"):
            plots.save(curve, figures / "learning_curve.png")
    with writing(workdir / "evaluation.json"):
        text = json.dumps(result, indent=2) + "\n"
        files.write_atomically(workdir / "evaluation.json", text.encode())
    if unwritten:
        first = next(iter(unwritten.values()))
        print(
            f"ntm_jax: {workdir} cannot be written ({first.strerror or first}); "
            f"not written: {', '.join(unwritten)}",
            file=sys.stderr,
        )
    return result


def evaluate_model(
    config: ConfigDict,
    model: models.Model,
    update: int,
    draw: Callable[[str, Example], None] = lambda name, example: None,
) -> dict[str, Any]:
    """A model on the named cases of its task; writes nothing.

    Args:
      config: with `task`, `model` and `evaluate`.
      model: with the rows to evaluate with.
      update: that its parameters are of.
      draw: called with every case's name and first episode.

    Returns:
      What `evaluation.json` holds.
    """
    task = _task(config)
    cases = []
    there = [
        case
        for case in task.cases()
        if case.task.source.evaluation_shapes(config.evaluate.episodes)
    ]
    for case in tqdm(there, desc="evaluating", unit="case", dynamic_ncols=True):
        key = case_key(config, case.name)
        scores, example = score(model, case.task, key, config.evaluate.episodes)
        fields = {
            **summary(scores),
            **case.task.source.summarise(jax.device_get(scores.statistics)),
        }
        cases.append({"name": case.name, "difficulty": dict(case.difficulty), **fields})
        draw(case.name, example)
    return {
        "task": config.task.name,
        "model": configs.model_name(config),
        "update": update,
        "parameters": models.parameter_count(model),
        **({"memory_size": config.evaluate.memory_size} if config.evaluate.memory_size else {}),
        "cases": cases,
    }


def _task(config: ConfigDict) -> tasks.Task:
    """The task, or that part of it which `evaluate.part` names."""
    fields = tasks.difficulty(config.task)
    if "part" in config.evaluate:
        fields["part"] = config.evaluate.part
    return tasks.make(config.task.name, **fields)


def case_key(config: ConfigDict, name: str) -> jax.Array:
    """Where a case's test episodes come from: `evaluate.seed` and the case's name, never a training key."""
    key, _ = jax.random.split(jax.random.key(config.evaluate.seed))
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def score(
    model: models.Model, task: tasks.Task, key: jax.Array, episodes: int
) -> tuple[Scores, Example]:
    """Costs of `episodes` episodes, of which some run at once, and the first of them."""
    structure, parameters = nnx.split(model)
    scores, examples = [], []
    for number, (shape, count) in enumerate(task.source.evaluation_shapes(episodes)):
        at_once = min(count, task.source.episodes_at_once)
        keys = jax.random.split(
            key if number == 0 else jax.random.fold_in(key, number), math.ceil(count / at_once)
        )
        found, example = _score(structure, shape, count, at_once, parameters, keys)
        scores.append(_first(found, count))
        examples.append(example)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *scores), examples[0]


def _first(scores: Scores, count: int) -> Scores:
    """The first `count` episodes, of batches: `[batches, B, ...]` -> `[count, ...]`."""
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:count], scores)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _score(
    structure: Any,
    task: tasks.Task,
    count: int,
    at_once: int,
    parameters: Any,
    keys: jax.Array,
) -> tuple[Scores, Example]:
    def one_batch(number_and_key: tuple[jax.Array, jax.Array]) -> tuple[Scores, Example]:
        number, key = number_and_key
        batch_key, model_key = jax.random.split(key)
        batch = task.source.evaluation_batch(batch_key, number * at_once, count, at_once)
        model = nnx.merge(structure, parameters)
        logits, trace = models.unroll(model, batch.inputs, key=model_key)
        scored = logits, batch.targets, batch.mask
        scores = Scores(
            task.outputs.nats(*scored),
            task.outputs.errors(*scored),
            task.optimal_nats(batch),
            task.source.episode_statistics(batch, logits),
        )
        first: tasks.Batch = jax.tree.map(lambda values: values[:, 0], batch)
        inputs, targets, probabilities = task.source.picture(first, logits[:, 0])
        example = Example(
            *(inputs, targets, first.mask, probabilities),
            trace.read_weightings[:, 0],
            trace.write_weightings[:, 0],
        )
        return scores, example

    scores, examples = jax.lax.map(one_batch, (jnp.arange(len(keys)), keys))
    return scores, jax.tree.map(lambda values: values[0], examples)


def summary(scores: Scores) -> dict[str, float | int]:
    """Means over episodes, in bits, with standard errors."""
    bits = np.asarray(scores.nats) * losses.BITS_PER_NAT
    errors = np.asarray(scores.bit_errors)
    result: dict[str, float | int] = {
        "episodes": len(bits),
        "bits_per_sequence": float(bits.mean()),
        "bits_per_sequence_standard_error": _standard_error(bits),
        "bit_errors_per_sequence": float(errors.mean()),
        "perfect_fraction": float((errors == 0).mean()),
    }
    if scores.optimal_nats is not None:
        optimal = np.asarray(scores.optimal_nats) * losses.BITS_PER_NAT
        gap = bits - optimal  # on the same episodes, which differ far more than the gap does
        result["optimal_bits_per_sequence"] = float(optimal.mean())
        result["gap_bits_per_sequence"] = float(gap.mean())
        result["gap_bits_per_sequence_standard_error"] = _standard_error(gap)
    return result


def table(result: dict[str, Any]) -> str:
    """What `evaluation.json` holds, for people."""
    lines = [f"{'case':<24}{'bits/sequence':>14}{'wrong bits':>12}{'perfect':>9}"]
    for case in result["cases"]:
        line = f"{case['name']:<24}{case['bits_per_sequence']:>14.4f}"
        line += f"{case['bit_errors_per_sequence']:>12.3f}{case['perfect_fraction']:>9.1%}"
        if "gap_bits_per_sequence" in case:
            error = case["gap_bits_per_sequence_standard_error"]
            line += f"   {case['gap_bits_per_sequence']:.2f} ± {error:.2f} above the optimum"
        if "bits_per_character" in case:
            line += f"   {case['bits_per_character']:.3f} bits/character"
            for kind in ("keyword", "linefeed"):
                if f"{kind}_accuracy" in case:
                    line += f", {kind}s {case[f'{kind}_accuracy']:.2%}"
        lines.append(line)
    return "\n".join(lines)


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
