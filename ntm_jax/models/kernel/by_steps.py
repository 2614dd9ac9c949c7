"""Runs sequences step by step, for many at once: products of the whole batch, and one kernel for the memory's part.

The kernels of a whole sequence read all weights at every step of every sequence. A product of the batch reads them once
a step. All arrays are as in `sequence`. The kernels change in place those that hold all steps.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from ntm_jax.models.kernel.backward import (
    access_backward,
    before_step,
    is_computed,
    reads_getter,
    with_access_results,
)
from ntm_jax.models.kernel.batch_controllers import controller, controller_backward, product
from ntm_jax.models.kernel.controllers import pieces
from ntm_jax.models.kernel.forward import access, holder
from ntm_jax.models.kernel.heads import activated, load_memory, store_memory
from ntm_jax.models.kernel.launch import launch
from ntm_jax.models.kernel.layout import Form, Refs, indices

MOST_UNITS_AT_ONCE = 4_096  # that a kernel copies


def forward(form: Form, given: Refs, shapes: Refs) -> Refs:
    """Runs forward, as `forward_kernel` does.

    Args:
      form: of the cell.
      given: `inputs`, `weights`, the `first` state and perhaps the `mask`, see `sequence.run`.
      shapes: of the results. The memory's first axis is 1 if only the last memory is wanted.

    Returns:
      Arrays of these shapes.
    """
    weights = given["weights"]
    kept = {name: _empty(shape) for name, shape in shapes.items()}
    kept |= {name: _set(kept[name], 0, part) for name, part in given["first"].items()}
    now = {"reads": _of_step(shapes["reads"])}

    def step(t: Any, before: Any) -> Any:
        kept, reads, units = before
        of_step, units = controller(form, given, t, reads, units)
        now_given = {
            "t": jnp.reshape(t, 1).astype(jnp.int32),
            "units": of_step,
            "product": product(form, of_step["hidden"][-1], weights["heads"]),
            "heads_bias": weights["heads_bias"],
        } | ({"mask": given["mask"]} if form.masked else {})
        found, kept = launch(form, partial(forward_step, form), now_given, {"now": now}, kept)
        return kept, found["now"]["reads"], units

    units = {name: _by_layer(given["first"][name]) for name in ("hidden", "cell") if form.lstm}
    before_first = kept, given["first"]["reads"], units
    kept, _, _ = jax.lax.fori_loop(0, given["inputs"].shape[0], step, before_first)
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
    of_padding = {"mask": given["mask"]} if form.masked else {}
    of_controller = {"weights": weights, "kept": kept, "d": of_results} | of_padding
    steps = kept["raw"].shape[0]
    fresh = {"now": _of_step(shapes["raw"]), "shifted": shapes["shifted"]}

    def step(i: Any, carry: Any) -> Any:
        t = steps - 1 - i
        of_heads, pre, reads, units = carry
        now_given = {
            "t": jnp.reshape(t, 1).astype(jnp.int32),
            "kept": kept,
            "d": of_results,
            "reads": reads,
        } | of_padding
        kernel = partial(backward_step, form)
        found, of_heads = launch(form, kernel, now_given, fresh, of_heads)
        d_top = product(form, found["now"], weights["heads"].T)
        pre_now, reads, units = controller_backward(form, of_controller, t, d_top, reads, units)
        return of_heads, _set(pre, t, pre_now), reads, units

    units = {name: _by_layer(last[name]) for name in ("hidden", "cell") if form.lstm}
    state = {name: last[name] for name in ("memory", "weightings")}
    of_heads = {"raw": _empty(shapes["raw"]), "state": state}
    after_last = of_heads, _empty(shapes["pre"]), last["reads"], units
    of_heads, pre, reads, units = jax.lax.fori_loop(0, steps, step, after_last)
    first = {name: jnp.stack(layers, axis=1) for name, layers in units.items()}
    first |= of_heads["state"] | {"reads": reads}
    return {"pre": pre, "raw": of_heads["raw"], "first": first}


def forward_step(form: Form, barrier: Any, given: Refs, out: Refs) -> None:
    """Computes heads and memory of one step of one sequence: the kernel.

    Args:
      form: of the cell.
      barrier: see `launch`.
      given: references to `t [1]`, the `product [B, columns]` of hidden units and heads, `heads_bias`, the `mask`, and
        the controller's `units`, see `controller`.
      out: references to what `forward` returns, and `now`, the reads after the step.
    """
    b, t = pl.program_id(0), given["t"][0]
    for columns in pieces(form.columns, form.columns_at_once):
        raw = given["product"][b, columns] + given["heads_bias"][columns]
        out["raw"][t, b, columns] = raw
        out["controls"][t, b, columns] = activated(form, columns, raw)
    for name, layers in given["units"].items():
        place = t if name == "gates" else t + 1
        for layer, part in enumerate(layers):
            for some in pieces(part.shape[1], MOST_UNITS_AT_ONCE):
                out[name][place, b, layer, some] = part[b, some]
    barrier()
    keeps = out["memory"].shape[0] > 1
    memory = load_memory(form, out["memory"], (t if keeps else 0, b))
    written, reads = access(form, out, t, b, memory, holder(form, given, t, b), barrier)
    store_memory(form, out["memory"], (t + 1 if keeps else 0, b), written)
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
      out: references to d of all `raw` numbers, which hold those of the controls meanwhile; `now [B, columns]`, the same
        of this step; `state`, d of memory and weightings after the step and then before it; `shifted`.
    """
    b, t, d, state = pl.program_id(0), given["t"][0], given["d"], out["state"]
    computed = is_computed(form, given, t, b)
    reads_after = reads_getter(form, given["reads"], d["reads"], t, b)
    after = {
        "memory": load_memory(form, state["memory"], (b,)),
        "weightings": [state["weightings"][b, g.members] for g in form.groups],
    }

    def differentiated(after: Refs) -> Refs:
        return access_backward(form, given, out, t, b, after, computed, reads_after, barrier)

    after = with_access_results(form, after, d, t, b)
    before = before_step(form, computed, after, differentiated)
    store_memory(form, state["memory"], (b,), before["memory"])
    for group, part in zip(form.groups, before["weightings"], strict=True):
        state["weightings"][b, group.members] = part
    all_columns = pieces(form.columns, form.columns_at_once)
    d_raw = []
    for columns in all_columns:
        d_controls = jnp.where(form.has_column(indices(columns)), out["raw"][t, b, columns], 0)
        raw = given["kept"]["raw"][t, b, columns]
        (of_controls,) = jax.vjp(partial(activated, form, columns), raw)[1](d_controls)
        d_raw.append(of_controls + d["raw"][t, b, columns])
    barrier()  # several threads may have loaded a number that one of them stores
    for columns, part in zip(all_columns, d_raw, strict=True):
        out["raw"][t, b, columns] = part
        out["now"][b, columns] = part


def _by_layer(units: jax.Array) -> list[jax.Array]:
    """Splits units `[B, L, units]`."""
    return [units[:, layer] for layer in range(units.shape[1])]


def _empty(shape: jax.ShapeDtypeStruct) -> jax.Array:
    """Returns an array to be filled."""
    return jax.lax.empty(shape.shape, shape.dtype)  # type: ignore[no-untyped-call]


def _of_step(shape: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Returns the shape of one step."""
    return jax.ShapeDtypeStruct(shape.shape[1:], shape.dtype)  # type: ignore[no-untyped-call]


def _set(whole: jax.Array, t: Any, part: jax.Array) -> jax.Array:
    """Replaces step t. Unlike `whole.at[t].set`, it does not check that there is one."""
    return jax.lax.dynamic_update_index_in_dim(whole, part, t, 0)
