"""Compares ways of writing acrostics: bits a character, and how much the poems of one message differ.

  python scripts/compare_poems.py

Distance is the share of places, among those that the message leaves free, at which two poems of one message have
different characters. The table has means over twenty messages; the last distance is the least of all pairs.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ntm_jax.acrostic import decoding
from ntm_jax.acrostic.__main__ import MODEL
from ntm_jax.acrostic.readings import Readings
from ntm_jax.acrostic.request import USUAL_BEAM, USUAL_TEMPERATURE
from ntm_jax.acrostic.rules import FREE, Form, Rules
from ntm_jax.acrostic.writer import Poem, Writer

MESSAGES = (
    "紅春願此 山水清風 平安喜樂 機器學習 中秋快樂 生日快樂 天長地久 花好月圓 春夏秋冬 東西南北 "
    "長安古道 故人西去 江南夜雨 詩酒年華 青山不老 一路平安 我心如水 白雲千里 人生如夢 梅蘭竹菊"
)
POEMS = 3
EARLIER_TEMPERATURE = 0.7  # the default of 0.2.0
Write = Callable[[Form], list[Poem]]


def main() -> None:
    """Prints a table of the ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=MODEL, help=f"a run's folder ({MODEL})")
    parser.add_argument("--poems", action="store_true", help="print the poems too")
    options = parser.parse_args()
    writer = Writer.load(options.model)
    print("| | bits a character | of the best | distance | least | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, write in ways(writer).items():
        print(row(name, write, writer, options.poems), flush=True)


def ways(writer: Writer) -> dict[str, Write]:
    """Returns functions that write `POEMS` poems of a form."""
    readings = Readings(writer.vocabulary)

    def rules(form: Form, sounds: bool = True) -> Rules:
        return Rules(form, writer.size, readings, rhyme=sounds, tones=sounds)

    def drawn_once(form: Form) -> list[Poem]:
        return writer.sample(form, rules(form, sounds=False), POEMS, EARLIER_TEMPERATURE, [0])

    def one_beam(form: Form) -> list[Poem]:
        return writer.follow(form, writer.search(form, rules(form), USUAL_BEAM)[:POEMS])

    def best(form: Form, sounds: bool = True) -> list[Poem]:
        return decoding.find_best(writer, form, rules(form, sounds), POEMS, USUAL_BEAM)

    def surprise(form: Form) -> list[Poem]:
        return decoding.draw(writer, form, rules(form), POEMS, USUAL_TEMPERATURE, 0)

    return {
        "0.2.0: drawn, no rhyme or tones": drawn_once,
        "the best of one beam": one_beam,
        "default: a beam a poem": best,
        "default, no rhyme or tones": lambda form: best(form, sounds=False),
        "surprise: the best of 8 drawn": surprise,
    }


def row(name: str, write: Write, writer: Writer, shown: bool) -> str:
    """Returns one way's line of the table."""
    bits: list[list[float]] = []
    distances: list[float] = []
    seconds: list[float] = []
    for message in MESSAGES.split():
        form = Form(writer.symbols(message))
        start = time.perf_counter()
        poems = sorted(write(form), key=lambda poem: poem.bits)
        seconds.append(time.perf_counter() - start)
        bits.append([poem.bits for poem in poems])
        distances += pairwise(form, [poem.symbols for poem in poems])
        if shown:
            print("; ".join(f"{'/'.join(poem.lines)} {poem.bits:.2f}" for poem in poems))
    mean, first = np.mean(bits), np.mean(bits, axis=0)[0]
    apart = f"{np.mean(distances):.2f} | {np.min(distances):.2f}"
    return f"| {name} | {mean:.2f} | {first:.2f} | {apart} | {np.median(seconds):.1f} |"


def pairwise(form: Form, poems: list[np.ndarray]) -> list[float]:
    """Returns the distance of each pair of poems, from 0 to 1."""
    free = form.fixed == FREE
    pairs = itertools.combinations(poems, 2)
    return [float(np.mean(one[free] != other[free])) for one, other in pairs]


if __name__ == "__main__":
    main()
