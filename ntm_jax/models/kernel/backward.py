"""Differentiates `forward`: the kernel that goes from the last step to the first, one program a sequence.

The derivatives are those of `fused_step`; `d_x` is that of the loss by x. Weight gradients follow in `sequence`.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ntm_jax.models.kernel.controllers import (
    feedforward_backward,
    head_weights,
    lstm_backward,
    pieces,
)
from ntm_jax.models.kernel.heads import (
    Raw,
    at_least_tiny,
    load_memory,
    mix,
    moved,
    only_words,
    outer,
    softmax_backward,
    store_memory,
    tiny,
)
from ntm_jax.models.kernel.layout import Form, Group, Refs, indices
from ntm_jax.models.memory_ops import total


def backward_kernel(
    form: Form, steps: int, barrier: Callable[[], None], given: Refs, out: Refs
) -> None:
    """Differentiates a sequence of so many steps.

    Args:
      form: of the cell.
      steps: T.
      barrier: waits for all threads of the program.
      given: references to the `weights`, the `mask`, what the forward kernel `kept`, and `d` of its results.
      out: references to d of the pre-activations and raw numbers, of the `first` state, and of the shifted weightings.
    """
    b, d = pl.program_id(0), given["d"]
    d_reads = out["first"]["reads"]  # of the step at hand, for heads are taken from it one by one
    for r in range(form.heads.read_heads):
        d_reads[b, r] = d["last"]["reads"][b, r]
    barrier()

    def step(i: Any, after: Refs) -> Refs:
        t = steps - 1 - i
        computed = is_computed(form, given, t, b)
        reads_after = reads_getter(form, d_reads, d["reads"], t, b)

        def differentiated(after: Refs) -> Refs:
            before = access_backward(form, given, out, t, b, after, computed, reads_after, barrier)
            d_top = _heads_layer_backward(form, given, out, t, b)
            backward = lstm_backward if form.lstm else feedforward_backward
            return before | backward(form, given, out, t, b, after, d_top, barrier)

        before = before_step(form, computed, _with_results(form, after, d, t, b), differentiated)
        for group, new in zip(form.readers_at_once, before.pop("reads"), strict=True):
            if form.masked:
                new += jnp.where(computed, 0, reads_after(group))
            d_reads[b, group.members] = new
        barrier()
        return before

    last = d["last"]
    first = {
        "memory": load_memory(form, last["memory"], (b,)),
        "weightings": [last["weightings"][b, g.members] for g in form.groups],
    }
    layers = range(form.layers if form.lstm else 0)
    first |= {name: [last[name][b, n] for n in layers] for name in ("hidden", "cell") if form.lstm}
    first = jax.lax.fori_loop(0, steps, step, first)
    store_memory(form, out["first"]["memory"], (b,), first["memory"])
    for group, part in zip(form.groups, first["weightings"], strict=True):
        out["first"]["weightings"][b, group.members] = part
    for name in ("hidden", "cell") if form.lstm else ():
        for n in layers:
            out["first"][name][b, n] = first[name][n]


def is_computed(form: Form, given: Refs, t: Any, b: Any) -> jax.Array:
    """Returns whether a step is computed, not padding."""
    return given["mask"][t, b] > 0 if form.masked else jnp.bool_(True)


def before_step(
    form: Form, computed: jax.Array, after: Refs, differentiated: Callable[[Refs], Refs]
) -> Refs:
    """Returns d of the state before a step, limited; at padding, d of the state after it.

    Args:
      form: of the cell.
      computed: False at padding, with axes as the state has.
      after: d of the state after the step, or of a part of it.
      differentiated: returns d of this part before the step, and perhaps of others.
    """

    def limited(x: jax.Array) -> jax.Array:
        limit = form.state_gradient_limit
        return jnp.clip(x, -limit, limit) if limit else x

    def and_passed(new: jax.Array, old: jax.Array) -> jax.Array:
        return new + jnp.where(computed, 0, old)

    if not form.masked:
        return jax.tree.map(limited, differentiated(after))
    of_step = jax.tree.map(lambda x: jnp.where(computed, x, 0), after)
    before = jax.tree.map(limited, differentiated(of_step))
    return before | {name: jax.tree.map(and_passed, before[name], after[name]) for name in after}


def reads_getter(
    form: Form, of_state: Any, of_result: Any, t: Any, b: Any
) -> Callable[[Group], jax.Array]:
    """Returns a function that loads d of a group of reads after the step `[n, words]`, 0 where there is none.

    Args:
      form: of the cell.
      of_state: a ref to d of the reads as a part of the state after the step, `[B, R, words]`.
      of_result: a ref to d of the reads as results, `[T, B, R, words]`.
      t, b: the step and the sequence.
    """

    def reads_after(group: Group) -> jax.Array:
        place, there = _reads_of(form, group)
        parts = of_state.at[(b, *place)], of_result.at[(t, b, *place)]
        return total(triton.load(part, mask=there, other=0.0) for part in parts)

    return reads_after


def access_backward(
    form: Form,
    given: Refs,
    out: Refs,
    t: Any,
    b: Any,
    after: Refs,
    computed: jax.Array,
    reads_after: Callable[[Group], jax.Array],
    barrier: Any,
) -> Refs:
    """Differentiates `forward.access`: returns d of memory and weightings before the step.

    Stores d of the raw numbers, or with `form.by_steps` of the controls.

    Args:
      form, given, out, barrier: as in `backward_kernel`.
      t, b: the step and the sequence.
      after: d of the memory after the step and of each group's weightings.
      computed: from `is_computed`.
      reads_after: from `reads_getter`.
    """
    kept = given["kept"]
    raw = Raw(form, kept["controls" if form.by_steps else "raw"], out["raw"], t, b)
    memory = load_memory(form, kept["memory"], (t, b))
    of_step = form, raw, kept, out, t, b

    def d_reads(group: Group) -> jax.Array:
        d = reads_after(group)
        return jnp.where(computed, d, 0) if form.masked else d

    d_memory, d_weightings = _write_and_read_backward(*of_step, memory, after["memory"], d_reads)
    _shift_backward(*of_step, list(map(jnp.add, d_weightings, after["weightings"])))
    barrier()
    before = _content_backward(*of_step, memory, d_memory)
    barrier()
    return before


def _with_results(form: Form, after: Refs, d: Refs, t: Any, b: Any) -> Refs:
    """Adds the derivatives by a step's results to those by the state after it."""
    added = dict(after)
    added |= with_access_results(form, after, d, t, b)
    if form.lstm:
        *below, top = after["hidden"]
        added["hidden"] = [*below, top + d["hidden"][t, b]]
    return added


def with_access_results(form: Form, after: Refs, d: Refs, t: Any, b: Any) -> Refs:
    """Adds the derivatives by a step's memory and weightings to those by the state after it."""
    weightings = [
        part + d["weightings"][t, b, group.members]
        for group, part in zip(form.groups, after["weightings"], strict=True)
    ]
    memory = after["memory"]
    if form.memory_trace:
        memory = memory + load_memory(form, d["memory"], (t, b))
    return {"memory": memory, "weightings": weightings}


def _heads_layer_backward(form: Form, given: Refs, out: Refs, t: Any, b: Any) -> jax.Array:
    """Returns d of the top layer's hidden units `[units]`, from the heads."""
    tiles = []
    for columns in pieces(form.columns, form.columns_at_once):
        d_raw = out["raw"][t, b, columns] + given["d"]["raw"][t, b, columns]
        d_raw = jnp.where(form.has_column(indices(columns)), d_raw, 0)
        tiles.append(head_weights(form, given, columns) * d_raw[None, :])
    return jnp.sum(total(tiles), axis=1)


def _write_and_read_backward(
    form: Form,
    raw: Raw,
    kept: Refs,
    out: Refs,
    t: Any,
    b: Any,
    memory: jax.Array,
    d: jax.Array,
    d_reads: Callable[[Group], jax.Array],
) -> tuple[jax.Array, list[jax.Array]]:
    """Differentiates equations 2 to 4.

    Args:
      form, raw, kept, out, t, b: of the step.
      memory: before the step, `[1, words, rows]`.
      d: of the memory after the step.
      d_reads: returns d of a group of reads `[n, words]`, 0 where there is none.

    Returns:
      d of the memory before the step, and of each group's weightings of the step.
    """
    heads, first = form.heads, form.first_writer

    def weighting(addressing: int) -> jax.Array:
        return kept["weightings"][t + 1, b, pl.ds(addressing, 1)]

    left, added = [], []  # what each write head leaves, and what it adds
    for h in range(heads.write_heads):
        left.append(1 - outer(form, raw.erases(Group(h, 1)), weighting(first + h)))
        added.append(outer(form, raw.adds(Group(h, 1)), weighting(first + h)))
    whole = reduce(jnp.multiply, left)
    source = total([memory * whole, *added]) if form.reads_written else memory
    d_source = total(
        outer(form, d_reads(Group(r, 1)), weighting(r)) for r in range(heads.read_heads)
    )
    if form.reads_written:
        d += d_source

    def d_erased(group: Group) -> jax.Array:
        """Returns d of `e w` of each head, `[n, words, rows]`."""
        shape = (group.size, form.words, form.rows)
        head = group.start + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
        others = jnp.broadcast_to(-d * memory, shape)
        for h, of_head in enumerate(left):
            others *= jnp.where(head == h, 1, jnp.broadcast_to(of_head, shape))
        return others

    for group in form.writers:
        w = kept["weightings"][t + 1, b, pl.ds(first + group.start, group.size)][:, None, :]
        raw.store_adds(group, jnp.sum(only_words(form, d * w), axis=2))
        raw.store_erases(group, jnp.sum(only_words(form, d_erased(group) * w), axis=2))
    d_weightings = []
    for group in form.groups:
        tiles = []
        if group.start < heads.read_heads:
            tiles.append(source * d_reads(group)[:, :, None])
        if group.start + group.size > first:
            own = Group(group.start - first, group.size)
            tiles += [d * raw.adds(own)[:, :, None], d_erased(own) * raw.erases(own)[:, :, None]]
        d_weightings.append(jnp.sum(only_words(form, total(tiles)), axis=1))
    return d * whole if form.reads_written else d * whole + d_source, d_weightings


def _reads_of(form: Form, group: Group) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Returns where the reads of a group are, `[n, words]`, and which of them there are."""
    shape = group.size, form.words
    member = group.start + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
    there = member < form.heads.read_heads
    return (jnp.where(there, member, 0), jax.lax.broadcasted_iota(jnp.int32, shape, 1)), there


def _shift_backward(
    form: Form, raw: Raw, kept: Refs, out: Refs, t: Any, b: Any, d_weightings: list[jax.Array]
) -> None:
    """Differentiates equations 8 and 9. The derivatives by the shifted weightings go to `shifted`."""
    for group, d in zip(form.groups, d_weightings, strict=True):
        parts = moved(form, kept["gated"], (t, b), group, kept["gated"][t, b, group.members])
        shifted = mix(raw.shifts(group), parts)
        positive = at_least_tiny(shifted)
        d_scores = softmax_backward(kept["weightings"][t + 1, b, group.members], d)
        d_shifted = raw.sharpenings(group)[:, None] * d_scores / positive
        d_shifted = jnp.where(shifted > tiny(shifted), d_shifted, 0)
        out["shifted"][b, group.members] = d_shifted
        raw.store_sharpenings_and_shifts(
            group, d_scores * jnp.log(positive), [d_shifted * part for part in parts]
        )


def _content_backward(
    form: Form, raw: Raw, kept: Refs, out: Refs, t: Any, b: Any, memory: Any, d_memory: Any
) -> Refs:
    """Differentiates equations 5 to 7: returns d of the memory and the weightings before the step."""
    squares, d_before = kept["squares"][t, b], []
    for group in form.groups:
        back = moved(form, out["shifted"], (b,), group, out["shifted"][b, group.members], back=True)
        d_gated = mix(raw.shifts(group), back)
        keys, gates = raw.keys(group), raw.gates(group)[:, None]
        found, before = kept["found"][t, b, group.members], kept["weightings"][t, b, group.members]
        cosine, root = kept["cosines"][t, b, group.members], kept["roots"][t, b, group.members]
        d_scores = softmax_backward(found, gates * d_gated)
        raw.store_strengths_and_gates(group, d_scores * cosine, d_gated * (found - before))
        d_dot = raw.strengths(group)[:, None] * d_scores / root
        d_square = d_dot * cosine / root  # by root², times -2; so for the squared norms
        by_key = d_dot[:, None, :] * memory - outer(form, keys, d_square * squares)
        raw.store_keys(group, jnp.sum(only_words(form, by_key), axis=2))
        norms = jnp.sum(keys * keys, axis=1, keepdims=True)
        by_memory = outer(form, keys, d_dot) - memory * (d_square * norms)[:, None, :]
        d_memory += jnp.sum(only_words(form, by_memory), axis=0, keepdims=True)
        d_before.append((1 - gates) * d_gated)
    return {"memory": d_memory, "weightings": d_before}
