"""Reads the weight files of `fumin/ntm`, the Go implementation that this project grew from.

A file is one flat JSON array of float64, every matrix row-major, in this order:

    controller   [C, H*W + input + 1]           columns: reads head by head, input, bias
    output       [output + H*(3W + 4), C + 1]   rows: output, then head by head; last column: bias
    weightings   [H, N]                         logits of the weightings before the first step
    memory       [N, W]                         the memory before the first step

Files from before 10 April 2015 hold as many numbers in another order:

    weightings   [H, N]
    memory       [N, W]
    output       [output + H*(3W + 4), C + 1]
    reads        [C, H*W]                       columns of the controller
    inputs       [C, input]                     columns of the controller
    bias         [C]                            column of the controller

In both, one head's 3W + 4 rows are erase (W), add (W), key (W), strength, gate, shift, sharpening.
"""

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

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

Layout: TypeAlias = Literal["auto", "current", "before_april_2015"]

# How far a file has to differ from its own numbers shuffled, in standard deviations, to be of the old order, and to
# leave the order open. The trained files that exist differ by at least 16, random numbers by less than 4.
OLD, OPEN = 6.0, 4.5
SHUFFLES = 64


def load(
    path: str | Path,
    *,
    input_size: int,
    output_size: int,
    controller_size: int,
    heads: int,
    memory_size: int,
    word_size: int,
    layout: Layout = "auto",
) -> NTMCell:
    """Returns the model in a weight file, ready for `unroll`.

    Parameters are float64 where JAX has it enabled (`jax_enable_x64`), else float32.

    `layout="auto"` finds the order by comparing the scales of blocks, rows and columns in both. Files that show
    no order, such as untrained ones, are read in the current order.

    Args:
      path: the JSON file.
      input_size: width of the task's input (copy: 10, n-grams: 1).
      output_size: width of its output.
      controller_size: C (copy: 100).
      heads: H; each reads and writes.
      memory_size: N (128).
      word_size: W (20).
      layout: the order of the numbers, "current", "before_april_2015", or "auto" to find it.

    Raises:
      UserError: no such file, not a flat array of finite numbers, another size than these describe, no such
        layout, or one that remains uncertain.
    """
    if layout not in get_args(Layout):
        raise UserError(f"layout: {layout!r} is given, one of {get_args(Layout)} is needed")
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
    dtype = jnp.asarray(0.0).dtype  # float64 or float32
    flat = _numbers(Path(path), float(jnp.finfo(dtype).max))  # type: ignore[no-untyped-call]
    expected = sum(rows * columns for rows, columns in shapes(**sizes))
    if flat.size != expected:
        described = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise UserError(f"{path}: holds {flat.size} weights, but {described} needs {expected}")
    if layout == "auto":
        evidence = _evidence(flat, sizes)
        if OPEN < evidence < OLD:
            raise UserError(
                f"{path}: the order of its weights is uncertain; pass ntm_jax.go_weights.load "
                "layout='current', or layout='before_april_2015' for files from before 10 April 2015"
            )
        layout = "before_april_2015" if evidence >= OLD else "current"
    parts = _matrices(flat, sizes, layout)

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


def _matrices(flat: np.ndarray, sizes: dict[str, int], layout: Layout) -> list[np.ndarray]:
    """Returns the four matrices of `shapes` from a file's numbers."""

    def split(parts: list[tuple[int, int]]) -> list[np.ndarray]:
        ends = np.cumsum([rows * columns for rows, columns in parts])[:-1]
        return [
            part.reshape(shape) for part, shape in zip(np.split(flat, ends), parts, strict=True)
        ]

    controller, output, weightings, memory = shapes(**sizes)
    if layout == "current":
        return split([controller, output, weightings, memory])
    rows, inputs = sizes["controller_size"], sizes["input_size"]
    columns = [(rows, controller[1] - inputs - 1), (rows, inputs), (rows, 1)]
    logits, values, to_output, *of_controller = split([weightings, memory, output, *columns])
    return [np.concatenate(of_controller, 1), to_output, logits, values]


def _evidence(flat: np.ndarray, sizes: dict[str, int]) -> float:
    """Returns by how much the old order describes a file better than the current one; negative if worse.

    The unit is the standard deviation of the same for the file's numbers in random order.
    """
    flat = flat / (np.abs(flat).max() or 1.0)

    def difference(numbers: np.ndarray) -> float:
        current, old = (
            _code_length(_matrices(numbers, sizes, layout), sizes)
            for layout in ("current", "before_april_2015")
        )
        return current - old

    shuffle = np.random.default_rng(0).permutation
    by_chance = [difference(shuffle(flat)) for _ in range(SHUFFLES)]
    return difference(flat) / float(np.sqrt(np.mean(np.square(by_chance))) or 1.0)


def _code_length(matrices: list[np.ndarray], sizes: dict[str, int]) -> float:
    """Returns the negative log-likelihood of matrices, up to a constant of their sizes, in nats.

    It adds that of normal distributions with a variance for each block, and with one for each row and column of
    what row and column means leave.
    """
    controller, output, weightings, memory = matrices
    inputs, outputs = sizes["input_size"], sizes["output_size"]
    reads = controller.shape[1] - inputs - 1
    blocks = [
        *(controller[:, :reads], controller[:, reads:-1], controller[:, -1:]),
        *(output[:outputs, :-1], output[outputs:, :-1], output[:, -1:]),
        *(weightings, memory),
    ]
    tiny = 1e-12  # for what is constant
    result = sum(block.size / 2 * np.log(block.var() + tiny) for block in blocks)
    for matrix in matrices:
        rows, columns = matrix.shape
        if rows == 1 or columns == 1:
            continue
        left = matrix - matrix.mean(0) - matrix.mean(1, keepdims=True) + matrix.mean()
        square = left**2 + tiny
        of_columns = np.ones((1, columns))
        for _ in range(3):
            of_rows = (square / of_columns).mean(1, keepdims=True)
            of_columns = (square / of_rows).mean(0, keepdims=True)
        result += columns / 2 * np.log(of_rows).sum() + rows / 2 * np.log(of_columns).sum()
    return float(result)


def count(path: str | Path) -> int:
    """Returns how many weights a file holds.

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
