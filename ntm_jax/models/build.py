"""Builds the model that a config describes."""

import inspect
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
from flax import nnx

from ntm_jax.errors import unknown_choice
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.lstm import LSTM
from ntm_jax.models.token_model import Embedded

if TYPE_CHECKING:
    from ml_collections import ConfigDict

Model: TypeAlias = NTMCell | LSTM | Embedded


KINDS: dict[str, type[NTMCell | LSTM]] = {"ntm": NTMCell, "lstm": LSTM}


OTHERS = {"self", "input_size", "output_size", "param_dtype", "rngs"}  # what no config sets


def build(config: "ConfigDict", input_size: int, output_size: int) -> Model:
    """Builds the model that `config.model` describes, with parameters drawn from `config.seed`.

    Args:
      config: a whole config, see `ntm_jax.config`.
      input_size: width of the task's inputs.
      output_size: width of the task's outputs.

    Raises:
      UserError: a name or combination that is not allowed; the message names the field.
    """
    options: dict[str, Any] = dict(config.model)
    embedding, dropout = (options.pop(name, 0) for name in ("embedding_size", "dropout"))
    kind = options.pop("kind")
    if kind not in KINDS:
        raise unknown_choice("model.kind", kind, KINDS)
    known = inspect.signature(KINDS[kind].__init__).parameters.keys() - OTHERS
    for field in options:
        if field not in known:
            raise unknown_choice(f"model {kind}, field", field, known)
    rngs = nnx.Rngs(jax.random.key(config.seed))
    if embedding:
        core = KINDS[kind](embedding, embedding, **options, rngs=rngs)
        return Embedded(core, output_size, dropout=dropout, rngs=rngs)
    return KINDS[kind](input_size, output_size, **options, rngs=rngs)


def parameter_count(model: Model) -> int:
    """Returns how many numbers are learned."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
