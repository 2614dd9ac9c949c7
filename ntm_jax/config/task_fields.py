"""Defines the fields of `task`: their type, bounds and meaning, and their value in older runs.

They are also fields of the task's class, which has their defaults and refuses impossible
combinations. Each config file sets those that the command line may override.
"""

from ntm_jax.config.field import Field

_COPIES = ("copy", "repeat_copy")
_ACROSTIC = ("acrostic",)

TASK = {
    "task.name": Field(str, "Name of the task."),
    "task.min_length": Field(int, "Fewest vectors in a sequence.", 1, tasks=_COPIES),
    "task.max_length": Field(int, "Most vectors in a sequence.", 1, tasks=_COPIES),
    "task.zero_vector_percent": Field(
        int, "Percentage of vectors whose bits are all 0.", 0, 100, before=0, tasks=_COPIES
    ),
    "task.bits": Field(
        int,
        "Bits in a vector.",
        1,
        tasks=("copy", "repeat_copy", "associative_recall", "priority_sort"),
    ),
    "task.flags": Field(
        int, "1: a delimiter after the sequence. 2: one before it as well.", 1, 2, tasks=("copy",)
    ),
    "task.min_repeats": Field(int, "Fewest repetitions.", 1, tasks=("repeat_copy",)),
    "task.max_repeats": Field(int, "Most repetitions.", 1, tasks=("repeat_copy",)),
    "task.count": Field(
        str,
        "How the number of repetitions is shown. fumin/ntm uses binary and linear, with 6 bits.",
        choices=("scalar", "binary", "linear"),
        tasks=("repeat_copy",),
    ),
    "task.min_items": Field(int, "Fewest items in a list.", 2, tasks=("associative_recall",)),
    "task.max_items": Field(int, "Most items in a list.", 2, tasks=("associative_recall",)),
    "task.item_length": Field(int, "Vectors in an item.", 1, tasks=("associative_recall",)),
    "task.length": Field(int, "Bits in a sequence.", 2, tasks=("ngram",)),
    "task.context": Field(int, "Bits that decide the next one.", 1, 16, tasks=("ngram",)),
    "task.items": Field(int, "Vectors to sort.", 1, tasks=("priority_sort",)),
    "task.kept": Field(int, "Vectors in the answer.", 1, tasks=("priority_sort",)),
    "task.part": Field(
        str,
        "Part of the corpus.",
        choices=("train", "validation", "test"),
        tasks=_ACROSTIC,
    ),
    "task.form": Field(
        str,
        "Form of the poems, such as 5x8 for 8 lines of 5 characters. Empty: any.",
        tasks=_ACROSTIC,
    ),
    "task.keywords": Field(int, "Keywords in a line.", 0, 256, tasks=_ACROSTIC),
    "task.position": Field(
        int,
        "Position of the keywords in a line, from the end if negative. 0: random.",
        -255,
        255,
        tasks=_ACROSTIC,
    ),
    "task.extra_keywords_percent": Field(
        int,
        "In half of the poems, up to this percentage of the other characters are shown too.",
        0,
        100,
        tasks=_ACROSTIC,
    ),
    "task.concatenated_percent": Field(
        int,
        "Percentage of training's symbols in episodes of several poems.",
        0,
        100,
        before=0,
        tasks=_ACROSTIC,
    ),
    "task.irregular_weight": Field(
        int,
        "How many times as often poems with lines of other widths than 5 or 7 are drawn.",
        1,
        100,
        before=1,
        tasks=_ACROSTIC,
    ),
    "task.shifted_linefeeds_percent": Field(
        int,
        "Percentage of training's poems whose linefeeds are shifted.",
        0,
        100,
        before=0,
        tasks=_ACROSTIC,
    ),
    "task.message_like_percent": Field(
        int,
        "Percentage of training's poems whose keywords are placed as in messages.",
        0,
        100,
        before=0,
        tasks=_ACROSTIC,
    ),
    "task.shortest": Field(int, "Fewest characters and linefeeds in a poem.", 1, tasks=_ACROSTIC),
    "task.longest": Field(int, "Most characters and linefeeds in a poem.", 1, tasks=_ACROSTIC),
    "task.vocabulary": Field(int, "Characters that the model knows.", 1, 65_531, tasks=_ACROSTIC),
    "task.corpus": Field(str, "Path of the corpus.", tasks=_ACROSTIC),
}
