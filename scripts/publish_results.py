"""Writes the results of the shipped runs: the tables of the results page and the README, and all figures.

    python scripts/publish_results.py
    python scripts/publish_results.py --ship runs/sweep-copy-ntm-ff
    python scripts/publish_results.py --format svg

It reads runs/pretrained/<task>-<model>/. Each folder holds the best run of a sweep, with its weights in one file, the
summary over all of the sweep's seeds in seeds.json, and every seed's learning curve in curves.csv. The LSTM baselines
have measurements only, and no weights. The results of others are in docs/reference/results_of_others.toml.

The tables replace those below <!-- results --> and <!-- verse --> in docs/reference/results.md and below
<!-- six rows --> in README.md, unless --pretrained names another folder. The figures are written beside the runs.
"""

import json
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flax import nnx

from ntm_jax import config as configs
from ntm_jax.acrostic.corpus import VOCABULARY
from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError
from ntm_jax.evaluation import canvas, seed_curves
from ntm_jax.storage import files, restore, weights
from ntm_jax.storage.run_folder import WEIGHTS
from ntm_jax.training import metrics

PRETRAINED = Path("runs/pretrained")
MODELS = ("ntm-ff", "ntm-lstm", "lstm")
MEASURED = ("config.json", "metrics.csv", "evaluation.json")
ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "reference" / "results.md"
REFERENCES = ROOT / "docs" / "reference" / "results_of_others.toml"
# The rows of the README, in its order: task and case.
SIX = (
    ("copy", "length_20"),
    ("copy", "length_120"),
    ("repeat_copy", "length_10_repeats_10"),
    ("associative_recall", "items_6"),
    ("ngram", "length_200"),
    ("priority_sort", "items_20_kept_16"),
)
# A case's name, where its own words would read badly.
CASE_TITLES = {
    r"length_(\d+)_repeats_(\d+)": r"\1 vectors, \2 times",
    r"items_(\d+)_kept_(\d+)": r"\1 items, \2 kept",
    r"items_(\d+)": r"\1 items",
}
# Columns for acrostics: title, field of the evaluation, format. The baseline has the first two.
VERSE = (
    ("bits", "bits_per_character", "**{:.2f}**"),
    ("keywords", "keyword_accuracy", "{:.1%}"),
    ("linefeeds", "linefeed_accuracy", "{:.2%}"),
    ("other characters", "rest_bits", "{:.2f}"),
)


@dataclass(frozen=True)
class Line:
    """A line of the table: a case, and the results of others in bits per sequence."""

    task: str  # as in the folder's name, see `shipped_task`
    case: str
    paper: str = ""  # the paper's NTM
    lstm: str = ""  # the paper's LSTM
    go: str = ""  # the trained weights of fumin/ntm, run with its own code
    peer: str = ""  # mgupta8143/neural-turing-machines, one seed

    @property
    def key(self) -> tuple[str, str]:
        """Returns task and case."""
        return self.task, self.case

    @property
    def title(self) -> str:
        """Returns the title of the row."""
        return f"{self.task.replace('_', ' ')}, {case_title(self.case)}"


def case_title(case: str) -> str:
    """Returns how a table calls a case: `items_20_kept_16` is "20 items, 16 kept"."""
    for pattern, title in CASE_TITLES.items():
        if found := re.fullmatch(pattern, case):
            return found.expand(title)
    return case.replace("_", " ")


def read_lines(path: Path = REFERENCES) -> tuple[Line, ...]:
    """Reads the lines of the table, with the results of others."""
    return tuple(Line(**case) for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"])


LINES = read_lines()


def ship(sweep: Path, pretrained: Path) -> Path:
    """Copies a sweep's best run, its summary and its seeds' curves to `pretrained/<task>-<model>`, replacing that folder.

    The best run has the fewest wrong bits over all test cases, and the lowest cost among equals. For n-grams, where
    even the best possible predictor makes errors, it is the run closest to that predictor. The newest checkpoint
    becomes one file with the weights. An `lstm` has millions of weights, so only its measurements are copied.

    Raises:
      UserError: there is no finished sweep, or the best run was trained further after its evaluation.
    """
    try:
        summary = json.loads((sweep / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"--ship: {sweep} holds no finished sweep") from None
    evaluations = {
        name: json.loads((sweep / name / "evaluation.json").read_text(encoding="utf-8"))
        for name in summary["runs"]
    }
    best = min(summary["runs"], key=lambda name: _cost(evaluations[name]))
    source, run = sweep / best, evaluations[best]
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    target = pretrained / f"{shipped_task(config['task'])}-{run['model']}"
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in MEASURED:
        shutil.copy2(source / name, partial / name)
    if run["model"] != "lstm":
        (partial / WEIGHTS).write_bytes(pack(source, run["update"]))
        if (source / VOCABULARY).exists():
            shutil.copy2(source / VOCABULARY, partial / VOCABULARY)
    text = json.dumps({"shipped": best, **summary}, indent=2) + "\n"
    (partial / "seeds.json").write_text(text, encoding="utf-8")
    curves = {name: metrics.read(sweep / name / metrics.NAME) for name in summary["runs"]}
    (partial / seed_curves.NAME).write_text(seed_curves.text(curves), encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)
    return target


def _cost(evaluation: Mapping[str, Any]) -> tuple[float, float]:
    """Returns the key that ranks the runs of a sweep: lower is better."""
    cases = evaluation["cases"]
    above_optimum = "gap_bits_per_sequence" in cases[0]
    wrong = "gap_bits_per_sequence" if above_optimum else "bit_errors_per_sequence"
    return sum(case[wrong] for case in cases), sum(case["bits_per_sequence"] for case in cases)


def pack(run: Path, update: int) -> bytes:
    """Returns the model in a run's newest checkpoint as a safetensors file.

    Args:
      run: the run's folder.
      update: the update that was evaluated.

    Raises:
      UserError: the newest checkpoint is from another update.
    """
    config = configs.read(run / "config.json")
    model, found = restore.load_as(run, config)
    if found != update:
        raise UserError(
            f"--ship: the newest checkpoint in {run} is of update {found}, its evaluation of {update}; "
            "evaluate it again"
        )
    return weights.dump(nnx.to_pure_dict(nnx.split(model)[1]), config, update)


def shipped_task(task: Mapping[str, Any]) -> str:
    """Returns the name of a config's `task` in the table.

    Repeat copy with another count than the paper's has it in its name, as in `repeat_copy_binary`.
    """
    count = task.get("count", "scalar")
    return str(task["name"]) if count == "scalar" else f"{task['name']}_{count}"


def draw(pretrained: Path, formats: Sequence[str] = ("png",)) -> None:
    """Draws every task's learning curves, its cost by case, and each model's use of the memory.

    The files are `<task>-learning`, `<task>-generalisation` and `<task>-<model>-memory`, in every format.
    """
    from ntm_jax.evaluation import curves, memory_figures, run_figures

    def save(figure: canvas.Figure, name: str) -> None:
        for kind in formats:
            canvas.save(figure, pretrained / f"{name}.{kind}", {"Title": name})

    found = _seeds(pretrained)
    for task in dict.fromkeys(task for task, _ in found):
        of_task = {model: summary for (of, model), summary in found.items() if of == task}
        folders = {model: pretrained / f"{task}-{model}" for model in of_task}
        of_seeds = {model: seed_curves.read(folder) for model, folder in folders.items()}
        save(curves.learning(of_seeds), f"{task}-learning")
        config = configs.read(next(iter(folders.values())) / "config.json")
        trained = run_figures.most_trained(config)
        save(curves.generalisation(of_task, trained), f"{task}-generalisation")
        for model, folder in folders.items():
            figure = memory_figures.picture(folder)
            if figure is not None:
                save(figure, f"{task}-{model}-memory")


def _seeds(pretrained: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns the summary of every sweep, by task and model."""
    return {
        (task, model): json.loads(path.read_text(encoding="utf-8"))
        for task in dict.fromkeys(line.task for line in LINES)
        for model in MODELS
        if (path := pretrained / f"{task}-{model}" / "seeds.json").exists()
    }


def table(pretrained: Path) -> str:
    """Returns the Markdown table of the runs that are there."""
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


def six_rows(pretrained: Path) -> str:
    """Returns the README's table: some lines of `table`, with the paper's NTM as the only other one."""
    seeds = _seeds(pretrained)
    rows = ["| | " + " | ".join(f"`{model}`" for model in MODELS) + " | the paper's NTM |"]
    rows.append("| --- " * 5 + "|")
    for line in sorted(
        (line for line in LINES if line.key in SIX), key=lambda of: SIX.index(of.key)
    ):
        cells = [_cell(seeds.get((line.task, model)), line.case) for model in MODELS]
        rows.append("| " + " | ".join([line.title, *cells, line.paper]) + " |")
    return "\n".join(rows)


def write_pages(pretrained: Path) -> list[Path]:
    """Replaces the tables of the results page and the README. Returns the files that changed."""
    tables = {
        RESULTS: {"results": table(pretrained), "verse": verse_table(pretrained)},
        README: {"six rows": six_rows(pretrained)},
    }
    changed = []
    for path, of_page in tables.items():
        before = path.read_text(encoding="utf-8")
        after = before
        for marker, text in of_page.items():
            after = with_table(after, marker, text)
        if after != before:
            files.write_atomically(path, after.encode())
            changed.append(path)
    return changed


def with_table(page: str, marker: str, text: str) -> str:
    """Returns a page with another table below `<!-- marker -->`. A table ends at the first line without a bar."""
    before, found, after = page.partition(f"<!-- {marker} -->\n")
    if not found:
        raise UserError(f"there is no <!-- {marker} --> in the page; the table goes below it")
    lines = after.splitlines(keepends=True)
    end = next((at for at, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return before + found + text + "\n" + "".join(lines[end:])


def verse_table(pretrained: Path) -> str:
    """Returns the Markdown table for acrostics, or an empty string without their runs.

    Bits are per character, linefeeds included.
    """
    told = {
        model: {case["name"]: case for case in json.loads(path.read_text("utf-8"))["cases"]}
        for model in MODELS
        if (path := pretrained / f"acrostic-{model}" / "evaluation.json").exists()
    }
    if not told:
        return ""
    shown = {model: VERSE[:2] if model == "lstm" else VERSE for model in told}
    columns = [f"`{model}`: " + " | ".join(title for title, _, _ in shown[model]) for model in told]
    columns += ["bigram", "bigram given keywords and linefeeds"]
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
    """Returns median (best - worst) of the seeds, or the cost of a single seed.

    For n-grams it is the cost above the optimum.
    """
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
    """Runs the program with these command-line arguments."""
    parser = Parser("python scripts/publish_results.py", __doc__)
    parser.add_argument(
        "--ship", type=Path, nargs="*", default=[], metavar="SWEEP", help="put these there first"
    )
    parser.add_argument(
        "--pretrained", type=Path, default=PRETRAINED, help=f"{PRETRAINED} if not given"
    )
    parser.add_argument(
        "--format", choices=canvas.FORMATS, nargs="*", default=["png"], help="of the figures"
    )
    options = parser.parse_args(arguments)
    for sweep in options.ship:
        print(f"{ship(sweep, options.pretrained)}: shipped")
    if not options.pretrained.is_dir():
        raise UserError(f"--pretrained: {options.pretrained} is not there")
    draw(options.pretrained, options.format)
    if options.pretrained.resolve() == (ROOT / PRETRAINED).resolve():
        for path in write_pages(options.pretrained):
            print(f"{path.relative_to(ROOT)}: tables written")
    print(table(options.pretrained))
    if verse := verse_table(options.pretrained):
        print(f"\n{verse}")


if __name__ == "__main__":
    run_program(run)
