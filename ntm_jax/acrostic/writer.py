"""Writes poems with a trained model, by sampling or beam search, and traces its heads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ntm_jax import config as configs
from ntm_jax.acrostic.corpus import END, LINEFEED, MARKS, VOCABULARY
from ntm_jax.acrostic.rules import Form, Rules
from ntm_jax.errors import UserError
from ntm_jax.models.cell import NTMState
from ntm_jax.models.token_model import Embedded
from ntm_jax.storage import restore
from ntm_jax.tasks import losses


@dataclass(frozen=True)
class Poem:
    """Holds a poem, and the model's probabilities and weightings when it is forced to write it."""

    symbols: np.ndarray  # [S], whole numbers
    lines: tuple[str, ...]
    bits: float  # a character, linefeeds counted; -log2 of the model's own probabilities
    kept: int  # of the message's characters, those that were the most probable in their places
    # [2 S, A, N] at each step, read heads first; None of a model without memory.
    weightings: np.ndarray | None


class Writer:
    """Writes poems with an acrostics model and its vocabulary.

    Args:
      model: from `load`.
      vocabulary: the characters of the symbols from `MARKS` on.
    """

    def __init__(self, model: Embedded, vocabulary: str):
        self.vocabulary = vocabulary
        self._model, (self._structure, self._parameters) = model, nnx.split(model)

    @classmethod
    def load(cls, workdir: Path) -> "Writer":
        """Loads the newest checkpoint of a run.

        Raises:
          UserError: there is none, or the run is of another task.
        """
        config = configs.read(workdir / "config.json")
        if config.task.name != "acrostic":
            raise UserError(f"--model: {workdir} is of the task {config.task.name!r}, not acrostic")
        try:
            vocabulary = (workdir / VOCABULARY).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError):
            raise UserError(
                f"--model: {workdir / VOCABULARY} cannot be read; it belongs to the run"
            ) from None
        model = restore.load(workdir, memory_size=config.evaluate.memory_size or None)
        assert isinstance(model, Embedded)
        if len(vocabulary) > config.task.vocabulary:
            raise UserError(f"--model: {workdir / VOCABULARY} is not what the run was trained with")
        return cls(model, vocabulary)

    @property
    def size(self) -> int:
        """Returns the number of symbols, including marks. A model's vocabulary may be larger."""
        return MARKS + len(self.vocabulary)

    def symbols(self, text: str) -> tuple[int, ...]:
        """Returns the indices of characters, which must all be in the vocabulary."""
        return tuple(MARKS + self.vocabulary.index(character) for character in text)

    def sample(
        self, form: Form, rules: Rules, count: int, temperature: float, seed: Sequence[int]
    ) -> list[Poem]:
        """Samples `count` poems, each symbol from those the model and the rules allow.

        Args:
          form: of all of them.
          rules: for that form.
          count: of poems; the first few are the same however many there are.
          temperature: 1 draws as the model predicts; less gives more common characters.
          seed: whole numbers that decide what is drawn.
        """
        draws = [np.random.default_rng([*seed, poem]) for poem in range(count)]
        written = np.zeros((count, 0), int)
        state, scores = self._listen(form, count)
        for place in range(len(form.fixed)):
            chosen = np.array(
                [
                    _draw(row, rules.allowed(poem), temperature, draw)
                    for row, poem, draw in zip(scores, written, draws, strict=True)
                ]
            )
            written = np.concatenate([written, chosen[:, None]], axis=1)
            if place + 1 < len(form.fixed):
                state, scores = self._step(state, chosen)
        return self.follow(form, written)

    def search(
        self, form: Form, rules: Rules, width: int, costs: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns the most probable poems that beam search finds, `[K, S]`, best first; K is at most `width`.

        Args:
          form: of all of them.
          rules: for that form.
          width: beginnings that are continued at every place.
          costs: `[V]`, additional costs of symbols, in nats.
        """
        written, total = np.zeros((1, 0), int), np.zeros(1)
        state, scores = self._listen(form, 1)
        for place in range(len(form.fixed)):
            allowed = np.stack([rules.allowed(poem) for poem in written])
            # The message has its place whatever the model thinks of it, and decides between no beginnings.
            values = total[:, None] + _log_softmax(scores)
            if costs is not None:
                values -= costs
            values = np.where(allowed, values, -np.inf)
            kept = np.argsort(-values, axis=None, kind="stable")[:width]
            kept = kept[np.isfinite(values.reshape(-1)[kept])]
            parents, chosen = np.divmod(kept, values.shape[1])
            written = np.concatenate([written[parents], chosen[:, None]], axis=1)
            total = values.reshape(-1)[kept]
            if place + 1 < len(form.fixed):
                state = jax.tree.map(lambda x, of=parents: x[of], state)
                state, scores = self._step(state, chosen)
        return written

    def follow(self, form: Form, poems: np.ndarray) -> list[Poem]:
        """Returns the model's probabilities and weightings when it is forced to write poems `[B, S]`."""
        fixed = form.fixed
        seen: list[Any] = []
        state, scores = self._listen(form, len(poems), seen)
        every = [scores]
        for symbols in poems.T[:-1]:
            state, scores = self._step(state, symbols)
            seen.append(state)
            every.append(scores)
        logs = _log_softmax(np.stack(every, axis=1))  # [B, S, V]
        costs = -np.take_along_axis(logs, poems[:, :, None], axis=2)[:, :, 0] * losses.BITS_PER_NAT
        own = (logs.argmax(axis=2) == fixed) & (fixed >= MARKS)
        weightings = [None] * len(poems)
        if isinstance(state, NTMState):
            weightings = list(np.stack([np.asarray(one.weightings) for one in seen], axis=1))
        return [
            Poem(
                poem,
                tuple(self.text(poem).splitlines()),
                float(cost.mean()),
                int(kept.sum()),
                trace,
            )
            for poem, cost, kept, trace in zip(poems, costs, own, weightings, strict=True)
        ]

    def text(self, symbols: Iterable[int]) -> str:
        """Characters and linefeeds; no other marks."""
        return "".join("\n" if s == LINEFEED else self.vocabulary[s - MARKS] for s in symbols)

    def _listen(
        self, form: Form, count: int, seen: list[Any] | None = None
    ) -> tuple[Any, np.ndarray]:
        """Returns the states of `count` poems after the form was shown, and the logits of their first symbols."""
        state, scores = self._model.initial_state((count,)), np.zeros(0)
        for symbol in [*form.asked, END]:
            state, scores = self._step(state, np.full(count, symbol))
            if seen is not None:
                seen.append(state)
        return state, scores

    def _step(self, state: Any, symbols: np.ndarray) -> tuple[Any, np.ndarray]:
        state, scores = _step(
            self._structure, self._parameters, state, jnp.asarray(symbols, jnp.int32)
        )
        return state, np.asarray(scores, np.float64)[:, : self.size]


@partial(jax.jit, static_argnums=0)
def _step(structure: Any, parameters: Any, state: Any, symbols: jax.Array) -> tuple[Any, jax.Array]:
    model = nnx.merge(structure, parameters)
    state, outputs = model.core(state, model.embed(symbols[:, None]))
    return state, model.logits(outputs)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _draw(
    scores: np.ndarray, allowed: np.ndarray, temperature: float, draw: np.random.Generator
) -> int:
    """Draws one of the allowed symbols, by the Gumbel trick. The number of draws is always the same."""
    noise = draw.gumbel(size=scores.size)
    return int(np.argmax(np.where(allowed, scores / temperature + noise, -np.inf)))
