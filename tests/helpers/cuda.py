"""Lowers for CUDA where there is no GPU."""

import jax


def lowered_for_cuda(function, *arguments):
    """The text of `function`, jitted and lowered for an H100."""
    with _abstract_gpu():
        traced = jax.jit(function).trace(*arguments)
        return traced.lower(lowering_platforms=("cuda",)).as_text()


def _abstract_gpu():
    """Pallas asks in later versions of jax which GPU it is."""
    device = jax.sharding.AbstractDevice("NVIDIA H100", num_cores=132, platform="gpu")
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device))
