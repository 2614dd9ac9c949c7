"""Weight files that are damaged or made up: a model, or one line that says what is wrong with them."""

import functools
import json
import resource
import struct
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from ntm_jax.errors import UserError
from ntm_jax.storage import fumin, weights
from ntm_jax.training.trainer import Trainer
from ntm_jax.web.viewer import sources
from tests.helpers import fumin_oracle
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.strategies import examples

SIZES = fumin_oracle.Sizes()
MOST_BYTES = 300_000_000  # that loading may take at a time; what files ask for is far more
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@functools.cache
def arrays():
    """Of a tiny model, by name; and its config as nested dicts."""
    config = tiny()
    content = weights.dump(Trainer(config).initial_state().parameters, config, 3)
    return safetensors.numpy.load(content), config.to_dict()


def safetensors_file(arrays, config, update="3"):
    text = config if isinstance(config, str) else json.dumps(config)
    return safetensors.numpy.save(arrays, {"config": text, "update": update})


@functools.cache
def go_file():
    return json.dumps([round(weight, 3) for weight in fumin_oracle.weights(SIZES)]).encode()


def check(content, load):
    """What `load` makes of a file is a model or one line, and takes no more memory than it should."""
    before, message = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, ""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            load(Path(file.name))
        except UserError as error:
            message = str(error)
    assert "\n" not in message
    assert len(message) < 2000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MOST_BYTES


def load_go(path):
    cell = fumin.load(path, **SIZES.keywords())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(cell))


def show(path):
    """As the viewer does: the model, and what there is to say of it."""
    source = sources.open_source(path)
    described = source.describe()
    assert described["parameters"] > 0


# ---- Bytes


@st.composite
def damaged(draw, whole):
    """Bytes of `whole`, cut short, changed, moved, or with something put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        end = min(place + draw(st.integers(1, 64)), len(content))
        match draw(st.sampled_from(["cut", "flip", "put", "fill", "twice", "length"])):
            case "cut":
                del content[place:]
            case "flip":
                content[place:end] = bytes(
                    byte ^ draw(st.integers(1, 255)) for byte in content[place : place + 1]
                )
            case "put":
                content[place:place] = draw(st.binary(min_size=1, max_size=16))
            case "fill":
                content[place:end] = draw(st.sampled_from([b"\0", b"\xff", b"[", b"9", b" "])) * (
                    end - place
                )
            case "twice":
                content[end:end] = content[place:end]
            case "length":  # of a safetensors file's header
                content[:8] = struct.pack(
                    "<Q", draw(st.integers(0, 2**64 - 1) | st.integers(0, 10**5))
                )
    return bytes(content)


def safetensors_damaged():
    return st.deferred(lambda: damaged(safetensors_file(*arrays())))


def go_damaged():
    return st.deferred(lambda: damaged(go_file()))


# ---- What the bytes say


@st.composite
def made_up_go(draw):
    """A JSON file of the right length or another, with something odd in it, in some encoding."""
    entries = json.loads(go_file())
    for _ in range(draw(st.integers(0, 2))):
        entries[draw(st.integers(0, len(entries) - 1))] = draw(
            JSON | st.sampled_from([1e999, 10**400, -1e39])
        )
    text = json.dumps(
        draw(st.just(entries) | st.just(entries[1:]) | st.just({"weights": entries}) | JSON)
    )
    opened, closed = draw(
        st.sampled_from([("", ""), ("[" * 10**5, ""), ("[" * 5000, "]" * 5000), ("\ufeff", "")])
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-16", "utf-32", "latin-1", "utf-7"]))
    return f"{opened}{text}{closed}".encode(encoding, "replace")


@st.composite
def made_up_safetensors(draw):
    """A sound file whose config, update or arrays are odd."""
    tensors, config = dict(arrays()[0]), json.loads(json.dumps(arrays()[1]))
    update = draw(st.just("3") | st.text(max_size=8) | st.just("9" * 5000))
    name = draw(st.sampled_from(sorted(tensors)))
    match draw(
        st.sampled_from(["value", "value", "value", "section", "no value", "more", "array", "text"])
    ):
        case "value":
            section = config[draw(st.sampled_from(["task", "model", "evaluate", "model"]))]
            odd = st.sampled_from(
                [-1, 0, 10**6, 10**9, 10**30, 7.5, True, "0", "lstm", None, [], {}, 1e999]
            )
            section[draw(st.sampled_from(sorted(section)))] = draw(odd | JSON)
        case "section":
            config[draw(st.sampled_from(sorted(config)))] = draw(JSON)
        case "no value":
            section = config[draw(st.sampled_from(["task", "model", "evaluate"]))]
            del section[draw(st.sampled_from(sorted(section)))]
        case "more":
            config["model"][draw(st.text(max_size=8))] = draw(JSON)
        case "text":
            config = draw(
                st.sampled_from(
                    ["[" * 10**5, "{", "[1]", "null", "NaN", '{"model": {}}', "\ud800"[:0]]
                )
            )
        case "array":
            odd = [
                np.zeros(0, np.float32),
                np.full_like(tensors[name], np.nan),
                tensors[name].T.copy(),
                np.int64(3),
            ]
            odd += [tensors[name].astype(kind) for kind in ("f2", "f8", "i1", "u8", "?")]
            tensors[name] = np.asarray(draw(st.sampled_from(odd)))
    return safetensors_file(tensors, config, update)


@st.composite
def other_headers(draw):
    """A safetensors file whose header lies about types, shapes and places."""
    whole = safetensors_file(*arrays())
    (length,) = struct.unpack("<Q", whole[:8])
    header, rest = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    entry = header[draw(st.sampled_from(sorted(header)))]
    field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "config", "more"]))
    kinds = ["F32", "F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "F8_E5M2", "F4", "C64", "X"]
    huge = st.lists(st.integers(0, 2**64), max_size=4)
    entry[field] = draw(st.sampled_from(kinds) | huge | JSON)
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + rest


FILES = {
    "go, damaged": (go_damaged(), load_go),
    "go, made up": (made_up_go(), load_go),
    "safetensors, damaged": (safetensors_damaged(), show),
    "safetensors, made up": (made_up_safetensors(), show),
    "safetensors, another header": (other_headers(), show),
}


@pytest.mark.parametrize("kind", FILES)
@examples(15, slow=False)
@given(data=st.data())
def test_a_file_is_a_model_or_one_line(kind, data):
    contents, load = FILES[kind]
    check(data.draw(contents), load)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
@examples(300)
@given(data=st.data())
def test_many_files_are(kind, data):
    contents, load = FILES[kind]
    check(data.draw(contents), load)
