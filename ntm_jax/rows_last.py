"""The cell's step as `unroll` runs it: a whole batch at once, memory `[B, W, N]` with its rows last.

It computes what `NTMCell.advance` computes, from the same parameters; `tests/test_model.py` holds the two
together. The rows are the longest axis and a multiple of the SIMD width, so every loop over them is one over
whole registers; sums over them go first by registers, then within one (see `contractions`).
"""

import jax
import jax.numpy as jnp

from ntm_jax.cell import NTMCell, NTMState, Step
from ntm_jax.contractions import max_last, outer, over_rows, over_words, squared_norm, sum_last
from ntm_jax.heads import Controls


def turn(state: NTMState) -> NTMState:
    """The state with its memory's last two axes exchanged."""
    return NTMState(
        jnp.swapaxes(state.memory, -1, -2), state.weightings, state.reads, state.controller
    )


def advance(cell: NTMCell, state: NTMState, inputs: jax.Array) -> tuple[NTMState, Step]:
    """One step without its output.

    Args:
      cell: whose parameters and choices to use.
      state: memory `[B, W, N]`, everything else as in `NTMState`.
      inputs: `[B, input_size]`.
    """
    heads, memory = cell.heads, state.memory
    seen = jnp.concatenate(
        [inputs.astype(memory.dtype), state.reads.reshape(inputs.shape[0], -1)], axis=-1
    )
    carry, hidden = cell.controller(state.controller, seen)
    controls = heads.controls(cell.to_heads(hidden))
    weightings = address(memory, state.weightings, controls, cell.cosine_epsilon)
    written = write(memory, weightings[:, -heads.write_heads :], controls.erase, controls.add)
    source = written if cell.reads_from == "written" else memory
    reads = over_rows(weightings[:, : heads.read_heads], source)
    return NTMState(written, weightings, reads, carry), Step(hidden, reads, weightings, controls)


def address(
    memory: jax.Array, previous: jax.Array, controls: Controls, epsilon: float
) -> jax.Array:
    """Equations 5 to 9 for all heads: memory `[B, W, N]`, previous `[B, A, N]` -> weightings `[B, A, N]`."""
    key_squared = jnp.sum(controls.key**2, axis=-1)
    squared = squared_norm(memory)[:, None, :] * key_squared[..., None]
    cosine = over_words(controls.key, memory) * jax.lax.rsqrt(
        squared + jnp.asarray(epsilon, squared.dtype)
    )
    content = softmax(controls.strength[..., None] * cosine)
    gate = controls.gate[..., None]
    gated = gate * content + (1 - gate) * previous

    reach = (controls.shift.shape[-1] - 1) // 2
    moved = [
        controls.shift[..., i, None] * jnp.roll(gated, move, axis=-1)
        for i, move in enumerate(range(-reach, reach + 1))
    ]
    shifted = sum(moved[1:], start=moved[0])
    tiny = jnp.finfo(shifted.dtype).tiny  # type: ignore[no-untyped-call]
    return softmax(controls.sharpening[..., None] * jnp.log(jnp.maximum(shifted, tiny)))


def write(memory: jax.Array, weightings: jax.Array, erase: jax.Array, add: jax.Array) -> jax.Array:
    """Equations 3 and 4: memory `[B, W, N]`, weightings `[B, H, N]`, erase and add `[B, H, W]`."""
    kept = memory
    for head in range(weightings.shape[1]):
        kept = kept * (1 - erase[:, head, :, None] * weightings[:, head, None, :])
    return kept + outer(add, weightings)


@jax.custom_vjp
def softmax(scores: jax.Array) -> jax.Array:
    """Softmax over the last axis, from sums and maxima by whole registers."""
    powers = jnp.exp(scores - max_last(scores)[..., None])
    return powers / sum_last(powers)[..., None]


def _softmax_forward(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
    result = softmax(scores)
    return result, result


def _softmax_backward(result: jax.Array, d: jax.Array) -> tuple[jax.Array]:
    weighted = result * d
    return (weighted - result * sum_last(weighted)[..., None],)


softmax.defvjp(_softmax_forward, _softmax_backward)
