"""Tiny configs, and quick compilation for tests that compile more than they compute."""

from contextlib import contextmanager

import jax
from jax.experimental.compilation_cache import compilation_cache

from ntm_jax import config as configs
from tests.helpers import ROOT, verse

FOLDER = ROOT / "configs"


COPY = str(FOLDER / "copy.py")
TASKS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "base")


MODELS = ("ntm-ff", "ntm-lstm", "lstm")


TINY_TASKS = {
    "acrostic": [f"corpus={verse.corpus_path()}", f"vocabulary={verse.VOCABULARY}"],
    "associative_recall": ["max_items=2"],
    "copy": ["max_length=3"],
    "ngram": ["length=8"],
    "priority_sort": ["items=3", "kept=2"],
    "repeat_copy": ["max_length=2", "max_repeats=2"],
}


TINY_NTM = ["memory_size=8", "word_size=4", "read_heads=1", "write_heads=1"]


def tiny_overrides(task="copy", model="ntm-ff", **fields):
    """What makes a run tiny, as on a command line; `fields` like `train__updates=3` come last."""
    sizes = ["controller_size=8", "controller_layers=1", *(TINY_NTM if model != "lstm" else [])]
    return [
        *(f"task.{size}" for size in TINY_TASKS[task]),
        *(f"model.{size}" for size in sizes),
        *(["model.embedding_size=4"] if task == "acrostic" else []),
        "train.batch_size=2",
        "evaluate.episodes=2",
        "evaluate.memory_size=0",
        *(f"{field.replace('__', '.')}={value}" for field, value in fields.items()),
    ]


def tiny(task="copy", model="ntm-ff", **fields):
    """The config of a tiny run."""
    path = FOLDER / f"{task}.py"
    return configs.load(f"{path}:{model}", tiny_overrides(task, model, **fields))


@contextmanager
def quick_compile(base):
    """Few of the compiler's optimisations, nothing compiled twice, and Optax's promotions of types.

    Args:
      base: the test session's temporary folder.
    """
    options = {
        "jax_disable_most_optimizations": True,
        "jax_compilation_cache_dir": str(base / "compiled"),
        "jax_persistent_cache_min_compile_time_secs": 0.2,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_numpy_dtype_promotion": "standard",
    }
    before = {name: jax.config.values[name] for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
