"""The cell of the Go implementation as loops over one flat list of weights, and a list of such weights.

Written from the description of `fumin/ntm`, sharing no code with `ntm_jax`.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from tests.helpers.oracle import sigmoid, softmax, softplus


@dataclass
class Sizes:
    """What a weight file does not say about itself."""

    input_size: int = 3
    output_size: int = 2
    controller_size: int = 5
    heads: int = 2
    memory_size: int = 7
    word_size: int = 4

    def shapes(self):
        return [
            (self.controller_size, self.heads * self.word_size + self.input_size + 1),
            (self.output_size + self.heads * (3 * self.word_size + 4), self.controller_size + 1),
            (self.heads, self.memory_size),
            (self.memory_size, self.word_size),
        ]

    def count(self):
        return sum(rows * columns for rows, columns in self.shapes())

    def keywords(self):
        return asdict(self)


def weights(sizes, seed=0):
    """A flat list of random weights, as a file holds it."""
    return np.random.default_rng(seed).normal(scale=0.7, size=sizes.count())


def matrices(flat, sizes):
    numbers = iter(flat)
    parts = []
    for rows, columns in sizes.shapes():
        parts.append([[next(numbers) for _ in range(columns)] for _ in range(rows)])
    assert next(numbers, None) is None
    return parts


def dot(row, column):
    return sum(a * b for a, b in zip(row, column, strict=True))


def weighting(memory, previous, key, strength, gate, shift, sharpening):
    rows = len(memory)
    similarity = [dot(key, row) / math.sqrt(dot(key, key) * dot(row, row)) for row in memory]
    content = softmax([math.exp(strength) * s for s in similarity])
    g = sigmoid(gate)
    gated = [g * content[i] + (1 - g) * previous[i] for i in range(rows)]
    z = math.fmod(2 * sigmoid(shift) - 1 + rows, rows)
    whole, part = math.floor(z), z - math.floor(z)
    shifted = [
        gated[(i + whole) % rows] * (1 - part) + gated[(i + whole + 1) % rows] * part
        for i in range(rows)
    ]
    powers = [s ** (1 + softplus(sharpening)) for s in shifted]
    return [p / sum(powers) for p in powers]


def read(memory, w):
    return [sum(w[i] * memory[i][j] for i in range(len(memory))) for j in range(len(memory[0]))]


def episode(flat, sizes, inputs):
    """Predictions `[T, output_size]` and weightings `[heads, T, N]` of one sequence."""
    controller, output, logits, memory = matrices(flat, sizes)
    width, heads = sizes.word_size, range(sizes.heads)
    w = [softmax(logits[head]) for head in heads]
    reads = [read(memory, w[head]) for head in heads]
    predictions, history = [], []
    for x in inputs:
        seen = [value for r in reads for value in r] + list(x) + [1.0]
        hidden = [sigmoid(dot(row, seen)) for row in controller]
        out = [dot(row, [*hidden, 1.0]) for row in output]
        predictions.append([sigmoid(y) for y in out[: sizes.output_size]])

        told = []
        for head in heads:
            start = sizes.output_size + head * (3 * width + 4)
            raw = out[start : start + 3 * width + 4]
            erase = [sigmoid(value) for value in raw[:width]]
            add = [sigmoid(value) for value in raw[width : 2 * width]]
            w[head] = weighting(memory, w[head], raw[2 * width : 3 * width], *raw[3 * width :])
            told.append((erase, add))
        history.append([list(w[head]) for head in heads])
        reads = [read(memory, w[head]) for head in heads]

        new = []
        for i, row in enumerate(memory):
            new.append([])
            for j, value in enumerate(row):
                for head, (erase, _) in enumerate(told):
                    value *= 1 - w[head][i] * erase[j]
                for head, (_, add) in enumerate(told):
                    value += w[head][i] * add[j]
                new[i].append(value)
        memory = new
    return np.array(predictions), np.array(history).transpose(1, 0, 2)


def loss_nats(predictions, targets):
    total = 0.0
    for p, y in zip(np.ravel(predictions), np.ravel(targets), strict=True):
        total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    return total
