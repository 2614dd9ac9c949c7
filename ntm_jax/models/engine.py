"""Chooses by `model.engine` how a sequence is computed, and runs an `NTMCell` by the kernels of `kernel.sequence`.

`scan` computes step after step and works everywhere. Two others are for GPUs: `kernel` computes the whole sequence at
once, `step_kernel` the memory's part of a step, between products of all sequences, for large batches. `auto` is `kernel` on
the kinds of GPU in `SHOWN_TO_WORK`, for the batches for which it was found faster, and the scan elsewhere.
"""

import importlib
import logging
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from ntm_jax.models import fused_step
from ntm_jax.models.cell import NTMCell, NTMState, Step
from ntm_jax.models.controllers import FeedForward
from ntm_jax.models.kernel import layout
from ntm_jax.models.kernel.layout import Form
from ntm_jax.models.linear import Linear
from ntm_jax.models.scanning import in_segments
from ntm_jax.models.streams import Marks

# Kinds of device, as `jax.Device.device_kind` says, on which the kernel was found to agree with the scan and to be
# faster, see docs/project/kernel.md.
SHOWN_TO_WORK = frozenset({"NVIDIA H200"})

BACKEND = "jax.experimental.pallas.triton"  # deprecated since jax 0.11

MOST_CELLS = 8_192  # of a memory, padded; the backward kernel has several of them in registers
MOST_UNITS = 1_024
MOST_ADDRESSINGS, MOST_MOVES = 16, 17  # the kernels' code grows with both

log = logging.getLogger("ntm_jax")


def choose(cell: NTMCell, steps: int, batch: int, resets: bool) -> str:
    """Returns which of `scan`, `kernel` and `step_kernel` runs sequences of this shape.

    Says once why the scan does, if another should.

    Args:
      cell: the model.
      steps, batch: T and B.
      resets: whether sequences begin within the batch.
    """
    wanted = cell.engine
    if wanted == "auto":
        wanted = "kernel" if _shown_to_work() and _faster(cell, batch) else "scan"
    if wanted == "scan" or not steps or not batch:
        return "scan"
    reason = why_not(cell, wanted, resets)
    if reason:
        _say_once(f"model.engine: {wanted} cannot compute this, the scan does: {reason}")
        return "scan"
    if jax.default_backend() != "gpu":
        _say_once("model.engine: without a GPU the kernel is interpreted, which is slow")
    return wanted


def why_not(cell: NTMCell, engine: str, resets: bool) -> str | None:
    """Returns what `kernel` or `step_kernel` does not support, or None if it supports everything."""
    try:
        importlib.import_module(BACKEND)
    except ImportError:
        return f"jax {jax.__version__} has no {BACKEND}"
    if not fused_step.computes_step_of(cell):
        return f"{type(cell).__name__} overrides a part of the step"
    if any(layer.compute != "float32" for layer in fused_step.linear_layers(cell)):
        return "model.compute is not float32"
    dtypes = {
        str(leaf.dtype) for layer in fused_step.linear_layers(cell) for leaf in _parameters(layer)
    }
    if not dtypes <= {"float32", "float64"} or len(dtypes) > 1:
        return f"parameters are {', '.join(sorted(dtypes))}"
    if resets:
        return "sequences begin within the batch"
    form = form_of(cell, engine, 1)
    sizes = {
        "padded memory_size * word_size": (form.rows * form.words, MOST_CELLS),
        "weightings": (form.heads.addressings, MOST_ADDRESSINGS),
        "moves of a shift": (2 * form.reach + 1, MOST_MOVES),
    }
    if not form.by_steps:
        tile = form.units * form.words, layout.MOST_IN_TILE
        sizes["padded controller_size"] = (form.units, MOST_UNITS)
        sizes["padded controller_size * word_size"] = tile
    too_large = [
        f"{name} {size}, at most {most}" for name, (size, most) in sizes.items() if size > most
    ]
    return "; ".join(too_large) or None


def form_of(
    cell: NTMCell,
    engine: str,
    batch: int,
    limit: float = 0.0,
    masked: bool = False,
    memory_trace: bool = False,
) -> Form:
    """Returns the `Form` of a cell for `kernel` or `step_kernel`."""
    controller = cell.controller
    return Form(
        heads=cell.heads,
        memory_size=cell.initial.memory_size,
        controller_size=controller.size,
        batch=batch,
        by_steps=engine == "step_kernel",
        layers=len(controller.linear_layers()),
        activation=controller.activation if isinstance(controller, FeedForward) else None,
        reads_written=cell.reads_from == "written",
        epsilon=cell.cosine_epsilon,
        precision=cell.precision,
        state_gradient_limit=limit,
        masked=masked,
        memory_trace=memory_trace,
    )


def run_kernel(
    cell: NTMCell,
    engine: str,
    state: NTMState,
    inputs: jax.Array,
    marks: Marks,
    state_gradient_limit: float,
    memory_trace: bool,
) -> tuple[NTMState, NTMState, Step]:
    """Runs a kernel.

    Args:
      cell: the model.
      engine: `kernel` or `step_kernel`, for which `why_not` is None.
      state: before the first step.
      inputs: `[T, B, input_size]`.
      marks: of padding.
      state_gradient_limit: see `unrolling.training_outputs`.
      memory_trace: whether to return the memory after every step.

    Returns:
      The state after the last step. Of all steps, `[T, B, ...]`: the states without their controller, with an empty
      memory unless it was asked for, and the results. At padding, they repeat the state.
    """
    from ntm_jax.models.kernel import sequence  # Pallas is imported only where it is used

    dtype = state.reads.dtype
    batch, masked = inputs.shape[1], marks.mask is not None
    form = form_of(cell, engine, batch, state_gradient_limit, masked, memory_trace)
    layers = [_parameters(layer) for layer in fused_step.linear_layers(cell)]
    kernel, bias = layers[0]
    x = layout.layer_inputs(form, kernel, bias, inputs.astype(dtype))
    weights = layout.weights(form, layers, inputs.shape[-1])

    def segment(state: Any, steps: tuple[jax.Array, jax.Array | None]) -> tuple[Any, Any]:
        found = sequence.run(form, steps[0], weights, state, steps[1])
        return found.pop("last"), found

    mask = None if marks.mask is None else marks.mask.astype(dtype)
    first = layout.state(form, state.memory, state.weightings, state.reads, state.controller)
    last, found = in_segments(segment, first, (x, mask))
    heads, size = form.heads, form.controller_size
    raw = found["raw"][..., form.column_of]
    reads = found["reads"][..., : heads.word_size]
    weightings = found["weightings"][..., : form.memory_size]
    memory = jnp.zeros((*raw.shape[:2], 0, 0), dtype)
    if memory_trace:
        memory = layout.unpadded_memory(form, found["memory"])
    step = Step(found["hidden"][..., :size], reads, weightings, heads.controls(raw))
    carry: Any = ()
    if form.lstm:
        carry = tuple(
            (last["hidden"][:, layer, :size], last["cell"][:, layer, :size])
            for layer in range(form.layers)
        )
    after = NTMState(
        layout.unpadded_memory(form, last["memory"]),
        last["weightings"][..., : form.memory_size],
        last["reads"][..., : heads.word_size],
        carry,
    )
    return after, NTMState(memory, weightings, reads, ()), step


def _parameters(layer: Linear) -> tuple[jax.Array, jax.Array]:
    assert layer.bias is not None
    return layer.kernel[...], layer.bias[...]


def _faster(cell: NTMCell, batch: int) -> bool:
    """Returns whether the kernel was found to be faster than the scan for such a batch."""
    return isinstance(cell.controller, FeedForward) or batch <= layout.VERY_MANY


def _shown_to_work() -> bool:
    return jax.default_backend() == "gpu" and jax.devices()[0].device_kind in SHOWN_TO_WORK


@cache
def _say_once(message: str) -> None:
    log.warning(message)
