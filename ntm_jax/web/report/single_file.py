"""Writes the viewer's page, its scripts, models and episodes into one file that needs no server."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ntm_jax.errors import UserError
from ntm_jax.web import pages
from ntm_jax.web.packing import to_json
from ntm_jax.web.report.content import collect
from ntm_jax.web.viewer.sources import Source


def policy(scripts: str) -> str:
    """Returns the element that tells the browser to fetch nothing from elsewhere.

    Args:
      scripts: more sources of scripts and styles than the page itself.
    """
    inside = f"{scripts} 'unsafe-inline'".strip()
    rules = (
        f"default-src 'none'; script-src {inside}; style-src {inside}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">\n'


def data_element(content: Any) -> str:
    """Returns the element from which static/machine/report.js reads `collect`'s result."""
    data = to_json(content).decode().replace("<", "\\u003c")  # or `</script>` would end it
    return f'<script type="application/json" id="report">{data}</script>\n'


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
    title = html.escape(sources[0].name) if len(sources) == 1 else pages.REPORT.title
    text = pages.REPORT.inside(data_element(collect(sources)), policy(""), title=title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return len(text.encode())
