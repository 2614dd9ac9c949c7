"""What sharing a batch gives: the model of docs/lab_book/sharing_a_batch.md by hand, and its table as the program prints it."""

import pytest

from benchmarks import data_parallel
from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from tests.helpers import ROOT, programs, verse
from tests.helpers.configs import FOLDER, tiny_overrides

DOCUMENT = ROOT / "docs" / "lab_book" / "sharing_a_batch.md"


def test_efficiency_by_hand():
    link = data_parallel.Link("a link", bandwidth=1e6, latency=1e-3)
    one = data_parallel.Work("a model", parameters=998, steps=10, flops=1e6)
    assert one.bytes == 4000  # with two costs
    # 4 devices: 6 messages, and 6/4 of the buffer: 6 ms + 6 ms; 3 sequences at 1e8 a second: 30 ms.
    assert link.seconds(one.bytes, 4) == pytest.approx(12e-3)
    assert one.efficiency(link, 4, batch=3, rate=1e8) == pytest.approx(30 / 42)


def test_the_work_of_copy():
    config = configs.load(f"{FOLDER / 'copy.py'}:lstm")
    found = data_parallel.work(config)
    built = models.build(config, 9, 8)
    assert found.parameters == models.parameter_count(built)
    assert found.steps == tasks.make("copy").steps
    assert found.flops == 6.0 * found.parameters * found.steps


def test_the_work_of_verse_counts_the_table_where_there_is_an_answer():
    fields = [f"task.corpus={verse.corpus_path()}", f"task.vocabulary={verse.VOCABULARY}"]
    config = configs.load(
        f"{FOLDER / 'acrostic.py'}:lstm",
        [*fields, "model.embedding_size=5", "model.controller_size=7", "model.controller_layers=1"],
    )
    found = data_parallel.work(config)
    task = tasks.make("acrostic", **tasks.difficulty(config.task))
    core = 4 * 7 * (5 + 7 + 1) + (7 + 1) * 5  # the LSTM and its output
    poems = [
        (shape.source.answer_steps, count) for shape, count in task.source.evaluation_shapes(10**6)
    ]
    answers = sum(size * count for size, count in poems) / sum(count for _, count in poems)
    assert found.steps == 2 * answers
    assert found.parameters == core + (5 + 1) * task.output_size
    assert found.flops == pytest.approx(6 * core * 2 * answers + 6 * 5 * task.output_size * answers)


def test_the_document_has_the_table_that_the_program_prints(monkeypatch, tmp_path, capsys):
    """But for acrostics, without whose corpus it goes on."""
    monkeypatch.chdir(tmp_path)
    data_parallel.run([])
    out, err = capsys.readouterr()
    printed = {line for line in out.splitlines() if line.startswith("|")}
    written = {
        line
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and "measured" not in line
    }
    assert len(printed) == 2 + 15
    assert printed == {line for line in written if not line.startswith("| acrostic")}
    assert len(written - printed) == 3
    assert err.startswith("ntm_jax: without acrostic: ")


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--measure", "1", "--config", "copy.py"], "--measure: at least 2"),
        (["--measure", "2"], "--measure: at least 2, with a --config"),
        (["--batch", "0"], "--batch: at least 1"),
        (["--measure", "2", "--config", "no.py"], "--config: there is no file no.py"),
    ],
)
def test_what_cannot_be(flags, part):
    with pytest.raises(UserError) as caught:
        data_parallel.run(flags)
    assert part in str(caught.value)


@pytest.mark.slow
def test_two_processes_are_measured(capsys):
    path = str(FOLDER / "copy.py")
    port = str(programs.free_port())
    tiny = [f"--config.{one}" for one in tiny_overrides()]
    data_parallel.run(["--measure", "2", "--config", path, "--updates", "8", "--port", port, *tiny])
    out = capsys.readouterr().out
    assert out.startswith("1 process ")
    assert out.endswith(" times\n")
