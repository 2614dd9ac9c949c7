"""Writes a folder of pages that need no server: an index, a page a model, and one script and style for all."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ntm_jax.errors import UserError
from ntm_jax.storage.files import write_atomically
from ntm_jax.web import pages
from ntm_jax.web.report import cards
from ntm_jax.web.report.content import collect
from ntm_jax.web.report.single_file import data_element, policy
from ntm_jax.web.viewer.sources import Source

MARK = "ntm_jax gallery"  # in every file, so that no other is ever overwritten
INDEX, SCRIPT, STYLE = "index.html", "ntm_jax.js", "ntm_jax.css"
HEAD = f'<meta name="generator" content="{MARK}">\n'


def write(sources: Sequence[Source], folder: Path) -> int:
    """Writes the gallery of these models.

    Args:
      sources: those that cannot draw episodes are named in the index, with the reason.
      folder: is made, or empty, or has a gallery, which is replaced.

    Returns:
      The size of all files in bytes.

    Raises:
      UserError: the folder has other files, or cannot be written.
    """
    _check(folder)
    shown = {source: f"{name}.html" for source, name in _names(sources).items()}
    files = {
        SCRIPT: f"/* {MARK} */\n"
        + "\n".join(f"{pages.content(name)}\n;" for name in pages.REPORT.scripts),
        STYLE: f"/* {MARK} */\n" + "\n".join(map(pages.content, pages.REPORT.styles)),
        INDEX: pages.GALLERY.inside(
            head=HEAD + policy(""),
            models=cards.cards(shown),
            missing=cards.missing([source for source in sources if source not in shown]),
        ),
    }
    for source, name in shown.items():
        files[name] = _model_page(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(folder / name, text.encode())
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be written ({error.strerror})") from None
    return sum(len(text.encode()) for text in files.values())


def _check(folder: Path) -> None:
    """Raises `UserError` for a folder with files that are no gallery's."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out: {folder} is a file; name a new folder")
    for path in sorted(folder.glob("*")):
        if not _is_ours(path):
            raise UserError(
                f"--out: {folder} has {path.name}, which is not of a gallery; name a new folder"
            )


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK.encode() in file.read(500)


def _names(sources: Sequence[Source]) -> Mapping[Source, str]:
    """Returns a distinct file name for every source that can draw episodes."""
    taken = {Path(INDEX).stem}
    names = {}
    for source in sources:
        if source.trouble():
            continue
        name = re.sub(r"[^\w.-]+", "_", source.name)
        while name in taken:
            name += "_"
        taken.add(name)
        names[source] = name
    return names


def _model_page(source: Source) -> str:
    return pages.REPORT.html(
        f'<link rel="stylesheet" href="{STYLE}">',
        f'{data_element(collect([source]))}<script src="{SCRIPT}"></script>',
        head=HEAD + policy("'self'"),
        title=html.escape(source.name),
        links=f'<a href="{INDEX}">All models</a>\n  {pages.REPORT.links}',
    )
