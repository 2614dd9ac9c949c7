"""An option of XLA's CPU compiler that takes training of one sequence at a time to 0.5 to 0.65 of its time, with few heads.

Programs set it before JAX compiles anything, for XLA reads its options once in a process; the package does not,
for its user's process is not its own.
"""

import os

# A loop that touches fewer bytes becomes one function, where a loop of many small kernels would spend more time
# between them than in them. Larger loops keep their kernels, which use the caches and both cores better.
SMALL_LOOP = "xla_cpu_small_while_loop_byte_threshold"
BYTES = 2**20


def compile_small_loops_whole() -> None:
    """Adds the option to the environment's `XLA_FLAGS`, unless its like is there; other devices do not read it."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "--xla_backend_extra_options" not in flags:
        option = f"--xla_backend_extra_options={SMALL_LOOP}={BYTES}"
        os.environ["XLA_FLAGS"] = f"{flags} {option}".strip()
