"""Builds the HTML of every page from one layout, for a server or for files that need none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from ntm_jax.errors import needs

STATIC = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"
COMMON = ("common/data.js", "common/theme.js")
STEP = ("bars", "addressing", "found", "notes", "step_words", "stage", "marks", "sorted")
VIEWER_LINK = '<a href="/">Viewer</a>'
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

    def html(self, styles: str, scripts: str, head: str = "", **parts: str) -> str:
        """Returns the page.

        Args:
          styles: elements that load or hold `self.styles`.
          scripts: the same of `self.scripts`.
          head: more elements of the head.
          parts: `title`, `home` or `links` for this page's, and what the page's own part leaves open.
        """
        words = {"title": self.title, "home": self.home, "links": self.links} | parts
        main = Template(content(self.main)).safe_substitute(words)
        home = f'<a href="{words["home"]}">ntm_jax</a>' if words["home"] else "ntm_jax"
        layout = {"styles": styles, "scripts": scripts, "head": head, "main": main, "home": home}
        return Template(content("layout.html")).substitute(
            layout,
            title=words["title"],
            links=words["links"],
            target=self.target,
            things=self.things,
        )

    def inside(self, data: str = "", head: str = "", **parts: str) -> str:
        """Returns the page with all its files inside.

        Args:
          data: elements that come before the scripts.
          head, parts: as in `html`.
        """
        styles = _elements(self.styles, lambda name: f"<style>{content(name)}</style>")
        scripts = _elements(self.scripts, lambda name: f"<script>{content(name)}</script>")
        return self.html(styles, f"{data}{scripts}", head, **parts)

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
# The same page without a server, which runs the models by itself.
REPORT = replace(
    VIEWER,
    title="report",
    scripts=(*VIEWER.scripts[:-1], "machine/machine.js", "machine/report.js", VIEWER.scripts[-1]),
)
GALLERY = Page(
    "gallery/gallery.html",
    "models",
    "models",
    "models",
    (*COMMON, "gallery/gallery.js"),
    styles=("common/style.css", "gallery/gallery.css"),
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
        "stage/rows.js",
        *(f"monitor/{name}.js" for name in ("curves", "moments", "monitor")),
    ),
    styles=("common/style.css", "monitor/monitor.css"),
)
MOMENTS = Page(
    "monitor/moments.html",
    "while it learned",
    "moments",
    "pictures",
    (*COMMON, "stage/rows.js", "monitor/moments.js", "monitor/moments_page.js"),
    styles=("common/style.css", "monitor/monitor.css"),
    links=VIEWER_LINK,
    home="/",
)
ACROSTIC = Page(
    "acrostic/acrostic.html",
    "acrostics",
    "poems",
    "poems",
    (*COMMON, "acrostic/figures.js", "acrostic/acrostic.js"),
    styles=("common/style.css", "acrostic/acrostic.css"),
    links=VIEWER_LINK,
    home="/",
)


def address(name: str) -> str:
    """Returns where the servers have a file of `static/`, or Plotly."""
    return f"/{name}" if name == PLOTLY else f"/static/{name}"


def content(name: str) -> str:
    """Returns the text of a file of `static/`, or of Plotly."""
    return plotly_js() if name == PLOTLY else (STATIC / name).read_text(encoding="utf-8")


def plotly_js() -> str:
    """Returns the drawing library that ships with its Python package."""
    with needs("web"):
        from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _elements(names: Iterable[str], element: Callable[[str], str]) -> str:
    return "\n".join(element(name) for name in names)
