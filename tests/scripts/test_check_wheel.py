"""What scripts/check_wheel.py compares, and what pyproject.toml says of the wheel. `.ci/run` builds and uses it."""

import tomllib
import zipfile

from scripts import check_wheel
from tests.helpers import ROOT

FILES = ["ntm_jax/__init__.py", "ntm_jax/web/static/page.js", "configs/copy.py"]
PACKED = ["ntm_jax/__init__.py", "ntm_jax/web/static/page.js", "ntm_jax/configs/copy.py"]


def found(tmp_path, packed):
    for name in [*FILES, "tests/test_it.py", "ntm_jax/__pycache__/it.pyc"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with zipfile.ZipFile(tmp_path / "it.whl", "w") as archive:
        for name in [*packed, "ntm_jax-0.dist-info/METADATA"]:
            archive.writestr(name, "")
    return check_wheel.differences(tmp_path / "it.whl", tmp_path)


def test_a_wheel_that_has_what_the_tree_has(tmp_path):
    assert found(tmp_path, PACKED) == []


def test_a_file_that_is_missing(tmp_path):
    assert found(tmp_path, PACKED[:-1]) == ["ntm_jax/configs/copy.py is not in the wheel"]


def test_a_file_too_many(tmp_path):
    packed = [*PACKED, "ntm_jax/gone.py", "tests/test_it.py"]
    lines = [f"{name} is in the wheel alone" for name in packed[-2:]]
    assert found(tmp_path, packed) == lines


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = (path.parent.relative_to(ROOT) for path in (ROOT / "ntm_jax").rglob("__init__.py"))
    assert listed == sorted([*(".".join(path.parts) for path in there), "ntm_jax.configs"])


def test_the_changelog_begins_with_this_version():
    from ntm_jax import __version__

    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith(f"## {__version__} - ")
