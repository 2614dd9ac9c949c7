"""Computes the cell's step for `unroll`: a whole batch at once, memory `[B, W, N]` with its rows last.

It computes what `NTMCell.advance` computes, from the same parameters. Its derivatives are written by hand. The
backward pass is a few products between heads and memory, and four loops over the memory. It uses values saved by
the forward pass. Automatic differentiation would make a hundred small loops and run the step again. The tests
compare values and derivatives with those of the cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ntm_jax.models.cell import NTMCell, NTMState, Step
from ntm_jax.models.controllers import FeedForward, StackedLSTM
from ntm_jax.models.controllers import Step as ControllerStep
from ntm_jax.models.heads import Controls, Heads
from ntm_jax.models.linear import Apply, Linear
from ntm_jax.models.memory_ops import (
    max_last,
    outer,
    over_rows,
    over_words,
    squared_norm,
    sum_last,
    total,
)


@struct.dataclass
class FusedState:
    """Holds the `NTMState` of a batch during a scan, with the memory's rows last."""

    memory: jax.Array  # [B, W, N]
    weightings: jax.Array  # [B, A, N]
    reads: jax.Array  # [B, R, W]
    controller: Any  # the controller's carry

    @classmethod
    def of(cls, state: NTMState) -> "FusedState":
        """Converts a state of one batch axis."""
        memory = jnp.swapaxes(state.memory, 1, 2)
        return cls(memory, state.weightings, state.reads, state.controller)

    def to_ntm_state(self) -> NTMState:
        """Converts back."""
        memory = jnp.swapaxes(self.memory, 1, 2)
        return NTMState(memory, self.weightings, self.reads, self.controller)


def computes_step_of(cell: NTMCell) -> bool:
    """Returns whether `advance` computes this cell's step, because no part of it is overridden."""
    methods = ("advance", "_access")
    return (
        all(getattr(type(cell), name) is getattr(NTMCell, name) for name in methods)
        and type(cell.controller) in (FeedForward, StackedLSTM)
        and all(type(layer) is Linear for layer in linear_layers(cell))
    )


def linear_layers(cell: NTMCell) -> list[Linear]:
    """Returns the layers that a step uses: the controller's, then the heads'."""
    return [*cell.controller.linear_layers(), cell.to_heads]


@dataclass(frozen=True)
class Form:
    """What of a cell's heads and memory does not change with time, without parameters."""

    heads: Heads
    reads_written: bool  # whether they read what was written
    epsilon: float  # the cosine's ε
    precision: str  # of products


@dataclass(frozen=True)
class Structure:
    """Holds a cell without its parameters, which a separately traced function must not close over."""

    controller: ControllerStep
    form: Form

    @classmethod
    def of(cls, cell: NTMCell) -> "Structure":
        """Returns the cell's."""
        reads_written = cell.reads_from == "written"
        form = Form(cell.heads, reads_written, cell.cosine_epsilon, cell.precision)
        return cls(cell.controller.step, form)


def advance(
    structure: Structure,
    layers: Sequence[Apply],
    state: FusedState,
    inputs: jax.Array,
    one: jax.Array,
) -> tuple[FusedState, Step]:
    """Computes one step without its output.

    Args:
      structure: of the cell.
      layers: the cell's `linear_layers` as functions.
      state: before the step.
      inputs: `[B, input_size]`.
      one: from `opaque_one`.
    """
    *controller_layers, to_heads = layers
    batch, heads, width = state.reads.shape
    seen = jnp.concatenate(
        [inputs.astype(state.memory.dtype), state.reads.reshape(batch, heads * width)], axis=-1
    )
    carry, hidden = structure.controller(controller_layers, state.controller, seen)
    controls, written, weightings, reads = access(
        structure.form, to_heads(hidden), state.memory, state.weightings, one
    )
    return FusedState(written, weightings, reads, carry), Step(hidden, reads, weightings, controls)


@struct.dataclass
class Kept:
    """Holds the values of the forward pass of `access` that its backward pass needs."""

    raw: jax.Array  # [B, sum(heads.widths)]
    memory: jax.Array  # [B, W, N], before the write
    previous: jax.Array  # [B, A, N]
    norm: jax.Array  # [B, N], |M(i)|
    cosine: jax.Array  # [B, A, N]
    content: jax.Array  # [B, A, N], w^c
    log_shifted: jax.Array  # [B, A, N], log w̃
    weightings: jax.Array  # [B, A, N]
    one: jax.Array  # [], see `stored`


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def access(
    form: Form, raw: jax.Array, memory: jax.Array, previous: jax.Array, one: jax.Array
) -> tuple[Controls, jax.Array, jax.Array, jax.Array]:
    """Addresses, writes and reads (sections 3.1 to 3.3), all heads of a batch at once.

    Args:
      form: of the cell.
      raw: the controller's numbers for the heads, `[B, sum(heads.widths)]`.
      memory: `[B, W, N]`.
      previous: the weightings of the step before, `[B, A, N]`.
      one: from `opaque_one`.

    Returns:
      Controls, the memory `[B, W, N]` after the write, weightings `[B, A, N]` and reads `[B, R, W]`.
    """
    return _forward(form, raw, memory, previous, one)[0]


def _forward(
    form: Form, raw: jax.Array, memory: jax.Array, previous: jax.Array, one: jax.Array
) -> tuple[tuple[Controls, jax.Array, jax.Array, jax.Array], Kept]:
    heads, precision = form.heads, form.precision
    controls = heads.controls(raw)
    norm = jnp.sqrt(squared_norm(memory))
    cosine = over_words(controls.key, memory, precision)
    cosine = cosine / _root(controls.key, norm, form.epsilon)
    content = _softmax(controls.strength[..., None] * cosine)
    shifted = _shift(_gated(controls, content, previous), controls.shift)
    log_shifted = jnp.log(jnp.maximum(shifted, _tiny(shifted)))
    weightings = _softmax(controls.sharpening[..., None] * log_shifted)
    reading, writing = _roles(heads, weightings)
    added = outer(controls.add, writing, precision)
    written = _erased(controls.erase, writing, memory) + added
    reads = over_rows(reading, written if form.reads_written else memory, precision)
    kept = Kept(raw, memory, previous, norm, cosine, content, log_shifted, weightings, one)
    return (controls, written, weightings, reads), kept


def _backward(form: Form, kept: Kept, d: Any) -> tuple[jax.Array, ...]:
    """Returns the cotangents of raw, memory, previous and one (zero). `d_x` is the derivative of the loss by x."""
    heads, reads_written, precision = form.heads, form.reads_written, form.precision
    d_controls, d_written, d_weightings, d_reads = d
    controls, pull = jax.vjp(heads.controls, kept.raw)
    reading, writing = _roles(heads, kept.weightings)

    # Read, then write: equations 2 to 4.
    d_source = outer(d_reads, reading, precision)
    if reads_written:
        d_written = stored(d_written + d_source, kept.one)
    partly = _erased_by_head(controls.erase, writing, kept.memory, kept.one)
    source = kept.memory
    if reads_written:
        source = partly[-1] + outer(controls.add, writing, precision)
    d_reading = over_words(d_reads, source, precision)
    d_add = over_rows(writing, d_written, precision)
    d_memory, d_erase, d_erased = _erased_backward(
        controls.erase, writing, partly, d_written, kept.one, precision
    )
    d_writing = over_words(controls.add, d_written, precision) + d_erased
    if not reads_written:
        d_memory = d_memory + d_source
    d_weightings = d_weightings + _together(heads, d_reading, d_writing)

    # Sharpen, shift, interpolate: equations 9, 8 and 7.
    d_logits = _softmax_backward(kept.weightings, d_weightings)
    d_sharpening = sum_last(d_logits * kept.log_shifted)
    tiny = _tiny(d_logits)
    positive = kept.log_shifted > jnp.log(tiny)
    d_log = jnp.where(positive, controls.sharpening[..., None] * d_logits, 0)
    shifted = jnp.maximum(jnp.exp(kept.log_shifted), tiny)  # rounding may leave 0
    moved = _moved(d_log / shifted, controls.shift, back=True)
    gated = _gated(controls, kept.content, kept.previous)
    d_shift = jnp.stack([sum_last(part * gated) for part in moved], axis=-1)
    d_gated = total(controls.shift[..., i, None] * part for i, part in enumerate(moved))
    gate = controls.gate[..., None]
    d_gate = sum_last(d_gated * (kept.content - kept.previous))

    # Content: equations 5 and 6. The cosine is dot / root, and root² is |k|² |M(i)|² + ε.
    d_scores = _softmax_backward(kept.content, gate * d_gated)
    d_strength = sum_last(d_scores * kept.cosine)
    root = _root(controls.key, kept.norm, form.epsilon)
    d_dot = controls.strength[..., None] * d_scores / root
    d_square = d_dot * kept.cosine / root  # by root², times -2; so for the squared norms
    d_key = (
        over_rows(d_dot, kept.memory, precision)
        - controls.key * (sum_last(d_square * kept.norm[:, None, :] ** 2)[..., None])
    )
    d_squared_norm = jnp.einsum(
        "ban,ba->bn", d_square, jnp.sum(controls.key**2, axis=-1), precision=precision
    )
    d_memory = d_memory + outer(controls.key, d_dot, precision)
    d_memory = d_memory - kept.memory * d_squared_norm[:, None, :]

    of_controls = Controls(d_key, d_strength, d_gate, d_shift, d_sharpening, d_erase, d_add)
    (d_raw,) = pull(jax.tree.map(jnp.add, d_controls, of_controls))
    return d_raw, d_memory, (1 - gate) * d_gated, jnp.zeros_like(kept.one)


access.defvjp(_forward, _backward)


def _roles(heads: Heads, weightings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Splits weightings `[B, A, N]` into those of read heads `[B, R, N]` and write heads `[B, H, N]`."""
    return weightings[:, : heads.read_heads], weightings[:, -heads.write_heads :]


def _together(heads: Heads, reading: jax.Array, writing: jax.Array) -> jax.Array:
    """Joins the cotangents of what `_roles` split: `[B, R, N]`, `[B, H, N]` -> `[B, A, N]`."""
    if heads.shared_weighting:
        return reading + writing
    return jnp.concatenate([reading, writing], axis=1)


def _root(key: jax.Array, norm: jax.Array, epsilon: float) -> jax.Array:
    """Returns the cosine's denominator `[B, A, N]`; key `[B, A, W]`, rows' norms `[B, N]`."""
    square = jnp.sum(key**2, axis=-1)[..., None] * norm[:, None, :] ** 2
    return jnp.sqrt(square + jnp.asarray(epsilon, square.dtype))


def _gated(controls: Controls, content: jax.Array, previous: jax.Array) -> jax.Array:
    """Computes equation 7 for all heads: weightings `[B, A, N]`."""
    gate = controls.gate[..., None]
    return gate * content + (1 - gate) * previous


def _shift(weightings: jax.Array, shift: jax.Array) -> jax.Array:
    """Computes equation 8 for all heads: weightings `[B, A, N]`, shift `[B, A, 2k + 1]`."""
    moved = _moved(weightings, shift)
    return total(shift[..., i, None] * part for i, part in enumerate(moved))


def _moved(weightings: jax.Array, shift: jax.Array, back: bool = False) -> list[jax.Array]:
    """Returns the weightings after each move from -k to k rows, or before it, as slices of one padded array."""
    rows, moves = weightings.shape[-1], shift.shape[-1]
    reach = (moves - 1) // 2
    around = jnp.pad(weightings, ((0, 0), (0, 0), (reach, reach)), mode="wrap")
    starts = range(moves) if back else reversed(range(moves))
    return [around[..., start : start + rows] for start in starts]


def _erased(erase: jax.Array, writing: jax.Array, memory: jax.Array) -> jax.Array:
    """Computes equation 3 for all heads: the memory `[B, W, N]` times 1 - e w of each."""
    for head in range(erase.shape[1]):
        memory = memory * _left(erase, writing, head)
    return memory


def _erased_by_head(
    erase: jax.Array, writing: jax.Array, memory: jax.Array, one: jax.Array
) -> list[jax.Array]:
    """Returns the memory before each head erases, and after the last."""
    partly = [memory]
    for head in range(erase.shape[1]):
        left = partly[-1] * _left(erase, writing, head)
        partly.append(stored(left, one) if head + 1 < erase.shape[1] else left)
    return partly


def _erased_backward(
    erase: jax.Array,
    writing: jax.Array,
    partly: list[jax.Array],
    d: jax.Array,
    one: jax.Array,
    precision: str,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Differentiates `_erased`: returns the cotangents of memory `[B, W, N]`, erase `[B, H, W]`, writing `[B, H, N]`."""
    d_erase, d_writing = [], []
    for head in reversed(range(erase.shape[1])):
        this = slice(head, head + 1)
        lost = -d * partly[head]
        d_erase.append(over_rows(writing[:, this], lost, precision))
        d_writing.append(over_words(erase[:, this], lost, precision))
        d = d * _left(erase, writing, head)
        if head > 0:
            d = stored(d, one)
    return d, jnp.concatenate(d_erase[::-1], axis=1), jnp.concatenate(d_writing[::-1], axis=1)


def _left(erase: jax.Array, writing: jax.Array, head: int) -> jax.Array:
    """Returns 1 - w(i) e of one head, `[B, W, N]`."""
    return 1 - erase[:, head, :, None] * writing[:, head, None, :]


def _softmax(scores: jax.Array) -> jax.Array:
    """Computes a softmax over the last axis."""
    powers = jnp.exp(scores - max_last(scores)[..., None])
    return powers / sum_last(powers)[..., None]


def _softmax_backward(result: jax.Array, d: jax.Array) -> jax.Array:
    weighted = result * d
    return weighted - result * sum_last(weighted)[..., None]


def _tiny(like: jax.Array) -> jax.Array:
    """Returns the smallest normal number of an array's dtype, which replaces 0 as in `addressing.sharpen`."""
    tiny = jnp.finfo(like.dtype).tiny  # type: ignore[no-untyped-call]
    return jnp.asarray(tiny, like.dtype)


def opaque_one(dtype: Any) -> jax.Array:
    """Returns a 1, `[]`, that XLA cannot fold into a constant. Call it outside the scan, for `stored`."""
    one: jax.Array = jax.lax.optimization_barrier(jnp.ones((), dtype))  # type: ignore[no-untyped-call]
    return one


def stored(values: jax.Array, one: jax.Array) -> jax.Array:
    """Returns the same values, which XLA then computes once and stores.

    XLA recomputes cheap expressions in every loop that uses them. Some of these loops then have too many
    operands to be vectorised. XLA does not count a division by an unknown number as cheap.
    """
    return values / one
