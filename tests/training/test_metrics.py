"""metrics.csv: what stays of an earlier session, and numbers that come back as they were."""

import math
from dataclasses import asdict, replace

import pytest

from ntm_jax.training import metrics
from ntm_jax.training.metrics import Metrics, Row

HEADER = "update,sequences,seconds,loss_bits_per_sequence,bit_errors_per_sequence,gradient_norm,learning_rate"
ROW = Row(10, 20, 1.234, 0.1 + 0.2, 1e-30, 12345.678901234567, 3e-4)


def rows(*updates):
    return [replace(ROW, update=update, sequences=2 * update) for update in updates]


def write(folder, update, written):
    with Metrics(folder, update) as session:
        for row in written:
            session.write(row)


def updates(folder):
    return [row["update"] for row in metrics.read(folder / "metrics.csv")]


def lines(folder):
    return (folder / "metrics.csv").read_text().splitlines()


def test_the_header(tmp_path):
    write(tmp_path, 0, [])
    assert lines(tmp_path) == [HEADER]
    assert metrics.read(tmp_path / "metrics.csv") == []


def test_numbers_come_back_as_they_were(tmp_path):
    write(tmp_path, 0, [ROW])
    assert metrics.read(tmp_path / "metrics.csv") == [asdict(ROW)]


def test_a_row_is_on_disk_when_write_returns(tmp_path):
    with Metrics(tmp_path, 0) as session:
        session.write(ROW)
        assert metrics.read(tmp_path / "metrics.csv") == [asdict(ROW)]


@pytest.mark.parametrize(
    ("restored", "kept"), [(0, []), (9, []), (10, [10]), (25, [10, 20]), (30, [10, 20, 30])]
)
def test_rows_after_the_restored_update_are_dropped(tmp_path, restored, kept):
    write(tmp_path, 0, rows(10, 20, 30))
    before = lines(tmp_path)
    write(tmp_path, restored, rows(40))
    assert updates(tmp_path) == [*kept, 40]
    assert lines(tmp_path)[: len(kept) + 1] == before[: len(kept) + 1]


@pytest.mark.parametrize("restored", [10, 20, 100])
def test_a_line_cut_short_is_dropped(tmp_path, restored):
    write(tmp_path, 0, rows(10, 20))
    path = tmp_path / "metrics.csv"
    whole = path.read_text()
    for cut in range(len(HEADER) + 1 + len(lines(tmp_path)[1]) + 1, len(whole.rstrip()) - 20):
        path.write_text(whole[:cut])
        assert updates(tmp_path) == [10]
        write(tmp_path, restored, rows(110))
        assert updates(tmp_path) == [10, 110]


def test_a_line_whose_last_number_is_cut_short_is_dropped(tmp_path):
    """The last of the line's numbers may look whole when it is not; only its line's end tells."""
    write(tmp_path, 0, rows(10, 20))
    path = tmp_path / "metrics.csv"
    path.write_text(path.read_text()[:-3])  # learning_rate 0.0003 has become 0.00
    write(tmp_path, 20, rows(30))
    assert updates(tmp_path) == [10, 30]


def test_a_header_cut_short_or_an_empty_file_begins_anew(tmp_path):
    for text in ("", HEADER[:20], HEADER):
        (tmp_path / "metrics.csv").write_text(text)
        write(tmp_path, 0, rows(10))
        assert lines(tmp_path)[0] == HEADER
        assert updates(tmp_path) == [10]


def test_only_metrics_are_left_in_the_folder(tmp_path):
    write(tmp_path, 0, rows(10))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


# ---- Other columns than today's

OTHERS = "learning_rate,note,update,sequences,gradient_norm,seconds,loss_bits_per_sequence,bit_errors_per_sequence"


def other_columns(folder, *updates):
    """A metrics.csv with its columns in another order, and one more, as another version may write it."""
    lines = [f"0.25,7,{u},{2 * u},3.5,1.5,0.{u},2.5" for u in updates]
    (folder / "metrics.csv").write_text("\n".join([OTHERS, *lines, ""]))


def test_columns_are_read_by_name(tmp_path):
    other_columns(tmp_path, 10, 20)
    found = metrics.read(tmp_path / "metrics.csv")
    assert [row["update"] for row in found] == [10, 20]
    assert [row["loss_bits_per_sequence"] for row in found] == [0.1, 0.2]
    assert found[0]["learning_rate"] == 0.25
    assert metrics.updates_done(tmp_path / "metrics.csv") == 20
    assert metrics.first_below(tmp_path / "metrics.csv", 0.15)["update"] == 10


def test_rows_of_other_columns_stay_with_their_names(tmp_path):
    other_columns(tmp_path, 10, 20)
    write(tmp_path, 10, rows(30))
    assert lines(tmp_path)[:2] == [HEADER, "10,20,1.5,0.10,2.5,3.5,0.25"]
    assert updates(tmp_path) == [10, 30]


def test_a_column_that_was_not_written_is_no_number(tmp_path):
    (tmp_path / "metrics.csv").write_text("update,seconds\n10,1.5\n")
    write(tmp_path, 10, [])
    (row,) = metrics.read(tmp_path / "metrics.csv")
    assert (row["update"], row["seconds"]) == (10, 1.5)
    assert math.isnan(row["loss_bits_per_sequence"])


@pytest.mark.parametrize("line", ["10,2", "x" + ",1" * 6, "nan" + ",1" * 6, "", "1" + ",1" * 7])
def test_a_damaged_line_is_left_out(tmp_path, line):
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join([HEADER, line, "20,40,1,2,3,4,5", ""]))
    assert updates(tmp_path) == [20]
    assert metrics.updates_done(path) == 20
    write(tmp_path, 20, rows(30))
    assert updates(tmp_path) == [20, 30]


def test_no_row_is_no_update_done(tmp_path):
    assert metrics.updates_done(tmp_path / "metrics.csv") == 0
    write(tmp_path, 0, [])
    assert metrics.updates_done(tmp_path / "metrics.csv") == 0
