"""Measures runs of copy on sequences far longer than in training, with as many memory rows as they need.

    python -m scripts.long_copies runs/pretrained/copy-ntm-lstm
    python -m scripts.long_copies runs/pretrained/copy-ntm-lstm --length 10000 --episodes 20

The paper tests up to length 120. Episodes are from scripts/paper_episodes.py. A model needs a learned row or a constant as its first
memory, so that memory can grow.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import ntm_jax
from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError
from scripts import paper_episodes
from scripts.check_results import measure

LENGTH, EPISODES, SEED = 1000, 100, 1410
ROWS_PER_VECTOR = (
    2.2  # as 256 rows for 120 vectors: the write head rests on free rows after the delimiter
)


def run(arguments: Sequence[str]) -> None:
    """Prints one line per run.

    Raises:
      UserError: an argument is wrong, or a run's memory cannot grow.
    """
    parser = Parser("python -m scripts.long_copies", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--length", type=int, default=LENGTH, help=f"vectors ({LENGTH})")
    parser.add_argument("--rows", type=int, help=f"of memory ({ROWS_PER_VECTOR} per vector)")
    parser.add_argument("--episodes", type=int, default=EPISODES, help=f"per run ({EPISODES})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the episodes ({SEED})")
    options = parser.parse_args(arguments)
    if options.rows is None:
        options.rows = max(1, round(options.length * ROWS_PER_VECTOR))
    for name, least in (("length", 1), ("rows", 1), ("episodes", 2), ("seed", 0)):
        if getattr(options, name) < least:
            raise UserError(f"--{name}: {getattr(options, name)} is less than {least}")
    models = {folder: ntm_jax.load(folder, memory_size=options.rows) for folder in options.runs}
    print("| run | length | rows | episodes | bits | wrong bits | perfect | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for folder, model in models.items():
        rng = np.random.default_rng(options.seed)
        episodes = paper_episodes.DRAW["copy"](rng, options.episodes, length=options.length)
        start = time.monotonic()
        found = measure(model, episodes)
        print(
            f"| {folder.name} | {options.length} | {options.rows} | {found.episodes} | {found.shown_bits} "
            f"| {found.wrong_bits:.3g} | {found.perfect:.2%} | {time.monotonic() - start:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    run_program(run)
