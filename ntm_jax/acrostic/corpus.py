"""Builds and loads the corpus: poems as whole numbers, stored in one file.

Numbers 0 to 3 are marks, characters follow, the most frequent first. A poem is its lines, each ended by a linefeed.
"""

import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic.download import NAME, VERSION, RawPoem
from ntm_jax.errors import UserError
from ntm_jax.storage import files

UNKNOWN, BLANK, LINEFEED, END = range(4)
MARKS = 4
DEFAULT = "runs/corpus/quantangshi.npz"
VOCABULARY = "vocabulary.txt"  # in a run's folder, the characters, so that writing needs no corpus
LAYOUT = 1  # of the file
MOST_LINES = 32
MOST_SYMBOLS = 256  # of a poem, linefeeds counted; longer ones end with the last line within
CHARACTERS = 3000
FOLDS = 20  # sha1(id) mod 20: 0 is the test, 1 validation, the rest is trained on
PARTS = {"test": (0, 1), "validation": (1, 2), "train": (2, FOLDS)}

# Notes on variants and sources, conjectures, and characters described by their parts.
NOTE = re.compile(
    r"（[^（）]*）|\([^()]*\)|\[[^\[\]]*\]|〖[^〖〗]*〗|\{[^{}]*\}|〈[^〈〉]*〉|【[^【】]*】"
)
LINE_END = re.compile(r"[，。？！；：、…,.?!;:\n]+")
# All but ideographs and the signs for characters that are lost: quotation marks, digits, brackets without a partner.
NO_CHARACTER = re.compile(r"[^\u3400-\u9fff\uf900-\ufaff\ue000-\uf8ff\U00020000-\U0003ffff〇□○●]")


@dataclass(frozen=True, eq=False)
class Corpus:
    """Holds P poems, in the package's order."""

    characters: str  # of the numbers from `MARKS` on
    text: np.ndarray  # [symbols], uint16
    starts: np.ndarray  # [P + 1], int64: poem i is text[starts[i]:starts[i + 1]]
    folds: np.ndarray  # [P], uint8, sha1(id) mod 20
    provenance: dict[str, Any]

    def part(self, name: str) -> np.ndarray:
        """Returns the poems of a part, `[p]`."""
        first, end = PARTS[name]
        return np.flatnonzero((self.folds >= first) & (self.folds < end))

    @property
    def lengths(self) -> np.ndarray:
        """Symbols of each poem, linefeeds counted, `[P]`."""
        return np.diff(self.starts)

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Lines of each poem `[P]`, and how many characters each of them has `[P]`, 0 where they differ."""
        ends = np.flatnonzero(self.text == LINEFEED)
        widths = np.diff(ends, prepend=-1) - 1
        bounds = np.searchsorted(ends, self.starts)
        count = np.diff(bounds)
        least = np.minimum.reduceat(widths, bounds[:-1])
        most = np.maximum.reduceat(widths, bounds[:-1])
        return count, np.where(least == most, most, 0)

    def on_device(self) -> tuple[jax.Array, jax.Array]:
        """Returns text and starts as int32 device arrays, also during tracing."""
        return _on_device(self)

    def poem(self, number: int) -> list[str]:
        """Returns the lines of one poem; `□` stands for an unknown character."""
        marks = {UNKNOWN: "□", LINEFEED: "\n"}
        symbols = self.text[self.starts[number] : self.starts[number + 1]].tolist()
        text = "".join(marks.get(s) or self.characters[s - MARKS] for s in symbols)
        return text.split("\n")[:-1]


@lru_cache(maxsize=4)
def _on_device(found: Corpus) -> tuple[jax.Array, jax.Array]:
    with jax.ensure_compile_time_eval():
        return jnp.asarray(found.text, jnp.int32), jnp.asarray(found.starts, jnp.int32)


def clean(paragraphs: Iterable[str]) -> list[str]:
    """Returns the lines of a poem, split at punctuation, without notes in brackets and with characters only."""
    text, before = "\n".join(paragraphs), None
    while before != text:  # brackets in brackets
        before, text = text, NOTE.sub("", text)
    lines = (NO_CHARACTER.sub("", line) for line in LINE_END.split(text))
    return [line for line in lines if line]


def fold(poem_id: str) -> int:
    """Returns which of the `FOLDS` parts a poem is in."""
    return int(hashlib.sha1(poem_id.encode(), usedforsecurity=False).hexdigest(), 16) % FOLDS


def build(raw: Sequence[RawPoem], characters: int = CHARACTERS) -> Corpus:
    """Builds the corpus from the package's poems, without empty poems and duplicates.

    Args:
      raw: in the package's order.
      characters: how many to keep: the most frequent of the training part.

    Raises:
      UserError: a part is empty.
    """
    seen: set[str] = set()
    poems: list[tuple[int, list[str]]] = []
    for poem in raw:
        lines = clean(poem.paragraphs)
        text = "".join(lines)
        if text and text not in seen and len(lines[0]) < MOST_SYMBOLS:
            seen.add(text)
            poems.append((fold(poem.id), lines))
    first, end = PARTS["train"]
    counts = Counter("".join("".join(lines) for f, lines in poems if first <= f < end))
    kept = sorted(counts, key=lambda c: (-counts[c], c))[:characters]
    number = {character: MARKS + i for i, character in enumerate(kept)}
    coded = [_coded(lines, number) for _, lines in poems]
    provenance = {
        "package": f"{NAME}@{VERSION}",
        "licence": "MIT",
        "poems_in_package": len(raw),
        "poems": len(poems),
        **{f"poems_{name}": sum(a <= f < b for f, _ in poems) for name, (a, b) in PARTS.items()},
        "characters": sum(int(np.sum(symbols != LINEFEED)) for symbols in coded),
        "vocabulary": len(kept),
        "covered": round(sum(counts[c] for c in kept) / max(sum(counts.values()), 1), 4),
    }
    for name in PARTS:
        if not provenance[f"poems_{name}"]:
            raise UserError(f"acrostic: of {len(poems)} poems none is for {name}; more are needed")
    return Corpus(
        characters="".join(kept),
        text=np.concatenate(coded).astype(np.uint16),
        starts=np.cumsum([0, *map(len, coded)]),
        folds=np.array([f for f, _ in poems], np.uint8),
        provenance=provenance,
    )


def _coded(lines: list[str], number: dict[str, int]) -> np.ndarray:
    symbols: list[int] = []
    for line in lines[:MOST_LINES]:
        coded = [*(number.get(character, UNKNOWN) for character in line), LINEFEED]
        if len(symbols) + len(coded) > MOST_SYMBOLS:
            break
        symbols += coded
    return np.array(symbols)


def save(corpus: Corpus, path: Path) -> None:
    """Writes the corpus's file atomically.

    Raises:
      UserError: it cannot be written.
    """
    arrays = _arrays(corpus)
    provenance = {"layout": LAYOUT, **corpus.provenance, "sha256": _checksum(arrays)}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays, provenance=np.array(json.dumps(provenance)))  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, content.getvalue())
    except OSError as error:
        raise UserError(f"--to: {path} cannot be written ({error.strerror})") from None


def load(path: str | Path) -> Corpus:
    """Loads and checks the corpus in a file.

    Raises:
      UserError: not there, damaged, or of another version.
    """
    try:
        status = Path(path).stat()
    except OSError:
        raise UserError(
            f"task.corpus: there is no {path}; run: python -m ntm_jax.acrostic.prepare"
        ) from None
    return _load(str(path), status.st_mtime_ns)


@lru_cache(maxsize=4)
def _load(path: str, changed: int) -> Corpus:
    again = "run: python -m ntm_jax.acrostic.prepare"
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as content:
            provenance = json.loads(str(content["provenance"]))
            arrays = {name: content[name] for name in ("characters", "text", "starts", "folds")}
        expected = provenance.pop("sha256"), provenance.pop("layout")
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile):
        raise UserError(f"task.corpus: {path} is damaged; {again}") from None
    if expected[1] != LAYOUT:
        raise UserError(f"task.corpus: {path} is of another version; {again}")
    if expected[0] != _checksum(arrays):
        raise UserError(f"task.corpus: {path} is damaged, its checksum differs; {again}")
    characters = str(arrays.pop("characters"))
    return Corpus(characters, **arrays, provenance=provenance)


def _arrays(corpus: Corpus) -> dict[str, np.ndarray]:
    return {
        "characters": np.array(corpus.characters),
        "text": corpus.text,
        "starts": corpus.starts,
        "folds": corpus.folds,
    }


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()
