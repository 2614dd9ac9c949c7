"""Runs a model while something inside it is changed: a control forced, a head frozen, a row erased, noise added.

The interventions are arrays, so that one compiled program serves them all. Only the viewer uses this scan.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.models.addressing import address
from ntm_jax.models.cell import NTMCell, NTMState
from ntm_jax.models.heads import Controls
from ntm_jax.models.memory import read, write

NEVER = 1_000_000  # a step that no episode reaches
MOST = 16  # interventions at once
FORCED = {"gate": (0.0, 1.0), "strength": (0.0, 1000.0), "shift": (-64.0, 64.0)}
KINDS = (*FORCED, "freeze", "erase", "noise")
MOST_NOISE = 10.0
NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Intervention:
    """Describes one change, from a step on; a row is erased at that step alone."""

    kind: str  # one of `KINDS`
    place: int  # the head, in the order of `Controls`; for `erase` the row
    value: float  # forced, or the deviation of the noise; 0 if it has none
    step: int


@struct.dataclass
class Changes:
    """Holds all changes of an episode. A forced value is NaN where there is none."""

    gate: Any  # [A]
    strength: Any  # [A]
    shift: Any  # [A], rows
    gate_from: Any  # [A], step
    strength_from: Any  # [A]
    shift_from: Any  # [A]
    freeze_from: Any  # [A]
    erase_at: Any  # [N], step
    noise: (
        Any  # [], standard deviation of what is added to every number of the memory at every step
    )
    noise_from: Any  # []


def parse(text: str) -> tuple[Intervention, ...]:
    """Reads interventions from an address.

    They are joined by `*`, each with its parts between underscores: `gate_0_0.5_12` forces the gate of head 0 to 0.5
    from step 12 on. The others are `strength_<head>_<value>_<step>`, `shift_<head>_<rows>_<step>`, `freeze_<head>_<step>`,
    `erase_<row>_<step>` and `noise_<deviation>_<step>`.

    Raises:
      UserError: a part that is unknown or not allowed.
    """
    parts = text.split("*")
    if len(parts) > MOST:
        raise UserError(f"break: {len(parts)} changes are given; at most {MOST} are allowed")
    return tuple(map(_parse_one, parts))


def _parse_one(text: str) -> Intervention:
    kind, *given = text.split("_")
    if kind not in KINDS:
        raise unknown_choice("break", kind[:20], KINDS)
    count = 3 if kind in FORCED else 2
    if len(given) != count or not all(NUMBER.fullmatch(number) for number in given):
        raise UserError(f"break: {text[:40]!r} needs {count} numbers after {kind}")
    *values, step = map(float, given)
    whole = [step] if kind == "noise" else [values[0], step]
    if any(number != int(number) or number < 0 for number in whole):
        raise UserError(f"break: {text[:40]!r} names no head, row or step")
    if kind == "noise":
        _check(kind, values[0], 0.0, MOST_NOISE)
        return Intervention(kind, 0, values[0], int(step))
    value = values[1] if kind in FORCED else 0.0
    if kind in FORCED:
        _check(kind, value, *FORCED[kind])
    return Intervention(kind, int(values[0]), value, int(step))


def _check(kind: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UserError(
            f"break: {kind} {value:g} is not allowed; it must be from {least:g} to {most:g}"
        )


def changes(interventions: Sequence[Intervention], cell: NTMCell, rows: int) -> Changes:
    """Collects interventions for a cell with so many rows; of two alike, the later one counts.

    Raises:
      UserError: a head, a row or a shift that the model does not have.
    """
    heads = cell.heads.addressings
    reach = 1 if cell.heads.shift_activation == "interpolated" else cell.heads.shift_range
    free: dict[str, Any] = {name: np.full(heads, np.nan, np.float32) for name in FORCED}
    since = {name: np.full(heads, NEVER, np.int32) for name in (*FORCED, "freeze")}
    erase_at = np.full(rows, NEVER, np.int32)
    noise, noise_from = 0.0, NEVER
    for one in interventions:
        if one.kind == "noise":
            noise, noise_from = one.value, one.step
            continue
        most = rows if one.kind == "erase" else heads
        if one.place >= most:
            what = "row" if one.kind == "erase" else "head"
            raise UserError(
                f"break: there is no {what} {one.place}; it must be from 0 to {most - 1}"
            )
        if one.kind == "shift" and (abs(one.value) > reach or one.value != int(one.value)):
            raise UserError(
                f"break: shift {one.value:g} is not allowed; this model moves by whole rows from {-reach} to {reach}"
            )
        if one.kind == "erase":
            erase_at[one.place] = one.step
            continue
        since[one.kind][one.place] = one.step
        if one.kind in FORCED:
            free[one.kind][one.place] = one.value
    return Changes(
        **free,
        **{f"{name}_from": steps for name, steps in since.items()},
        erase_at=erase_at,
        noise=np.float32(noise),
        noise_from=np.int32(noise_from),
    )


def unroll(
    cell: NTMCell, state: NTMState, inputs: jax.Array, made: Changes, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, Controls, jax.Array]:
    """Runs one example with changes made to it.

    Args:
      cell: the model.
      state: before the first step, without batch axes.
      inputs: `[T, in]`.
      made: what is changed.
      key: draws the noise.

    Returns:
      Logits `[T, out]`, reads `[T, R, W]`, weightings `[T, A, N]`, controls, and the memory `[T, N, W]` after each step.
    """

    def step(state: NTMState, now: tuple[jax.Array, jax.Array]) -> tuple[NTMState, Any]:
        x, t = now
        state = state.replace(memory=_changed_memory(state.memory, t, made, key))  # type: ignore[attr-defined]
        seen = jnp.concatenate([x, state.reads.reshape(-1)])
        carry, hidden = cell.controller(state.controller, seen)
        controls = _forced(cell.heads.controls(cell.to_heads(hidden)), t, made)
        weightings = _weightings(cell, state, controls, t, made)
        heads = cell.heads
        written = write(
            state.memory, weightings[-heads.write_heads :], controls.erase, controls.add
        )
        source = written if cell.reads_from == "written" else state.memory
        reads = read(source, weightings[: heads.read_heads])
        logits = cell.output(hidden, reads)
        return NTMState(written, weightings, reads, carry), (
            *(logits, reads, weightings, controls, written),
        )

    return jax.lax.scan(step, state, (inputs, jnp.arange(len(inputs))))[1]


def _changed_memory(memory: jax.Array, t: jax.Array, made: Changes, key: jax.Array) -> jax.Array:
    memory = jnp.where((jnp.asarray(made.erase_at) == t)[:, None], 0, memory)
    noise = made.noise * jax.random.normal(jax.random.fold_in(key, t), memory.shape, memory.dtype)
    return memory + jnp.where(t >= made.noise_from, noise, 0)


def _forced(controls: Controls, t: jax.Array, made: Changes) -> Controls:
    def choose(name: str, own: jax.Array) -> jax.Array:
        value = jnp.asarray(getattr(made, name), own.dtype)
        return jnp.where(~jnp.isnan(value) & (t >= getattr(made, f"{name}_from")), value, own)

    size = controls.shift.shape[-1]
    move = jnp.asarray(made.shift)
    is_forced = ~jnp.isnan(move) & (t >= made.shift_from)
    place = jnp.where(jnp.isnan(move), 0, move).astype(jnp.int32) + (size - 1) // 2
    one_hot = jax.nn.one_hot(place, size, dtype=controls.shift.dtype)
    return controls.replace(  # type: ignore[attr-defined]
        gate=choose("gate", controls.gate),
        strength=choose("strength", controls.strength),
        shift=jnp.where(is_forced[:, None], one_hot, controls.shift),
    )


def _weightings(
    cell: NTMCell, state: NTMState, controls: Controls, t: jax.Array, made: Changes
) -> jax.Array:
    one_head = partial(address, epsilon=cell.cosine_epsilon)
    found = jax.vmap(one_head, in_axes=(None, 0, 0, 0, 0, 0, 0))(
        state.memory,
        state.weightings,
        controls.key,
        controls.strength,
        controls.gate,
        controls.shift,
        controls.sharpening,
    )
    frozen = t >= jnp.asarray(made.freeze_from)
    return jnp.where(frozen[:, None], state.weightings, found)
