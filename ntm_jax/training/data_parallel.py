"""Data parallelism: a batch's sequences shared among devices, each of which has all parameters.

    shard k of K draws sequences k ⌈B/K⌉ to (k+1) ⌈B/K⌉ of the update's batch of B
    and computes its part of the loss's gradient, a sum over its sequences;
    the last shards have fewer, and what they draw in place of the rest counts for nothing;
    Σ_k of all parts, one buffer, is the gradient of one device with the whole batch.

The loop of updates runs on every device, and all of them come to the same parameters.
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
    """K devices, or with None the one that JAX uses anyway; then nothing here does anything."""

    mesh: Mesh | None = None

    @property
    def devices(self) -> int:
        """K."""
        return 1 if self.mesh is None else self.mesh.size

    def jit(self, function: Callable[..., Any], **options: Any) -> Any:
        """`jax.jit` of a function of replicated arguments and results that every device runs."""
        if self.mesh is None:
            return jax.jit(function, **options)
        # Unchecked: JAX would check that results are replicated by summing every parameter's gradient by itself.
        sharded = partial(jax.shard_map, mesh=self.mesh, out_specs=EVERYWHERE, check_vma=False)
        return jax.jit(sharded(function, in_specs=EVERYWHERE), **options)

    def part(self, values: jax.Array) -> jax.Array:
        """This device's ⌈B/K⌉ of `[B, ...]`, beyond the last the last again; inside a function of `jit`."""
        if self.mesh is None:
            return values
        return values[jnp.minimum(self._places(len(values)), len(values) - 1)]

    def counted(self, sequences: int) -> jax.Array | None:
        """Which of this device's part of B sequences are not beyond the last, `[⌈B/K⌉]`; None: all."""
        return self._places(sequences) < sequences if sequences % self.devices else None

    def bernoulli(
        self, key: jax.Array, p: float, shape: tuple[int, ...], *, sequences: int
    ) -> jax.Array:
        """`jax.random.bernoulli` of `[T, B, ...]`, and of that this device's part, of `shape` `[T, ⌈B/K⌉, ...]`."""
        if self.mesh is None:
            return jax.random.bernoulli(key, p, shape)
        whole = jax.random.bernoulli(key, p, (shape[0], sequences, *shape[2:]))
        return jnp.moveaxis(self.part(jnp.moveaxis(whole, 1, 0)), 0, 1)

    def _places(self, sequences: int) -> jax.Array:
        each = -(-sequences // self.devices)
        return jax.lax.axis_index(AXIS) * each + jnp.arange(each)

    def total(self, tree: Any) -> Any:
        """Σ over the devices of every number of a tree, in one all-reduce; inside a function of `jit`."""
        if self.mesh is None:
            return tree
        numbers, unravel = ravel_pytree(tree)
        return unravel(jax.lax.psum(numbers, AXIS))  # type: ignore[no-untyped-call]

    def place(self, tree: Any) -> Any:
        """The same arrays, which this process has whole, as all devices have them."""
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, EVERYWHERE)

        def placed(values: Any) -> jax.Array:
            values = np.asarray(values)
            return jax.make_array_from_callback(values.shape, sharding, values.__getitem__)

        return jax.tree.map(placed, tree)


def build(config: ConfigDict) -> DataParallel:
    """The devices that `mesh.data` asks for, as many of every process.

    Raises:
      UserError: they are not there, or cannot share a batch.
    """
    wanted, together = wanted_devices(config), collectives.process_count()
    if wanted == together == 1:
        return DataParallel()
    if wanted % together:
        raise UserError(
            f"mesh.data: {wanted} is given, but {together} processes were started, and each is to have as many "
            f"devices; write --config.mesh.data={together} or a multiple"
        )
    each = wanted // together
    of_process: list[list[jax.Device]] = [[] for _ in range(together)]
    for device in jax.devices():
        of_process[device.process_index].append(device)
    least = min(map(len, of_process))
    if each > least:
        raise UserError(
            f"mesh.data: {wanted} devices are asked for, there {'is' if least * together == 1 else 'are'} "
            f"{least * together}; start more processes (see --processes), or write --config.mesh.data={least * together}"
        )
    if each > 1 and jax.default_backend() == "cpu":
        raise UserError(
            f"mesh.data: {each} simulated devices in one process wait for each other for ever now and then; "
            f"start {wanted} processes instead (see --processes)"
        )
    devices = [device for some in of_process for device in some[:each]]
    return DataParallel(Mesh(np.array(devices), (AXIS,)))


def wanted_devices(config: ConfigDict) -> int:
    """`mesh.data`; configs of older runs do not say, and then it is one."""
    return int(config.mesh.data) if "mesh" in config else 1
