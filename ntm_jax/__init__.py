"""Neural Turing Machines (Graves, Wayne, Danihelka 2014) in JAX.

`load`, `tasks` and `go_weights` are imported at their first use, for they need more than JAX and Flax.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ntm_jax.errors import UserError
from ntm_jax.models.cell import NTMCell, NTMState
from ntm_jax.models.lstm import LSTM
from ntm_jax.models.unrolling import Trace, unroll

if TYPE_CHECKING:
    from ntm_jax import tasks
    from ntm_jax.storage import fumin as go_weights
    from ntm_jax.storage.restore import load

__version__ = "0.3.0"  # pyproject.toml reads it here

__all__ = [
    "LSTM",
    "NTMCell",
    "NTMState",
    "Trace",
    "UserError",
    "go_weights",
    "load",
    "tasks",
    "unroll",
]

# Name -> module, and what to take of it; None is the module itself.
_LAZY: dict[str, tuple[str, str | None]] = {
    "go_weights": ("ntm_jax.storage.fumin", None),
    "load": ("ntm_jax.storage.restore", "load"),
    "tasks": ("ntm_jax.tasks", None),
}


def __getattr__(name: str) -> Any:
    """Imports a name of `_LAZY` (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    found = importlib.import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
