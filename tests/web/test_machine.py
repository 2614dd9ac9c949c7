"""The model in the page: JavaScript computes what Python does."""

import base64

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import models
from ntm_jax.web import packing, pages
from ntm_jax.web.report import content, machine
from ntm_jax.web.viewer import sources
from tests.helpers import tiny_models
from tests.helpers.browser import browser, complaints
from tests.helpers.shipped import SHIPPED

FILES = ("common/data.js", "stage/addressing.js", "machine/machine.js")
RUN = """
const done = arguments[arguments.length - 1];
const named = async (arrays) => (await NTM.unpackAll({arrays})).arrays;
(async () => {
  const model = arguments[0];
  const machine = new NTM.Machine({...model, arrays: await named(model.arrays)});
  const {inputs} = await named({inputs: arguments[1]});
  const arrays = machine.run(inputs);
  return Object.fromEntries(arguments[2].map((name) => [name, [arrays[name].shape, Array.from(arrays[name].values)]]));
})().then(done, (error) => done(String(error)));
"""
COMPARED = {
    "probabilities": lambda logits, trace: jax.nn.sigmoid(logits),
    "read_weightings": lambda logits, trace: trace.read_weightings,
    "write_weightings": lambda logits, trace: trace.write_weightings,
    "reads": lambda logits, trace: trace.reads,
    "shift": lambda logits, trace: trace.controls.shift,
    "erase": lambda logits, trace: trace.controls.erase,
    "memory": lambda logits, trace: trace.memory,
}


@pytest.fixture(scope="module")
def page():
    with browser() as page:
        page.get("about:blank")
        for name in FILES:
            page.execute_script(pages.content(name))
        yield page
        assert complaints(page) == []


def in_page(page, model, inputs, names=tuple(COMPARED)):
    """What the page computes from inputs `[T, in]`, by name."""
    found = page.execute_async_script(
        RUN, machine.exported(model), packing.pack(inputs), list(names)
    )
    assert isinstance(found, dict), found
    return {name: np.reshape(values, shape) for name, (shape, values) in found.items()}


def in_python(model, inputs):
    logits, trace = models.unroll(model, jnp.asarray(inputs)[:, None], memory=True)
    return {name: np.asarray(call(logits, trace))[:, 0] for name, call in COMPARED.items()}


@pytest.mark.slow
@pytest.mark.parametrize("variant", sorted(tiny_models.VARIANTS.keys() - {"random_start"}))
def test_every_choice_of_the_cell(page, variant):
    model = tiny_models.make_cell(variant, param_dtype=jnp.float32)
    inputs = np.random.default_rng(1).standard_normal((9, tiny_models.INPUTS)).astype(np.float32)
    expected = in_python(model, inputs)
    for name, values in in_page(page, model, inputs).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_the_shipped_copy_model_answers_as_in_python(page):
    """Random inputs of random lengths, also ones that are not of the task."""
    source = sources.open_source(SHIPPED / "copy-ntm-ff")
    model = source.model(source.rows)
    rng = np.random.default_rng(2)
    for length in [*rng.integers(1, 40, 6), 120]:
        inputs = np.zeros((2 * length + 1, 9), np.float32)
        inputs[:length, :8] = rng.integers(0, 2, (length, 8))
        inputs[length, 8] = 1
        expected = in_python(model, inputs)["probabilities"]
        found = in_page(page, model, inputs, ["probabilities"])["probabilities"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(found[length + 1 :] > 0.5, inputs[:length, :8])
    noise = rng.random((30, 9)).astype(np.float32)
    found = in_page(page, model, noise, ["probabilities"])["probabilities"]
    np.testing.assert_allclose(found, in_python(model, noise)["probabilities"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*/weights.safetensors")), ids=lambda p: p.parent.name)  # fmt: skip
def test_every_shipped_model_answers_as_in_python(page, path):
    source = sources.open_source(path.parent)
    if source.trouble():
        pytest.skip(source.trouble())
    question = source.question(content.cases(source)[-1])
    expected = source.answer(question)["arrays"]
    names = ("probabilities", "read_weightings", "write_weightings")
    inputs = packing.unpack(expected["inputs"])
    found = in_page(page, source.model(source.rows), inputs, names)
    scored = packing.unpack(expected["mask"]) > 0
    for name in names:
        difference = np.abs(found[name] - packing.unpack(expected[name]))[scored]
        print({source.name: {name: float(difference.max())}})
        # Rounding adds up over as many as 1,000 steps, and sort tells priorities apart that differ by 0.001.
        assert difference.max() < 1e-2
        assert difference.mean() < 5e-4


def test_weights_are_exported_bit_for_bit():
    source = sources.open_source(SHIPPED / "copy-ntm-ff")
    exported = machine.exported(source.model(source.rows))
    kernel = source.model(source.rows).to_heads.kernel[...]
    np.testing.assert_array_equal(packing.unpack(exported["arrays"]["to_heads/kernel"]), kernel)
    size = sum(len(base64.b64decode(array["data"])) for array in exported["arrays"].values())
    assert size < 60_000


def test_what_the_page_cannot_run_is_not_exported():
    assert machine.exported(tiny_models.make_cell("random_start", param_dtype=jnp.float32)) is None
    assert machine.exported(tiny_models.make_cell(param_dtype=jnp.bfloat16)) is None
    halves = tiny_models.make_cell(param_dtype=jnp.float32, compute="bfloat16")
    assert machine.exported(halves) is None
    assert machine.exported(tiny_models.make_lstm()) is None
