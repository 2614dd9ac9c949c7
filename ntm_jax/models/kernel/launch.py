"""Launches a kernel: compiled for CUDA, interpreted elsewhere, which is slow and for tests.

Pallas with its Triton backend is used, see docs/project/kernel.md for the reasons.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ntm_jax.models.kernel.layout import Form, Refs


def launch(
    form: Form,
    kernel: Callable[[Callable[[], None], Refs, Refs], None],
    given: Refs,
    shapes: Refs,
    in_place: Refs | None = None,
) -> tuple[Refs, Refs]:
    """Runs one program a sequence.

    Args:
      form: of the cell.
      kernel: called with a barrier, which waits for all threads of the program, with references to what is given, and
        with references to the results and to the changed arrays, in one dict.
      given: arrays.
      shapes: of the results.
      in_place: arrays that the kernel changes.

    Returns:
      The results, and the changed arrays.
    """
    changed = in_place or {}
    before = len(jax.tree.leaves(given))
    aliases = {before + i: i for i in range(len(jax.tree.leaves(changed)))}
    out_shape = jax.eval_shape(lambda x: x, changed), shapes
    call = partial(
        pl.pallas_call, grid=(form.batch,), out_shape=out_shape, input_output_aliases=aliases
    )

    def body(barrier: Any, given: Refs, _: Refs, changed: Refs, results: Refs) -> None:
        kernel(barrier, given, changed | results)

    def compiled(*arguments: Refs) -> Any:
        parameters = triton.CompilerParams(num_warps=form.warps, num_stages=1)
        return call(partial(body, triton.debug_barrier), compiler_params=parameters)(*arguments)

    def interpreted(*arguments: Refs) -> Any:
        return call(partial(body, lambda: None), interpret=True)(*arguments)

    changed, results = jax.lax.platform_dependent(
        given, changed, cuda=compiled, default=interpreted
    )
    return results, changed
