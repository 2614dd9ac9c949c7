"""Registers the models' dataclasses for `jax.export`."""

from contextlib import suppress
from typing import TypeVar

import jax.export

Exported = TypeVar("Exported")


def exportable(cls: type[Exported]) -> type[Exported]:
    """Registers a `struct.dataclass` of arrays for `jax.export`, under its own name."""
    with suppress(ValueError):  # the name is taken if the module is loaded again
        jax.export.register_pytree_node_serialization(
            cls,
            serialized_name=f"ntm_jax.{cls.__name__}",
            serialize_auxdata=lambda _: b"",
            deserialize_auxdata=lambda _: (),
        )
    return cls
