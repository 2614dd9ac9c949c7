"""The corpus of acrostics: cleaned, split and kept as told, and bad input in one line."""

import dataclasses
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ntm_jax.acrostic import corpus, download
from ntm_jax.acrostic import prepare as program
from ntm_jax.acrostic.corpus import LINEFEED, MARKS, UNKNOWN
from ntm_jax.acrostic.download import RawPoem
from ntm_jax.errors import UserError
from tests.helpers import ROOT, verse

ABOUT = {"name": download.NAME, "version": download.VERSION}


def package_files(poems=None, about=ABOUT):
    """A package's files by name."""
    poems = verse.raw_poems(60) if poems is None else poems
    listed = [
        {"id": p.id, "author": "佚名", "title": "", "paragraphs": list(p.paragraphs)} for p in poems
    ]
    half = len(listed) // 2
    return {
        "dist/quantangshi/poet.tang.0.json": json.dumps(listed[:half]).encode(),
        "dist/quantangshi/poet.tang.1000.json": json.dumps(listed[half:]).encode(),
        "dist/quantangshi/poet.song.0.json": b"not looked at",
        "package.json": json.dumps(about).encode(),
    }


def tarball(path, files, prefix="package/"):
    with tarfile.open(path, "w:gz") as members:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return path


def refused(action, *arguments):
    with pytest.raises(UserError) as caught:
        action(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- Cleaning


@pytest.mark.parametrize(
    ("paragraphs", "lines"),
    [
        (["秦川雄帝宅，函谷壯皇居。"], ["秦川雄帝宅", "函谷壯皇居"]),
        (
            ["闌風長雨（一作「東風（細）雨」）秋紛紛，四海", "八荒？"],
            ["闌風長雨秋紛紛", "四海", "八荒"],
        ),
        (["童子解吟《長恨曲》，「胡兒」能唱。"], ["童子解吟長恨曲", "胡兒能唱"]),
        (["（一作", "某某。）春眠。"], ["春眠"]),
        (["冰□已鏤津1。", "；。"], ["冰□已鏤津"]),
        (["（無）", ""], []),
    ],
)
def test_lines_of_a_poem(paragraphs, lines):
    assert corpus.clean(paragraphs) == lines


def poem_in(part, text, number=0):
    """A poem whose id puts it into a part: found by trying."""
    first, end = corpus.PARTS[part]
    while True:
        number += 1
        name = f"{part}-{number}"
        if first <= int(hashlib.sha1(name.encode()).hexdigest(), 16) % 20 < end:
            return RawPoem(name, (text,))


def test_the_corpus_of_a_few_poems_by_hand():
    raw = [
        poem_in("train", "乙甲甲，乙甲丙。"),
        poem_in("validation", "甲丁，乙。"),
        poem_in("test", "丙甲。"),
        RawPoem("again", ("乙甲甲乙，甲丙。",)),  # the same characters
        RawPoem("empty", ("（注）",)),
    ]
    made = corpus.build(raw, characters=2)
    assert made.characters == "甲乙"  # 3 and 2 times in the training part
    a, b, n, u = MARKS, MARKS + 1, LINEFEED, UNKNOWN
    assert made.text.tolist() == [b, a, a, n, b, a, u, n, a, u, n, b, n, u, a, n]
    assert made.starts.tolist() == [0, 8, 13, 16]
    assert [made.part(name).tolist() for name in ("train", "validation", "test")] == [[0], [1], [2]]
    assert made.poem(0) == ["乙甲甲", "乙甲□"]
    lines, widths = made.lines()
    assert (lines.tolist(), widths.tolist()) == ([2, 2, 1], [3, 0, 2])
    told = made.provenance
    assert (told["poems_in_package"], told["poems"], told["characters"]) == (5, 3, 11)
    assert told["covered"] == round(5 / 6, 4)


def test_the_fold_is_sha1_of_the_id_mod_20():
    assert corpus.fold("abc") == 0xA9993E364706816ABA3E25717850C26C9CD0D89D % 20


def test_long_poems_end_with_a_whole_line():
    long = poem_in("train", "，".join(["甲" * 7] * 40))
    wide = poem_in("validation", "，".join(["乙" * 20] * 32))
    made = corpus.build([long, wide, poem_in("test", "甲")])
    assert made.lines()[0].tolist() == [32, 256 // 21, 1]
    assert made.lengths.max() <= corpus.MOST_SYMBOLS


def test_a_part_without_poems_is_said():
    message = refused(corpus.build, [poem_in("train", "甲"), poem_in("test", "乙")])
    assert "validation" in message


# ---- The package


def test_a_tarball_and_a_folder_give_the_same(tmp_path):
    files = package_files()
    packed = download.read(tarball(tmp_path / "p.tgz", files))
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert packed == download.read(tmp_path / "folder") == verse.raw_poems(60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "p.tgz"]


def changed(**contents):
    """A package's files, some of them other; None for not there."""
    names = {"about": "package.json", "poems": "dist/quantangshi/poet.tang.0.json"}
    files = package_files() | {names[key]: content for key, content in contents.items()}
    return {name: content for name, content in files.items() if content is not None}


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"about": json.dumps({**ABOUT, "version": "1.0.0"}).encode()}, "chinese-poetry@1.0.0"),
        ({"about": json.dumps({**ABOUT, "name": "poetry"}).encode()}, "is poetry@2.0.1"),
        ({"about": None}, "package.json"),
        ({"about": b"[]"}, "package.json"),
        ({"about": b"\xff"}, "package.json"),
        ({"poems": "秦川".encode("gb18030")}, "poet.tang.0.json is not a list of poems"),
        ({"poems": b'[{"id": "a"}]'}, "poet.tang.0.json"),
        ({"poems": b'[{"id": 1, "paragraphs": []}]'}, "poet.tang.0.json"),
        ({"poems": b'[{"id": "a", "paragraphs": [1]}]'}, "poet.tang.0.json"),
        ({"poems": b"[" * 100_000}, "poet.tang.0.json"),
    ],
)
def test_another_package_or_other_content(tmp_path, contents, said):
    path = tarball(tmp_path / "p.tgz", changed(**contents))
    assert said in refused(download.read, path)


def test_a_package_without_poems(tmp_path):
    files = {name: content for name, content in package_files().items() if "tang" not in name}
    assert "poet.tang" in refused(download.read, tarball(tmp_path / "p.tgz", files))
    assert "there is no" in refused(download.read, tmp_path / "nothing")


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil.json", "dist/../../evil.json"])
def test_a_path_that_leads_out(tmp_path, name):
    prefix = "" if name.startswith("/") else "package/"
    path = tarball(tmp_path / "p.tgz", {**package_files(), "x": b""})
    with tarfile.open(path, "w:gz") as members:
        members.addfile(tarfile.TarInfo(prefix + name), io.BytesIO())
    assert "leads out" in refused(download.read, path)


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.99])
def test_a_tarball_cut_short(tmp_path, share):
    path = tarball(tmp_path / "p.tgz", package_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(download.read, path)


def test_a_tarball_with_wrong_bytes(tmp_path):
    path = tarball(tmp_path / "p.tgz", package_files())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    refused(download.read, path)
    path.write_text("not a tarball")
    assert "not a whole tarball" in refused(download.read, path)


def test_a_tarball_that_unpacks_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 10**6)
    path = tarball(tmp_path / "p.tgz", {**package_files(), "bomb": bytes(10**7)})
    assert "larger" in refused(download.read, path)
    monkeypatch.setattr(download, "MOST_BYTES", 10**9)
    monkeypatch.setattr(download, "MOST_BYTES_OF_FILE", 1000)
    assert "larger" in refused(download.read, path)


def test_links_and_folders_in_a_tarball_are_passed_over(tmp_path):
    path = tmp_path / "p.tgz"
    with gzip.open(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as members:
        link = tarfile.TarInfo("package/dist/quantangshi/poet.tang.5.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        members.addfile(link)
        for name, content in package_files().items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    assert download.read(path) == verse.raw_poems(60)


# ---- npm


def test_no_npm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refused(program.run, ["--to", str(tmp_path / "c.npz")])
    assert "npm" in message
    assert "--from" in message
    assert not list(tmp_path.iterdir())


def fake_npm(monkeypatch, folder, script):
    npm = folder / "npm"
    npm.write_text(f"#!{sys.executable}\nimport shutil, sys\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_npm_gets_the_package(monkeypatch, tmp_path, capsys):
    source = tarball(tmp_path / "source.tgz", package_files())
    fake_npm(
        monkeypatch,
        tmp_path,
        f"assert sys.argv[1:3] == ['pack', 'chinese-poetry@2.0.1']\n"
        f"shutil.copy({str(source)!r}, sys.argv[-1] + '/chinese-poetry-2.0.1.tgz')",
    )
    program.run(["--to", str(tmp_path / "made" / "c.npz")])
    assert "60 of 60 poems" in capsys.readouterr().out
    assert len(corpus.load(tmp_path / "made" / "c.npz").folds) == 60


def test_npm_without_a_network(monkeypatch, tmp_path):
    fake_npm(monkeypatch, tmp_path, "sys.exit('npm error code ENOTFOUND\\nnpm error at some.host')")
    message = refused(program.run, ["--to", str(tmp_path / "c.npz")])
    assert "ENOTFOUND" in message
    assert "some.host" not in message


# ---- The file


@pytest.fixture
def saved(tmp_path):
    made = corpus.build(verse.raw_poems(60))
    corpus.save(made, tmp_path / "c.npz")
    return made, tmp_path / "c.npz"


def test_the_corpus_comes_back(saved):
    made, path = saved
    found = corpus.load(path)
    for field in dataclasses.fields(corpus.Corpus):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(made, field.name))
    assert [entry.name for entry in path.parent.iterdir()] == ["c.npz"]


def test_no_corpus(tmp_path):
    assert "prepare" in refused(corpus.load, tmp_path / "c.npz")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.999])
def test_half_a_file_is_never_used(saved, share):
    _, path = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refused(corpus.load, path)
    assert "damaged" in message
    assert "prepare" in message


def test_other_numbers_under_the_old_checksum(saved):
    _, path = saved
    with np.load(path) as content:
        arrays = dict(content)
    arrays["text"][3] += 1
    np.savez_compressed(path, **arrays)
    assert "checksum" in refused(corpus.load, path)


def test_another_version_of_the_file(saved, monkeypatch):
    made, path = saved
    monkeypatch.setattr(corpus, "LAYOUT", 2)
    corpus.save(made, path)
    monkeypatch.setattr(corpus, "LAYOUT", 1)
    assert "another version" in refused(corpus.load, path)


def test_pickles_are_not_opened(saved):
    _, path = saved
    np.savez_compressed(path, provenance=np.array([{"a": 1}], dtype=object))
    assert "damaged" in refused(corpus.load, path)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    made = corpus.build(verse.raw_poems(60))
    assert "--to" in refused(corpus.save, made, tmp_path / "file" / "c.npz")


@pytest.mark.slow
def test_the_program_s_errors_are_one_line(tmp_path):
    command = [sys.executable, "-m", "ntm_jax.acrostic.prepare", "--from", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr == "ntm_jax: --from: there is no nowhere\n"


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("npm") or not Path(corpus.DEFAULT).exists(), reason="the corpus is not here"
)
def test_the_real_corpus_has_the_poems_that_were_counted():
    told = corpus.load(corpus.DEFAULT).provenance
    assert (told["poems_in_package"], told["poems"], told["poems_test"]) == (57607, 56539, 2849)
    assert told["covered"] == pytest.approx(0.972, abs=5e-4)
    assert told["characters"] == pytest.approx(2.7e6, rel=0.01)
