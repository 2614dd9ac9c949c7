"""Runs sequences step by step, for many at once: products of the whole batch, and one kernel for the memory's part.

The kernels of a whole sequence read all weights at every step of every sequence. A product of the batch reads them once
a step. All arrays are as in `sequence`; the kernels change those of states in place.
"""

from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from ntm_jax.models.controllers import ACTIVATIONS
from ntm_jax.models.kernel.backward import (
    access_backward,
    before_step,
    is_computed,
    reads_getter,
    with_access_results,
)
from ntm_jax.models.kernel.controllers import SLOPES, gate_values, pieces, unit, unit_backward
from ntm_jax.models.kernel.forward import access, holder
from ntm_jax.models.kernel.heads import activated, load_memory, store_memory
from ntm_jax.models.kernel.launch import launch
from ntm_jax.models.kernel.layout import Form, Refs


Units: TypeAlias = dict[str, list[jax.Array]]  # by name, one of each layer


def forward(form: Form, given: Refs, shapes: Refs) -> Refs:
    """Runs forward, as `forward_kernel` does.

    Args:
      form: of the cell.
      given: `inputs`, `weights`, the `first` state and perhaps the `mask`, see `sequence.run`.
      shapes: of the results. The memory's first axis is 1 if only the last memory is wanted.

    Returns:
      Arrays of these shapes.
    """
    weights, mask = given["weights"], given.get("mask")
    kept = {name: jax.lax.empty(one.shape, one.dtype) for name, one in shapes.items()}
    kept |= {name: _set(kept[name], 0, part) for name, part in given["first"].items()}
    reads = shapes["reads"]
    now = {"reads": jax.ShapeDtypeStruct(reads.shape[1:], reads.dtype)}

    def step(t: Any, before: Any) -> Any:
        kept, reads, units = before
        of_step, units = _controller(form, given, t, reads, units)
        product = _product(form, of_step["hidden"][-1], weights["heads"])
        bias = weights["heads_bias"]
        now_given = {"t": jnp.reshape(t, 1).astype(jnp.int32), "product": product, "heads_bias": bias}
        now_given |= {"units": of_step} | ({} if mask is None else {"mask": mask})
        found = launch(form, partial(forward_step, form), now_given, {"now": now}, kept)
        return found, found.pop("now")["reads"], units

    units = {name: _by_layer(given["first"][name]) for name in ("hidden", "cell") if form.lstm}
    first = kept, given["first"]["reads"], units
    kept, _, _ = jax.lax.fori_loop(0, given["inputs"].shape[0], step, first)
    return kept


def backward(form: Form, given: Refs, shapes: Refs) -> Refs:
    """Runs backward, as `backward_kernel` does.

    Args:
      form: of the cell.
      given: the `weights`, what `forward` returned as `kept`, `d` of the results and perhaps the `mask`.
      shapes: of the results.

    Returns:
      Arrays of these shapes; `raw` has the cotangent of the result.
    """
    kept, weights = given["kept"], given["weights"]
    # Else XLA would make those that are 0 again at every step.
    d = jax.lax.optimization_barrier(given["d"])  # type: ignore[no-untyped-call]
    last = d["last"]
    of_results = {name: part for name, part in d.items() if name != "last"}
    steps = kept["raw"].shape[0]
    pre, raw = (jax.lax.empty(shapes[name].shape, shapes[name].dtype) for name in ("pre", "raw"))
    fresh = {"now": jax.ShapeDtypeStruct(raw.shape[1:], raw.dtype), "shifted": shapes["shifted"]}

    def step(i: Any, carry: Any) -> Any:
        t = steps - 1 - i
        of_heads, pre, reads, units = carry
        now_given = {"t": jnp.reshape(t, 1).astype(jnp.int32), "kept": kept, "d": of_results, "reads": reads}
        now_given |= {"mask": given["mask"]} if form.masked else {}
        found = launch(form, partial(backward_step, form), now_given, fresh, of_heads)
        d_top = _product(form, found["now"], weights["heads"].T)
        pre_now, reads, units = _controller_backward(
            form, given | {"d": of_results}, t, d_top, reads, units
        )
        return {name: found[name] for name in of_heads}, _set(pre, t, pre_now), reads, units

    units = {name: _by_layer(last[name]) for name in ("hidden", "cell") if form.lstm}
    of_heads = {"raw": raw, "first": {name: last[name] for name in ("memory", "weightings")}}
    of_heads, pre, reads, units = jax.lax.fori_loop(
        0, steps, step, (of_heads, pre, last["reads"], units)
    )
    first = {name: jnp.stack(layers, axis=1) for name, layers in units.items()}
    first |= of_heads["first"] | {"reads": reads}
    return {"pre": pre, "raw": of_heads["raw"], "first": first}


def forward_step(form: Form, barrier: Any, given: Refs, out: Refs) -> None:
    """Computes heads and memory of one step of one sequence: the kernel.

    Args:
      form: of the cell.
      barrier: see `launch`.
      given: references to `t [1]`, the `product [B, columns]` of hidden units and heads, `heads_bias`, the `mask`, and
        the controller's `units`, see `_controller`.
      out: references to what `forward` returns, and `now`, the reads after the step.
    """
    b, t = pl.program_id(0), given["t"][0]
    for columns in pieces(form.columns, form.columns_at_once):
        raw = given["product"][b, columns] + given["heads_bias"][columns]
        out["raw"][t, b, columns] = raw
        out["controls"][t, b, columns] = activated(form, numbers(columns), raw)
    for name, layers in given["units"].items():
        place = t if name == "gates" else t + 1
        for layer, part in enumerate(layers):
            out[name][place, b, layer] = part[b]
    barrier()
    keeps = out["memory"].shape[0] > 1
    memory = load_memory(form, out["memory"], t if keeps else 0, b)
    written, reads = access(form, out, t, b, memory, holder(form, given, t, b), barrier)
    store_memory(form, out["memory"], t + 1 if keeps else 0, b, written)
    for group, part in zip(form.readers, reads, strict=True):
        out["reads"][t + 1, b, group.members] = part
        out["now"]["reads"][b, group.members] = part


def backward_step(form: Form, barrier: Any, given: Refs, out: Refs) -> None:
    """Differentiates `forward_step`: the kernel.

    Args:
      form: of the cell.
      barrier: see `launch`.
      given: references to `t [1]`, to what was `kept`, to `d` of the results, to d of the `reads` after the step, and
        to the `mask`.
      out: references to d of all `raw` numbers and, `now`, of those of this step, `[B, columns]`; to d of memory and
        weightings, `first`, after the step and then before it; to `shifted`.
    """
    b, t, d, state = pl.program_id(0), given["t"][0], given["d"], out["first"]
    computed = is_computed(form, given, t, b)
    reads_after = reads_getter(form, given["reads"], d["reads"], t, b)
    after = {
        "memory": load_memory(form, state["memory"], b),
        "weightings": [state["weightings"][b, g.members] for g in form.groups],
    }

    def differentiated(after: Refs) -> Refs:
        return access_backward(form, given, out, t, b, after, computed, reads_after, barrier)

    after = with_access_results(form, after, d, t, b)
    before = before_step(form, computed, after, differentiated)
    store_memory(form, state["memory"], b, before["memory"])
    for group, part in zip(form.groups, before["weightings"], strict=True):
        state["weightings"][b, group.members] = part
    for columns in pieces(form.columns, form.columns_at_once):
        used = form.has_column(numbers(columns))
        d_controls = jnp.where(used, out["raw"][t, b, columns], 0)
        raw = given["kept"]["raw"][t, b, columns]
        (d_raw,) = jax.vjp(partial(activated, form, numbers(columns)), raw)[1](d_controls)
        d_raw += d["raw"][t, b, columns]
        out["raw"][t, b, columns] = d_raw
        out["now"][b, columns] = d_raw


def numbers(columns: Any) -> jax.Array:
    """Returns the indices in a slice."""
    return columns.start + jnp.arange(columns.size)


def _controller(
    form: Form, given: Refs, t: Any, reads: jax.Array, units: Units
) -> tuple[Units, Units]:
    """Computes a step of the controller.

    Args:
      form: of the cell.
      given: see `forward`.
      t: the step.
      reads: before the step, `[B, R, words]`.
      units: an LSTM's `hidden` and `cell` before the step, `[B, units]` of each layer.

    Returns:
      What is stored of the step: `hidden`, and for an LSTM also `cell` and `gates`, each of all layers. The new units.
    """
    weights, size = given["weights"], form.units
    pre = given["inputs"][t] + _product(form, reads.reshape(form.batch, -1), weights["reads"])
    if form.activation is not None:
        return {"hidden": [ACTIVATIONS[form.activation](pre)]}, units
    of_step: Units = {"hidden": [], "cell": [], "gates": []}
    for layer in range(form.layers):
        if layer > 0:
            below = weights["below"][(layer - 1) * size : layer * size]
            pre = weights["below_bias"][layer - 1] + _product(form, hidden, below)
        own = weights["hidden"][layer * size : (layer + 1) * size]
        before = units["hidden"][layer], units["cell"][layer]
        gates = gate_values(form, pre + _product(form, before[0], own))
        cell, hidden = unit(jnp.split(gates, form.gates, axis=-1), before[1])
        if form.masked:
            computed = given["mask"][t][:, None] > 0
            hidden = jnp.where(computed, hidden, before[0])
            cell = jnp.where(computed, cell, before[1])
        for parts, part in zip(of_step.values(), (hidden, cell, gates), strict=True):
            parts.append(part)
    return of_step, {name: of_step[name] for name in units}


def _controller_backward(
    form: Form, given: Refs, t: Any, d_top: jax.Array, reads: jax.Array, units: Units
) -> tuple[jax.Array, jax.Array, Units]:
    """Differentiates `_controller`.

    Args:
      form: of the cell.
      given: see `backward`.
      t: the step.
      d_top: d of the top layer's hidden units, from the heads, `[B, units]`.
      reads, units: d of the state after the step.

    Returns:
      d of the pre-activations `[B, L, gates units]`; of reads and units before the step.
    """
    d, weights = given["d"], given["weights"]
    computed = given["mask"][t][:, None] > 0 if form.masked else jnp.bool_(True)
    pre: list[jax.Array] = []  # of the layers from the last computed

    def differentiated(after: Units) -> Refs:
        if form.lstm:
            before, of_layers = _lstm_backward(form, given, t, d_top, after)
        else:
            assert form.activation is not None
            slopes = SLOPES[form.activation](given["kept"]["hidden"][t + 1, :, 0])
            before, of_layers = {}, [(d_top + d["hidden"][t]) * slopes]
        pre.extend(of_layers)
        return before | {"reads": _product(form, of_layers[0], weights["reads"].T)}

    after = dict(units)
    if form.lstm:
        *below, top = units["hidden"]
        after["hidden"] = [*below, top + d["hidden"][t]]
    before = before_step(form, computed, after, differentiated)
    d_reads = before.pop("reads").reshape(reads.shape)
    if form.masked:
        d_reads += jnp.where(computed[..., None], 0, reads + d["reads"][t])
    return jnp.stack(pre, axis=1), d_reads, before


def _lstm_backward(
    form: Form, given: Refs, t: Any, d_above: jax.Array, after: Units
) -> tuple[Units, list[jax.Array]]:
    """Returns d of the units before the step, and of the pre-activations of each layer, `[B, gates units]`."""
    kept, weights = given["kept"], given["weights"]
    before: Units = {"hidden": [], "cell": []}
    of_layers: list[jax.Array] = []
    for layer in reversed(range(form.layers)):
        gates = jnp.split(kept["gates"][t, :, layer], form.gates, axis=-1)
        cells = kept["cell"][t, :, layer], kept["cell"][t + 1, :, layer]
        d_out = after["hidden"][layer] + d_above
        d_gates, d_cell = unit_backward(gates, cells, d_out, after["cell"][layer])
        d_pre = jnp.concatenate(d_gates, axis=-1)
        own = slice(layer * form.units, (layer + 1) * form.units)
        before["hidden"].insert(0, _product(form, d_pre, weights["hidden"][own].T))
        before["cell"].insert(0, d_cell)
        of_layers.insert(0, d_pre)
        if layer > 0:
            below = slice(own.start - form.units, own.start)
            d_above = _product(form, d_pre, weights["below"][below].T)
    return before, of_layers


def _by_layer(units: jax.Array) -> list[jax.Array]:
    """Splits units `[B, L, units]`."""
    return [units[:, layer] for layer in range(units.shape[1])]


def _set(whole: jax.Array, t: Any, part: jax.Array) -> jax.Array:
    """Replaces step t, without a check that there is one."""
    return jax.lax.dynamic_update_index_in_dim(whole, part, t, 0)


def _product(form: Form, x: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.matmul(x, weights, precision=form.precision)
