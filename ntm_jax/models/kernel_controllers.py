"""Computes the controller inside the kernels of `sequence_kernel`, forward and backward, for one sequence.

`t` and `b` are the step and the sequence. Every value that other threads read goes through an array and a barrier.
Products are sums of tiles, of up to `MOST_IN_TILE` weights each.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from ntm_jax.models.controllers import ACTIVATIONS
from ntm_jax.models.kernel_layout import MOST_IN_TILE, Form
from ntm_jax.models.memory_ops import total

Refs = dict[str, Any]

# An activation's derivative, from its value.
SLOPES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
    "relu": lambda y: jnp.where(y > 0, jnp.ones_like(y), jnp.zeros_like(y)),
}


def feedforward(
    form: Form, given: Refs, out: Refs, t: Any, b: Any, held: Any, barrier: Any
) -> jax.Array:
    """Computes and stores a feed-forward step: the hidden units `[units]`."""
    assert form.activation is not None
    hidden = ACTIVATIONS[form.activation](_first_layer(form, given, out, t, b, 0))
    out["hidden"][t + 1, b, 0] = hidden
    return hidden


def lstm(form: Form, given: Refs, out: Refs, t: Any, b: Any, held: Any, barrier: Any) -> jax.Array:
    """Computes and stores a step of all layers: the hidden units `[units]` of the top one.

    `held(new, old)` is the old value if the step is padding.
    """
    weights, activations = given["weights"], ("sigmoid", "sigmoid", "tanh", "sigmoid")
    for layer in range(form.layers):
        gates = []
        for g, activation in enumerate(activations):
            if layer == 0:
                pre = _first_layer(form, given, out, t, b, g)
            else:
                pre = weights["below_bias"][layer - 1, g]
                pre += _product(
                    form, weights["below"], layer - 1, g, out["hidden"], (t + 1, b, layer - 1)
                )
            pre += _product(form, weights["hidden"], layer, g, out["hidden"], (t, b, layer))
            gates.append(ACTIVATIONS[activation](pre))
            out["gates"][t, b, layer, g] = gates[g]
        enter, forget, candidate, leave = gates
        old = out["cell"][t, b, layer]
        cell = forget * old + enter * candidate
        hidden = held(leave * jnp.tanh(cell), out["hidden"][t, b, layer])
        out["cell"][t + 1, b, layer] = held(cell, old)
        out["hidden"][t + 1, b, layer] = hidden
        if layer + 1 < form.layers:
            barrier()
    return hidden


def _first_layer(form: Form, given: Refs, out: Refs, t: Any, b: Any, gate: int) -> jax.Array:
    """Returns the inputs' and the previous reads' part of the first layer, `[units]`."""
    tile = total(
        given["weights"]["reads"][r, :, gate] * out["reads"][t, b, r][:, None]
        for r in range(form.heads.read_heads)
    )
    return given["inputs"][t, b, gate] + jnp.sum(tile, axis=0)


def _product(form: Form, weights: Any, layer: int, gate: int, units: Any, at: Any) -> jax.Array:
    """Returns units `[units]`, at `at` of a ref, times a layer's weights of a gate."""
    tile = total(
        weights[layer, rows, gate] * units[(*at, rows)][:, None] for rows in _units_at_once(form)
    )
    return jnp.sum(tile, axis=0)


def feedforward_backward(
    form: Form, given: Refs, out: Refs, t: Any, b: Any, after: Refs, d_top: Any, barrier: Any
) -> Refs:
    """Differentiates `feedforward`: stores d of the pre-activations, returns d of the state before the step.

    Args:
      form, given, out, t, b, barrier: as in `feedforward`.
      after: d of the state after the step.
      d_top: d of the hidden units, from the heads, `[units]`.
    """
    assert form.activation is not None
    d_hidden = d_top + given["d"]["hidden"][t, b]
    d_pre = d_hidden * SLOPES[form.activation](given["kept"]["hidden"][t + 1, b, 0])
    out["pre"][t, b, 0, 0] = d_pre
    return {"reads": _reads_backward(form, given, [d_pre])}


def lstm_backward(
    form: Form, given: Refs, out: Refs, t: Any, b: Any, after: Refs, d_above: Any, barrier: Any
) -> Refs:
    """Differentiates `lstm`, see `feedforward_backward`; `d_above` is d of the top layer's hidden units."""
    kept, weights = given["kept"], given["weights"]
    d_hidden, d_cells = [], []
    for layer in reversed(range(form.layers)):
        enter, forget, candidate, leave = (kept["gates"][t, b, layer, g] for g in range(4))
        bent = jnp.tanh(kept["cell"][t + 1, b, layer])
        d_out = after["hidden"][layer] + d_above
        d_cell = after["cell"][layer] + d_out * leave * (1 - bent * bent)
        d_gates = [
            d_cell * candidate * enter * (1 - enter),
            d_cell * kept["cell"][t, b, layer] * forget * (1 - forget),
            d_cell * enter * (1 - candidate * candidate),
            d_out * bent * leave * (1 - leave),
        ]
        for g, d_gate in enumerate(d_gates):
            out["pre"][t, b, layer, g] = d_gate
        d_cells.append(d_cell * forget)
        barrier()
        d_hidden.append(_transposed(form, weights["hidden"], layer, out["pre"], (t, b, layer)))
        if layer > 0:
            d_above = _transposed(form, weights["below"], layer - 1, out["pre"], (t, b, layer))
    before = {"hidden": d_hidden[::-1], "cell": d_cells[::-1]}
    return before | {"reads": _reads_backward(form, given, d_gates)}


def _reads_backward(form: Form, given: Refs, d_gates: Sequence[jax.Array]) -> list[jax.Array]:
    """Returns d of the reads before the step, from that of the first layer's pre-activations."""
    weights = given["weights"]["reads"]
    result = []
    for r in range(form.heads.read_heads):
        tile = total(weights[r, :, g] * d_gate[None, :] for g, d_gate in enumerate(d_gates))
        result.append(jnp.sum(tile, axis=1))
    return result


def _transposed(form: Form, weights: Any, layer: int, pre: Any, at: Any) -> jax.Array:
    """Returns a layer's weights times d of its gates `[gates, units]`, at `at` of a ref: `[units]`."""
    tile = total(
        weights[layer, :, g, units] * pre[(*at, g, units)][None, :]
        for g in range(form.gates)
        for units in _units_at_once(form)
    )
    return jnp.sum(tile, axis=1)


def _units_at_once(form: Form) -> list[Any]:
    """Returns slices of the units, so that a tile of weights stays within `MOST_IN_TILE`."""
    return pieces(form.units, min(form.units, MOST_IN_TILE // form.units))


def pieces(whole: int, size: int) -> list[Any]:
    """Returns slices of `size` that cover `whole`."""
    return [pl.ds(start, size) for start in range(0, whole, size)]
