"""Handles updates whose loss or gradient is not finite: training stops at the first, or skips some.

`train.on_nonfinite` says which, `train.max_skipped_updates` how many. `Trainer.apply` undoes such an update.
"""

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ntm_jax.errors import UserError


def limit(config: ConfigDict) -> int:
    """Returns how many updates of a run may be skipped."""
    if config.train.on_nonfinite == "stop":
        return 0
    return int(config.train.max_skipped_updates)


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """Returns whether every number in a tree of arrays is finite, `[]`."""
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]))


def error(update: int, what: str, norms: Any, newest: int | None, skipped: int) -> UserError:
    """Returns the error with which training stops.

    Args:
      update: number of the update that is not finite, counted from 1.
      what: the values that are not finite, in words, with a verb.
      norms: gradient norms by parameter, nested dicts.
      newest: update of the newest valid checkpoint, or None.
      skipped: number of updates skipped before.
    """
    leaves, _ = jax.tree.flatten_with_path(norms)
    named = ", ".join(
        f"{'/'.join(str(key.key) for key in path)} {float(norm):.3g}" for path, norm in leaves
    )
    saved = "no checkpoint was saved" if newest is None else f"update {newest:,} is saved and valid"
    before = f", after {skipped} that were skipped" if skipped else ""
    return UserError(
        f"update {update:,}: {what} not finite{before} ({named}); {saved}; try a lower "
        "optimizer.learning_rate, or train.on_nonfinite=skip"
    )
