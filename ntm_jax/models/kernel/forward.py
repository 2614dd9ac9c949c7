"""Computes a whole sequence forward: the kernel, of which one program computes one sequence.

At every step: the controller, addressing, write and read (paper, section 3). The memory stays in registers.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from ntm_jax.models.kernel.controllers import feedforward, head_weights, lstm, pieces
from ntm_jax.models.kernel.heads import (
    Raw,
    at_least_tiny,
    cosines,
    load_memory,
    mix,
    moved,
    only_words,
    outer,
    softmax,
    store_memory,
)
from ntm_jax.models.kernel.layout import Form, Group, Refs
from ntm_jax.models.memory_ops import total

Held: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]


def forward_kernel(
    form: Form, steps: int, keeps: bool, barrier: Callable[[], None], given: Refs, out: Refs
) -> None:
    """Computes a sequence of so many steps; with `keeps`, also stores the memory before each.

    Args:
      form: of the cell.
      steps: T.
      keeps: whether the backward kernel follows.
      barrier: waits for all threads of the program.
      given: references to the arguments of `sequence.run`.
      out: references to the results of `sequence._forward`.
    """
    b, first = pl.program_id(0), given["first"]
    for name in first:
        if name == "memory":
            continue
        for i in range(out[name].shape[2]):
            out[name][0, b, i] = first[name][b, i]
    barrier()

    def step(t: Any, memory: jax.Array) -> jax.Array:
        if keeps:
            store_memory(form, out["memory"], (t, b), memory)
        held = holder(form, given, t, b)
        controller = lstm if form.lstm else feedforward
        _heads_layer(form, given, out, t, b, controller(form, given, out, t, b, held, barrier))
        barrier()
        written, reads = access(form, out, t, b, memory, held, barrier)
        for group, part in zip(form.readers, reads, strict=True):
            out["reads"][t + 1, b, group.members] = part
        barrier()
        return written

    memory = load_memory(form, first["memory"], (b,))
    memory = jax.lax.fori_loop(0, steps, step, memory)
    store_memory(form, out["memory"], (steps if keeps else 0, b), memory)


def holder(form: Form, given: Refs, t: Any, b: Any) -> Held:
    """Returns a function that chooses, of a new and an old value, the old one if the step is padding."""
    if not form.masked:
        return lambda new, old: new
    return lambda new, old: jnp.where(given["mask"][t, b] > 0, new, old)


def access(
    form: Form, out: Refs, t: Any, b: Any, memory: jax.Array, held: Held, barrier: Any
) -> tuple[jax.Array, list[jax.Array]]:
    """Addresses, writes and reads, from the raw numbers of step t.

    Args:
      form: of the cell.
      out: references to the results of `sequence._forward`, of which weightings and what addressing keeps are stored.
      t, b: the step and the sequence.
      memory: before the step, `[1, words, rows]`.
      held: from `holder`.
      barrier: as in `forward_kernel`.

    Returns:
      The memory after the step, and the reads of each group of read heads, `[n, words]`.
    """
    raw = Raw(form, out["controls" if form.by_steps else "raw"], None, t, b)
    _address(form, raw, out, t, b, memory, held, barrier)
    barrier()
    erased, added = memory, []
    for h in range(form.heads.write_heads):
        own, w = Group(h, 1), out["weightings"][t + 1, b, pl.ds(form.first_writer + h, 1)]
        erased = erased * (1 - outer(form, raw.erases(own), w))
        added.append(outer(form, raw.adds(own), w))
    written = only_words(form, total([erased, *added]))
    source, reads = written if form.reads_written else memory, []
    for group in form.readers:
        new = jnp.sum(
            only_words(form, source) * out["weightings"][t + 1, b, group.members][:, None, :],
            axis=2,
        )
        reads.append(held(new, out["reads"][t, b, group.members]))
    return held(written, memory), reads


def _heads_layer(form: Form, given: Refs, out: Refs, t: Any, b: Any, hidden: jax.Array) -> None:
    """Computes and stores the raw numbers of all heads."""
    for columns in pieces(form.columns, form.columns_at_once):
        tile = head_weights(form, given, columns) * hidden[:, None]
        bias = given["weights"]["heads_bias"][columns]
        out["raw"][t, b, columns] = jnp.sum(tile, axis=0) + bias


def _address(
    form: Form, raw: Raw, out: Refs, t: Any, b: Any, memory: jax.Array, held: Held, barrier: Any
) -> None:
    """Computes equations 5 to 9, and stores the weightings."""
    squares, gated = jnp.sum(only_words(form, memory * memory), axis=1), []
    out["squares"][t, b] = squares
    for group in form.groups:
        gates = raw.gates(group)[:, None]
        found, root = cosines(form, memory, squares, raw.keys(group))
        out["cosines"][t, b, group.members], out["roots"][t, b, group.members] = found, root
        found = softmax(form, raw.strengths(group)[:, None] * found)
        out["found"][t, b, group.members] = found
        gated.append(gates * found + (1 - gates) * out["weightings"][t, b, group.members])
        out["gated"][t, b, group.members] = gated[-1]
    barrier()
    for group, own in zip(form.groups, gated, strict=True):
        shifted = mix(raw.shifts(group), moved(form, out["gated"], (t, b), group, own))
        scores = raw.sharpenings(group)[:, None] * jnp.log(at_least_tiny(shifted))
        weightings = softmax(form, scores)
        out["weightings"][t + 1, b, group.members] = held(
            weightings, out["weightings"][t, b, group.members]
        )
