"""The sentences of the documentation are short, and the script counts them as a reader would."""

import math

from scripts import sentences

MOST_WORDS = 15  # in the median sentence

PAGE = """\
# A heading is no sentence

<!-- nor is a comment. -->
A weighting has *N* numbers. They sum to [one](page.md); none is negative!

```
Code is left out. All of it.
```

| a table | too. |
| --- | --- |

- An item is a sentence
- Another `item with code.` ends here. ![A picture. Or two.](picture.png)

$$
w = 1. x
$$

It takes 0.5 to 0.65 of the time.
"""
FOUND = [
    "A weighting has N numbers.",
    "They sum to one; none is negative!",
    "An item is a sentence",
    "Another code ends here.",
    "It takes 0.5 to 0.65 of the time.",
]


def test_sentences_of_a_page():
    assert sentences.sentences(PAGE) == FOUND


def test_measures():
    found = sentences.measure([PAGE, "One two three. One two."])
    assert found.sentences == 7
    assert found.median == 5  # of 2, 3, 4, 5, 5, 7, 8
    assert found.percentile_90 == 8
    assert found.words_per_semicolon == 34
    assert found.longest[0] == FOUND[-1]
    assert sentences.measure(["No semicolon."]).words_per_semicolon == math.inf


def test_every_page_is_in_one_group():
    site, records = sentences.site(), sentences.records()
    assert not set(site) & set(records)
    names = {str(page.relative_to(sentences.ROOT)) for page in [*site, *records]}
    assert {"README.md", "docs/index.md", "docs/lab_book/copy.md", "CHANGELOG.md"} <= names
    assert "docs/reference/configuration.md" not in names


def test_the_sentences_are_short():
    median = sentences.measure(sentences.read(sentences.site())).median
    assert median <= MOST_WORDS, "see python scripts/sentences.py --each"
