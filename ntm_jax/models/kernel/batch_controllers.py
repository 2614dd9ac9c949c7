"""Computes the controller of a whole batch in `by_steps`, forward and backward."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from ntm_jax.models.controllers import ACTIVATIONS
from ntm_jax.models.kernel.backward import before_step
from ntm_jax.models.kernel.controllers import SLOPES, gate_values, unit, unit_backward
from ntm_jax.models.kernel.layout import Form, Refs

Units: TypeAlias = dict[str, list[jax.Array]]  # by name, one of each layer


def controller(
    form: Form, given: Refs, t: Any, reads: jax.Array, units: Units
) -> tuple[Units, Units]:
    """Computes a step of the controller.

    Args:
      form: of the cell.
      given: see `by_steps.forward`.
      t: the step.
      reads: before the step, `[B, R, words]`.
      units: an LSTM's `hidden` and `cell` before the step, `[B, units]` of each layer.

    Returns:
      What is stored of the step: `hidden`, and for an LSTM also `cell` and `gates`, each of all layers. The new units.
    """
    weights, size = given["weights"], form.units
    pre = given["inputs"][t] + product(form, reads.reshape(form.batch, -1), weights["reads"])
    if form.activation is not None:
        return {"hidden": [ACTIVATIONS[form.activation](pre)]}, units
    of_step: Units = {"hidden": [], "cell": [], "gates": []}
    for layer in range(form.layers):
        if layer > 0:
            kernel = weights["below"][(layer - 1) * size : layer * size]
            pre = weights["below_bias"][layer - 1][None, :]
            pre += product(form, of_step["hidden"][-1], kernel)
        own = weights["hidden"][layer * size : (layer + 1) * size]
        before = units["hidden"][layer], units["cell"][layer]
        gates = gate_values(form, pre + product(form, before[0], own))
        cell, hidden = unit(jnp.split(gates, form.gates, axis=-1), before[1])
        if form.masked:
            computed = given["mask"][t][:, None] > 0
            hidden = jnp.where(computed, hidden, before[0])
            cell = jnp.where(computed, cell, before[1])
        for parts, part in zip(of_step.values(), (hidden, cell, gates), strict=True):
            parts.append(part)
    return of_step, {name: of_step[name] for name in units}


def controller_backward(
    form: Form, given: Refs, t: Any, d_top: jax.Array, reads: jax.Array, units: Units
) -> tuple[jax.Array, jax.Array, Units]:
    """Differentiates `controller`.

    Args:
      form: of the cell.
      given: see `by_steps.backward`.
      t: the step.
      d_top: d of the top layer's hidden units, from the heads, `[B, units]`.
      reads, units: d of the state after the step.

    Returns:
      d of the pre-activations `[B, L, gates units]`; of reads and units before the step.
    """
    d, weights = given["d"], given["weights"]
    computed = given["mask"][t][:, None] > 0 if form.masked else jnp.bool_(True)
    pre: list[jax.Array] = []  # of each layer

    def differentiated(after: Units) -> Refs:
        if form.lstm:
            before, of_layers = _lstm_backward(form, given, t, d_top, after)
        else:
            assert form.activation is not None
            slopes = SLOPES[form.activation](given["kept"]["hidden"][t + 1, :, 0])
            before, of_layers = {}, [(d_top + d["hidden"][t]) * slopes]
        pre.extend(of_layers)
        return before | {"reads": product(form, of_layers[0], weights["reads"].T)}

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
        before["hidden"].insert(0, product(form, d_pre, weights["hidden"][own].T))
        before["cell"].insert(0, d_cell)
        of_layers.insert(0, d_pre)
        if layer > 0:
            below = slice(own.start - form.units, own.start)
            d_above = product(form, d_pre, weights["below"][below].T)
    return before, of_layers


def product(form: Form, x: jax.Array, weights: jax.Array) -> jax.Array:
    """Multiplies `[B, n]` by weights `[n, m]`."""
    return jnp.matmul(x, weights, precision=form.precision)
