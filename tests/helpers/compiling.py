"""XLA's options for programs that are compiled for a few calls only."""

from importlib.metadata import version

QUICK: dict[str, bool | int] = {"xla_cpu_parallel_codegen_split_count": 1}
# Compiling takes three times as long with XLA's fusion emitters, for random numbers above all. After 0.10 XLA no longer
# knows this option, and ends the process at one that it does not know.
if version("jaxlib").startswith("0.10."):
    QUICK["xla_cpu_use_fusion_emitters"] = False
