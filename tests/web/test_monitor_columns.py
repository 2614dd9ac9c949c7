"""The monitor's curves are of the columns that metrics.csv names, whatever their order."""

import json
import math

import pytest

from ntm_jax import config as configs
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor import server as monitor_server
from tests.helpers.configs import tiny

COLUMNS = "update,sequences,seconds,loss_bits_per_sequence,bit_errors_per_sequence,gradient_norm,learning_rate"
ROWS = [(10, 20, 1.0, 8.5, 2.5, 0.5, 0.25), (20, 40, 2.0, 7.5, 1.5, math.nan, 0.125)]


@pytest.fixture
def watched(tmp_path):
    (tmp_path / run_monitor.CONFIG).write_text(configs.to_json(tiny()))
    return monitor_server.Monitor(tmp_path, tmp_path)


def write(folder, order, more=()):
    names = [COLUMNS.split(",")[i] for i in order] + [name for name, _ in more]
    lines = [[str(row[i]) for i in order] + [value for _, value in more] for row in ROWS]
    text = "\n".join(",".join(words) for words in [names, *lines])
    (folder / "metrics.csv").write_text(text + "\n")


@pytest.mark.parametrize("order", [range(7), [6, 5, 4, 3, 2, 1, 0], [3, 0, 1, 2, 6, 4, 5]], ids=str)
@pytest.mark.parametrize("more", [(), (("skipped", "3"),)], ids=["as today", "one more"])
def test_curves_are_of_the_columns_that_the_header_names(tmp_path, watched, order, more):
    write(tmp_path, order, more)
    shown = json.loads(watched.progress(-1))
    expected = [dict(zip(COLUMNS.split(","), row, strict=True)) for row in ROWS]
    expected[1]["gradient_norm"] = None
    assert shown["rows"] == expected
    assert shown["sequences_per_second"] == 20
    assert json.loads(watched.losses()) == [8.5, 7.5]


def test_a_file_that_is_replaced_may_have_another_order(tmp_path, watched):
    write(tmp_path, range(7))
    watched.progress(-1)
    other = tmp_path / "other"
    other.mkdir()
    write(other, [6, 5, 4, 3, 2, 1, 0])
    (other / "metrics.csv").replace(tmp_path / "metrics.csv")
    assert json.loads(watched.losses()) == [8.5, 7.5]
