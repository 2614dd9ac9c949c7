"""Writes the viewer's page, its scripts and some episodes into one file that needs no server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ntm_jax.errors import UserError
from ntm_jax.web import pages
from ntm_jax.web.packing import to_json
from ntm_jax.web.viewer.sources import Source

# The browser is told to fetch nothing at all.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def report(sources: Sequence[Source], path: Path) -> int:
    """Writes a report of every source's evaluation cases, an episode of each.

    Args:
      sources: what to report.
      path: of the file.

    Returns:
      Its size in bytes.

    Raises:
      UserError: it cannot be written.
    """
    text = html(_content(sources))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return len(text.encode())


def html(content: Any) -> str:
    """Returns the viewer's page with `content` instead of a server."""
    page = pages.VIEWER
    data = to_json(content).decode().replace("<", "\\u003c")  # or `</script>` would end it
    scripts = [f'<script type="application/json" id="report">{data}</script>']
    scripts += [f"<script>{pages.content(name)}</script>" for name in page.scripts]
    styles = [f"<style>{pages.content(name)}</style>" for name in page.styles]
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    return page.html("\n".join(styles), "\n".join(scripts), head=policy)


def _content(sources: Sequence[Source]) -> dict[str, Any]:
    return {
        "runs": [source.describe() for source in sources],
        "episodes": [
            {"run": run, **source.answer(source.question(given))}
            for run, source in enumerate(sources)
            for given in cases(source)
        ],
    }


def cases(source: Source) -> list[dict[str, str]]:
    """Returns the task's evaluation cases as parameters, except those beyond the viewer's limits."""
    names = [field.name for field in source.task.viewer_fields()]
    found = []
    for case in source.task.cases():
        given = {name: str(value) for name, value in case.difficulty.items() if name in names}
        given["seed"] = str(source.task.opening_seed)
        try:
            source.question(given)
        except UserError:
            continue
        found.append(given)
    return found or [{}]
