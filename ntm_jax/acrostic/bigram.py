"""Computes the costs of a bigram and a unigram model, for comparison.

Interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1998, section 3): from n(v, w), how often w came
after v in the training part,

    P(w | v) = max(n(v, w) - D, 0) / n(v) + D · N(v, ·) / n(v) · N(·, w) / N(·, ·)

with N(v, ·) how many different symbols came after v, N(·, w) before w, N(·, ·) pairs in all, and the discount
D = n1 / (n1 + 2 n2) from the numbers of pairs seen once and twice. A symbol that was never seen shares with all
others a last pair that stands for it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ntm_jax.acrostic.corpus import END, Corpus


@dataclass(frozen=True, eq=False)
class Bigram:
    """Counts of the training part, of V symbols."""

    pairs: np.ndarray  # [K], v · V + w, sorted
    counts: np.ndarray  # [K], n(v, w)
    totals: np.ndarray  # [V], n(v)
    followers: np.ndarray  # [V], N(v, ·)
    continuation: np.ndarray  # [V], N(·, w) / N(·, ·)
    unigram: np.ndarray  # [V]
    discount: float

    def probability(self, before: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Returns P(w | v) for arrays of one shape. After an unseen symbol, it is the continuation probability."""
        size = len(self.totals)
        pairs = before.astype(np.int64) * size + symbols
        places = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        count = np.where(self.pairs[places] == pairs, self.counts[places], 0)
        total = self.totals[before]
        left = np.where(
            total > 0, self.discount * self.followers[before] / np.maximum(total, 1), 1.0
        )
        direct = np.maximum(count - self.discount, 0) / np.maximum(total, 1)
        return direct + left * self.continuation[symbols]


def fit(sequences: list[np.ndarray], size: int) -> Bigram:
    """Fits sequences of numbers below `size`, each preceded by `END`."""
    symbols = np.concatenate(sequences).astype(np.int64)
    before = np.concatenate([np.concatenate([[END], one[:-1]]) for one in sequences])
    pairs, counts = np.unique(before.astype(np.int64) * size + symbols, return_counts=True)
    first, second = np.divmod(pairs, size)
    once, twice = (int(np.sum(counts == n)) for n in (1, 2))
    seen_before = np.bincount(second, minlength=size)
    unigram = np.bincount(symbols, minlength=size)
    return Bigram(
        pairs=pairs,
        counts=counts,
        totals=np.bincount(first, weights=counts, minlength=size),
        followers=np.bincount(first, minlength=size),
        continuation=_with_unseen(seen_before),
        unigram=_with_unseen(unigram),
        discount=once / (once + 2 * twice) if once else 0.5,
    )


def _with_unseen(counts: np.ndarray) -> np.ndarray:
    """Counts as probabilities, with one more count that all share; where all were seen, without."""
    if counts.all():
        return counts / counts.sum()
    return (counts + 1 / len(counts)) / (counts.sum() + 1)


@lru_cache(maxsize=2)
def of_corpus(corpus: Corpus, size: int) -> Bigram:
    """Fits the training part of a corpus."""
    parts = [corpus.text[corpus.starts[i] : corpus.starts[i + 1]] for i in corpus.part("train")]
    return fit(parts, size)
