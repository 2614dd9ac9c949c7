"""Reads the weight files of `fumin/ntm`, the Go implementation that this project grew from.

A file is one flat JSON array of float64, every matrix row-major, in this order:

    controller   [C, H*W + input + 1]           columns: reads head by head, input, bias
    output       [output + H*(3W + 4), C + 1]   rows: output, then head by head; last column: bias
    weightings   [H, N]                         logits of the weightings before the first step
    memory       [N, W]                         the memory before the first step

One head's 3W + 4 rows are erase (W), add (W), key (W), strength, gate, shift, sharpening.
"""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from ntm_jax.errors import UserError
from ntm_jax.models.cell import NTMCell

# That cell is NTMCell with these choices.
CELL = {
    "controller": "feedforward",
    "activation": "sigmoid",
    "key_activation": "identity",
    "strength_activation": "exp",
    "shift_activation": "interpolated",
    "add_activation": "sigmoid",
    "shared_weighting": True,
    "reads_from": "previous",
    "output_reads": False,
    "initial_memory": "learned",
    "initial_weighting": "learned",
    "initial_reads": "memory",
    "cosine_epsilon": 0.0,
}


def load(
    path: str | Path,
    *,
    input_size: int,
    output_size: int,
    controller_size: int,
    heads: int,
    memory_size: int,
    word_size: int,
) -> NTMCell:
    """The model in a weight file, ready for `unroll`.

    Parameters are float64 where JAX has it enabled (`jax_enable_x64`), else float32.

    Args:
      path: the JSON file.
      input_size: width of the task's input (copy: 10, n-grams: 1).
      output_size: width of its output.
      controller_size: C (copy: 100).
      heads: H; each reads and writes.
      memory_size: N (128).
      word_size: W (20).

    Raises:
      UserError: no such file, not a flat array of finite numbers, or another size than these describe.
    """
    sizes = {
        "input_size": input_size,
        "output_size": output_size,
        "controller_size": controller_size,
        "heads": heads,
        "memory_size": memory_size,
        "word_size": word_size,
    }
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name}: {size} is given, at least 1 is needed")
    matrices = shapes(**sizes)
    dtype = jnp.asarray(0.0).dtype  # float64 or float32
    flat = _numbers(Path(path), float(jnp.finfo(dtype).max))  # type: ignore[no-untyped-call]
    expected = sum(rows * columns for rows, columns in matrices)
    if flat.size != expected:
        described = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise UserError(f"{path}: holds {flat.size} weights, but {described} needs {expected}")
    ends = np.cumsum([rows * columns for rows, columns in matrices])[:-1]
    parts = [
        part.reshape(shape) for part, shape in zip(np.split(flat, ends), matrices, strict=True)
    ]

    cell = NTMCell(
        input_size,
        output_size,
        controller_size=controller_size,
        memory_size=memory_size,
        word_size=word_size,
        read_heads=heads,
        write_heads=heads,
        param_dtype=dtype,
        rngs=nnx.Rngs(0),
        **CELL,  # type: ignore[arg-type]
    )
    set_parameters(cell, *parts)
    return cell


def shapes(
    *,
    input_size: int,
    output_size: int,
    controller_size: int,
    heads: int,
    memory_size: int,
    word_size: int,
) -> list[tuple[int, int]]:
    """Rows and columns of a file's four matrices, for sizes as `load` takes them."""
    return [
        (controller_size, heads * word_size + input_size + 1),
        (output_size + heads * (3 * word_size + 4), controller_size + 1),
        (heads, memory_size),
        (memory_size, word_size),
    ]


def count(path: str | Path) -> int:
    """How many weights a file holds.

    Raises:
      UserError: no such file, or not a flat array of finite numbers.
    """
    return _numbers(Path(path), float(np.finfo(np.float64).max)).size


def set_parameters(
    cell: NTMCell,
    controller: np.ndarray,
    output: np.ndarray,
    weightings: np.ndarray,
    memory: np.ndarray,
) -> None:
    """Writes a file's four matrices (see above) into a cell made with the choices in `CELL`."""
    heads, width = cell.heads.read_heads, cell.heads.word_size
    reads, bias = heads * width, -1

    def assign(parameter: Any, values: np.ndarray) -> None:
        parameter[...] = jnp.asarray(values, parameter[...].dtype)

    # This project's controller sees the input first, then the reads.
    linear = cell.controller.linear  # type: ignore[union-attr]
    assign(linear.kernel, np.concatenate([controller[:, reads:bias], controller[:, :reads]], 1).T)
    assign(linear.bias, controller[:, bias])

    to_output, by_head = output[: cell.output_size], output[cell.output_size :]
    by_head = by_head.reshape(heads, 3 * width + 4, -1)
    erase, add, key = (by_head[:, i * width : (i + 1) * width] for i in range(3))
    strength, gate, shift, sharpening = (by_head[:, 3 * width + i, None] for i in range(4))
    parts = (key, strength, gate, shift, sharpening, erase, add)  # the order of heads.Controls
    to_heads = np.concatenate([part.reshape(-1, by_head.shape[-1]) for part in parts])
    for layer, rows in ((cell.to_output, to_output), (cell.to_heads, to_heads)):
        assign(layer.kernel, rows[:, :bias].T)
        assign(layer.bias, rows[:, bias])
    assign(cell.initial.weighting_logits, weightings)
    assign(cell.initial.memory_values, memory)


def _numbers(path: Path, largest: float) -> np.ndarray:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{path}: is not JSON; a weight file is one flat array of numbers"
        ) from None
    if not isinstance(values, list):
        raise UserError(f"{path}: holds no array; a weight file is one flat array of numbers")
    for i, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{path}: entry {i} is {str(value)[:40]!r}, not a number")
        if not abs(value) <= largest:  # nor NaN
            raise UserError(f"{path}: entry {i} is {str(value)[:40]}, not a finite number")
    return np.asarray(values, np.float64)
