"""Settings of the documentation: `sphinx-build -W --keep-going -n docs docs/_build`.

The build needs no network, and neither do its pages. So formulas are MathML instead of MathJax's
script, and there is no intersphinx, which fetches the indexes of other projects.
"""

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import inspect

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "ntm_jax"
html_title = "ntm_jax"
root_doc = "index"
exclude_patterns = ["_build", "jupyter_execute", ".jupyter_cache"]
nitpicky = True
# Names of ours have to lead somewhere. Those of other projects cannot without intersphinx.
nitpick_ignore_regex = [
    ("py:.*", r"(?!ntm_jax\b).*"),
    # Types in signatures, of modules that have no page.
    (
        "py:class",
        r"ntm_jax\.(models|training|evaluation)\.(token_model|linear|data_parallel|curriculum|metrics|episode|progress)\..*",
    ),
]

extensions = [
    "myst_nb",  # contains myst_parser
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
]

myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3  # the anchors that repository pages give to headings

# Notebooks run when the site is built, unless neither they nor the cache have changed.
nb_execution_mode = "cache"
nb_execution_timeout = 600  # seconds for a cell
nb_execution_raise_on_error = True

highlight_language = "text"  # of fences without a language, which are commands and what they print
default_role = "code"  # docstrings write shapes as `[T, B, R, N]`
add_module_names = False
maximum_signature_line_length = 72
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "exclude-members": "replace"}
napoleon_use_ivar = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"

html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "footer_content_items": [],
}
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"


def class_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str, returns: str
) -> tuple[str, str] | None:
    """Returns what a module of Flax is made with, which the metaclass hides from autodoc."""
    if what != "class" or not (arguments or "").startswith("(*args"):
        return None
    signature = inspect.signature(obj.__init__, bound_method=True)
    text = inspect.stringify_signature(signature, unqualified_typehints=True)
    return text.replace("<class 'jax.numpy.float32'>", "jnp.float32"), returns


def write_gallery(app: Sphinx, error: Exception | None) -> None:
    """Writes the gallery of the shipped models into the site, where pages link to it."""
    if error is not None or app.builder.format != "html":
        return
    from ntm_jax.web.report import gallery
    from ntm_jax.web.viewer import sources

    runs = sources.find_runs(Path(app.confdir).parent / "runs" / "pretrained")
    gallery.write(sources.open_sources(runs), Path(app.outdir) / "gallery")


def setup(app: Sphinx) -> None:
    """Connects the functions above."""
    app.connect("autodoc-process-signature", class_signature)
    app.connect("build-finished", write_gallery)
