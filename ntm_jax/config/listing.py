"""Lists the fields of a config for `--help-config`."""

import json
import textwrap
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.config.checks import field_of, flatten
from ntm_jax.config.fields import SECTIONS


def describe(config: ConfigDict) -> str:
    """Returns every field of a config with its value, the allowed values and its help, by section."""
    lines = []
    for section, title in SECTIONS.items():
        lines += ["", title]
        for name, value in flatten(config):
            if name.rpartition(".")[0] == section:
                field = field_of(config, name)
                lines.append(f"  --config.{name}={as_text(value)}")
                if field is not None:
                    lines += _indented(f"{field.help} Allowed: {field.allowed}.")
    return "\n".join(lines[1:])


def as_text(value: Any) -> str:
    """Returns a value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
