"""Builds the gallery's index: for each model, a picture of its heads, what it was asked, and how it did."""

import base64
import html
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import image
from matplotlib.colors import to_rgb

from ntm_jax import config as configs
from ntm_jax import models
from ntm_jax.evaluation import palette
from ntm_jax.evaluation.episode import used_rows
from ntm_jax.web.report.content import cases
from ntm_jax.web.viewer import episodes
from ntm_jax.web.viewer.sources import Source

TITLES = {"ngram": "N-grams"}  # of tasks whose name in the code is not their title
COLUMNS = {
    "bits_per_sequence": "cost in bits",
    "bit_errors_per_sequence": "wrong bits",
    "perfect_fraction": "perfect",
}
# Of tasks whose source is random: the cost of the best possible predictor.
EXPECTED = {"optimal_bits_per_sequence": "as good as can be expected"}
MANY_ROWS = 64  # of a picture, from which on it is higher
LEAST_SHOWN = 1e-4
NO_BREAK = "\N{NO-BREAK SPACE}"


def cards(pages: Mapping[Source, str]) -> str:
    """Returns the models task by task.

    Args:
      pages: the address of each model's page.
    """
    tasks: dict[str, list[Source]] = {}
    for source in pages:
        tasks.setdefault(source.task.name, []).append(source)
    order = sorted(tasks, key=lambda name: name != "copy")  # the simplest first
    return "\n".join(
        _section(name, {one: pages[one] for one in _ranked(tasks[name])}) for name in order
    )


def _ranked(sources: Sequence[Source]) -> list[Source]:
    """Returns a task's models, the best first; those with other inputs than most, a variant of the task, last."""
    usual = Counter(one.task.input_size for one in sources).most_common(1)[0][0]
    return sorted(sources, key=lambda one: (one.task.input_size != usual, _failure(one)))


def missing(sources: Sequence[Source]) -> str:
    """Returns which models have no page, and why."""
    if not sources:
        return ""
    items = (
        f"<li>{html.escape(source.name)}: {html.escape(_reason(source))}</li>" for source in sources
    )
    return "<section><h2>Without a page here</h2><ul>" + "".join(items) + "</ul></section>"


def _reason(source: Source) -> str:
    """Returns why a model has no page, without the command for who made the gallery."""
    return str(source.trouble()).partition("; run: ")[0]


def heads_picture(source: Source) -> bytes | None:
    """Returns the heads' weightings over one episode as a PNG: rows of memory by steps, writing red, reading blue."""
    episode = episodes.watch(source.model(source.rows), source.question(cases(source)[0]))
    if episode.memory is None:
        return None
    write, read = (
        np.asarray(weightings).max(axis=1).T
        for weightings in (episode.write_weightings, episode.read_weightings)
    )
    shown = used_rows(np.maximum(write, read).max(axis=1))
    write, read = write[shown], read[shown]
    colours = [np.array(to_rgb(colour)) for colour in (palette.WRITE, palette.READ)]
    total = np.maximum(write + read, 1e-6)[..., None]
    mixed = (write[..., None] * colours[0] + read[..., None] * colours[1]) / total
    alpha = np.maximum(write, read)[..., None]
    result = io.BytesIO()
    image.imsave(result, np.clip(np.concatenate([mixed, alpha], axis=2), 0, 1), format="png")
    return result.getvalue()


def _section(task: str, pages: Mapping[Source, str]) -> str:
    explanation = next(iter(pages)).task.explanation()
    asked = "" if explanation is None else f"<p>{html.escape(explanation.asked)}</p>"
    inside = "".join(_card(source, page) for source, page in pages.items())
    name = html.escape(TITLES.get(task, task.replace("_", " ").capitalize()))
    return f'<section><h2>{name}</h2>{asked}<div class="cards">{inside}</div></section>'


def _card(source: Source, page: str) -> str:
    picture = heads_picture(source)
    shown = ""
    if picture is not None:
        data = base64.b64encode(picture).decode()
        words = f"The heads of {source.name} over an episode: rows of memory by steps"
        size = ' class="many"' if _height(picture) >= MANY_ROWS else ""
        shown = f'<img{size} src="data:image/png;base64,{data}" alt="{html.escape(words)}">'
    count = models.parameter_count(source.model(source.rows))
    memory = f", {source.rows}{NO_BREAK}memory{NO_BREAK}rows" if source.rows else ", no memory"
    about = f"{configs.model_name(source.config)}, {count:,} parameters{memory}"
    return (
        f'<article class="card"><h3><a href="{html.escape(page)}">{html.escape(source.name)}</a></h3>'
        f'<p class="summary">{about}</p>{shown}{_results(source)}</article>'
    )


def _height(picture: bytes) -> int:
    """Returns the height of a PNG in pixels, which stands after its width."""
    return int.from_bytes(picture[20:24], "big")


def _evaluation(source: Source) -> list[dict[str, Any]]:
    """Returns the cases of a run's evaluation.

    Raises:
      OSError, ValueError, KeyError, TypeError: there is none, or it cannot be read.
    """
    text = (source.path / "evaluation.json").read_text(encoding="utf-8")
    return list(json.loads(text)["cases"])


def _failure(source: Source) -> tuple[float, float]:
    """Returns how badly a model does over all its cases: its wrong bits, then its cost, so that the best comes first."""
    try:
        found = _evaluation(source)
        wrong = sum(float(case["bit_errors_per_sequence"]) for case in found)
        return wrong, sum(float(case["bits_per_sequence"]) for case in found)
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf, math.inf


def _results(source: Source) -> str:
    """Returns a table of the run's evaluation, if it has one."""
    try:
        found = _evaluation(source)
        columns = COLUMNS | (EXPECTED if all(set(EXPECTED) <= set(case) for case in found) else {})
        rows = "".join(_row(case, columns) for case in found)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    label = html.escape(f"Results of {source.name}")
    headings = "".join(f'<th scope="col">{heading}</th>' for heading in ("case", *columns.values()))
    return (
        f'<div class="numbers" role="region" tabindex="0" aria-label="{label}"><table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _row(case: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    # A line ends between the parts of a name, and not within one.
    name = ", ".join(f"{name}{NO_BREAK}{value}" for name, value in case["difficulty"].items())
    shown = (_percent if field == "perfect_fraction" else _number for field in columns)
    cells = "".join(
        f"<td>{show(float(case[field]))}</td>" for field, show in zip(columns, shown, strict=True)
    )
    return f'<tr><th scope="row">{html.escape(name or case["name"])}</th>{cells}</tr>'


def _number(value: float) -> str:
    """Returns a number for HTML with about three digits, but with one decimal of any that is large: '0.0005', '7.40', '2,007.2'."""
    if value == 0:
        return "0"
    if 0 < value < LEAST_SHOWN:
        return f"&lt;{LEAST_SHOWN:.4f}"
    decimals = next((n for most, n in ((0.1, 4), (1, 3), (10, 2)) if abs(value) < most), 1)
    return f"{value:,.{decimals}f}"


def _percent(share: float) -> str:
    """Returns a share in percent, without a decimal where it is none or all."""
    return f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"
