"""Evaluates many runs of one model and task as one program: their parameters get one more axis.

All runs see the same episodes, which depend on `evaluate.seed` alone, so these are drawn once. The numbers are those of
`report.evaluate_and_write` for each run, apart from rounding. Figures are not drawn: for a hundred runs, that would
take far longer than the evaluation.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.evaluation import evaluate, report
from ntm_jax.evaluation.evaluate import Scores
from ntm_jax.training import progress

BYTES_AT_ONCE = 2**30  # about, of states and logits, in a step of evaluation


def evaluate_and_write(
    config: ConfigDict,
    workdirs: Sequence[Path],
    parameters: Sequence[Any],
    update: int,
    *,
    show: Callable[[str, int, str], progress.Bar] = progress.bar,
) -> list[dict[str, Any]]:
    """Evaluates runs, and writes `evaluation.json` and TensorBoard events into each one's folder.

    Args:
      config: of the first run. The others may differ in fields that do not change the model or the task.
      workdirs: the runs' folders.
      parameters: of each run, nested dicts of NumPy arrays of the same shapes.
      update: of their checkpoints.
      show: makes the progress bar.

    Returns:
      What `evaluation.json` of each run holds.

    Raises:
      UserError: the model's number of memory rows is fixed.
    """
    task, size = evaluate.evaluated_task(config), config.evaluate.memory_size
    sized = configs.with_memory_size(config, size) if size else config
    model = nnx.eval_shape(lambda: models.build(sized, task.input_size, task.output_size))
    structure = nnx.split(model)[0]
    stacked = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *parameters)
    cases: list[list[dict[str, Any]]] = [[] for _ in workdirs]
    there = evaluate.cases(config, task)
    # Cases differ in shapes. A GPU runs them faster than they compile, so they compile side by side.
    with (
        closing(show(f"evaluating {len(workdirs)} runs", len(there), "case")) as bar,
        ThreadPoolExecutor() as pool,
    ):
        keys = [evaluate.case_key(config, case.name) for case in there]
        compiled = [
            pool.submit(
                compiled_score, structure, stacked, case.task, key, config.evaluate.episodes
            )
            for case, key in zip(there, keys, strict=True)
        ]
        for done, (case, waiting) in enumerate(zip(there, compiled, strict=True), 1):
            scores = waiting.result()()
            for run, found in enumerate(cases):
                own = jax.tree.map(lambda values, run=run: values[run], scores)
                found.append(evaluate.case_result(case, own))
            bar.move_to(done)
    results = [evaluate.result(config, model, update, found) for found in cases]
    for workdir, result in zip(workdirs, results, strict=True):
        with ExitStack() as stack:
            output = report.Output(workdir, update, task, stack, figures=False)
            output.write(result)
        output.report_unwritten()
    return results


def compiled_score(
    structure: Any, parameters: Any, task: tasks.Task, key: jax.Array, episodes: int
) -> Callable[[], Scores]:
    """Returns a compiled function that runs M models on the same episodes.

    It returns their costs, `[M, E]`, as NumPy arrays.

    Args:
      structure: of the models.
      parameters: `[M, ...]`.
      task: the case's.
      key: of its episodes.
      episodes: how many.
    """
    parts = []
    for batches in evaluate.batches(task, key, episodes):
        at_once = 1  # on a CPU, more at once were 2.4 times as slow
        if jax.default_backend() != "cpu":
            at_once = max(1, BYTES_AT_ONCE // _bytes_of_one(structure, batches, parameters))
        lowered = _score.lower(structure, batches.static, at_once, parameters, batches.keys)
        parts.append((lowered.compile(), batches))

    def score() -> Scores:
        found = [
            jax.tree.map(
                partial(_first, batches.static.count), jax.device_get(run(parameters, batches.keys))
            )
            for run, batches in parts
        ]
        joined: Scores = jax.tree.map(lambda *of: np.concatenate(of, axis=1), *found)
        return joined

    return score


def _first(count: int, values: np.ndarray) -> np.ndarray:
    """Returns the first `count` episodes: `[batches, M, B, ...]` -> `[M, count, ...]`."""
    runs = np.moveaxis(values, 1, 0)
    return runs.reshape(len(runs), math.prod(runs.shape[1:3]), *runs.shape[3:])[:, :count]


@partial(jax.jit, static_argnums=(0, 1, 2))
def _score(
    structure: Any,
    batches: evaluate.StaticBatches,
    at_once: int,
    parameters: Any,
    keys: jax.Array,
) -> Scores:
    def one_batch(number_and_key: tuple[jax.Array, jax.Array]) -> Scores:
        batch, model_key = batches.draw(*number_and_key)

        def one_run(parameters: Any) -> Scores:
            model = nnx.merge(structure, parameters)
            logits, _ = models.unroll(model, batch.inputs, key=model_key)
            return evaluate.scores(batches.task, batch, logits)

        scores: Scores = jax.lax.map(one_run, parameters, batch_size=at_once)
        return scores

    found: Scores = jax.lax.map(one_batch, (jnp.arange(len(keys)), keys))
    return found


def _bytes_of_one(structure: Any, batches: evaluate.Batches, parameters: Any) -> int:
    """Returns about how much memory a run takes while a batch of episodes is evaluated."""

    def one_run(parameters: Any, number: jax.Array, key: jax.Array) -> Any:
        batch, model_key = batches.static.draw(number, key)
        first = jax.tree.map(lambda leaf: leaf[0], parameters)
        model = nnx.merge(structure, first)
        logits, _, state = models.unroll(model, batch.inputs, key=model_key, return_state=True)
        return logits, state

    shapes = jax.eval_shape(one_run, parameters, jnp.int32(0), batches.keys[0])
    return 4 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)) + 1
