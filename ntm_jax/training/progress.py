"""Shows training's progress: a bar in a terminal, or a plain line every 30 seconds elsewhere."""

import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from ntm_jax import config as configs
from ntm_jax.training.metrics import NAME, Row, first_below
from ntm_jax.training.observers import Begun, Observer

LINE_SECONDS = 30.0  # between two plain lines


class Bar(Protocol):
    """Shows the progress of a task."""

    def move_to(self, done: int, note: str | None = None) -> None:
        """Shows how much is done, with another note beside it if one is given."""

    def close(self) -> None:
        """Shows where it has ended."""


def bar(title: str, total: int, unit: str, *, done: int = 0, each: int = 1) -> Bar:
    """Returns a bar on standard error if that is a terminal, else a writer of plain lines to it.

    Args:
      title: what is done.
      total: how much of it.
      unit: that speeds are in.
      done: how much was done before.
      each: units of one.
    """
    kind = TerminalBar if sys.stderr.isatty() else PlainLines
    return kind(title, total, unit, done, each)


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line to standard output, or to another file, above all bars."""
    tqdm.write(text, file=file)
    (file or sys.stdout).flush()


class TerminalBar:
    """Draws a progress bar in a terminal."""

    def __init__(self, title: str, total: int, unit: str, done: int, each: int):
        scale = each if each > 1 else total >= 1000  # True writes 2.00/40.0k
        self._bar = tqdm(
            desc=title, total=total, unit=unit, initial=done, unit_scale=scale, dynamic_ncols=True
        )

    def move_to(self, done: int, note: str | None = None) -> None:
        """As in `Bar`."""
        if note is not None:
            self._bar.set_postfix_str(note, refresh=False)  # `update` draws it
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """As in `Bar`."""
        self._bar.close()


class PlainLines:
    """Prints a line every `LINE_SECONDS` and one at the end, for logs."""

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        done: int,
        each: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._title, self._total, self._unit, self._each = title, total, unit, each
        self._clock, self._done, self._note = clock, done, ""
        self._begun = self._shown = clock()
        self._first = self._last = done

    def move_to(self, done: int, note: str | None = None) -> None:
        """As in `Bar`."""
        self._done = done
        self._note = self._note if note is None else note
        if self._clock() - self._shown >= LINE_SECONDS:
            self._show()

    def close(self) -> None:
        """As in `Bar`."""
        if self._done > self._last:
            self._show()

    def _show(self) -> None:
        self._shown, self._last = self._clock(), self._done
        seconds = self._shown - self._begun
        speed = (self._done - self._first) * self._each / seconds if seconds else math.nan
        note = f", {self._note}" if self._note else ""
        print(
            f"{self._title}: {self._done:,} of {self._total:,} ({self._done / self._total:.0%}), "
            f"{speed:,.1f} {self._unit}/s{note}",
            file=sys.stderr,
            flush=True,
        )


class Progress(Observer):
    """Shows how far training is, when its task is solved, and which updates were skipped."""

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def begin(self, begun: Begun) -> None:
        """Shows where the session begins."""
        train = begun.config.train
        self._goal, self._easier = train.solved_below, configs.easier_updates(begun.config)
        self._skipped = begun.skipped
        self._solved = first_below(begun.workdir / NAME, self._goal, self._easier) is not None
        self._bar = bar("training", train.updates, "seq", done=begun.update, each=train.batch_size)

    def advance(self, update: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.move_to(update)

    def row(self, row: Row, parameters: Any, skipped: int) -> None:
        """Shows the loss, and says what is new."""
        if self._bar is None:
            return
        bits = row.loss_bits_per_sequence
        self._bar.move_to(row.update, f"{bits:.3f} bits/sequence")
        if skipped > self._skipped:
            self._skipped = skipped
            say(f"update {row.update:,}: {skipped} were not finite, and skipped, so far")
        if bits < self._goal and row.update > self._easier and not self._solved:
            self._solved = True
            say(
                f"below {self._goal:g} bits/sequence after {row.sequences:,} sequences, {row.seconds:.0f} s"
            )

    def close(self) -> None:
        """Shows where the session ended."""
        if self._bar is not None:
            self._bar.close()


class PopulationProgress:
    """Shows how far runs are that train together: the best loss, the median one, and how many runs are lost.

    Args:
      count: number of runs. Each has an observer from `watch`.
    """

    def __init__(self, count: int):
        self._count, self._begun = count, list[Begun]()
        self._bits: dict[str, float] = {}
        self._skipped: dict[str, int] = {}
        self._lost, self._advanced = 0, -1
        self._bar: Bar | None = None

    def watch(self, name: str) -> Observer:
        """Returns the observer of the run called `name`."""
        return _Watch(self, name)

    def begin(self, name: str, begun: Begun) -> None:
        """Shows where the session begins, once all runs have begun."""
        self._begun.append(begun)
        self._skipped[name] = begun.skipped
        if len(self._begun) == self._count:
            train, done = begun.config.train, min(one.update for one in self._begun)
            each = train.batch_size * self._count
            title = f"training {self._count} runs"
            self._bar = bar(title, train.updates, "seq", done=done, each=each)

    def advance(self, update: int) -> None:
        """Moves the bar, and shows the losses of all runs that are not lost. Every run's observer calls it."""
        if self._bar is not None and update != self._advanced:
            self._advanced = update
            self._bar.move_to(update, self.note())

    def row(self, name: str, row: Row, skipped: int) -> None:
        """Notes a run's loss, which is shown once all runs have theirs."""
        self._bits[name], self._skipped[name] = row.loss_bits_per_sequence, skipped

    def lose(self, name: str, reason: str) -> None:
        """Says why a run has ended; the others go on."""
        self._lost += 1
        self._bits.pop(name, None)
        say(f"{name}: {reason}", file=sys.stderr)

    def note(self) -> str:
        """Returns the losses in words."""
        found = [bits for bits in self._bits.values() if math.isfinite(bits)]
        words = []
        if found:
            words.append(
                f"best {min(found):.3f}, median {statistics.median(found):.3f} bits/sequence"
            )
        if self._lost:
            words.append(f"{self._lost} lost")
        if skipped := sum(self._skipped.values()):
            words.append(f"{skipped} update{'s' * (skipped > 1)} skipped")
        return ", ".join(words)

    def close(self) -> None:
        """Shows where the session ended; every run's observer calls it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Watch(Observer):
    """Tells the display of a population what one run does."""

    def __init__(self, shown: PopulationProgress, name: str):
        self._shown, self._name = shown, name

    def begin(self, begun: Begun) -> None:
        self._shown.begin(self._name, begun)

    def advance(self, update: int) -> None:
        self._shown.advance(update)

    def row(self, row: Row, parameters: Any, skipped: int) -> None:
        self._shown.row(self._name, row, skipped)

    def close(self) -> None:
        self._shown.close()
