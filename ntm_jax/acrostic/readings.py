"""Gives tones and rhymes of characters, from their most common Cantonese reading.

Of the languages that have a kept-up dictionary, Cantonese is nearest to what the Tang poets heard: it has kept the
endings -p, -t, -k and with them the oblique 'entering' tone, which Mandarin has lost. Romanised in Jyutping, ceon1.
"""

from functools import lru_cache

import numpy as np

from ntm_jax.errors import needs

LEVEL_TONES = "14"
STOPS = "ptk"
INITIALS = ("gw", "kw", "ng", *"bpmfdtnlgkhwzcsj")  # the longest first


@lru_cache(maxsize=8192)
def reading(character: str) -> str | None:
    """Returns a reading like ceon1; None for a character that is in no dictionary."""
    with needs("acrostic"):
        import ToJyutping
    found = ToJyutping.get_jyutping_candidates(character)[0][1]
    return found[0] if found else None


def is_level(sound: str) -> bool:
    """Returns whether a reading has a level tone (平), not an oblique one (仄)."""
    return sound[-1] in LEVEL_TONES and sound[-2] not in STOPS


def rhyme(sound: str) -> str:
    """Returns the vowel and what follows it: eon of ceon1."""
    syllable = sound[:-1]
    if syllable in ("m", "ng"):
        return syllable
    for initial in INITIALS:
        if syllable.startswith(initial) and len(syllable) > len(initial):
            return syllable[len(initial) :]
    return syllable


class Readings:
    """Holds the readings of a vocabulary of V characters.

    Attributes:
      level, oblique: `[V]`, whether it has such a tone; neither where it has no reading.
      rhymes: `[V]`, a number for each rhyme, -1 where it has no reading.
    """

    def __init__(self, vocabulary: str):
        sounds = [reading(character) for character in vocabulary]
        known = np.array([sound is not None for sound in sounds])
        self.level = np.array([sound is not None and is_level(sound) for sound in sounds])
        self.oblique = known & ~self.level
        names = [rhyme(sound) if sound else "" for sound in sounds]
        numbers = {name: number for number, name in enumerate(sorted({*names} - {""}))}
        self.rhymes = np.array([numbers.get(name, -1) for name in names])
