"""Builds the HTML of every page from one layout, for a server or for files that need none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ntm_jax.errors import needs

STATIC = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"
COMMON = ("common/data.js", "common/theme.js")
STEP = ("addressing", "step_words", "stage", "marks", "sorted")
ASKING = ("downloads", "column", "edits", "editor", "breaking", "player", "ask", "viewer")


@dataclass(frozen=True)
class Page:
    """Describes a page: the layout's words, and which files it needs."""

    main: str  # the file with the page's own part
    title: str
    target: str  # the element that a keyboard can skip to
    things: str  # what is there
    scripts: tuple[str, ...]
    styles: tuple[str, ...] = ("common/style.css",)
    links: str = ""
    home: str = ""  # address of the page above this one, if there is one

    def html(
        self, styles: str, scripts: str, head: str = "", links: str | None = None, home: str = ""
    ) -> str:
        """Returns the page.

        Args:
          styles: elements that load or hold `self.styles`.
          scripts: the same of `self.scripts`.
          head: more elements of the head.
          links: elements of the header, instead of `self.links`.
          home: address of the page above this one, instead of `self.home`.
        """
        above = home or self.home
        return Template(_read("layout.html")).substitute(
            title=self.title,
            target=self.target,
            things=self.things,
            home=f'<a href="{above}">ntm_jax</a>' if above else "ntm_jax",
            links=self.links if links is None else links,
            main=_read(self.main),
            head=head,
            styles=styles,
            scripts=scripts,
        )

    def served(self) -> str:
        """Returns the page with the addresses that the servers answer."""
        return self.html(
            _elements(self.styles, lambda name: f'<link rel="stylesheet" href="{address(name)}">'),
            _elements(self.scripts, lambda name: f'<script src="{address(name)}"></script>'),
        )


VIEWER = Page(
    "viewer/viewer.html",
    "viewer",
    "columns",
    "pictures",
    (
        PLOTLY,
        *COMMON,
        "common/over_time.js",
        "viewer/words.js",
        "stage/rows.js",
        *(f"stage/{name}.js" for name in STEP),
        *(f"viewer/{name}.js" for name in ASKING),
    ),
    links='<a id="moments" href="/moments" hidden>While it learned</a>\n'
    '  <a id="acrostic" href="/acrostic" hidden>Write acrostics</a>',
)
MONITOR = Page(
    "monitor/monitor.html",
    "monitor",
    "curves",
    "curves",
    (
        PLOTLY,
        *COMMON,
        "common/over_time.js",
        *(f"monitor/{name}.js" for name in ("curves", "moments", "monitor")),
    ),
    styles=("common/style.css", "monitor/monitor.css"),
)
MOMENTS = Page(
    "monitor/moments.html",
    "one episode while it learns",
    "moments",
    "pictures",
    (*COMMON, "monitor/moments.js", "monitor/moments_page.js"),
    styles=("common/style.css", "monitor/monitor.css"),
    home="/",
)
ACROSTIC = Page(
    "acrostic/acrostic.html",
    "acrostics",
    "poems",
    "poems",
    (*COMMON, "acrostic/figures.js", "acrostic/acrostic.js"),
    styles=("common/style.css", "acrostic/acrostic.css"),
    home="/",
)


def address(name: str) -> str:
    """Returns where the servers have a file of `static/`, or Plotly."""
    return f"/{name}" if name == PLOTLY else f"/static/{name}"


def content(name: str) -> str:
    """Returns the text of a file of `static/`, or of Plotly."""
    return plotly_js() if name == PLOTLY else _read(name)


def plotly_js() -> str:
    """Returns the drawing library that ships with its Python package."""
    with needs("web"):
        from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _elements(names: Iterable[str], element: Callable[[str], str]) -> str:
    return "\n".join(element(name) for name in names)


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
