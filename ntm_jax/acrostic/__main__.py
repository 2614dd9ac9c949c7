"""Poems that carry a message: `python -m ntm_jax.acrostic 紅春願此`."""

from argparse import BooleanOptionalAction
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError

MODEL = Path("runs/pretrained/acrostic-ntm-lstm")
DESCRIPTION = """\
Writes poems in the form of the Tang whose lines carry the characters of a message, one each. They are the best that a
search finds, and differ from each other.

  python -m ntm_jax.acrostic 紅春願此
  python -m ntm_jax.acrostic 红春愿此 --form 7 --position -1 --n 5
  python -m ntm_jax.acrostic 紅春願此 --surprise --seed 7
"""


def parser() -> Parser:
    """Returns the parser of the command line."""
    line = Parser("python -m ntm_jax.acrostic", DESCRIPTION)
    add = line.add_argument
    add("message", help="Chinese characters, simplified or traditional; each gets a line")
    add("--form", type=int, default=5, metavar="5|7", help="characters in a line (5)")
    add(
        "--position",
        type=int,
        default=1,
        metavar="P",
        help="the message's place in the lines: from 1, or from -1 backwards (1)",
    )
    add("--n", type=int, default=3, metavar="N", help="how many poems (3)")
    add("--surprise", action="store_true", help="draw poems at random; --seed gives others")
    add(
        "--temperature",
        type=float,
        metavar="T",
        help="draw at random, at this temperature above 0; lower gives more common characters (0.5)",
    )
    add("--beam", type=int, metavar="K", help="width of the search (40); 0 draws at random")
    add(
        "--rhyme",
        action=BooleanOptionalAction,
        default=True,
        help="even lines rhyme, in a level tone, by Cantonese readings (yes)",
    )
    add(
        "--tones",
        action=BooleanOptionalAction,
        default=True,
        help="the tones of regulated verse, by Cantonese readings (yes)",
    )
    add("--repeats", action="store_true", help="allow a character to occur twice in a poem")
    add("--seed", type=int, default=0, metavar="S", help="seed of random poems (0)")
    add("--model", type=Path, default=MODEL, metavar="DIR", help=f"a run's folder ({MODEL})")
    return line


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says.

    Raises:
      UserError: something in it is not allowed.
    """
    options = vars(parser().parse_args(arguments))
    workdir = options.pop("model")
    from ntm_jax.acrostic.request import Request, answer
    from ntm_jax.acrostic.writer import Writer

    request = Request(**options)
    if not workdir.is_dir():
        raise UserError(
            f"--model: there is no {workdir}; train one by python -m ntm_jax.main --config acrostic:ntm-lstm"
        )
    # On a terminal only, for the first poem takes seconds.
    with tqdm(total=request.n, desc="poems", leave=False, disable=None) as bar:
        found = answer(Writer.load(workdir), request, lambda _: bar.update())
    if found.message.left_out:
        print(f"left out: {found.message.left_out}")
    asked = found.message.text
    if asked != request.message:
        print(f"{asked}\n")
    for poem in found.poems:
        print("\n".join(poem.lines))
        print(
            f"({poem.bits:.2f} bits a character; {poem.kept} of {len(asked)} of the message were the model's own "
            "first choice)\n"
        )


if __name__ == "__main__":
    run_program(run)
