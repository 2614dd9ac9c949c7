"""Trains many runs as one program: seeds, learning rates and limits of clipping, along one more axis.

    parameters, optimizer state, sums   [M, ...] for M runs
    an update                           `Trainer.update`, mapped over the runs
    the loop                            until every run has reached its end, or was stopped

Runs at the least update go first, and the others wait. Usually that is all of them: they differ after a session
that was killed between two checkpoints of the same update. The update's number therefore is one number for all
runs that move. What depends on it alone, such as the stage of the curriculum, is computed once.

Where a single run branches, this program computes both sides and selects: an update that is not finite is undone
for its run alone. Tasks whose batches have several shapes draw and differentiate all of them at every update.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import signals
from ntm_jax.errors import UserError
from ntm_jax.storage.checkpoints import CheckpointStore
from ntm_jax.storage.run_folder import open_run_folder
from ntm_jax.storage.writers import CheckpointWriters
from ntm_jax.training import loop, nonfinite, optimizers, resume
from ntm_jax.training.observers import Observer
from ntm_jax.training.record import RunRecord
from ntm_jax.training.trainer import Parameters, Sums, Trainer, TrainState

# They change numbers of the program, but neither shapes nor the program itself.
FIELDS = ("seed", "optimizer.learning_rate", "optimizer.clip_limit")


@dataclass(frozen=True)
class Member:
    """Describes one run of a population."""

    config: ConfigDict
    workdir: Path  # of the run, made if it is not there
    observers: Sequence[Observer] = ()


def train(
    members: Sequence[Member],
    on_lost: Callable[[int, UserError], None],
    *,
    trainer_class: type[Trainer] = Trainer,
) -> list[TrainState]:
    """Trains runs as one program, each to `train.updates`, and each from its newest checkpoint if there is one.

    Each folder is afterwards that of an ordinary run, which `loop.train` resumes and evaluation reads. The `seconds`
    of its metrics are those of the whole population.

    Args:
      members: the runs, at least one.
      on_lost: called with a run's number and the error that ends it. The others go on.
      trainer_class: the class that computes updates.

    Returns:
      The last state of each run, as NumPy arrays. It is also the newest checkpoint unless the run is lost.

    Raises:
      UserError: configs that cannot be trained together, an invalid one, or a folder that holds another run or is
        used by another process. Also a full disk, which leaves existing checkpoints valid.
      Stopped: SIGTERM or Ctrl-C was received. A checkpoint of the last update of each run was saved.
    """
    population = Population([member.config for member in members], trainer_class)
    with ExitStack() as stack:
        rates: dict[float, optax.Schedule] = {}
        records = [_opened(member, population.trainer, rates, stack) for member in members]
        writers = stack.enter_context(CheckpointWriters(len(members)))
        request = stack.enter_context(signals.catch_stop_signals())
        with loop.explained_errors(members[0].workdir.parent):
            session = loop.Session(population, records, request, on_lost, writers.write)
            states = population.split(session.train())
        request.what_is_left = loop.what_is_saved(max(int(state.update) for state in states))
    return states


def _opened(
    member: Member, trainer: Trainer, rates: dict[float, optax.Schedule], stack: ExitStack
) -> RunRecord:
    config, workdir = member.config, member.workdir
    for observer in member.observers:
        stack.callback(observer.close)
        observer.open(config, workdir)
    checkpoints = stack.enter_context(open_run_folder(workdir, config))
    peak = config.optimizer.learning_rate
    if peak not in rates:  # every run asks for the rate of the same updates
        schedule = optimizers.schedule(config, trainer.stages.schedule_ends)
        rates[peak] = lru_cache(maxsize=1)(schedule)
    return RunRecord(config, workdir, checkpoints, member.observers, rates[peak])


class Population:
    """Runs the updates of several runs as one program. It is a `loop.Program`.

    Args:
      every: the config of each run.
      trainer_class: the class that computes updates.

    Raises:
      UserError: an invalid config, or configs that differ in other fields than `FIELDS`.
    """

    def __init__(self, every: Sequence[ConfigDict], trainer_class: type[Trainer] = Trainer):
        self.values = differing(every)
        self.trainer = trainer_class(every[0])
        self._run = jax.jit(self.run_updates, donate_argnums=0)
        self._without_sums = jax.jit(_without_sums)
        self._norms = jax.jit(self._member_norms)

    def begin(self, stores: Sequence[CheckpointStore]) -> tuple[TrainState, list[float]]:
        """Returns the states `[M, ...]` to begin with, and the seconds that each run was trained by then."""
        first = self.split(jax.jit(jax.vmap(self._first_state))(self.values))
        pairs = [resume.newest(store, state) for store, state in zip(stores, first, strict=True)]
        states = [state for state, _ in pairs]
        # NumPy stacks without a compilation for every shape.
        together: TrainState = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *states)
        return together, [seconds for _, seconds in pairs]

    def run(self, states: TrainState, ends: Sequence[int]) -> TrainState:
        """Runs each run's updates to its end, or until one too many is not finite."""
        return self._run(states, jnp.asarray(ends, jnp.int32), self.values)

    def run_updates(
        self, states: TrainState, ends: jax.Array, values: Mapping[str, jax.Array]
    ) -> TrainState:
        """Runs updates until no run has any left before its end.

        Args:
          states: `[M, ...]`.
          ends: `[M]`, the update at which each run is to stop.
          values: `[M]` by field.
        """
        limit = nonfinite.limit(self.trainer.config)
        update = jax.vmap(self._update, in_axes=(None, 0, 0))

        def left(states: TrainState) -> jax.Array:
            return (states.update < ends) & ~(states.nonfinite & (states.skipped > limit))

        def step(states: TrainState) -> TrainState:
            moves = left(states)
            least = jnp.min(states.update, where=moves, initial=np.iinfo(np.int32).max)
            moves &= states.update == least
            return _select(moves, update(least, states, values), states)

        states = replace(states, nonfinite=jnp.zeros_like(states.nonfinite))
        return jax.lax.while_loop(lambda states: jnp.any(left(states)), step, states)

    def split(self, states: TrainState) -> list[TrainState]:
        """Returns each run's state, as NumPy arrays of its own."""
        host = jax.device_get(states)
        runs = range(len(host.update))
        return [jax.tree.map(lambda leaf, run=run: np.array(leaf[run]), host) for run in runs]

    def without_sums(self, states: TrainState, runs: Sequence[int]) -> TrainState:
        """Returns the states with the sums of some runs set to zero."""
        chosen = np.isin(np.arange(len(states.update)), runs)
        return replace(states, sums=self._without_sums(states.sums, chosen))

    def gradient_norms(self, run: int, state: TrainState) -> Any:
        """Returns the norm of each parameter's gradient at one run's next update, nested dicts of `[]`."""
        return self._norms(state, {name: values[run] for name, values in self.values.items()})

    def _first_state(self, values: Mapping[str, jax.Array]) -> TrainState:
        trainer = self.trainer.with_values(values)
        return trainer.state_before(trainer.first_parameters())

    def _update(
        self, update: jax.Array, state: TrainState, values: Mapping[str, jax.Array]
    ) -> TrainState:
        """Runs one run's update, whose number is given apart because it is not mapped."""
        return self.trainer.with_values(values).update(replace(state, update=update))

    def _member_norms(self, state: TrainState, values: Mapping[str, jax.Array]) -> Parameters:
        gradient, _ = self.trainer.with_values(values).total_gradient(state)
        return jax.tree.map(jnp.linalg.norm, gradient)


def differing(every: Sequence[ConfigDict]) -> dict[str, jax.Array]:
    """Returns the seeds of runs, and their values of other fields in which they differ, `[M]` by field.

    Raises:
      UserError: they differ in other fields than `FIELDS`, or share batches among devices.
    """
    flat = [dict(configs.flatten(config)) for config in every]
    fields = dict.fromkeys(name for one in flat for name in one)
    names = [name for name in fields if any(one.get(name) != flat[0].get(name) for one in flat)]
    other = next((name for name in names if name not in FIELDS), None)
    if other is not None:
        raise UserError(
            f"{other}: cannot differ among runs that train together; only {', '.join(FIELDS)} can"
        )
    if every[0].mesh.data > 1:
        raise UserError(
            f"mesh.data: {every[0].mesh.data} devices cannot share the batches of runs that train together; use 1"
        )
    return {name: _stacked([one[name] for one in flat]) for name in ["seed", *names]}


def _stacked(values: Sequence[float]) -> jax.Array:
    """Returns numbers as an array that is weakly typed, so that it takes the others' types as a number does."""
    return jnp.stack([jnp.asarray(value) for value in values])


def _without_sums(sums: Sums, chosen: jax.Array) -> Sums:
    zero: Sums = jax.tree.map(jnp.zeros_like, sums)
    selected: Sums = _select(chosen, zero, sums)
    return selected


def _select(chosen: jax.Array, new: Any, old: Any) -> Any:
    """Returns `new` for the chosen runs and `old` for the others, in arrays `[M, ...]` of a tree."""

    def select(one: jax.Array, other: jax.Array) -> jax.Array:
        return jnp.where(chosen.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(select, new, old)
