"""Collects what a page without a server shows: models with episodes, or episodes as a model ran them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ntm_jax.errors import UserError
from ntm_jax.tasks import losses
from ntm_jax.web.packing import pack
from ntm_jax.web.report import copied_bits, machine
from ntm_jax.web.viewer import episodes
from ntm_jax.web.viewer.questions import Question
from ntm_jax.web.viewer.sources import Source


def collect(sources: Sequence[Source]) -> dict[str, Any]:
    """Returns the evaluation cases of every source, an episode of each.

    A model that the page can run comes as itself, and its episodes are questions and answers alone. Of others, the
    episodes hold all that the model did.

    Returns:
      `runs`, of `machines` one for each or None, and `episodes`, each with the place of its `run`.

    Raises:
      UserError: a source whose episodes cannot be drawn.
    """
    machines = [_machine(source) for source in sources]
    return {
        "runs": [source.describe() for source in sources],
        "machines": machines,
        "episodes": [
            {"run": run, **_episode(source, source.question(given), machines[run] is not None)}
            for run, source in enumerate(sources)
            for given in cases(source)
        ],
    }


def cases(source: Source) -> list[dict[str, str]]:
    """Returns the task's evaluation cases as parameters, except those beyond the viewer's limits."""
    names = [field.name for field in source.task.viewer_fields()]
    found = []
    for case in source.task.cases():
        given = {name: str(value) for name, value in case.difficulty.items() if name in names}
        given["seed"] = str(source.task.opening_seed)
        try:
            source.question(given)
        except UserError:
            continue
        found.append(given)
    return found or [{}]


def _machine(source: Source) -> dict[str, Any] | None:
    if source.task.outputs is not losses.BITS:
        return None
    return machine.exported(source.model(source.rows))


def _episode(source: Source, question: Question, in_page: bool) -> dict[str, Any]:
    if not in_page:
        return source.answer(question)
    batch, optimal, _ = jax.device_get(episodes.draw(question))
    arrays: dict[str, Any] = {"inputs": batch.inputs, "targets": batch.targets, "mask": batch.mask}
    if optimal is not None:
        arrays["optimal"] = optimal
    else:  # or the best possible probabilities would have to follow
        copies = copied_bits.find(question.task, batch)
        if copies is not None:
            arrays |= {"input_copies": copies.inputs, "target_copies": copies.targets}
    return {
        **source.about(question),
        **episodes.describe(batch, question.task),
        "arrays": {name: pack(np.asarray(values)) for name, values in arrays.items()},
    }
