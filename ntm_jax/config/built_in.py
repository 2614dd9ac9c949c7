"""Finds the configs that come with the package.

They are in configs/ of a clone. A wheel has them in ntm_jax/configs/, see pyproject.toml.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
NO_CONFIGS = ("base", "__init__")


def paths(package: Path = PACKAGE) -> dict[str, Path]:
    """Returns the files of the built-in configs by their names, in alphabetical order.

    Args:
      package: the folder of `ntm_jax`.
    """
    installed = package / "configs"
    folder = installed if installed.is_dir() else package.parent / "configs"
    return in_folder(folder)


def in_folder(folder: Path) -> dict[str, Path]:
    """Returns the files of configs in a folder by their names, in alphabetical order."""
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem not in NO_CONFIGS}
