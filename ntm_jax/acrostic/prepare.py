"""Prepares the corpus: `python -m ntm_jax.acrostic.prepare`."""

from collections.abc import Sequence
from pathlib import Path

from ntm_jax.acrostic import corpus, download
from ntm_jax.cli import Parser, run_program

DESCRIPTION = f"""\
Gets the Complete Tang Poems from the npm package {download.NAME} {download.VERSION} and writes the corpus that the task
'acrostic' trains on.

  python -m ntm_jax.acrostic.prepare
  python -m ntm_jax.acrostic.prepare --from {download.NAME}-{download.VERSION}.tgz
"""


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says."""
    line = Parser("python -m ntm_jax.acrostic.prepare", DESCRIPTION)
    line.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="TARBALL|FOLDER",
        help="the package, a tarball or folder (default: npm downloads it)",
    )
    line.add_argument(
        "--to", type=Path, default=Path(corpus.DEFAULT), metavar="FILE", help=corpus.DEFAULT
    )
    options = line.parse_args(arguments)
    if options.source is not None:
        poems = download.read(options.source)
    else:
        with download.fetched() as tarball:
            poems = download.read(tarball)
    made = corpus.build(poems)
    corpus.save(made, options.to)
    of = made.provenance
    print(
        f"{options.to}: {of['poems']:,} of {of['poems_in_package']:,} poems "
        f"({of['poems_train']:,} to train, {of['poems_validation']:,} for validation, "
        f"{of['poems_test']:,} held out), {of['characters']:,} characters; "
        f"{of['vocabulary']:,} kept, {of['covered']:.1%} of the training text"
    )


if __name__ == "__main__":
    run_program(run)
