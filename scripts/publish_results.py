"""What was reached: `python scripts/publish_results.py` prints it as a Markdown table, and draws it.

Everything comes from runs/pretrained/<task>-<model>/: the best run of a sweep, and the sweep's summary over
all of its seeds in seeds.json. `--ship runs/sweep-copy-ntm-ff` puts a sweep's there. Of the LSTM baselines
there are no checkpoints, only what training and evaluation measured.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntm_jax.acrostic.corpus import VOCABULARY
from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError
from ntm_jax.storage import integrity

PRETRAINED = Path("runs/pretrained")
MODELS = ("ntm-ff", "ntm-lstm", "lstm")
MEASURED = ("config.json", "metrics.csv", "evaluation.json")
SHIPPED = (*MEASURED, "figures", "checkpoints", VOCABULARY)
MOST_TRAINING_BYTES = 10 * 2**20
# Of acrostics: title, field of the evaluation, form. Of the baseline, the first two.
VERSE = (
    ("bits", "bits_per_character", "**{:.2f}**"),
    ("keywords", "keyword_accuracy", "{:.1%}"),
    ("linefeeds", "linefeed_accuracy", "{:.2%}"),
    ("other characters", "rest_bits", "{:.2f}"),
)


@dataclass(frozen=True)
class Line:
    """A line of the table: a case, and what others reached in it, in bits per sequence."""

    task: str  # as in a folder's name, see `shipped_task`
    case: str
    paper: str = ""  # its NTM
    lstm: str = ""  # its LSTM
    go: str = ""  # the trained weights of fumin/ntm, run by its own code
    peer: str = ""  # mgupta8143/neural-turing-machines, one seed

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.task.replace('_', ' ')}, {self.case.replace('_', ' ')}"


LINES = (
    Line("copy", "length_20", paper="near 0", lstm="0.5 - 2", go="0.044", peer="0"),
    Line("copy", "length_50", go="65.5", peer="0"),
    Line("copy", "length_120", paper="a few errors", go="159.9", peer="0"),
    Line("repeat_copy", "length_10_repeats_10", paper="near 0", lstm="near 0"),
    Line("repeat_copy", "length_20_repeats_10", paper="near 0"),
    Line("repeat_copy", "length_10_repeats_20", paper="end marker wrong"),
    Line("repeat_copy_binary", "length_10_repeats_10", go="0.00"),
    Line("repeat_copy_binary", "length_10_repeats_15", go="84"),
    Line("repeat_copy_binary", "length_10_repeats_20", go="276"),
    Line("repeat_copy_binary", "length_15_repeats_10", go="3,414"),
    Line("repeat_copy_binary", "length_20_repeats_10", go="4,458"),
    Line("associative_recall", "items_6", paper="near 0", lstm="above 0", peer="0"),
    Line("associative_recall", "items_10", paper="near 0", peer="0"),
    Line("associative_recall", "items_15", paper="below 1", peer="0 - 0.10"),
    Line("associative_recall", "items_20", peer="0.97 - 2.33"),
    Line("ngram", "length_200", paper="about 2", lstm="5 - 6", go="7.7 - 14.3"),
    Line("ngram", "length_1000"),
    Line("priority_sort", "items_20_kept_16", paper="10 - 20", lstm="about 50"),
    Line("priority_sort", "items_30_kept_24"),
)


def ship(sweep: Path, pretrained: Path) -> Path:
    """Copies a sweep's best run and its summary to `pretrained/<task>-<model>`, in place of what is there.

    The best has the fewest wrong bits over all test cases, and the lowest cost among equals; of n-grams, where
    the best possible predictor is wrong as well, it is least above that one. Of an `lstm`
    only what was measured is copied: its checkpoint, of millions of numbers, is large for a repository.

    Raises:
      UserError: no finished sweep there.
    """
    try:
        summary = json.loads((sweep / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"--ship: {sweep} holds no finished sweep") from None
    evaluations = {
        name: json.loads((sweep / name / "evaluation.json").read_text(encoding="utf-8"))
        for name in summary["runs"]
    }

    def cost(name: str) -> tuple[float, float]:
        cases = evaluations[name]["cases"]
        wrong = (
            "gap_bits_per_sequence"
            if "gap_bits_per_sequence" in cases[0]
            else "bit_errors_per_sequence"
        )
        return sum(case[wrong] for case in cases), sum(case["bits_per_sequence"] for case in cases)

    best = min(summary["runs"], key=cost)
    run = evaluations[best]
    config = json.loads((sweep / best / "config.json").read_text(encoding="utf-8"))
    target = pretrained / f"{shipped_task(config['task'])}-{run['model']}"
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in MEASURED if run["model"] == "lstm" else SHIPPED:
        source = sweep / best / name
        if name == "checkpoints":
            newest = str(run["update"])
            shutil.copytree(source / newest, partial / name / newest)
            _lighten(partial / name / newest)
        elif source.is_dir():
            shutil.copytree(source, partial / name)
        elif name != VOCABULARY or source.exists():
            shutil.copy2(source, partial / name)
    for marker in partial.rglob("commit_success.txt"):
        marker.write_text("")  # Orbax writes in it where it was saved, a path of this machine
    text = json.dumps({"shipped": best, **summary}, indent=2) + "\n"
    (partial / "seeds.json").write_text(text, encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)
    return target


def _lighten(checkpoint: Path) -> None:
    """Leaves out the optimiser's state where it is large for a repository; training cannot go on from there."""
    training = checkpoint / "training"
    size = sum(path.stat().st_size for path in training.rglob("*"))
    if size > MOST_TRAINING_BYTES:
        shutil.rmtree(training)
        integrity.write_checksums(checkpoint)


def shipped_task(task: Mapping[str, Any]) -> str:
    """What a config's `task` is called in the table: `repeat_copy_binary` is repeat copy with another count."""
    count = task.get("count", "scalar")
    return str(task["name"]) if count == "scalar" else f"{task['name']}_{count}"


def draw(pretrained: Path) -> None:
    """Every task's learning curves, cost by case, and how each of its models uses the memory.

    They go to `<task>-learning.png`, `<task>-generalisation.png` and `<task>-<model>-memory.png`.
    """
    from ntm_jax.evaluation import figures, memory_figures
    from ntm_jax.training import metrics

    found = _seeds(pretrained)
    for task in dict.fromkeys(task for task, _ in found):
        of_task = {model: summary for (of, model), summary in found.items() if of == task}
        curves = {
            model: metrics.read(pretrained / f"{task}-{model}" / "metrics.csv") for model in of_task
        }
        title = task.replace("_", " ")
        figures.save(figures.learning_curves(curves, title), pretrained / f"{task}-learning.png")
        figures.save(
            figures.generalisation(title, of_task), pretrained / f"{task}-generalisation.png"
        )
        for model in of_task:
            figure = memory_figures.picture(pretrained / f"{task}-{model}", title)
            if figure is not None:
                figures.save(figure, pretrained / f"{task}-{model}-memory.png")


def _seeds(pretrained: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What every sweep's seeds reached, by task and model."""
    return {
        (task, model): json.loads(path.read_text(encoding="utf-8"))
        for task in dict.fromkeys(line.task for line in LINES)
        for model in MODELS
        if (path := pretrained / f"{task}-{model}" / "seeds.json").exists()
    }


def table(pretrained: Path) -> str:
    """The Markdown table, of what is there."""
    seeds = _seeds(pretrained)
    shown = [model for model in MODELS if any(model == of for _, of in seeds)]
    ours = " | ".join(f"`{model}`" for model in shown)
    others = "the paper's NTM | its LSTM | `fumin/ntm` | best peer"
    rows = [f"| bits per sequence | {ours} | {others} |"]
    rows.append("| --- " * (len(shown) + 5) + "|")
    for line in LINES:
        cells = [_cell(seeds.get((line.task, model)), line.case) for model in shown]
        if any(cells):
            cells += [line.paper, line.lstm, line.go, line.peer]
            rows.append("| " + " | ".join([line.title, *cells]) + " |")
    return "\n".join(rows)


def verse_table(pretrained: Path) -> str:
    """Of acrostics, in bits a character with linefeeds counted; empty where none is there."""
    told = {
        model: {case["name"]: case for case in json.loads(path.read_text("utf-8"))["cases"]}
        for model in MODELS
        if (path := pretrained / f"acrostic-{model}" / "evaluation.json").exists()
    }
    if not told:
        return ""
    shown = {model: VERSE[:2] if model == "lstm" else VERSE for model in told}
    columns = [f"`{model}`: " + " | ".join(title for title, _, _ in shown[model]) for model in told]
    columns += ["bigram", "told keywords and linefeeds"]
    rows = ["| held-out poems | " + " | ".join(columns) + " |"]
    rows.append("| --- " * (rows[0].count("|") - 1) + "|")
    for name, first in next(iter(told.values())).items():
        cells = [f"{name.replace('_', ' ')}, {first['episodes']:,}"]
        for model, cases in told.items():
            for _, field, form in shown[model]:
                cells.append(form.format(cases[name][field]) if field in cases[name] else "")
        for bigram in ("bigram", "bigram_told_keywords_and_linefeeds"):
            cells.append(format(first[f"{bigram}_bits_per_character"], ".2f"))
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _cell(summary: dict[str, Any] | None, case: str) -> str:
    """Median (best - worst) of the seeds, or what the only one cost; of n-grams what is above the optimum."""
    found = [entry for entry in summary["cases"] if entry["name"] == case] if summary else []
    if summary is None or not found:
        return ""
    (entry,) = found
    spread = entry.get("gap_bits_per_sequence", entry["bits_per_sequence"])
    median, best, worst = (_short(spread[name]) for name in ("median", "best", "worst"))
    seeds = len(summary["runs"])
    return f"**{median}** ({best} - {worst}), {seeds} seeds" if seeds > 1 else f"{median}, 1 seed"


def _short(bits: float) -> str:
    return f"{bits:.4f}" if bits < 0.1 else f"{bits:.2f}" if bits < 10 else f"{bits:.0f}"


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says."""
    parser = Parser("python scripts/publish_results.py", __doc__)
    parser.add_argument(
        "--ship", type=Path, nargs="*", default=[], metavar="SWEEP", help="put these there first"
    )
    parser.add_argument(
        "--pretrained", type=Path, default=PRETRAINED, help=f"{PRETRAINED} if not given"
    )
    options = parser.parse_args(arguments)
    for sweep in options.ship:
        print(f"{ship(sweep, options.pretrained)}: shipped")
    if not options.pretrained.is_dir():
        raise UserError(f"--pretrained: {options.pretrained} is not there")
    draw(options.pretrained)
    print(table(options.pretrained))
    if verse := verse_table(options.pretrained):
        print(f"\n{verse}")


if __name__ == "__main__":
    run_program(run)
