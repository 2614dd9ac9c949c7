"""The layers inside the scan, and their weights' gradients as one product over all steps.

Reverse differentiation of a scan adds to every weight's gradient at every step: for one sequence, a
[in, out] outer product each time. A tap takes the layer's input and its output's cotangent out of the scan
instead, and one matrix product over all steps and sequences makes the same sum.

In half precision, both sides of a layer's products are bfloat16, in every direction; their sums, parameters and
all else stay float32.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from ntm_jax.errors import unknown_choice

COMPUTE = {"float32": None, "bfloat16": jnp.bfloat16}  # None: in the parameters' own numbers

Module = TypeVar("Module", bound=nnx.Module)


class Layer(nnx.Linear):
    """`nnx.Linear` with a choice of what its products are computed in, by name."""

    compute = "float32"

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """`[..., in]` -> `[..., out]`."""
        if COMPUTE[self.compute] is None:
            return super().__call__(inputs, out_sharding)
        assert self.bias is not None
        bias = jnp.broadcast_to(self.bias[...], (*inputs.shape[:-1], self.out_features))
        return _product(inputs, rounded(self.kernel[...], self.compute)) + bias


def rounded(values: jax.Array, compute: str) -> jax.Array:
    """As they enter a layer's products."""
    dtype = COMPUTE[compute]
    return values if dtype is None else values.astype(dtype)


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x @ kernel`, computed in the kernel's type and summed in that of x."""
    if x.dtype == kernel.dtype:
        return x @ kernel
    return jnp.matmul(x.astype(kernel.dtype), kernel, preferred_element_type=x.dtype)


def set_compute(module: nnx.Module, compute: str) -> None:
    """Has every `Layer` of a module compute so.

    Raises:
      UserError: an unknown name.
    """
    if compute not in COMPUTE:
        raise unknown_choice("model.compute", compute, COMPUTE)
    for _, node in nnx.iter_graph(module):
        if isinstance(node, Layer):
            node.compute = compute


class Linear(Layer):
    """A layer that can be tapped."""

    # Zeros [B, in] and [B, out], and the kernel's transpose [out, in]; a tapped layer takes inputs [B, in].
    tap: tuple[jax.Array, jax.Array] | None = None
    transposed: jax.Array | None = None

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """`[..., in]` -> `[..., out]`."""
        if self.tap is None:
            return super().__call__(inputs, out_sharding)
        assert self.bias is not None
        assert self.transposed is not None
        weights = self.kernel[...], self.bias[...], self.transposed
        return _tapped(inputs, weights, self.tap)


@jax.custom_vjp
def _tapped(x: jax.Array, weights: tuple[jax.Array, ...], tap: Any) -> jax.Array:
    kernel, bias, _ = weights
    return _product(x, kernel) + bias[None, :]


def _tapped_forward(x: jax.Array, weights: tuple[jax.Array, ...], tap: Any) -> Any:
    return _tapped(x, weights, tap), (x, weights)


def _tapped_backward(kept: Any, d: jax.Array) -> Any:
    """What the tap's 'gradient' carries out is (input, cotangent); the weights get none here."""
    x, weights = kept
    return _product(d, weights[2]), jax.tree.map(jnp.zeros_like, weights), (x, d)


_tapped.defvjp(_tapped_forward, _tapped_backward)


def layers(module: nnx.Module) -> dict[tuple[Any, ...], Linear]:
    """Every `Linear` in a module by its path."""
    return {path: node for path, node in nnx.iter_graph(module) if isinstance(node, Linear)}


def scan_with_taps(
    scan: Callable[[nnx.Module, Any, Any, Any], Any], module: nnx.Module, state: Any, inputs: Any
) -> Any:
    """`scan(module, None, state, inputs)`, differentiated through taps.

    Args:
      scan: of a module, taps, a state and inputs `[T, B, ...]`. The taps are None, or of every `Linear` of
        the module by its path arrays `[T, B, in]` and `[T, B, out]`; it makes a `frozen` copy of the module,
        and at each step gives every layer its step's with `tapped`.
      module: whose layers to tap.
      state: before the first step.
      inputs: `[T, B, ...]`.
    """
    structure, parameters = nnx.split(module)
    length_and_batch = inputs.shape[:2]
    dtypes = {path: layer.kernel[...].dtype for path, layer in layers(module).items()}
    sizes = {
        path: (layer.in_features, layer.out_features) for path, layer in layers(module).items()
    }
    computes = {path: layer.compute for path, layer in layers(module).items()}

    def run(parameters: Any, taps: Any, state: Any, inputs: Any) -> Any:
        return scan(nnx.merge(structure, parameters), taps, state, inputs)

    @jax.custom_vjp
    def deferred(parameters: Any, state: Any, inputs: Any) -> Any:
        return run(parameters, None, state, inputs)

    def forward(parameters: Any, state: Any, inputs: Any) -> Any:
        # Made here: an array from outside would belong to another trace where `jit` stages this function.
        taps = {
            path: tuple(jnp.zeros((*length_and_batch, size), dtypes[path]) for size in both)
            for path, both in sizes.items()
        }
        return jax.vjp(run, parameters, taps, state, inputs)

    def backward(vjp: Any, d: Any) -> Any:
        d_parameters, d_taps, d_state, d_inputs = vjp(d)
        for path, (x, dy) in d_taps.items():
            layer, compute = d_parameters, computes[path]
            for part in path:
                layer = layer[part]
            both = rounded(x, compute), rounded(dy, compute)
            kernel = jnp.einsum("tbi,tbo->io", *both, preferred_element_type=dy.dtype)
            layer["kernel"] = layer["kernel"] + kernel
            layer["bias"] = layer["bias"] + jnp.sum(dy, axis=(0, 1))
        return d_parameters, d_state, d_inputs

    deferred.defvjp(forward, backward)
    return deferred(nnx.to_pure_dict(parameters), state, inputs)


def frozen(module: Module) -> Module:
    """A copy of the module whose layers' weights the scan need not differentiate, ready to be tapped.

    The transposed kernels are made here, once: a product with the transpose of a row-major matrix is several
    times slower, and a backward pass would make it at every step.
    """
    module = nnx.merge(*nnx.split(module))
    for layer in layers(module).values():
        assert layer.bias is not None
        kernel = rounded(layer.kernel[...], layer.compute)
        layer.kernel = nnx.Param(jax.lax.stop_gradient(kernel))
        layer.bias = nnx.Param(jax.lax.stop_gradient(layer.bias[...]))
        layer.transposed = nnx.data(layer.kernel[...].T)
    return module


def tapped(module: Module, taps: Any) -> Module:
    """A copy of a `frozen` module whose layers have these taps."""
    module = nnx.merge(*nnx.split(module))
    for path, layer in layers(module).items():
        layer.tap = nnx.data(taps[path])
    return module
