"""Runs sequences by kernels for GPUs, where a scan launches many kernels a step.

They are one kernel forward and one backward, or those of `by_steps`. Weight gradients are products over all steps, after
the backward pass. All arrays are laid out by `layout`.

Where threads read what other threads have written, a barrier stands between.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ntm_jax.models.kernel import by_steps
from ntm_jax.models.kernel.backward import backward_kernel
from ntm_jax.models.kernel.forward import forward_kernel
from ntm_jax.models.kernel.launch import launch
from ntm_jax.models.kernel.layout import Form, Refs
from ntm_jax.models.linear import first_derivative


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
    if form.by_steps:
        found = by_steps.backward(form, given, shapes)
    else:
        found, _ = launch(form, partial(backward_kernel, form, steps), given, shapes)
        found["raw"] = _with_raw(form, found["raw"], d["raw"])
    d_weights = _weight_gradients(form, kept, found["pre"], found["raw"])
    d_mask = None if mask is None else jnp.zeros_like(mask)
    return found["pre"][:, :, 0], d_weights, found["first"], d_mask


run.defvjp(_run_forward, _run_backward)


def _forward(
    form: Form, inputs: jax.Array, weights: Refs, first: Refs, mask: Any, keeps: bool
) -> Any:
    """Runs forward.

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
    if form.by_steps:
        shapes["controls"] = shapes["raw"]
    if form.lstm:
        shapes["cell"] = shapes["hidden"]
        shapes["gates"] = shape((steps, batch, form.layers, form.pre_activations))
    given = {"inputs": inputs, "weights": weights, "first": first}
    given |= {} if mask is None else {"mask": mask}
    if form.by_steps:
        return by_steps.forward(form, given, shapes)
    kept, _ = launch(form, partial(forward_kernel, form, steps, keeps), given, shapes)
    return kept


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
