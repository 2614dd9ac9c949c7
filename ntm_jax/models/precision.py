"""How precisely matrix products of float32 are computed, a choice by name.

GPUs and TPUs round both sides of such a product unless they are asked not to: a GPU to the 10 bits of TF32, so that
gradients are less exact. Every product of a model therefore says its precision. CPUs compute all of them alike.
"""

from ntm_jax.errors import unknown_choice

HIGHEST = "highest"
# As in jax.lax.Precision, the most precise first. On a GPU, the last two are TF32.
PRECISIONS = (HIGHEST, "high", "default")


def check_precision(precision: str) -> None:
    """Raises `UserError` for an unknown name."""
    if precision not in PRECISIONS:
        raise unknown_choice("model.precision", precision, PRECISIONS)
