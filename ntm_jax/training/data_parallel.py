"""Shares a batch's sequences among devices, each of which has all parameters.

    shard k of K draws sequences k ⌈B/K⌉ to (k+1) ⌈B/K⌉ of the update's batch of B
    and computes its part of the loss's gradient, a sum over its sequences;
    the last shards may have fewer sequences, and their padding has weight 0;
    the sum of all parts, one all-reduce, is the gradient of the whole batch on one device.

Every device runs the loop of updates and computes the same parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from ntm_jax.distributed import collectives
from ntm_jax.errors import UserError

AXIS = "data"
EVERYWHERE = PartitionSpec()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class DataParallel:
    """Shares batches among K devices. Without a mesh, uses JAX's default device alone."""

    mesh: Mesh | None = None

    @property
    def count(self) -> int:
        """Returns K, the number of devices."""
        return 1 if self.mesh is None else self.mesh.size

    def jit(self, function: Callable[..., Any], **options: Any) -> Any:
        """Compiles a function that every device runs on the same arguments, to the same results."""
        if self.mesh is None:
            return jax.jit(function, **options)
        # Unchecked: JAX would check that results are replicated by summing every parameter's gradient by itself.
        sharded = partial(jax.shard_map, mesh=self.mesh, out_specs=EVERYWHERE, check_vma=False)
        return jax.jit(sharded(function, in_specs=EVERYWHERE), **options)

    def shard(self, values: jax.Array) -> jax.Array:
        """Returns this device's shard of ⌈B/K⌉ entries of `[B, ...]`, padded by repeating the last one.

        Call it only inside a function of `jit`.
        """
        if self.mesh is None:
            return values
        return values[jnp.minimum(self._places(len(values)), len(values) - 1)]

    def is_real(self, sequences: int) -> jax.Array | None:
        """Returns which entries `[⌈B/K⌉]` of this device's shard are not padding, or None if no shard is padded."""
        return self._places(sequences) < sequences if sequences % self.count else None

    def bernoulli(
        self, key: jax.Array, p: float, shape: tuple[int, ...], *, sequences: int
    ) -> jax.Array:
        """Draws `jax.random.bernoulli` of `[T, B, ...]` and returns this device's shard of it.

        Args:
          key: decides all of it.
          p: the probability of True.
          shape: of the shard, `[T, ⌈B/K⌉, ...]`.
          sequences: B.
        """
        if self.mesh is None:
            return jax.random.bernoulli(key, p, shape)
        whole = jax.random.bernoulli(key, p, (shape[0], sequences, *shape[2:]))
        return jnp.moveaxis(self.shard(jnp.moveaxis(whole, 1, 0)), 0, 1)

    def _places(self, sequences: int) -> jax.Array:
        each = -(-sequences // self.count)
        return jax.lax.axis_index(AXIS) * each + jnp.arange(each)

    def sum_over_devices(self, tree: Any) -> Any:
        """Returns a tree's sum over the devices, by one all-reduce. Call it only inside a function of `jit`."""
        if self.mesh is None:
            return tree
        numbers, unravel = ravel_pytree(tree)
        return unravel(jax.lax.psum(numbers, AXIS))  # type: ignore[no-untyped-call]

    def place(self, tree: Any) -> Any:
        """Returns a tree's arrays, which this process has whole, replicated to all devices."""
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, EVERYWHERE)

        def placed(values: Any) -> jax.Array:
            values = np.asarray(values)
            return jax.make_array_from_callback(values.shape, sharding, values.__getitem__)

        return jax.tree.map(placed, tree)


def build(config: ConfigDict) -> DataParallel:
    """Returns the devices that `mesh.data` asks for, equally many from each process.

    Raises:
      UserError: there are fewer devices, or they cannot share a batch evenly.
    """
    wanted, together = int(config.mesh.data), collectives.process_count()
    if wanted == together == 1:
        return DataParallel()
    if wanted % together:
        raise UserError(
            f"mesh.data: {wanted} devices cannot be divided evenly among {together} processes; "
            f"write --config.mesh.data={together} or a multiple"
        )
    each = wanted // together
    of_process: list[list[jax.Device]] = [[] for _ in range(together)]
    for device in jax.devices():
        of_process[device.process_index].append(device)
    least = min(map(len, of_process))
    if each > least:
        raise UserError(
            f"mesh.data: {wanted} devices are requested, but only {least * together} "
            f"{'is' if least * together == 1 else 'are'} available; start more processes (see --processes), or write --config.mesh.data={least * together}"
        )
    if each > 1 and jax.default_backend() == "cpu":
        raise UserError(
            f"mesh.data: {each} simulated devices in one process sometimes deadlock; "
            f"start {wanted} processes instead (see --processes)"
        )
    devices = [device for some in of_process for device in some[:each]]
    return DataParallel(Mesh(np.array(devices), (AXIS,)))
