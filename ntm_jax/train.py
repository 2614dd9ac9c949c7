"""Training: many updates inside one jitted loop, episodes drawn on the device."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import (
    curriculum,
    files,
    losses,
    mesh,
    nonfinite,
    optimizers,
    processes,
    stopping,
    tasks,
)
from ntm_jax import model as models
from ntm_jax.checkpoints import Checkpoints, Followed, claimed, resized
from ntm_jax.errors import UserError
from ntm_jax.metrics import Row
from ntm_jax.reports import Reports, Silence
from ntm_jax.web import monitor
from ntm_jax.windows import first_scored, window

Parameters: TypeAlias = Any  # nested dicts of arrays


@struct.dataclass
class Sums:
    """Sums over the updates since the last line of metrics."""

    updates: jax.Array  # []
    nats: jax.Array  # [], mean cross-entropy per sequence of each update
    bit_errors: jax.Array  # [], mean wrong bits per sequence of each update
    gradient_norm: jax.Array  # [], before clipping

    @classmethod
    def zero(cls) -> "Sums":
        """Nothing added yet."""
        return cls(jnp.zeros((), jnp.int32), *(jnp.zeros(()) for _ in range(3)))


@struct.dataclass
class TrainState:
    """All that an update changes."""

    update: jax.Array  # [], updates done
    parameters: Parameters
    optimizer: optax.OptState
    sums: Sums
    skipped: jax.Array  # [], updates that were not finite, of the whole run
    stuck: jax.Array  # [], whether the last update was not finite


class Trainer:
    """What a config means for training: the model's structure, its task, and one jitted `run`.

    `run(state, updates)` does that many updates in one loop on the device, or up to the first that is not finite,
    and gives the new state; the old one's buffers are reused. The number is traced, so another one compiles nothing.

    Args:
      config: a whole config, see `ntm_jax.config`.
      devices: that share the batches, see `ntm_jax.mesh`.

    Raises:
      UserError: something in the config that is not allowed.
    """

    def __init__(self, config: ConfigDict, devices: mesh.DataParallel = mesh.DataParallel()):  # noqa: B008
        self.config, self.devices = config, devices
        self.task = tasks.make(config.task.name, **tasks.difficulty(config.task))
        ends = config.train.updates, config.train.get("first_updates", 0)
        self.optimizer = optimizers.build(config, *ends)
        self.kinds = curriculum.kinds(config, self.task)
        self.learning_rate = optimizers.schedule(config, *ends)
        self.structure, first = self._split(config)
        self._structures = [self._structure(kind.rows) for kind in self.kinds]
        self._first_parameters = nnx.to_pure_dict(first)
        self.run: Callable[[TrainState, Any], TrainState] = devices.jit(self._run, donate_argnums=0)

    def initial_state(self) -> TrainState:
        """The state before the first update, decided by `config.seed` alone; `devices.place` gives it to all."""
        parameters = jax.tree.map(jnp.copy, self._first_parameters)
        optimizer = self.optimizer.init(parameters)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            zero, parameters, optimizer, Sums.zero(), jnp.copy(zero), jnp.zeros((), bool)
        )

    def model(self, state: TrainState) -> models.Model:
        """The model with this state's parameters."""
        return nnx.merge(self.structure, state.parameters)

    def _split(self, config: ConfigDict) -> tuple[nnx.GraphDef[models.Model], Any]:
        return nnx.split(models.build(config, self.task.input_size, self.task.output_size))

    def _structure(self, rows: int | None) -> Any:
        """The model's, with so many rows of memory."""
        return self._split(resized(self.config, rows))[0] if rows else self.structure

    def _run(self, state: TrainState, updates: jax.Array) -> TrainState:
        end = state.update + updates

        def goes_on(state: TrainState) -> jax.Array:
            return (state.update < end) & ~state.stuck

        return jax.lax.while_loop(goes_on, self._update, state)

    def _update(self, state: TrainState) -> TrainState:
        gradient, (nats, bit_errors) = self._gradient(state)
        steps, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        norm = optax.tree.norm(gradient)
        return TrainState(
            update=state.update + 1,
            parameters=optax.apply_updates(state.parameters, steps),
            optimizer=optimizer,
            sums=Sums(
                updates=state.sums.updates + 1,
                nats=state.sums.nats + nats,
                bit_errors=state.sums.bit_errors + bit_errors,
                gradient_norm=state.sums.gradient_norm + norm,
            ),
            skipped=state.skipped,
            stuck=~(jnp.isfinite(norm) & jnp.isfinite(nats)),
        )

    def gradient_norms(self, state: TrainState) -> Any:
        """The norm of each parameter's gradient at the next update, nested dicts of `[]`."""
        gradient, _ = self.devices.jit(self._gradient)(state)
        return jax.tree.map(jnp.linalg.norm, gradient)

    def _gradient(self, state: TrainState) -> tuple[Parameters, tuple[jax.Array, jax.Array]]:
        batch_key, model_key = curriculum.keys(self.config, state.update)
        progress = curriculum.progress(self.config, state.update)
        price = self._price(state.update)
        part = self.devices.part

        def of(kind: curriculum.Kind, structure: Any) -> Callable[[Parameters], Any]:
            def gradient(parameters: Parameters) -> Any:
                batch = kind.task.sample(batch_key, kind.sequences, progress, part)
                key = model_key
                if self.devices.devices > 1:
                    key = part(jax.random.split(model_key, kind.sequences))
                # The second 0 was the device's number once, and what ships was drawn so.
                dropout = jax.random.fold_in(jax.random.fold_in(model_key, 0), 0)
                loss = partial(self._loss, structure, kind=kind, batch=batch, price=price)
                return jax.grad(loss, has_aux=True)(parameters, key=key, dropout=dropout)

            return gradient

        gradients = [of(*one) for one in zip(self.kinds, self._structures, strict=True)]
        if len(gradients) == 1:
            return self.devices.total(gradients[0](state.parameters))
        chosen = curriculum.chosen(self.config, self.task, state.update)
        return self.devices.total(jax.lax.switch(chosen, gradients, state.parameters))

    def _loss(
        self,
        structure: Any,
        parameters: Parameters,
        kind: curriculum.Kind,
        batch: tasks.Batch,
        key: jax.Array,
        dropout: jax.Array,
        price: jax.Array,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """What is minimised; nats and wrong outputs per sequence, of `train.batch_size` sequences.

        Of several devices, this one's part. A batch that has more sequences, because they are shorter, counts
        for no more.
        """
        model, task = nnx.merge(structure, parameters), kind.task
        # Of a batch's mean, a sequence's derivatives are as many times smaller.
        limit = self.config.optimizer.get("clip_state_at", 0.0) / self.config.train.batch_size
        scored, answers = (batch.targets, batch.mask), None
        if task.answer_steps < task.steps:
            answers = first_scored(batch.mask), task.answer_steps
            scored = window(batch.targets, *answers), window(batch.mask, *answers)
        write_cost = self.config.train.get("write_cost", 0.0)
        options = {"key": key, "dropout": dropout, "answers": answers, "clip_state_at": limit}
        options["writing"] = bool(write_cost)
        options["draw"] = partial(self.devices.bernoulli, sequences=kind.sequences)
        logits, use = models.logits(model, batch.inputs, **options)
        mean = partial(self._mean, self.devices.counted(kind.sequences))
        nats = mean(task.outputs.nats(logits, *scored))
        errors = mean(task.outputs.errors(logits, *scored))
        cost, blur_cost = nats, self.config.train.blur_cost
        if blur_cost:
            cost += price * blur_cost * mean(jnp.sum(use.blur, axis=0))
        if use.writing is not None:
            writing = jnp.where(batch.mask > 0, use.writing, 0)
            cost += price * write_cost * mean(jnp.sum(writing, axis=0))
        return cost, (nats, errors)

    def _mean(self, counted: jax.Array | None, costs: jax.Array) -> jax.Array:
        """Over the batch, of each sequence's `[B]`; of several devices, this one's part of it."""
        if counted is not None:
            costs = jnp.where(counted, costs, 0)
        return jnp.sum(costs) / self.config.train.batch_size

    def _price(self, update: jax.Array) -> jax.Array:
        """The share of `train.blur_cost` and `train.write_cost` that counts: from 0 at a quarter of the updates to
        1 at three quarters; before `train.first_updates`, of those.

        From the start they would keep heads from looking around and from writing, and nothing would be learned.
        """
        updates, first = (self.config.train.get(name, 0) for name in ("updates", "first_updates"))
        if 0 < first < updates:
            updates = jnp.where(update < first, first, updates)
        return jnp.clip(2 * update / updates - 0.5, 0, 1)


def train(config: ConfigDict, workdir: Path) -> TrainState:
    """Trains to `config.train.updates`, going on from the newest checkpoint in `workdir`, if any.

    Args:
      config: a whole config.
      workdir: the run's folder, made if it is not there.

    Returns:
      The last state, which is also the newest checkpoint.

    Raises:
      UserError: something in the config, or a folder that holds another run or is trained in by another
        process. Nothing is written then.
        Or the disk is full; the checkpoints that are there are sound.
      Stopped: SIGTERM or Ctrl-C came. The newest checkpoint is of the update that training got to.
    """
    processes.check_alike("the config", configs.to_json(config))
    trainer = Trainer(config, mesh.build(config))
    if config.evaluate.memory_size:
        resized(config, config.evaluate.memory_size)  # may not be possible: better said now
    with _folder(config, workdir) as (publish, checkpoints), stopping.when_asked() as request:
        try:
            state = _train(trainer, workdir, checkpoints, publish, request)
        except OSError as error:
            raise UserError(
                f"--workdir: {workdir} cannot be written to ({error.strerror}); "
                "the same command goes on from the last checkpoint"
            ) from None
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            raise processes.explained(error) from None
        request.what_is_left = (
            f"update {int(state.update):,} is saved; the same command goes on from there"
        )
    return state


@contextmanager
def _folder(
    config: ConfigDict, workdir: Path
) -> Iterator[tuple[monitor.Publish, Checkpoints | Followed]]:
    """The monitor and the checkpoints of the run, whose folder one process has."""
    with ExitStack() as stack:

        def claim() -> tuple[monitor.Publish, Checkpoints | Followed]:
            publish = stack.enter_context(monitor.beside(config, workdir))
            return publish, stack.enter_context(claimed(workdir, config))

        elsewhere: tuple[monitor.Publish, Checkpoints | Followed] = monitor.nothing, Followed()
        yield processes.by_first(claim, elsewhere)


def _train(
    trainer: Trainer,
    workdir: Path,
    checkpoints: Checkpoints | Followed,
    publish: monitor.Publish,
    request: stopping.StopRequest,
) -> TrainState:
    config, pace, asked = trainer.config, stopping.Pace(), False
    if processes.first():
        for name, text in trainer.task.records().items():
            files.write_whole(workdir / name, text.encode())
    state, before = _begin(trainer, checkpoints)
    start, done = time.monotonic(), int(state.update)
    publish(done, state.parameters)
    reports = Silence()
    if processes.first():
        reports = Reports(config, workdir, publish, done, int(state.skipped))
    with reports:
        while done < config.train.updates and not asked:
            stop, begun = min(_next_stop(config, done), done + pace.updates), time.monotonic()
            before_it = nonfinite.copy(state)
            state = trainer.run(state, np.int32(stop - done))
            if state.stuck:
                state = _skipped(trainer, before_it, int(state.update), checkpoints)
                stop = int(state.update)
            pace.took(stop - done, time.monotonic() - begun)
            seconds = before + time.monotonic() - start
            reports.advance(stop - done)
            done = stop
            last = done == config.train.updates
            if last or done % config.train.log_every == 0:
                reports.tell(_row(trainer, state, seconds), state.parameters, int(state.skipped))
                state = replace(state, sums=trainer.devices.place(Sums.zero()))
            asked = _agree(request, pace)
            if last or asked or done % config.train.checkpoint_every == 0:
                _save(trainer, state, checkpoints, seconds)
    checkpoints.wait()
    return state


def _begin(trainer: Trainer, checkpoints: Checkpoints | Followed) -> tuple[TrainState, float]:
    """The state of the newest checkpoint, or the first; and the seconds until then."""
    first = trainer.initial_state()

    def restored() -> tuple[TrainState, float]:
        newest = checkpoints.newest()
        if newest is None or isinstance(checkpoints, Followed):
            return first, 0.0
        return _restore(checkpoints, newest, first)

    state, before = processes.by_first(restored, (first, 0.0))
    state = processes.from_first(state)
    if isinstance(checkpoints, Followed):
        checkpoints.restored(int(state.update))
    return trainer.devices.place(state), before


def _agree(request: stopping.StopRequest, pace: stopping.Pace) -> bool:
    """Whether any process was asked to stop; from here on all have the first one's pace."""
    told = processes.told([request.number or 0, pace.updates])
    pace.updates = int(told[0, 1])
    asked = int(told[:, 0].max())
    if asked:
        request.number = asked
    return bool(asked)


def _save(
    trainer: Trainer, state: TrainState, checkpoints: Checkpoints | Followed, seconds: float
) -> None:
    if not nonfinite.all_finite(state.parameters):
        what = "the parameters after it are"
        raise _not_finite(trainer, state, int(state.update), checkpoints, what)
    training = (state.update, state.optimizer, state.sums)
    checkpoints.save(
        *(int(state.update), state.parameters, training, seconds, trainer.config),
        skipped=int(state.skipped),
    )


def _skipped(
    trainer: Trainer, before: TrainState, bad: int, checkpoints: Checkpoints | Followed
) -> TrainState:
    """The state after an update that was not finite, with nothing of it, from one before it.

    The updates between are done again. To keep them in the loop would cost every update; this, only such a one.
    """
    state = trainer.run(before, jnp.int32(bad - 1 - int(before.update)))
    if int(state.skipped) >= nonfinite.limit(trainer.config):
        raise _not_finite(trainer, state, bad, checkpoints, "the loss or the gradient is")
    return replace(state, update=state.update + 1, skipped=state.skipped + 1)


def _not_finite(
    trainer: Trainer, state: TrainState, update: int, checkpoints: Checkpoints | Followed, what: str
) -> UserError:
    checkpoints.wait()
    norms = trainer.gradient_norms(state)
    return nonfinite.error(update, what, norms, checkpoints.newest(), int(state.skipped))


def _restore(checkpoints: Checkpoints, newest: int, state: TrainState) -> tuple[TrainState, float]:
    training = (state.update, state.optimizer, state.sums)
    parameters, (update, optimizer, sums), seconds, skipped = checkpoints.restore(
        newest, state.parameters, training
    )
    return TrainState(update, parameters, optimizer, sums, jnp.int32(skipped), state.stuck), seconds


def _next_stop(config: ConfigDict, done: int) -> int:
    """The update at which the loop next comes back from the device: to log, to save, or because it is the last."""
    train = config.train
    marks = [(done // every + 1) * every for every in (train.log_every, train.checkpoint_every)]
    return int(min(*marks, train.updates))


def _row(trainer: Trainer, state: TrainState, seconds: float) -> Row:
    sums, update = jax.device_get(state.sums), int(state.update)
    updates = float(sums.updates) or math.nan  # of all that were skipped there is no mean
    return Row(
        update=update,
        sequences=update * trainer.config.train.batch_size,
        seconds=round(seconds, 3),
        loss_bits_per_sequence=float(sums.nats) / updates * losses.BITS_PER_NAT,
        bit_errors_per_sequence=float(sums.bit_errors) / updates,
        gradient_norm=float(sums.gradient_norm) / updates,
        learning_rate=float(trainer.learning_rate(update - 1)),
    )
