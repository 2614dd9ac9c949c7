"""Archives that npm never packed: each is one clear line, whatever is in it, and nothing is written anywhere."""

import gzip
import io
import json
import string
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from ntm_jax.acrostic import corpus, download
from ntm_jax.errors import UserError
from tests.helpers.strategies import examples

ABOUT = {"name": download.NAME, "version": download.VERSION}
POEMS = [{"id": "a", "paragraphs": ["春眠不覺曉，處處聞啼鳥。"]}]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "paragraphs", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "package/package.json",
        "package/dist/quantangshi/poet.tang.0.json",
        "package/dist/quantangshi/poet.tang.1000.json",
        "package/../../outside",
        "/outside",
        "../outside",
        "package/./package.json",
        "package",
        "",
        "x" * 300,
        "package/dist/quantangshi/poet.tang.٣.json",
    ]
) | st.text(string.printable, max_size=20)
KINDS = st.sampled_from(
    [tarfile.REGTYPE] * 8
    + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"9"]
)
CONTENTS = (
    st.just(json.dumps(ABOUT).encode())
    | st.just(json.dumps(POEMS).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=40)
    | st.none()  # stands for `DEEP`, which no report should show
    | st.just("春".encode("utf-16"))
)


DEEP = b"[" * 100_000  # deeper than any parser goes


def packed(members):
    """A tarball of (name, kind, content)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, kind, content in members:
            content = DEEP if content is None else content
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


WHOLE = packed(
    [
        ("package/package.json", tarfile.REGTYPE, json.dumps(ABOUT).encode()),
        ("package/dist/quantangshi/poet.tang.0.json", tarfile.REGTYPE, json.dumps(POEMS).encode()),
    ]
)


@st.composite
def spoiled(draw):
    """A good tarball, or what is inside its gzip, cut or with bytes changed."""
    inside = draw(st.booleans())
    content = bytearray(gzip.decompress(WHOLE) if inside else WHOLE)
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    content = content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content
    return gzip.compress(bytes(content)) if inside else bytes(content)


def check(folder, content):
    source = folder / "it.tgz"
    source.write_bytes(content)
    said = ""
    try:
        corpus.build(download.read(source))
    except UserError as error:
        said = str(error)
    assert not said or said.isprintable()
    assert len(said) < 400 + len(str(source))
    assert [path.name for path in folder.iterdir()] == ["it.tgz"]
    assert [path.name for path in folder.parent.glob("outside*")] == []


GOOD = ("package/package.json", tarfile.REGTYPE, json.dumps(ABOUT).encode())
ODD = st.tuples(NAMES, KINDS, CONTENTS)
PLACED = st.tuples(
    st.just("package/dist/quantangshi/poet.tang.0.json"), st.just(tarfile.REGTYPE), CONTENTS
)
MEMBERS = (
    st.lists(ODD, max_size=5) | st.tuples(st.just(GOOD), PLACED) | st.tuples(st.just(GOOD), ODD)
)


@examples(100, slow=False)
@given(members=MEMBERS)
def test_members_of_any_kind(tmp_path_factory, members):
    check(tmp_path_factory.mktemp("archive"), packed(members))


@examples(100, slow=False)
@given(content=st.binary(max_size=300) | spoiled())
def test_bytes_of_any_kind(tmp_path_factory, content):
    check(tmp_path_factory.mktemp("archive"), content)


def test_the_whole_one_is_read(tmp_path):
    (tmp_path / "it.tgz").write_bytes(WHOLE)
    (poem,) = download.read(tmp_path / "it.tgz")
    assert poem == download.RawPoem("a", ("春眠不覺曉，處處聞啼鳥。",))
