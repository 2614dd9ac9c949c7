"""Measures how long the sentences of the documentation are: `python scripts/sentences.py`.

The README and the pages of the site are measured together. So are the records, which are the lab book and
the changelog. Code, tables, headings, formulas and the generated page are left out. A piece of inline code counts
as one word.
"""

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ntm_jax.cli import Parser, run_program

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("README.md", "CONTRIBUTING.md", "runs/README.md")
GENERATED = ("docs/reference/configuration.md",)
RECORDS = ("CHANGELOG.md", "docs/lab_book/*.md")
LONGEST = 10

FENCE = re.compile(r"^( *)(```+|\$\$).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
INLINE = re.compile(r"`[^`]*`|\$[^$\n]+\$")  # code and formulas
TAG = re.compile(r"<[^>]+>")
ITEM = re.compile(r"^ *(?:[-*]|\d+\.) +", re.MULTILINE)
END = re.compile(r"(?<=[.!?])[*)\"]*\s+")


@dataclass(frozen=True)
class Measure:
    """The measures of a group of pages."""

    sentences: int
    median: float  # words in a sentence
    percentile_90: float  # words in a sentence
    words_per_semicolon: float  # infinite if there is none
    longest: tuple[str, ...]


def paragraphs(text: str) -> Iterator[str]:
    """Yields the paragraphs, list items and captions of a page in Markdown, each as one line."""
    for pattern, replacement in (
        *((pattern, "\n\n") for pattern in (FENCE, COMMENT, IMAGE)),
        (INLINE, "code"),
        (LINK, r"\1"),
        (TAG, ""),
        (ITEM, "\n\n"),
    ):
        text = pattern.sub(replacement, text)
    for part in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in part.splitlines()]
        kept = [line for line in lines if line and not line.startswith(("|", "#"))]
        if kept:
            yield " ".join(kept).replace("*", "")


def sentences(text: str) -> list[str]:
    """Returns the sentences of a page that have at least two words."""
    found = (sentence for part in paragraphs(text) for sentence in END.split(part))
    return [sentence for sentence in found if len(sentence.split()) > 1]


def measure(texts: Sequence[str]) -> Measure:
    """Measures the sentences of several pages together."""
    found = [sentence for text in texts for sentence in sentences(text)]
    lengths = sorted(len(sentence.split()) for sentence in found)
    semicolons = sum(sentence.count(";") for sentence in found)
    return Measure(
        sentences=len(found),
        median=statistics.median(lengths),
        percentile_90=lengths[math.ceil(0.9 * len(lengths)) - 1],
        words_per_semicolon=sum(lengths) / semicolons if semicolons else float("inf"),
        longest=tuple(sorted(found, key=lambda sentence: -len(sentence.split()))[:LONGEST]),
    )


def site(root: Path = ROOT) -> list[Path]:
    """Returns the README and the pages of the site, without the generated page and the records."""
    left_out = {root / name for name in GENERATED} | set(records(root))
    built = root / "docs" / "_build"
    pages = [page for page in sorted((root / "docs").rglob("*.md")) if built not in page.parents]
    return [*(root / name for name in OUTSIDE), *(page for page in pages if page not in left_out)]


def records(root: Path = ROOT) -> list[Path]:
    """Returns the changelog and the pages of the lab book."""
    return [page for pattern in RECORDS for page in sorted(root.glob(pattern))]


def read(pages: Sequence[Path]) -> list[str]:
    """Returns the texts of pages."""
    return [page.read_text(encoding="utf-8") for page in pages]


def run(arguments: Sequence[str]) -> None:
    """Prints the measures."""
    parser = Parser("python scripts/sentences.py", __doc__)
    parser.add_argument("--each", action="store_true", help="print a line for each page as well")
    options = parser.parse_args(arguments)
    for title, pages in (("README and site", site()), ("lab book and changelog", records())):
        print(f"{title}:\n{'':<40} sentences  median  90%  words a semicolon")
        for page in pages if options.each else ():
            text = page.read_text(encoding="utf-8")
            if sentences(text):
                print(_line(str(page.relative_to(ROOT)), measure([text])))
        found = measure(read(pages))
        print(_line("all", found))
        for sentence in found.longest:
            print(f"  {len(sentence.split())}: {sentence}")


def _line(name: str, found: Measure) -> str:
    """Returns a row of the table."""
    return (
        f"{name:<40} {found.sentences:>9}  {found.median:>6.1f}  {found.percentile_90:>3}"
        f"  {found.words_per_semicolon:>17.0f}"
    )


if __name__ == "__main__":
    run_program(run)
