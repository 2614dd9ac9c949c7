"""Copies far longer than in training."""

import pytest

from ntm_jax.errors import UserError
from scripts import long_copies
from tests.helpers.configs import tiny
from tests.helpers.runs import save


def rows(capsys):
    """The printed table's cells, line by line, without its heading."""
    lines = capsys.readouterr().out.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_memory_grows_with_the_length(tmp_path, capsys):
    save(tmp_path / "mine", tiny())
    long_copies.run([str(tmp_path / "mine"), "--length", "10", "--episodes", "2"])
    ((name, length, memory, episodes, *_),) = rows(capsys)
    assert (name, length, memory, episodes) == ("mine", "10", "22", "2")
    long_copies.run([str(tmp_path / "mine"), "--length", "10", "--rows", "17", "--episodes", "2"])
    assert rows(capsys)[0][2] == "17"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--length", "0"], "--length: 0 is less than 1"),
        (["--episodes", "1"], "--episodes: 1 is less than 2"),
        (["--rows", "0"], "--rows: 0 is less than 1"),
        (["--seed", "-1"], "--seed: -1 is less than 0"),
    ],
)
def test_bad_arguments(tmp_path, capsys, arguments, said):
    with pytest.raises(UserError, match=said):
        long_copies.run([str(tmp_path), *arguments])
    assert capsys.readouterr().out == ""


def test_a_memory_that_cannot_grow_prints_no_table(tmp_path, capsys):
    config = tiny()
    config.model.initial_memory = "learned"
    save(tmp_path / "fixed", config)
    with pytest.raises(UserError, match="cannot be used"):
        long_copies.run([str(tmp_path / "fixed")])
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_shipped_lstm_copies_300_vectors(capsys):
    long_copies.run(["runs/pretrained/copy-ntm-lstm", "--length", "300", "--episodes", "10"])
    ((*_, wrong_bits, perfect, _seconds),) = rows(capsys)
    assert (wrong_bits, perfect) == ("0", "100.00%")
