"""Poems that carry a message: `python -m ntm_jax.acrostic 紅春願此`."""

from collections.abc import Sequence
from pathlib import Path

from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError

MODEL = Path("runs/pretrained/acrostic-ntm-lstm")
DESCRIPTION = """\
Writes poems in the form of the Tang whose lines carry the characters of a message, one each.

  python -m ntm_jax.acrostic 紅春願此
  python -m ntm_jax.acrostic 红春愿此 --form 7 --position -1 --n 5 --rhyme --tones
  python -m ntm_jax.acrostic 紅春願此 --beam 20
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
    add(
        "--temperature",
        type=float,
        default=0.7,
        metavar="T",
        help="sampling temperature, above 0; lower gives more common characters (0.7)",
    )
    add(
        "--beam",
        type=int,
        default=0,
        metavar="K",
        help="width of a beam search for the most probable poems, instead of sampling",
    )
    add(
        "--rhyme",
        action="store_true",
        help="even lines rhyme, in a level tone, by Cantonese readings",
    )
    add("--tones", action="store_true", help="the tones of regulated verse, by Cantonese readings")
    add("--repeats", action="store_true", help="allow a character to occur twice in a poem")
    add("--seed", type=int, default=0, metavar="S", help="random seed (0)")
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
    writer = Writer.load(workdir)
    form, poems = answer(writer, request)
    asked = writer.text(form.message)
    if asked != request.message:
        print(f"{asked}\n")
    for poem in poems:
        print("\n".join(poem.lines))
        print(
            f"({poem.bits:.2f} bits a character; {poem.kept} of {len(asked)} of the message were the model's own "
            "first choice)\n"
        )


if __name__ == "__main__":
    run_program(run)
