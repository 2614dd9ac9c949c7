"""Computes a whole sequence in one kernel forward and one backward, for GPUs, where a scan launches many kernels a step.

One program computes one sequence: at every step the controller, addressing, write and read (paper, section 3). The
memory stays in registers. Weight gradients are products over all steps, after the backward kernel. The derivatives are
those of `fused_step`. All arrays are laid out by `kernel_layout`, and `d_x` is the derivative of the loss by x.

The kernels use Pallas with its Triton backend, see docs/project/kernel.md for the reasons. `_launch` and `pl.ds` are all
that depend on it. Where threads read what other threads have written, a barrier stands between. Elsewhere than on
CUDA, the kernels are interpreted: slow, for tests.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from ntm_jax.models.kernel_controllers import (
    feedforward,
    feedforward_backward,
    lstm,
    lstm_backward,
    pieces,
)
from ntm_jax.models.kernel_heads import (
    Raw,
    at_least_tiny,
    content,
    left,
    mix,
    moved,
    softmax,
    softmax_backward,
    tiny,
)
from ntm_jax.models.kernel_layout import Form
from ntm_jax.models.linear import first_derivative
from ntm_jax.models.memory_ops import total

MANY_SEQUENCES = 128  # beyond, more programs than a large GPU has multiprocessors

Refs = dict[str, Any]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def run(form: Form, inputs: jax.Array, weights: Refs, first: Refs, mask: jax.Array | None) -> Refs:
    """Runs a batch of sequences.

    Args:
      form: of the cell.
      inputs: `[T, B, gates, units]`, see `kernel_layout.layer_inputs`.
      weights: see `kernel_layout.weights`.
      first: the state before the first step, see `kernel_layout.state`.
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
        "pre": shape((steps, batch, form.layers, form.gates, form.units)),
        "raw": shape((steps, batch, form.columns)),
        "first": {name: shape(part.shape) for name, part in d["last"].items()},
        "scratch": shape((batch, form.heads.addressings, form.rows)),
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

    With `keeps`, the result has the memory of every step, which is by far its largest part. Arrays of states have
    T + 1 steps, of which the first is the initial state.
    """
    steps, batch = inputs.shape[:2]
    heads, state = form.heads, steps + 1
    shape = partial(jax.ShapeDtypeStruct, dtype=inputs.dtype)
    shapes = {
        "memory": shape((state if keeps else 1, batch, form.words, form.rows)),
        "weightings": shape((state, batch, heads.addressings, form.rows)),
        "gated": shape((steps, batch, heads.addressings, form.rows)),
        "reads": shape((state, batch, heads.read_heads, form.words)),
        "hidden": shape((state, batch, form.layers, form.units)),
        "raw": shape((steps, batch, form.columns)),
    }
    if form.lstm:
        shapes["cell"] = shapes["hidden"]
        shapes["gates"] = shape((steps, batch, form.layers, form.gates, form.units))
    given = {"inputs": inputs, "weights": weights, "first": first}
    given |= {} if mask is None else {"mask": mask}
    return _launch(partial(_forward_kernel, form, steps, keeps), batch, shapes, given)


def _launch(kernel: Callable[..., None], batch: int, shapes: Any, given: Any) -> Any:
    """Runs one program a sequence, compiled for CUDA and interpreted elsewhere."""
    from jax.experimental.pallas import triton

    warps = 8 if batch <= MANY_SEQUENCES else 4

    def compiled(given: Any) -> Any:
        return pl.pallas_call(
            partial(kernel, triton.debug_barrier),
            grid=(batch,),
            out_shape=shapes,
            compiler_params=triton.CompilerParams(num_warps=warps, num_stages=1),
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
    used = jnp.broadcast_to(jnp.arange(of_heads.shape[-1]) < form.used_columns, of_heads.shape)
    return jnp.where(used, of_heads + of_result, 0)


def _weight_gradients(form: Form, kept: Refs, d_pre: jax.Array, d_raw: jax.Array) -> Refs:
    product = partial(jnp.einsum, precision=form.precision)
    hidden, reads = kept["hidden"], kept["reads"]
    result = {
        "reads": product("tbrw,tbgc->rwgc", reads[:-1], d_pre[:, :, 0]),
        "heads": product("tbc,tbp->cp", hidden[1:, :, -1], d_raw),
        "heads_bias": jnp.sum(d_raw, axis=(0, 1)),
    }
    if form.lstm:
        result["hidden"] = product("tblc,tblgd->lcgd", hidden[:-1], d_pre)
    if form.layers > 1:
        result["below"] = product("tblc,tblgd->lcgd", hidden[1:, :, :-1], d_pre[:, :, 1:])
        result["below_bias"] = jnp.sum(d_pre[:, :, 1:], axis=(0, 1))
    return result


def _forward_kernel(
    form: Form, steps: int, keeps: bool, barrier: Callable[[], None], given: Refs, out: Refs
) -> None:
    b, heads = pl.program_id(0), form.heads
    first = given["first"]
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
            out["memory"][t, b] = memory
        controller = lstm if form.lstm else feedforward
        hidden = controller(form, given, out, t, b, held, barrier)
        for columns in pieces(form.columns, form.columns_at_once):
            tile = given["weights"]["heads"][:, columns] * hidden[:, None]
            bias = given["weights"]["heads_bias"][columns]
            out["raw"][t, b, columns] = jnp.sum(tile, axis=0) + bias
        barrier()
        raw, squares = Raw(form, out["raw"], None, t, b), jnp.sum(memory * memory, axis=0)
        gated = []
        for a in range(heads.addressings):
            *_, found = content(form, memory, squares, raw.key(a), raw.strength(a))
            previous, gate = out["weightings"][t, b, a], raw.gate(a)
            gated.append(gate * found + (1 - gate) * previous)
            out["gated"][t, b, a] = gated[a]
        barrier()
        weightings = []
        for a in range(heads.addressings):
            shifted = mix(raw.shift(a), moved(form, out["gated"], (t, b, a), gated[a]))
            scores = raw.sharpening(a) * jnp.log(at_least_tiny(shifted))
            weightings.append(softmax(form, scores))
            out["weightings"][t + 1, b, a] = held(weightings[a], out["weightings"][t, b, a])
        written = memory
        for h, w in enumerate(weightings[-heads.write_heads :]):
            written = written * left(raw.erase(h), w)
        for h, w in enumerate(weightings[-heads.write_heads :]):
            written = written + raw.add(h)[:, None] * w[None, :]
        source = written if form.reads_written else memory
        for r in range(heads.read_heads):
            read = jnp.sum(source * weightings[r][None, :], axis=1)
            out["reads"][t + 1, b, r] = held(read, out["reads"][t, b, r])
        barrier()
        return held(written, memory)

    memory = jax.lax.fori_loop(0, steps, step, first["memory"][b])
    out["memory"][steps if keeps else 0, b] = memory


def _backward_kernel(
    form: Form, steps: int, barrier: Callable[[], None], given: Refs, out: Refs
) -> None:
    b, heads, kept, d = pl.program_id(0), form.heads, given["kept"], given["d"]
    parts = {"weightings": heads.addressings, "reads": heads.read_heads}
    parts |= {"hidden": form.layers, "cell": form.layers} if form.lstm else {}
    limit = form.state_gradient_limit

    def step(i: Any, after: Refs) -> Refs:
        t = steps - 1 - i
        raw, memory = Raw(form, kept["raw"], out["raw"], t, b), kept["memory"][t, b]
        after = {name: list(part) if name in parts else part for name, part in after.items()}
        for name in ("weightings", "reads"):
            for n in range(parts[name]):
                after[name][n] += d[name][t, b, n]
        if form.lstm:
            after["hidden"][-1] += d["hidden"][t, b]
        if form.memory_trace:
            after["memory"] += d["memory"][t, b]
        passed = None
        if form.masked:
            computed = given["mask"][t, b] > 0
            passed = jax.tree.map(lambda x: jnp.where(computed, 0, x), after)
            after = jax.tree.map(lambda x: jnp.where(computed, x, 0), after)
        before, d_weightings = _write_and_read_backward(form, raw, kept, t, b, memory, after)
        _shift_backward(form, raw, kept, out, t, b, d_weightings)
        barrier()
        before |= _content_backward(form, raw, kept, out, t, b, memory, before["memory"])
        barrier()
        tiles = []
        for columns in pieces(form.columns, form.columns_at_once):
            d_raw = out["raw"][t, b, columns] + d["raw"][t, b, columns]
            used = jnp.arange(form.columns_at_once) + columns.start < form.used_columns
            tiles.append(given["weights"]["heads"][:, columns] * jnp.where(used, d_raw, 0)[None, :])
        d_top = jnp.sum(total(tiles), axis=1)
        backward = lstm_backward if form.lstm else feedforward_backward
        before |= backward(form, given, out, t, b, after, d_top, barrier)
        if limit:
            before = jax.tree.map(lambda x: jnp.clip(x, -limit, limit), before)
        if form.masked:
            before = jax.tree.map(jnp.add, before, passed)
        return before

    last = {"memory": d["last"]["memory"][b]}
    for name, count in parts.items():
        last[name] = [d["last"][name][b, n] for n in range(count)]
    first = jax.lax.fori_loop(0, steps, step, last)
    out["first"]["memory"][b] = first["memory"]
    for name, count in parts.items():
        for n in range(count):
            out["first"][name][b, n] = first[name][n]


def _write_and_read_backward(
    form: Form, raw: Raw, kept: Refs, t: Any, b: Any, memory: jax.Array, after: Refs
) -> tuple[Refs, list[jax.Array]]:
    """Differentiates equations 2 to 4: returns d_memory before the step, and d of the step's weightings."""
    heads = form.heads
    weightings = [kept["weightings"][t + 1, b, a] for a in range(heads.addressings)]
    writing, first_writer = weightings[-heads.write_heads :], heads.addressings - heads.write_heads
    erases = [raw.erase(h) for h in range(heads.write_heads)]
    adds = [raw.add(h) for h in range(heads.write_heads)]
    partly = [memory]  # before each head erases, and after the last
    for erase, w in zip(erases, writing, strict=True):
        partly.append(partly[-1] * left(erase, w))
    source = memory
    if form.reads_written:
        source = total(
            [partly[-1], *(a[:, None] * w[None, :] for a, w in zip(adds, writing, strict=True))]
        )
    d_reads, d_weightings, d = after["reads"], list(after["weightings"]), after["memory"]
    d_source = total(
        d_read[:, None] * w[None, :] for d_read, w in zip(d_reads, weightings, strict=False)
    )
    for r, d_read in enumerate(d_reads):
        d_weightings[r] += jnp.sum(source * d_read[:, None], axis=0)
    if form.reads_written:
        d += d_source
    for h, w in enumerate(writing):
        raw.store_add(h, jnp.sum(d * w[None, :], axis=1))
        d_weightings[first_writer + h] += jnp.sum(d * adds[h][:, None], axis=0)
    for h in reversed(range(heads.write_heads)):
        lost = -d * partly[h]
        raw.store_erase(h, jnp.sum(lost * writing[h][None, :], axis=1))
        d_weightings[first_writer + h] += jnp.sum(lost * erases[h][:, None], axis=0)
        d = d * left(erases[h], writing[h])
    return {"memory": d if form.reads_written else d + d_source}, d_weightings


def _shift_backward(
    form: Form, raw: Raw, kept: Refs, out: Refs, t: Any, b: Any, d_weightings: Sequence[Any]
) -> None:
    """Differentiates equations 8 and 9. The derivatives by the shifted weightings go to `scratch`."""
    for a, d_weighting in enumerate(d_weightings):
        parts = moved(form, kept["gated"], (t, b, a), kept["gated"][t, b, a])
        shifted = mix(raw.shift(a), parts)
        positive = at_least_tiny(shifted)
        d_scores = softmax_backward(kept["weightings"][t + 1, b, a], d_weighting)
        raw.store_sharpening(a, jnp.sum(d_scores * jnp.log(positive)))
        d_shifted = raw.sharpening(a) * d_scores / positive
        d_shifted = jnp.where(shifted > tiny(shifted), d_shifted, 0)
        out["scratch"][b, a] = d_shifted
        raw.store_shift(a, [jnp.sum(d_shifted * part) for part in parts])


def _content_backward(
    form: Form, raw: Raw, kept: Refs, out: Refs, t: Any, b: Any, memory: Any, d_memory: Any
) -> Refs:
    """Differentiates equations 5 to 7: returns d of the memory and the weightings before the step."""
    squares, d_before = jnp.sum(memory * memory, axis=0), []
    for a in range(form.heads.addressings):
        back = moved(form, out["scratch"], (b, a), out["scratch"][b, a], back=True)
        d_gated = mix(raw.shift(a), back)
        key, strength, gate = raw.key(a), raw.strength(a), raw.gate(a)
        cosine, root, found = content(form, memory, squares, key, strength)
        raw.store_gate(a, jnp.sum(d_gated * (found - kept["weightings"][t, b, a])))
        d_scores = softmax_backward(found, gate * d_gated)
        raw.store_strength(a, jnp.sum(d_scores * cosine))
        d_dot = strength * d_scores / root
        d_square = d_dot * cosine / root  # by root², times -2; so for the squared norms
        d_key = jnp.sum(memory * d_dot[None, :], axis=1) - key * jnp.sum(d_square * squares)
        raw.store_key(a, d_key)
        d_squares = d_square * jnp.sum(key * key)
        d_memory += key[:, None] * d_dot[None, :] - memory * d_squares[None, :]
        d_before.append((1 - gate) * d_gated)
    return {"memory": d_memory, "weightings": d_before}
