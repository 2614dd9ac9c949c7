"""Applies layers inside a scan, and computes their weight gradients as one product over all steps.

Reverse differentiation of a scan adds to every weight's gradient at every step: for one sequence, an
[in, out] outer product each time. `scan_layers` instead records each layer's input and its output's cotangent
at every step. One matrix product over all steps and sequences then gives the same sum.

In half precision, both sides of a layer's products are bfloat16, in every direction. Sums, parameters and
everything else stay float32. A layer's `precision`, see `ntm_jax.models.precision`, is that of its products in
every direction too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx, struct

from ntm_jax.errors import unknown_choice
from ntm_jax.models.precision import check_precision

COMPUTE = {"float32": None, "bfloat16": jnp.bfloat16}  # None: the type of the parameters

Apply: TypeAlias = Callable[[jax.Array], jax.Array]  # a layer as a function, [B, in] -> [B, out]
Recorder: TypeAlias = tuple[
    jax.Array, jax.Array
]  # zeros [T, B, in] and [T, B, out], see `recorded`


class Linear(nnx.Linear):
    """Extends `nnx.Linear` with a choice, by name, of the dtype and the precision of its products."""

    compute = "float32"

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Applies the layer: `[..., in]` -> `[..., out]`."""
        if COMPUTE[self.compute] is None:
            return super().__call__(inputs, out_sharding)
        assert self.bias is not None
        bias = jnp.broadcast_to(self.bias[...], (*inputs.shape[:-1], self.out_features))
        return _product(inputs, rounded(self.kernel[...], self.compute), self.precision) + bias


def set_products(module: nnx.Module, compute: str, precision: str) -> None:
    """Sets the dtype and the precision of the products of every `Linear` of a module.

    Raises:
      UserError: an unknown name.
    """
    check_precision(precision)
    if compute not in COMPUTE:
        raise unknown_choice("model.compute", compute, COMPUTE)
    for _, node in nnx.iter_graph(module):
        if isinstance(node, Linear):
            node.compute, node.precision = compute, precision


def rounded(values: jax.Array, compute: str) -> jax.Array:
    """Returns values as they enter a layer's products."""
    dtype = COMPUTE[compute]
    return values if dtype is None else values.astype(dtype)


def _product(x: jax.Array, kernel: jax.Array, precision: Any) -> jax.Array:
    """Returns `x @ kernel`, computed in the kernel's type and summed in that of x."""
    if x.dtype == kernel.dtype:
        return jnp.matmul(x, kernel, precision=precision)
    return jnp.matmul(
        x.astype(kernel.dtype), kernel, precision=precision, preferred_element_type=x.dtype
    )


@struct.dataclass
class Weights:
    """Holds a layer's weights inside a scan, which does not differentiate them."""

    kernel: jax.Array  # [in, out], rounded
    # [out, in]. A product with the transpose of a row-major matrix is several times slower, and a backward
    # pass would make it at every step.
    transposed: jax.Array
    bias: jax.Array  # [out]
    precision: Any = struct.field(pytree_node=False)  # type: ignore[no-untyped-call]  # the layer's


def unrecorded(weights: Weights, x: jax.Array) -> jax.Array:
    """Applies a layer: `[B, in]` -> `[B, out]`."""
    return _product(x, weights.kernel, weights.precision) + weights.bias[None, :]


@jax.custom_vjp
def recorded(weights: Weights, recorder: Recorder, x: jax.Array) -> jax.Array:
    """Applies a layer, and records the inputs of its weight gradient in the backward pass.

    Args:
      weights: of the layer. Their cotangents are zeros.
      recorder: zeros `[B, in]` and `[B, out]`. Their cotangents are this step's x and the output's cotangent.
      x: `[B, in]`.

    Returns:
      `[B, out]`.
    """
    return unrecorded(weights, x)


def _forward(weights: Weights, recorder: Recorder, x: jax.Array) -> Any:
    return unrecorded(weights, x), (weights, x)


def _backward(kept: tuple[Weights, jax.Array], d: jax.Array) -> Any:
    weights, x = kept
    d_x = _product(d, weights.transposed, weights.precision)
    return jax.tree.map(jnp.zeros_like, weights), (x, d), d_x


recorded.defvjp(_forward, _backward)


def scan_layers(scan: Callable[..., Any], layers: Sequence[Linear], state: Any, inputs: Any) -> Any:
    """Returns `scan(step layers, ...)` with its weights' gradients computed after the backward pass.

    Args:
      scan: a function `(apply, recorders, state, inputs)` that runs steps. At each step, `apply(recorders)` of
        that step's recorders gives the layers as functions. It must not use the layers in another way.
      layers: whose weights the steps use.
      state: before the first step.
      inputs: a pytree of arrays `[T, B, ...]`.

    Raises:
      TypeError: a second derivative is requested. It would be wrong, because `recorded` gives weights no cotangent.
    """
    length_and_batch = jax.tree.leaves(inputs)[0].shape[:2]
    choices = [(layer.compute, layer.precision) for layer in layers]

    def run(parameters: Any, recorders: Any, state: Any, inputs: Any) -> Any:
        weights = []
        for (kernel, bias), (compute, precision) in zip(parameters, choices, strict=True):
            kernel = rounded(kernel, compute)
            weights.append(Weights(kernel, kernel.T, bias, precision))

        def apply(recorders: Sequence[Recorder] | None) -> list[Apply]:
            if recorders is None:
                return [partial(unrecorded, one) for one in weights]
            pairs = zip(weights, recorders, strict=True)
            return [partial(recorded, one, recorder) for one, recorder in pairs]

        return scan(apply, recorders, state, inputs)

    @jax.custom_vjp
    def deferred(parameters: Any, state: Any, inputs: Any) -> Any:
        return run(parameters, None, state, inputs)

    def forward(parameters: Any, state: Any, inputs: Any) -> Any:
        # Made here: an array from outside would belong to another trace where `jit` stages this function.
        recorders = [
            tuple(jnp.zeros((*length_and_batch, size), kernel.dtype) for size in kernel.shape)
            for kernel, _ in parameters
        ]
        return jax.vjp(partial(run, parameters), recorders, state, inputs)

    def backward(vjp: Any, d: Any) -> Any:
        d_recorders, d_state, d_inputs = vjp(d)
        d_parameters = []
        for (x, dy), (compute, precision) in zip(d_recorders, choices, strict=True):
            both = rounded(x, compute), rounded(dy, compute)
            kernel = jnp.einsum(
                "tbi,tbo->io", *both, precision=precision, preferred_element_type=dy.dtype
            )
            d_parameters.append((kernel, jnp.sum(dy, axis=(0, 1))))
        return jax.tree.map(first_derivative, (d_parameters, d_state, d_inputs))

    deferred.defvjp(forward, backward)
    parameters = [(layer.kernel[...], _bias(layer)) for layer in layers]
    return deferred(parameters, state, inputs)


def first_derivative(d: jax.Array) -> jax.Array:
    """Returns a cotangent that raises an error when it is differentiated."""
    return d if d.dtype == jax.dtypes.float0 else _undifferentiable(d)


@jax.custom_jvp
def _undifferentiable(values: jax.Array) -> jax.Array:
    return values


@_undifferentiable.defjvp
def _refuse(*_: Any) -> Any:
    raise TypeError(
        "unroll has no second derivatives; use flax.nnx.RNN of the same cell, which has them"
    )


def _bias(layer: Linear) -> jax.Array:
    assert layer.bias is not None
    return layer.bias[...]
