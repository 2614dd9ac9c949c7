"""What an episode starts from, for every choice."""

import itertools

import jax
import numpy as np
import pytest
from flax import nnx

from ntm_jax.errors import UserError
from ntm_jax.models.initial_state import MEMORIES, READS, WEIGHTINGS, InitialState
from tests.helpers import oracle
from tests.helpers.tiny_models import numbers, randomise

pytestmark = pytest.mark.usefixtures("quick_compile")

N, W, ADDRESSINGS, READ_HEADS = 7, 4, 3, 2
DETERMINISTIC = [
    choice
    for choice in itertools.product(sorted(MEMORIES), sorted(WEIGHTINGS), sorted(READS))
    if "random" not in choice and not (choice[0] != "learned" and choice[1] == "uniform")
]


def make(memory="constant", weighting="first_row", reads="zeros", param_dtype=float, rows=N):
    return randomise(
        lambda: InitialState(
            memory=memory,
            weighting=weighting,
            reads=reads,
            memory_size=rows,
            word_size=W,
            addressings=ADDRESSINGS,
            read_heads=READ_HEADS,
            param_dtype=param_dtype,
            rngs=nnx.Rngs(0),
        )
    )


@nnx.jit
def start(initial, seed):
    return initial(jax.random.key(seed))


@pytest.mark.parametrize(("memory", "weighting", "reads"), DETERMINISTIC)
def test_every_choice_is_the_oracles(float64, memory, weighting, reads):
    initial = make(memory, weighting, reads)
    options = oracle.DEFAULTS | {
        "read_heads": READ_HEADS,
        "write_heads": ADDRESSINGS - READ_HEADS,
        "initial_memory": memory,
        "initial_weighting": weighting,
        "initial_reads": reads,
    }
    expected = oracle.initial_state({"initial": numbers(nnx.state(initial))}, options)
    for actual, part in zip(start(initial, 0), vars(expected).values(), strict=False):
        np.testing.assert_allclose(actual, np.array(part), rtol=1e-12)


def test_random_starts_differ_from_key_to_key():
    initial = make("random", "random", "memory")
    for part, other in zip(start(initial, 0), start(initial, 1), strict=True):
        assert not np.isclose(part, other).any()


def test_a_random_start_is_the_same_for_the_same_key():
    initial = make("random", "random", "memory")
    jax.tree.map(np.testing.assert_array_equal, start(initial, 0), start(initial, 0))


def test_random_weightings_are_on_the_simplex_and_differ_between_heads():
    weightings = np.asarray(start(make("random", "random", "memory"), 0)[1])
    assert (weightings >= 0).all()
    np.testing.assert_allclose(weightings.sum(-1), 1, rtol=1e-6)
    assert not np.isclose(weightings[0], weightings[1]).any()


def test_random_memory_has_the_deviation_of_its_constant():
    memory = np.asarray(start(make("random", "random", "memory"), 0)[0])
    np.testing.assert_allclose(memory.std(), 0.5, rtol=0.3)
    np.testing.assert_allclose(memory.mean(), 0, atol=0.3)


def test_random_weightings_owe_nothing_to_the_random_memory():
    memory, weightings, _ = start(make("random", "random", "memory"), 0)
    logits = np.log(weightings).ravel()
    assert abs(np.corrcoef(logits, np.ravel(memory)[: logits.size])[0, 1]) < 0.5


def test_random_memory_is_what_the_first_reads_read():
    memory, weightings, reads = start(make("random", "random", "memory"), 0)
    np.testing.assert_allclose(reads, weightings[:READ_HEADS] @ memory, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.dtype("float32"), jax.numpy.bfloat16])
def test_everything_has_the_parameters_dtype(dtype):
    assert all(part.dtype == dtype for part in start(make("learned_row", param_dtype=dtype), 0))


@pytest.mark.parametrize(
    ("memory", "weighting", "tied"),
    [
        ("constant", "first_row", False),
        ("learned_row", "random", False),
        ("random", "uniform", False),
        ("learned", "first_row", True),
        ("constant", "learned", True),
    ],
)
def test_what_is_learned_for_each_row_ties_the_parameters_to_their_number(memory, weighting, tied):
    def shapes(rows):
        parameters = nnx.state(make(memory, weighting, rows=rows), nnx.Param)
        return [leaf.shape for leaf in jax.tree.leaves(parameters)]

    assert (shapes(N) != shapes(N + 1)) == tied


@pytest.mark.parametrize("field", ["memory", "weighting", "reads"])
def test_an_unknown_name_is_refused(field):
    with pytest.raises(UserError, match=rf"^model\.initial_{field}: 'nonsense' is unknown"):
        make(**{field: "nonsense"})


@pytest.mark.parametrize("memory", ["constant", "learned_row"])
def test_rows_that_could_never_differ_are_refused(memory):
    with pytest.raises(UserError, match=r"^model\.initial_weighting: 'uniform'"):
        make(memory, "uniform")
