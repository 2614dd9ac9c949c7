"""Exports a model so that a page without a server runs it, in static/machine/machine.js."""

from typing import Any

import jax
import numpy as np
from flax import nnx

from ntm_jax import models
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.controllers import FeedForward
from ntm_jax.models.linear import Linear
from ntm_jax.web.packing import pack


def exported(model: models.Model) -> dict[str, Any] | None:
    """Returns a model's choices and its float32 parameters, or None if the page cannot run it.

    The page runs every `NTMCell` whose products are float32 and whose initial state is not random.
    """
    if not isinstance(model, NTMCell) or not _is_float32(model):
        return None
    if "random" in (model.initial.memory, model.initial.weighting):
        return None
    heads, controller = model.heads, model.controller
    state = model.initial_state()
    layers = {f"controller/{i}": layer for i, layer in enumerate(controller.linear_layers())}
    layers |= {"to_heads": model.to_heads, "to_output": model.to_output}
    arrays: dict[str, Any] = {
        "memory": state.memory,
        "weightings": state.weightings,
        "reads": state.reads,
    }
    for name, layer in layers.items():
        assert layer.bias is not None
        arrays |= {f"{name}/kernel": layer.kernel[...], f"{name}/bias": layer.bias[...]}
    return {
        "layers": len(controller.linear_layers()),
        # None for an LSTM, whose activations are fixed
        "activation": controller.activation if isinstance(controller, FeedForward) else None,
        "heads": {
            "read": heads.read_heads,
            "write": heads.write_heads,
            "addressings": heads.addressings,
            "widths": heads.widths,
            "key": heads.key_activation,
            "strength": heads.strength_activation,
            "shift": heads.shift_activation,
            "add": heads.add_activation,
        },
        "reads_from": model.reads_from,
        "output_reads": model.output_reads,
        "cosine_epsilon": model.cosine_epsilon,
        "arrays": {name: pack(np.asarray(values)) for name, values in arrays.items()},
    }


def _is_float32(model: NTMCell) -> bool:
    parameters = jax.tree.leaves(nnx.state(model, nnx.Param))
    layers = [layer for _, layer in nnx.iter_graph(model) if isinstance(layer, Linear)]
    return all(leaf.dtype == np.float32 for leaf in parameters) and all(
        layer.compute == "float32" for layer in layers
    )
