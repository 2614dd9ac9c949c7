"""Records numbers that the code computes, and compares them with an earlier record.

    python scripts/record_numbers.py --out before.json
    python scripts/record_numbers.py --against before.json

A record holds 200 updates of every config and model from seed 0. It also holds the evaluation of every
shipped run on 100 episodes, and the answers of the viewer and of the poems' page to fixed questions.
Restructuring code must not change any of them, not even by rounding. Records are comparable only on the
same kind of processor and version of JAX. Both are written into the record.
"""

import argparse
import csv
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRETRAINED = Path("runs/pretrained")
TASKS = ("copy", "repeat_copy", "associative_recall", "ngram", "priority_sort", "acrostic")
MODELS = ("ntm-ff", "ntm-lstm", "lstm")
UPDATES = 200
EPISODES = 100
# Earlier stages, so that 200 updates include every kind of batch that acrostics train on.
STAGES: Sequence[str] = ("curriculum.stages.1.start=50", "curriculum.stages.2.start=100")
QUESTIONS = {
    "copy": ("length=20&seed=1", "length=40&seed=2&rows=200"),
    "repeat_copy": ("length=5&repeats=4&seed=3",),
    "repeat_copy_binary": ("length=5&repeats=4&seed=3",),
    "repeat_copy_linear": ("length=5&repeats=4&seed=3",),
    "associative_recall": ("items=4&seed=4", "items=8&seed=5"),
    "ngram": ("length=100&seed=6", "length=100&seed=6&table=7"),
    "priority_sort": ("items=20&kept=16&seed=8",),
    "acrostic": ("longest=40&seed=9",),
}
POEMS = (
    "message=紅春願此&seed=1&n=2",
    "message=红春愿此&form=7&position=-1&n=2&rhyme=1&tones=1",
    "message=紅春願此&beam=8&n=2",
)


def processor() -> str:
    """Returns the processor and the version of JAX, on which rounding depends."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {name.strip(): value.strip() for name, value in told.items()}
    name = known.get("model name", platform.processor())
    kind = " ".join(known.get(field, "?") for field in ("cpu family", "model", "stepping"))
    import jax

    return f"{name} ({kind}), jax {jax.__version__}"


def train(config: str, overrides: Sequence[str]) -> list[dict[str, str]]:
    """Trains from scratch for 200 updates and returns the rows of metrics.csv, without times."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "run"
        _run([__file__, "--train", config, "--workdir", str(workdir), *overrides])
        with (workdir / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def _train_here(config: str, workdir: Path, overrides: Sequence[str]) -> None:
    from ntm_jax import config as configs
    from ntm_jax.training.loop import train as train_run

    fixed = [f"train.updates={UPDATES}", "train.log_every=20", "train.checkpoint_every=200"]
    train_run(configs.load(config, [*fixed, *overrides]), workdir)


def evaluate(run: str) -> dict[str, Any]:
    """Evaluates a copy of a shipped run on 100 episodes per case and returns its evaluation.json."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / run
        shutil.copytree(ROOT / PRETRAINED / run, workdir)
        (workdir / "evaluation.json").unlink(missing_ok=True)
        flags = ["--mode", "evaluate", "--workdir", str(workdir)]
        _run(["-m", "ntm_jax.main", *flags, f"--config.evaluate.episodes={EPISODES}"])
        result: dict[str, Any] = json.loads((workdir / "evaluation.json").read_text("utf-8"))
    return result


def view(run: str) -> dict[str, Any]:
    """Returns the viewer's answers for a shipped run: the scores, and a checksum of everything else."""
    found = {}
    with _Viewer(PRETRAINED / run) as viewer:
        (described,) = json.loads(viewer.get("/api/runs"))
        described.pop("version")
        found["runs"] = described
        for question in QUESTIONS[run.rpartition("-ntm")[0]]:
            answer = json.loads(viewer.get(f"/api/episode?{question}"))
            answer.pop("version")
            content = json.dumps(answer, sort_keys=True)
            digest = hashlib.sha256(content.encode()).hexdigest()
            found[question] = {"scores": answer["scores"], "sha256": digest}
        if run == "acrostic-ntm-lstm":
            for question in POEMS:
                quoted = urllib.parse.quote(question, safe="=&")
                answer = json.loads(viewer.get(f"/api/poems?{quoted}"))
                digest = hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).hexdigest()
                poems = [[*poem["lines"], poem["bits"]] for poem in answer["poems"]]
                found[question] = {"poems": poems, "sha256": digest}
    return found


class _Viewer:
    """A viewer in its own process, for the duration of the context."""

    def __init__(self, run: Path):
        self.run = run

    def __enter__(self) -> "_Viewer":
        flags = ["--mode", "serve", "--port", "0", "--workdir", str(self.run)]
        command = [sys.executable, "-m", "ntm_jax.main", *flags]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[1].rstrip("/")
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.terminate()
        self.process.wait()

    def get(self, path: str) -> bytes:
        """Returns the viewer's answer."""
        with urllib.request.urlopen(self.address + path, timeout=300) as response:
            content: bytes = response.read()
        return content


def _run(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)}: status {done.returncode}\n{done.stderr[-3000:]}"
        )


def everything() -> dict[str, Callable[[], Any]]:
    """Returns the functions that compute each part of a record, by name."""
    found: dict[str, Callable[[], Any]] = {}
    for task in TASKS:
        for model in MODELS:
            config = f"configs/{task}.py:{model}"
            found[f"train {task}:{model}"] = partial(train, config, ())
    acrostic = "configs/acrostic.py:ntm-lstm"
    found["train acrostic:ntm-lstm, stages"] = partial(train, acrostic, STAGES)
    for folder in sorted((ROOT / PRETRAINED).glob("*-ntm-*/")):
        run = folder.name
        found[f"evaluate {run}"] = partial(evaluate, run)
        found[f"view {run}"] = partial(view, run)
    return found


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Returns one line for each difference between two records."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for name in sorted(old.keys() | new.keys()):
            place = f"{where}/{name}"
            if name not in old or name not in new:
                lines.append(f"{place}: only {'after' if name in new else 'before'}")
            else:
                lines += differences(old[name], new[name], place)
        return lines
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{where}[{i}]")]
    return [] if old == new else [f"{where}: {old!r} before, {new!r} after"]


def main(arguments: Sequence[str]) -> int:
    """Records and compares, and returns the exit status: 1 if something differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where to write the record (JSON)")
    parser.add_argument("--against", type=Path, help="an earlier record to compare with")
    parser.add_argument("--only", nargs="*", help="words; records whatever has one in its name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--train", metavar="CONFIG", help=argparse.SUPPRESS)
    parser.add_argument("--workdir", type=Path, help=argparse.SUPPRESS)
    options, overrides = parser.parse_known_args(arguments)
    if options.train:
        from ntm_jax.cli import run_program

        sys.argv = sys.argv[:1]
        run_program(lambda _: _train_here(options.train, options.workdir, overrides))
        return 0

    wanted = {
        name: record
        for name, record in everything().items()
        if not options.only or any(word in name for word in options.only)
    }
    found: dict[str, Any] = {"processor": processor()}

    def one(name: str) -> None:
        found[name] = wanted[name]()
        print(f"{len(found) - 1} of {len(wanted)}: {name}", flush=True)
        if options.out:
            text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
            options.out.write_text(text + "\n", encoding="utf-8")

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, wanted))
    if not options.against:
        return 0
    earlier = json.loads(options.against.read_text(encoding="utf-8"))
    names = wanted if options.only else {**wanted, **earlier}
    old = {name: earlier[name] for name in names if name in earlier}
    new = {name: found[name] for name in names if name in found}
    lines = differences(old, new)
    for line in lines:
        print(line)
    print(f"{len(new)} records compared, {len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
