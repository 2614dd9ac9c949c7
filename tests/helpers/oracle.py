"""The paper's equations (arXiv 1410.5401) as loops over NumPy numbers: slow, plain, and all float64.

Written from the paper and sharing no code with `ntm_jax`; only the names of the parameters and the order
of the raw head controls are the ones that package documents.
"""

import math
from dataclasses import dataclass

import numpy as np

DEFAULTS = {
    "controller": "feedforward",
    "activation": "tanh",
    "memory_size": 7,
    "word_size": 4,
    "read_heads": 1,
    "write_heads": 1,
    "shift_range": 1,
    "key_activation": "tanh",
    "strength_activation": "softplus",
    "shift_activation": "softmax",
    "add_activation": "tanh",
    "shared_weighting": False,
    "reads_from": "written",
    "output_reads": True,
    "initial_memory": "constant",
    "initial_weighting": "first_row",
    "initial_reads": "zeros",
    "cosine_epsilon": 1e-6,
}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log(1 + math.exp(x))


def softmax(scores):
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return np.array([e / sum(exponentials) for e in exponentials])


SCALARS = {
    "identity": lambda x: x,
    "tanh": math.tanh,
    "sigmoid": sigmoid,
    "relu": lambda x: max(x, 0.0),
    "softplus": softplus,
    "exp": math.exp,
}


def each(name, values):
    return np.array([SCALARS[name](value) for value in values])


# Section 3.3: addressing.


def cosine(key, row, epsilon=1e-6):
    dot = sum(k * m for k, m in zip(key, row, strict=True))
    key_squared = sum(k * k for k in key)
    row_squared = sum(m * m for m in row)
    return dot / math.sqrt(key_squared * row_squared + epsilon)


def content_weighting(memory, key, strength, epsilon=1e-6):
    return softmax([strength * cosine(key, row, epsilon) for row in memory])


def interpolate(content, previous, gate):
    return np.array([gate * c + (1 - gate) * p for c, p in zip(content, previous, strict=True)])


def convolve(weighting, shift):
    rows, reach = len(weighting), len(shift) // 2
    probability = np.zeros(rows)
    for move in range(-reach, reach + 1):
        probability[move % rows] += shift[move + reach]
    moved = np.zeros(rows)
    for i in range(rows):
        for j in range(rows):
            moved[i] += weighting[j] * probability[(i - j) % rows]
    return moved


def sharpen(weighting, sharpening):
    powers = [w**sharpening for w in weighting]
    return np.array([power / sum(powers) for power in powers])


def address(memory, previous, key, strength, gate, shift, sharpening, epsilon=1e-6):
    content = content_weighting(memory, key, strength, epsilon)
    return sharpen(convolve(interpolate(content, previous, gate), shift), sharpening)


# Sections 3.1 and 3.2: reading and writing.


def read(memory, weighting):
    vector = np.zeros(memory.shape[1])
    for i, row in enumerate(memory):
        for j, value in enumerate(row):
            vector[j] += weighting[i] * value
    return vector


def write(memory, weightings, erases, adds):
    memory = memory.copy()
    for weighting, erase in zip(weightings, erases, strict=True):
        for i in range(memory.shape[0]):
            for j in range(memory.shape[1]):
                memory[i, j] *= 1 - weighting[i] * erase[j]
    for weighting, add in zip(weightings, adds, strict=True):
        for i in range(memory.shape[0]):
            for j in range(memory.shape[1]):
                memory[i, j] += weighting[i] * add[j]
    return memory


# Section 3.4: controllers.


def affine(layer, inputs):
    kernel, bias = layer["kernel"], layer["bias"]
    return np.array(
        [
            bias[unit] + sum(kernel[i, unit] * x for i, x in enumerate(inputs))
            for unit in range(kernel.shape[1])
        ]
    )


def feed_forward(layer, activation, inputs):
    return each(activation, affine(layer, inputs))


def lstm_layer(layer, inputs, hidden, cell):
    size = len(hidden)
    sums = affine(layer, [*inputs, *hidden])
    new_hidden, new_cell = np.zeros(size), np.zeros(size)
    for unit in range(size):
        enter = sigmoid(sums[unit])
        forget = sigmoid(sums[size + unit])
        candidate = math.tanh(sums[2 * size + unit])
        leave = sigmoid(sums[3 * size + unit])
        new_cell[unit] = forget * cell[unit] + enter * candidate
        new_hidden[unit] = leave * math.tanh(new_cell[unit])
    return new_hidden, new_cell


def stacked_lstm(layers, inputs, carry):
    new_carry = []
    for i, (hidden, cell) in enumerate(carry):
        hidden, cell = lstm_layer(layers[i], inputs, hidden, cell)
        new_carry.append((hidden, cell))
        inputs = hidden
    return new_carry, inputs


def zero_carry(layers):
    sizes = [layers[i]["bias"].size // 4 for i in sorted(layers)]
    return [(np.zeros(size), np.zeros(size)) for size in sizes]


# The heads' controls.


def shift_probabilities(kind, raw):
    if kind == "softmax":
        return softmax(raw)
    z = 2 * sigmoid(raw[0]) - 1  # rows at i + z move to i
    down, rest = (z, 0.0) if z > 0 else (0.0, -z)
    return np.array([down, 1 - down - rest, rest])


def addressing_count(options):
    if options["shared_weighting"]:
        return options["read_heads"]
    return options["read_heads"] + options["write_heads"]


def controls(raw, options):
    """One dict for each addressing (key ... sharpening), and one for each write head (erase, add)."""
    numbers = iter(raw)
    width = options["word_size"]
    moves = 1 if options["shift_activation"] == "interpolated" else 2 * options["shift_range"] + 1

    def take(heads, size):
        return [[next(numbers) for _ in range(size)] for _ in range(heads)]

    a, h = addressing_count(options), options["write_heads"]
    keys, strengths, gates = take(a, width), take(a, 1), take(a, 1)
    shifts, sharpenings = take(a, moves), take(a, 1)
    erases, adds = take(h, width), take(h, width)
    assert next(numbers, None) is None

    addressings = [
        {
            "key": each(options["key_activation"], keys[i]),
            "strength": each(options["strength_activation"], strengths[i])[0],
            "gate": sigmoid(gates[i][0]),
            "shift": shift_probabilities(options["shift_activation"], shifts[i]),
            "sharpening": 1 + softplus(sharpenings[i][0]),
        }
        for i in range(a)
    ]
    writes = [
        {"erase": each("sigmoid", erases[i]), "add": each(options["add_activation"], adds[i])}
        for i in range(h)
    ]
    return addressings, writes


# One whole step of the machine.


@dataclass
class State:
    memory: np.ndarray
    weightings: list
    reads: list
    carry: list


def initial_state(parameters, options):
    rows, width = options["memory_size"], options["word_size"]
    heads, values = addressing_count(options), parameters.get("initial", {})

    memory = np.zeros((rows, width))
    for i in range(rows):
        for j in range(width):
            memory[i, j] = {
                "constant": lambda i, j: 1e-6,
                "learned_row": lambda i, j: values["row_values"][j],
                "learned": lambda i, j: values["memory_values"][i, j],
            }[options["initial_memory"]](i, j)

    match options["initial_weighting"]:
        case "first_row":
            weightings = [np.array([1.0] + [0.0] * (rows - 1)) for _ in range(heads)]
        case "uniform":
            weightings = [np.full(rows, 1 / rows) for _ in range(heads)]
        case "learned":
            weightings = [softmax(values["weighting_logits"][head]) for head in range(heads)]

    match options["initial_reads"]:
        case "zeros":
            reads = [np.zeros(width) for _ in range(options["read_heads"])]
        case "learned":
            reads = list(values["read_values"])
        case "memory":
            reads = [read(memory, weightings[head]) for head in range(options["read_heads"])]

    lstm = options["controller"] == "lstm"
    carry = zero_carry(parameters["controller"]["layers"]) if lstm else []
    return State(memory, weightings, reads, carry)


def step(parameters, options, state, inputs):
    """New state and logits of one example."""
    seen = np.concatenate([inputs, *state.reads])
    if options["controller"] == "lstm":
        carry, hidden = stacked_lstm(parameters["controller"]["layers"], seen, state.carry)
    else:
        layer = parameters["controller"]["linear"]
        carry, hidden = [], feed_forward(layer, options["activation"], seen)

    addressings, writes = controls(affine(parameters["to_heads"], hidden), options)
    weightings = [
        address(state.memory, previous, **told, epsilon=options["cosine_epsilon"])
        for previous, told in zip(state.weightings, addressings, strict=True)
    ]
    first_write = 0 if options["shared_weighting"] else options["read_heads"]
    written = write(
        state.memory,
        weightings[first_write:],
        [told["erase"] for told in writes],
        [told["add"] for told in writes],
    )
    source = {"written": written, "previous": state.memory}[options["reads_from"]]
    reads = [read(source, weightings[head]) for head in range(options["read_heads"])]

    shown = np.concatenate([hidden, *reads]) if options["output_reads"] else hidden
    return State(written, weightings, reads, carry), affine(parameters["to_output"], shown)


def unroll(parameters, options, inputs, state=None):
    """Logits and the states after each step, of one example `[T, input_size]`."""
    state = initial_state(parameters, options) if state is None else state
    logits, states = [], []
    for x in inputs:
        state, y = step(parameters, options, state, x)
        logits.append(y)
        states.append(state)
    return np.array(logits), states


def lstm_unroll(parameters, inputs):
    """Logits of the baseline for one example `[T, input_size]`."""
    layers = parameters["layers"]["layers"]
    carry, logits = zero_carry(layers), []
    for x in inputs:
        carry, hidden = stacked_lstm(layers, x, carry)
        logits.append(affine(parameters["to_output"], hidden))
    return np.array(logits)
