"""Computes a whole sequence in one kernel forward and one backward, for GPUs, where a scan launches many kernels a step.

One program computes one sequence: at every step the controller, addressing, write and read (paper, section 3). The
memory stays in registers. Weight gradients are products over all steps, after the backward kernel. The derivatives are
those of `fused_step`. All arrays are laid out by `layout`, and `d_x` is the derivative of the loss by x.

The kernels use Pallas with its Triton backend, see docs/project/kernel.md for the reasons. Where threads read what
other threads have written, a barrier stands between. Elsewhere than on CUDA, the kernels are interpreted: slow, for
tests.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ntm_jax.models.kernel.controllers import (
    feedforward,
    feedforward_backward,
    is_used,
    load_tile,
    lstm,
    lstm_backward,
    pieces,
)
from ntm_jax.models.kernel.heads import (
    Raw,
    at_least_tiny,
    cosines,
    mix,
    moved,
    outer,
    softmax,
    softmax_backward,
    tiny,
)
from ntm_jax.models.kernel.layout import Form, Group
from ntm_jax.models.linear import first_derivative
from ntm_jax.models.memory_ops import total

MANY_SEQUENCES = 128  # beyond, more programs than a large GPU has multiprocessors

Refs = dict[str, Any]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def run(form: Form, inputs: jax.Array, weights: Refs, first: Refs, mask: jax.Array | None) -> Refs:
    """Runs a batch of sequences.

    Args:
      form: of the cell.
      inputs: `[T, B, gates units]`, see `layout.layer_inputs`.
      weights: see `layout.weights`.
      first: the state before the first step, see `layout.state`.
      mask: numbers `[T, B]`, 0 where a step leaves the state as it is; None if `form.masked` is False.

    Returns:
      `hidden [T, B, units]`, `raw [T, B, columns]`, `reads [T, B, R, words]` and `weightings [T, B, A, rows]` of
      every step, with `form.memory_trace` also `memory [T, B, words, rows]`, and `last`, the state after the last.
    """
    return _results(form, _forward(form, inputs, weights, first, mask, form.memory_trace))


def _run_forward(form: Form, inputs: Any, weights: Any, first: Any, mask: Any) -> Any:
    # Marked before the launch, for Pallas refuses second derivatives without a reason.
    inputs, weights, first = jax.tree.map(first_derivative, (inputs, weights, first))
    kept = _forward(form, inputs, weights, first, mask, True)
    return _results(form, kept), (weights, mask, kept)


def _run_backward(form: Form, saved: Any, d: Any) -> Any:
    (weights, mask, kept), d = jax.tree.map(first_derivative, (saved, d))
    given = {"weights": weights, "kept": kept, "d": d} | ({} if mask is None else {"mask": mask})
    steps, batch = kept["raw"].shape[:2]
    shape = partial(jax.ShapeDtypeStruct, dtype=kept["raw"].dtype)
    shapes = {
        "pre": shape((steps, batch, form.layers, form.pre_activations)),
        "raw": shape((steps, batch, form.columns)),
        "first": {name: shape(part.shape) for name, part in d["last"].items()},
        "shifted": shape((batch, form.heads.addressings, form.rows)),
    }
    found = _launch(partial(_backward_kernel, form, steps), batch, shapes, given)
    d_weights = _weight_gradients(form, kept, found["pre"], _with_raw(form, found["raw"], d["raw"]))
    d_mask = None if mask is None else jnp.zeros_like(mask)
    return found["pre"][:, :, 0], d_weights, found["first"], d_mask


run.defvjp(_run_forward, _run_backward)


def _forward(
    form: Form, inputs: jax.Array, weights: Refs, first: Refs, mask: Any, keeps: bool
) -> Any:
    """Launches the forward kernel.

    With `keeps`, the result has the memory of every step, which is by far its largest part, and all that the
    backward kernel would have to compute again. Arrays of states have
    T + 1 steps, of which the first is the initial state.
    """
    steps, batch = inputs.shape[:2]
    heads, state = form.heads, steps + 1
    shape = partial(jax.ShapeDtypeStruct, dtype=inputs.dtype)
    shapes = {
        "memory": shape((state if keeps else 1, batch, form.words, form.rows)),
        "weightings": shape((state, batch, heads.addressings, form.rows)),
        "gated": shape((steps, batch, heads.addressings, form.rows)),
        "found": shape((steps, batch, heads.addressings, form.rows)),
        "cosines": shape((steps, batch, heads.addressings, form.rows)),
        "roots": shape((steps, batch, heads.addressings, form.rows)),
        "squares": shape((steps, batch, 1, form.rows)),
        "reads": shape((state, batch, heads.read_heads, form.words)),
        "hidden": shape((state, batch, form.layers, form.units)),
        "raw": shape((steps, batch, form.columns)),
    }
    if form.lstm:
        shapes["cell"] = shapes["hidden"]
        shapes["gates"] = shape((steps, batch, form.layers, form.pre_activations))
    given = {"inputs": inputs, "weights": weights, "first": first}
    given |= {} if mask is None else {"mask": mask}
    return _launch(partial(_forward_kernel, form, steps, keeps), batch, shapes, given)


def warps(batch: int) -> int:
    """Returns how many warps compute one of so many sequences: fewer, if there are more than can run at once."""
    return 8 if batch <= MANY_SEQUENCES else 4


def _launch(kernel: Callable[..., None], batch: int, shapes: Any, given: Any) -> Any:
    """Runs one program a sequence, compiled for CUDA and interpreted elsewhere."""

    def compiled(given: Any) -> Any:
        return pl.pallas_call(
            partial(kernel, triton.debug_barrier),
            grid=(batch,),
            out_shape=shapes,
            compiler_params=triton.CompilerParams(num_warps=warps(batch), num_stages=1),
        )(given)

    def interpreted(given: Any) -> Any:
        nothing = partial(kernel, lambda: None)
        return pl.pallas_call(nothing, grid=(batch,), out_shape=shapes, interpret=True)(given)

    return jax.lax.platform_dependent(given, cuda=compiled, default=interpreted)


def _results(form: Form, kept: Refs) -> Refs:
    states: list[str] = [name for name in ("memory", "weightings", "reads", "cell") if name in kept]
    states += ["hidden"] if form.lstm else []
    result = {
        "hidden": kept["hidden"][1:, :, -1],
        "raw": kept["raw"],
        "reads": kept["reads"][1:],
        "weightings": kept["weightings"][1:],
        "last": {name: kept[name][-1] for name in states},
    }
    return result | ({"memory": kept["memory"][1:]} if form.memory_trace else {})


def _with_raw(form: Form, of_heads: jax.Array, of_result: jax.Array) -> jax.Array:
    """Adds both cotangents of raw numbers `[..., columns]`; unused columns of the first hold anything."""
    used = jnp.broadcast_to(form.has_column(jnp.arange(form.columns)), of_heads.shape)
    return jnp.where(used, of_heads + of_result, 0)


def _weight_gradients(form: Form, kept: Refs, d_pre: jax.Array, d_raw: jax.Array) -> Refs:
    product = partial(jnp.einsum, precision=form.precision)
    hidden, reads = kept["hidden"], kept["reads"]
    columns = form.pre_activations
    result = {
        "reads": product("tbrw,tbc->rwc", reads[:-1], d_pre[:, :, 0]).reshape(-1, columns),
        "heads": product("tbc,tbp->cp", hidden[1:, :, -1], d_raw),
        "heads_bias": jnp.sum(d_raw, axis=(0, 1)),
    }
    if form.lstm:
        result["hidden"] = product("tblc,tbld->lcd", hidden[:-1], d_pre).reshape(-1, columns)
    if form.layers > 1:
        below = product("tblc,tbld->lcd", hidden[1:, :, :-1], d_pre[:, :, 1:])
        result["below"] = below.reshape(-1, columns)
        result["below_bias"] = jnp.sum(d_pre[:, :, 1:], axis=(0, 1))
    return result


def _forward_kernel(
    form: Form, steps: int, keeps: bool, barrier: Callable[[], None], given: Refs, out: Refs
) -> None:
    b, heads, first = pl.program_id(0), form.heads, given["first"]
    for name in first:
        if name == "memory":
            continue
        for i in range(out[name].shape[2]):
            out[name][0, b, i] = first[name][b, i]
    barrier()

    def step(t: Any, memory: jax.Array) -> jax.Array:
        def held(new: jax.Array, old: jax.Array) -> jax.Array:
            """Chooses the old value if the step is padding."""
            return jnp.where(given["mask"][t, b] > 0, new, old) if form.masked else new

        if keeps:
            out["memory"][t, pl.ds(b, 1)] = memory
        controller = lstm if form.lstm else feedforward
        _heads_layer(form, given, out, t, b, controller(form, given, out, t, b, held, barrier))
        barrier()
        raw = Raw(form, out["raw"], None, t, b)
        _address(form, raw, out, t, b, memory, held, barrier)
        barrier()
        erased, added = memory, []
        for h in range(heads.write_heads):
            own, w = Group(h, 1), out["weightings"][t + 1, b, pl.ds(form.first_writer + h, 1)]
            erased = erased * (1 - outer(raw.erases(own), w))
            added.append(outer(raw.adds(own), w))
        written = total([erased, *added])
        source = written if form.reads_written else memory
        for group in form.readers:
            members = pl.ds(group.start, group.size)
            reads = jnp.sum(source * out["weightings"][t + 1, b, members][:, None, :], axis=2)
            out["reads"][t + 1, b, members] = held(reads, out["reads"][t, b, members])
        barrier()
        return held(written, memory)

    memory = jax.lax.fori_loop(0, steps, step, first["memory"][pl.ds(b, 1)])
    out["memory"][steps if keeps else 0, pl.ds(b, 1)] = memory


def _heads_layer(form: Form, given: Refs, out: Refs, t: Any, b: Any, hidden: jax.Array) -> None:
    """Computes and stores the raw numbers of all heads."""
    for columns in pieces(form.columns, form.columns_at_once):
        tile = _head_weights(form, given, columns) * hidden[:, None]
        bias = given["weights"]["heads_bias"][columns]
        out["raw"][t, b, columns] = jnp.sum(tile, axis=0) + bias


def _head_weights(form: Form, given: Refs, columns: Any) -> jax.Array:
    return load_tile(
        given["weights"]["heads"].at[:, columns],
        is_used(pl.ds(0, form.units), form.controller_size),
        is_used(columns, form.used_columns),
    )


def _address(
    form: Form, raw: Raw, out: Refs, t: Any, b: Any, memory: jax.Array, held: Any, barrier: Any
) -> None:
    """Computes equations 5 to 9, and stores the weightings."""
    squares, gated = jnp.sum(memory * memory, axis=1), []
    out["squares"][t, b] = squares
    for group in form.groups:
        members, gates = pl.ds(group.start, group.size), raw.gates(group)[:, None]
        found, root = cosines(form, memory, squares, raw.keys(group))
        out["cosines"][t, b, members], out["roots"][t, b, members] = found, root
        found = softmax(form, raw.strengths(group)[:, None] * found)
        out["found"][t, b, members] = found
        gated.append(gates * found + (1 - gates) * out["weightings"][t, b, members])
        out["gated"][t, b, members] = gated[-1]
    barrier()
    for group, own in zip(form.groups, gated, strict=True):
        members = pl.ds(group.start, group.size)
        shifted = mix(raw.shifts(group), moved(form, out["gated"], (t, b), group, own))
        scores = raw.sharpenings(group)[:, None] * jnp.log(at_least_tiny(shifted))
        weightings = softmax(form, scores)
        out["weightings"][t + 1, b, members] = held(weightings, out["weightings"][t, b, members])


def _backward_kernel(
    form: Form, steps: int, barrier: Callable[[], None], given: Refs, out: Refs
) -> None:
    b, kept, d = pl.program_id(0), given["kept"], given["d"]
    limit = form.state_gradient_limit
    d_reads = out["first"]["reads"]  # of the step at hand, for heads are taken from it one by one
    for r in range(form.heads.read_heads):
        d_reads[b, r] = d["last"]["reads"][b, r]
    barrier()

    def step(i: Any, after: Refs) -> Refs:
        t = steps - 1 - i
        raw, memory = Raw(form, kept["raw"], out["raw"], t, b), kept["memory"][t, pl.ds(b, 1)]
        computed = given["mask"][t, b] > 0 if form.masked else jnp.bool_(True)

        def reads_after(group: Group) -> jax.Array:
            place, there = _reads_of(form, group)
            parts = d_reads.at[(b, *place)], d["reads"].at[(t, b, *place)]
            return total(triton.load(part, mask=there, other=0.0) for part in parts)

        def if_computed(x: jax.Array) -> jax.Array:
            return jnp.where(computed, x, 0) if form.masked else x

        def if_padding(x: jax.Array) -> jax.Array:
            return jnp.where(computed, 0, x)

        def limited(x: jax.Array) -> jax.Array:
            return jnp.clip(x, -limit, limit) if limit else x

        after = _with_results(form, after, d, t, b)
        passed = jax.tree.map(if_padding, after) if form.masked else None
        after = jax.tree.map(if_computed, after)
        of_step = form, raw, kept, out, t, b
        d_memory, d_weightings = _write_and_read_backward(
            *of_step, memory, after["memory"], lambda group: if_computed(reads_after(group))
        )
        _shift_backward(*of_step, list(map(jnp.add, d_weightings, after["weightings"])))
        barrier()
        before = _content_backward(*of_step, memory, d_memory)
        barrier()
        d_top = _heads_layer_backward(form, given, out, t, b)
        backward = lstm_backward if form.lstm else feedforward_backward
        before |= backward(form, given, out, t, b, after, d_top, barrier)
        reads = before.pop("reads")
        before = jax.tree.map(limited, before)
        if form.masked:
            before = jax.tree.map(jnp.add, before, passed)
        for group, new in zip(form.readers_at_once, reads, strict=True):
            members = pl.ds(group.start, group.size)
            new = limited(new)
            d_reads[b, members] = new + if_padding(reads_after(group)) if form.masked else new
        barrier()
        return before

    last = d["last"]
    first = {
        "memory": last["memory"][pl.ds(b, 1)],
        "weightings": [last["weightings"][b, pl.ds(g.start, g.size)] for g in form.groups],
    }
    layers = range(form.layers if form.lstm else 0)
    first |= {name: [last[name][b, n] for n in layers] for name in ("hidden", "cell") if form.lstm}
    first = jax.lax.fori_loop(0, steps, step, first)
    out["first"]["memory"][pl.ds(b, 1)] = first["memory"]
    for group, part in zip(form.groups, first["weightings"], strict=True):
        out["first"]["weightings"][b, pl.ds(group.start, group.size)] = part
    for name in ("hidden", "cell") if form.lstm else ():
        for n in layers:
            out["first"][name][b, n] = first[name][n]


def _with_results(form: Form, after: Refs, d: Refs, t: Any, b: Any) -> Refs:
    """Adds the derivatives by a step's results to those by the state after it."""
    added = dict(after)
    added["weightings"] = [
        part + d["weightings"][t, b, pl.ds(group.start, group.size)]
        for group, part in zip(form.groups, after["weightings"], strict=True)
    ]
    if form.lstm:
        *below, top = after["hidden"]
        added["hidden"] = [*below, top + d["hidden"][t, b]]
    if form.memory_trace:
        added["memory"] = after["memory"] + d["memory"][t, pl.ds(b, 1)]
    return added


def _heads_layer_backward(form: Form, given: Refs, out: Refs, t: Any, b: Any) -> jax.Array:
    """Returns d of the top layer's hidden units `[units]`, from the heads."""
    tiles = []
    for columns in pieces(form.columns, form.columns_at_once):
        d_raw = out["raw"][t, b, columns] + given["d"]["raw"][t, b, columns]
        d_raw = jnp.where(form.has_column(columns.start + jnp.arange(columns.size)), d_raw, 0)
        tiles.append(_head_weights(form, given, columns) * d_raw[None, :])
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
        left.append(1 - outer(raw.erases(Group(h, 1)), weighting(first + h)))
        added.append(outer(raw.adds(Group(h, 1)), weighting(first + h)))
    whole = reduce(jnp.multiply, left)
    source = total([memory * whole, *added]) if form.reads_written else memory
    d_source = total(outer(d_reads(Group(r, 1)), weighting(r)) for r in range(heads.read_heads))
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
        raw.store_adds(group, jnp.sum(d * w, axis=2))
        raw.store_erases(group, jnp.sum(d_erased(group) * w, axis=2))
    d_weightings = []
    for group in form.groups:
        tiles = []
        if group.start < heads.read_heads:
            tiles.append(source * d_reads(group)[:, :, None])
        if group.start + group.size > first:
            own = Group(group.start - first, group.size)
            tiles += [d * raw.adds(own)[:, :, None], d_erased(own) * raw.erases(own)[:, :, None]]
        d_weightings.append(jnp.sum(total(tiles), axis=1))
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
        members = pl.ds(group.start, group.size)
        parts = moved(form, kept["gated"], (t, b), group, kept["gated"][t, b, members])
        shifted = mix(raw.shifts(group), parts)
        positive = at_least_tiny(shifted)
        d_scores = softmax_backward(kept["weightings"][t + 1, b, members], d)
        d_shifted = raw.sharpenings(group)[:, None] * d_scores / positive
        d_shifted = jnp.where(shifted > tiny(shifted), d_shifted, 0)
        out["shifted"][b, members] = d_shifted
        raw.store_sharpenings_and_shifts(
            group, d_scores * jnp.log(positive), [d_shifted * part for part in parts]
        )


def _content_backward(
    form: Form, raw: Raw, kept: Refs, out: Refs, t: Any, b: Any, memory: Any, d_memory: Any
) -> Refs:
    """Differentiates equations 5 to 7: returns d of the memory and the weightings before the step."""
    squares, d_before = kept["squares"][t, b], []
    for group in form.groups:
        members = pl.ds(group.start, group.size)
        back = moved(form, out["shifted"], (b,), group, out["shifted"][b, members], back=True)
        d_gated = mix(raw.shifts(group), back)
        keys, gates = raw.keys(group), raw.gates(group)[:, None]
        found, before = kept["found"][t, b, members], kept["weightings"][t, b, members]
        cosine, root = kept["cosines"][t, b, members], kept["roots"][t, b, members]
        d_scores = softmax_backward(found, gates * d_gated)
        raw.store_strengths_and_gates(group, d_scores * cosine, d_gated * (found - before))
        d_dot = raw.strengths(group)[:, None] * d_scores / root
        d_square = d_dot * cosine / root  # by root², times -2; so for the squared norms
        by_key = d_dot[:, None, :] * memory - outer(keys, d_square * squares)
        raw.store_keys(group, jnp.sum(by_key, axis=2))
        norms = jnp.sum(keys * keys, axis=1, keepdims=True)
        by_memory = outer(keys, d_dot) - memory * (d_square * norms)[:, None, :]
        d_memory += jnp.sum(by_memory, axis=0, keepdims=True)
        d_before.append((1 - gates) * d_gated)
    return {"memory": d_memory, "weightings": d_before}
