"""Wraps experimental or undocumented features of JAX that distributed training needs, including error texts.

Each function has a test of its own, which fails first when a new version of JAX differs.
"""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

# Words in the errors of collectives: on CPUs, on GPUs, and of JAX's coordinator.
PEER_FAILURES = ("Gloo", "NCCL", "coordination")


def prepare_for_several_processes() -> None:
    """Lets CPUs of several processes compute together, and leaves SIGTERM to this program.

    Call it before JAX's first computation.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # type: ignore[no-untyped-call]
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]


def all_gather(numbers: np.ndarray) -> np.ndarray:
    """Returns the arrays `[n]` of all processes, `[processes, n]`."""
    gathered = np.asarray(multihost_utils.process_allgather(numbers))
    return gathered.reshape(jax.process_count(), -1)


def broadcast(tree: Any) -> Any:
    """Returns process 0's pytree of arrays. All processes must pass the same structure and shapes."""
    return multihost_utils.broadcast_one_to_all(tree)


def is_peer_failure(error: Exception) -> bool:
    """Returns whether an error says that another process is gone."""
    return any(word in str(error) for word in PEER_FAILURES)
