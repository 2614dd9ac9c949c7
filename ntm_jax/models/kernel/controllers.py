"""Computes the controller inside the kernels of `sequence`, forward and backward, for one sequence.

`t` and `b` are the step and the sequence. Every value that other threads read goes through an array and a barrier.
Products are sums of tiles, of up to `Form.weights_at_once` weights each; padded weights are not loaded. An LSTM's gates are
computed together, in the order of `lstm`: input, forget, candidate, output.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ntm_jax.models.controllers import ACTIVATIONS
from ntm_jax.models.kernel.layout import Form, Refs, indices
from ntm_jax.models.memory_ops import total

CANDIDATE = 2  # of an LSTM's gates, the one that is a tanh

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
    hidden = ACTIVATIONS[form.activation](_first_layer(form, given, out, t, b))
    out["hidden"][t + 1, b, 0] = hidden
    return hidden


def lstm(form: Form, given: Refs, out: Refs, t: Any, b: Any, held: Any, barrier: Any) -> jax.Array:
    """Computes and stores a step of all layers: the hidden units `[units]` of the top one.

    `held(new, old)` is the old value if the step is padding.
    """
    weights = given["weights"]
    for layer in range(form.layers):
        if layer == 0:
            pre = _first_layer(form, given, out, t, b)
        else:
            pre = weights["below_bias"][layer - 1]
            pre += _product(form, weights["below"], layer - 1, out["hidden"], (t + 1, b, layer - 1))
        pre += _product(form, weights["hidden"], layer, out["hidden"], (t, b, layer))
        out["gates"][t, b, layer] = gate_values(form, pre)
        barrier()
        old = out["cell"][t, b, layer]
        cell, hidden = unit(_gates(form, out["gates"], t, b, layer), old)
        hidden = held(hidden, out["hidden"][t, b, layer])
        out["cell"][t + 1, b, layer] = held(cell, old)
        out["hidden"][t + 1, b, layer] = hidden
        if layer + 1 < form.layers:
            barrier()
    return hidden


def gate_values(form: Form, pre: jax.Array) -> jax.Array:
    """Returns an LSTM's gates from the pre-activations `[..., gates units]`."""
    is_candidate = jnp.arange(form.pre_activations) // form.units == CANDIDATE
    return jnp.where(is_candidate, jnp.tanh(pre), jax.nn.sigmoid(pre))


def unit(gates: Sequence[jax.Array], old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns an LSTM's new cells and hidden units from its gates and its cells, `[..., units]`."""
    enter, forget, candidate, leave = gates
    cell = forget * old + enter * candidate
    return cell, leave * jnp.tanh(cell)


def unit_backward(
    gates: Sequence[jax.Array],
    cells: tuple[jax.Array, jax.Array],
    d_hidden: jax.Array,
    d_cell: jax.Array,
) -> tuple[list[jax.Array], jax.Array]:
    """Differentiates `unit`: returns d of the gates' pre-activations and of the cells before the step.

    Args:
      gates: of the step.
      cells: before and after the step.
      d_hidden, d_cell: of the hidden units and of the cells after the step.
    """
    (enter, forget, candidate, leave), (old, new) = gates, cells
    bent = jnp.tanh(new)
    d_cell = d_cell + d_hidden * leave * (1 - bent * bent)
    d_pre = [
        d_cell * candidate * enter * (1 - enter),
        d_cell * old * forget * (1 - forget),
        d_cell * enter * (1 - candidate * candidate),
        d_hidden * bent * leave * (1 - leave),
    ]
    return d_pre, d_cell * forget


def _gates(form: Form, ref: Any, t: Any, b: Any, layer: int) -> list[jax.Array]:
    return [ref[t, b, layer, pl.ds(g * form.units, form.units)] for g in range(form.gates)]


def _first_layer(form: Form, given: Refs, out: Refs, t: Any, b: Any) -> jax.Array:
    """Returns the inputs' and the previous reads' part of the first layer, `[gates units]`."""
    weights, reads = given["weights"]["reads"], out["reads"]
    result = given["inputs"][t, b]
    for words in pieces(form.words, _rows_at_once(form)):
        tile = total(
            _tile(form, weights, r * form.words, words, form.heads.word_size)
            * reads[t, b, r, words][:, None]
            for r in range(form.heads.read_heads)
        )
        result += jnp.sum(tile, axis=0)
    return result


def _product(form: Form, weights: Any, layer: int, units: Any, at: Any) -> jax.Array:
    """Returns units `[units]`, at `at` of a ref, times a layer's weights: `[gates units]`."""
    tile = total(
        _tile(form, weights, layer * form.units, rows, form.controller_size)
        * units[(*at, rows)][:, None]
        for rows in pieces(form.units, _rows_at_once(form))
    )
    return jnp.sum(tile, axis=0)


def _tile(form: Form, weights: Any, start: int, rows: Any, used: int) -> jax.Array:
    """Loads rows of weights of all gates, from a matrix that begins at row `start` and has so many that are used."""
    # Of several gates, padding is loaded too: without a simple mask, numbers would be loaded one by one.
    padding = form.pre_activations if form.gates > 1 else form.controller_size
    return load_tile(
        weights.at[pl.ds(start + rows.start, rows.size), :],
        is_used(rows, used),
        is_used(pl.ds(0, form.pre_activations), padding),
    )


def _rows_at_once(form: Form) -> int:
    return form.weights_at_once // form.pre_activations


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
    out["pre"][t, b, 0] = d_pre
    return {"reads": _reads_backward(form, given, [d_pre])}


def lstm_backward(
    form: Form, given: Refs, out: Refs, t: Any, b: Any, after: Refs, d_above: Any, barrier: Any
) -> Refs:
    """Differentiates `lstm`, see `feedforward_backward`; `d_above` is d of the top layer's hidden units."""
    kept, weights = given["kept"], given["weights"]
    d_hidden, d_cells = [], []
    for layer in reversed(range(form.layers)):
        gates = _gates(form, kept["gates"], t, b, layer)
        d_out = after["hidden"][layer] + d_above
        cells = kept["cell"][t, b, layer], kept["cell"][t + 1, b, layer]
        d_gates, d_cell = unit_backward(gates, cells, d_out, after["cell"][layer])
        for g, d_gate in enumerate(d_gates):
            out["pre"][t, b, layer, pl.ds(g * form.units, form.units)] = d_gate
        d_cells.append(d_cell)
        barrier()
        d_hidden.append(_transposed(form, weights["hidden"], layer, out["pre"], (t, b, layer)))
        if layer > 0:
            d_above = _transposed(form, weights["below"], layer - 1, out["pre"], (t, b, layer))
    before = {"hidden": d_hidden[::-1], "cell": d_cells[::-1]}
    return before | {"reads": _reads_backward(form, given, d_gates)}


def _reads_backward(form: Form, given: Refs, d_gates: list[jax.Array]) -> list[jax.Array]:
    """Returns d of each group of reads before the step `[n, words]`, from d of the first layer's gates."""
    result = []
    for group in form.readers_at_once:
        size = group.size * form.words
        word = jnp.arange(size) % form.words < form.heads.word_size
        rows = pl.ds(group.start * form.words, size)
        tile = total(
            load_tile(
                given["weights"]["reads"].at[rows, pl.ds(g * form.units, form.units)],
                word,
                is_used(pl.ds(0, form.units), form.controller_size),
            )
            * d_gate[None, :]
            for g, d_gate in enumerate(d_gates)
        )
        result.append(jnp.sum(tile, axis=1).reshape(group.size, form.words))
    return result


def _transposed(form: Form, weights: Any, layer: int, pre: Any, at: Any) -> jax.Array:
    """Returns a layer's weights times d of its gates `[gates units]`, at `at` of a ref: `[units]`."""
    used, units = form.controller_size, form.units
    tile = total(
        load_tile(
            weights.at[pl.ds(layer * units, units), columns],
            is_used(pl.ds(0, units), used),
            is_used(pl.ds(columns.start % units, columns.size), used),
        )
        * pre[(*at, columns)][None, :]
        for columns in pieces(form.pre_activations, min(units, form.weights_at_once // units))
    )
    return jnp.sum(tile, axis=1)


def is_used(part: Any, used: int) -> jax.Array:
    """Returns which numbers of a slice are not padding, for an axis of so many that are used."""
    return indices(part) < used


def head_weights(form: Form, given: Refs, columns: Any) -> jax.Array:
    """Loads the weights from the hidden units to some of the heads' columns, `[units, columns]`."""
    return load_tile(
        given["weights"]["heads"].at[:, columns],
        is_used(pl.ds(0, form.units), form.controller_size),
        is_used(columns, form.used_columns),
    )


def load_tile(ref: Any, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Loads a tile of weights `[rows, columns]`: 0, without a look at the memory, where either is False."""
    return triton.load(ref, mask=rows[:, None] & columns[None, :], other=0.0)


def pieces(whole: int, size: int) -> list[Any]:
    """Returns slices of `size`, or of the whole if that is less, that cover `whole`."""
    size = min(whole, size)
    return [pl.ds(start, size) for start in range(0, whole, size)]
