"""Writes docs/reference/configuration.md from the table of fields: `python scripts/write_configuration_page.py`."""

from collections.abc import Sequence
from pathlib import Path

from ntm_jax.cli import Parser, run_program
from ntm_jax.config import ALIASES, listing

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "configuration.md"
HEAD = """\
# Configuration

<!-- Written by scripts/write_configuration_page.py from ntm_jax/config/. Do not edit. -->

A config is a Python file with a function `get_config(model)` that returns a `ConfigDict`. The files
in `configs/` begin with `base.get_config(model)` and change what differs for their task.

Set any field on the command line with `--config.<field>=<value>`:

```
python -m ntm_jax.main --config configs/copy.py:ntm-lstm --config.train.updates=5000
python -m ntm_jax.main --config configs/copy.py --help-config      # the fields and values of a config
python -m ntm_jax.main --workdir runs/copy-ntm-ff --help-config    # those of a run
```

Invalid fields and values print a one-line error and exit with status 2.

The tables show the defaults of `base.get_config`. The files in configs/ override some of them. Fields
without a default are set by each config, or by the class of its task or model. A run can be resumed
with other values of the fields marked with *. Changing any other field makes it another run.
"""
OLD_NAMES = """\
## Old names

Configs, runs, weight files and commands may still use these names.

| Old name | Current name |
| --- | --- |
"""


def page() -> str:
    """Returns the text of the page."""
    old_names = "".join(f"| `{old}` | `{new}` |\n" for old, new in sorted(ALIASES.items()))
    return f"{HEAD}\n{listing.tables()}\n{OLD_NAMES}{old_names}"


def run(arguments: Sequence[str]) -> None:
    """Writes the page."""
    Parser("python scripts/write_configuration_page.py", __doc__).parse_args(arguments)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    run_program(run)
