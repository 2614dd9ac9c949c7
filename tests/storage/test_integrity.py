"""Damage to checkpoints is found and named before anything is read from them, and the newest valid one is used."""

import csv
import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

import ntm_jax
from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.evaluation import report
from ntm_jax.storage import integrity, restore
from ntm_jax.training import loop, metrics
from tests.helpers import programs
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import assert_same, config_of, files, refused

STORED = Path(__file__).parent / "layouts"
NEWEST, BEFORE = 6, 4  # updates with a checkpoint


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def config_to(updates):
    return config_of(train__updates=updates, train__log_every=3, train__checkpoint_every=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six updates with three checkpoints, not to be touched; and the state after eight."""
    folder = tmp_path_factory.mktemp("whole")
    loop.train(config_to(NEWEST), folder / "run")
    return folder / "run", loop.train(config_to(8), folder / "longer")


@pytest.fixture
def run(whole, tmp_path):
    """A copy of the run, and its newest checkpoint's folder."""
    workdir = shutil.copytree(whole[0], tmp_path / "run")
    return workdir, workdir / "checkpoints" / str(NEWEST)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x04
    path.write_bytes(content)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def to_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {"flip": flip, "truncate": truncate, "remove": Path.unlink, "folder": to_folder}


def parts(folder):
    """Every file, checksums too."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_found_and_named(run, damage):
    newest = run[1]
    assert integrity.find_damage(newest) is None
    assert len(parts(newest)) > 20
    for path in parts(newest):
        whole = path.read_bytes()
        DAMAGES[damage](path)
        what = integrity.find_damage(newest)
        assert what is not None, path
        if path.name != integrity.CHECKSUMS:
            assert what.startswith(str(path.relative_to(newest))), what
        shutil.rmtree(path, ignore_errors=True)
        path.write_bytes(whole)
        assert integrity.find_damage(newest) is None


def test_no_flipped_bit_is_overlooked_in_what_says_that_there_are_checksums(run):
    for name, step in ((str(integrity.RUN), 1), (integrity.CHECKSUMS, 7)):
        path = run[1] / name
        whole = path.read_bytes()
        for place in range(0, len(whole), step):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :])
            assert integrity.find_damage(run[1]) is not None, (name, place)
        path.write_bytes(whole)


def test_what_layout_2_does_not_check_is_not_needed(tmp_path):
    workdir = shutil.copytree(STORED / "2", tmp_path / "run")
    (folder,) = (workdir / "checkpoints").iterdir()
    checked = json.loads((folder / integrity.CHECKSUMS).read_text())
    others = [path for path in parts(folder) if str(path.relative_to(folder)) not in checked]
    assert others
    for path in others:
        if path.name != integrity.CHECKSUMS:
            path.unlink()
    assert integrity.find_damage(folder) is None
    config = configs.read(workdir / "config.json")
    assert restore.load_as(workdir, config)[1] == int(folder.name)
    assert int(loop.train(config, workdir).update) == int(folder.name)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_layout_2_is_found_and_named(tmp_path, damage):
    folder = shutil.copytree(STORED / "2" / "checkpoints", tmp_path / "all") / "4"
    for name in json.loads((folder / integrity.CHECKSUMS).read_text()):
        whole = (folder / name).read_bytes()
        DAMAGES[damage](folder / name)
        assert integrity.find_damage(folder).startswith(name)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).write_bytes(whole)
    assert integrity.find_damage(folder) is None


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def biggest(change):
    """`change` of the largest file in a folder, which holds numbers."""
    return lambda folder: change(max(parts(folder), key=lambda path: path.stat().st_size))


@pytest.mark.parametrize(
    "damage",
    [
        *(biggest(flip), biggest(truncate), biggest(Path.unlink), empty),
        lambda folder: shutil.rmtree(folder / "training"),
        lambda folder: shutil.rmtree(folder / "run"),
        lambda folder: (folder / integrity.CHECKSUMS).unlink(),
    ],
    ids=["flipped", "truncated", "file", "empty", "training", "run", "checksums"],
)
def test_training_goes_on_from_the_newest_sound_checkpoint(whole, run, capsys, damage):
    workdir, newest = run
    damage(newest)
    assert restore.load_as(workdir, config_to(8))[1] == BEFORE
    said = capsys.readouterr().err
    assert re.fullmatch(rf"ntm_jax: \S*/checkpoints/6 is damaged: .*; {BEFORE} is used\n", said)
    assert newest.is_dir()  # who only reads leaves it

    state = loop.train(config_to(8), workdir)
    assert said in capsys.readouterr().err
    assert_same(state, whole[1])
    assert programs.rows(workdir) == programs.rows(whole[0].parent / "longer")
    assert newest.with_name("6.damaged").is_dir()
    assert programs.checkpoints_in(workdir) == [BEFORE, NEWEST, 8]
    assert all(integrity.find_damage(workdir / "checkpoints" / str(n)) is None for n in (4, 6, 8))
    assert restore.load_as(workdir, config_to(8))[1] == 8


def test_what_was_half_deleted_when_the_run_was_killed_is_removed(run, capsys):
    workdir, newest = run
    shutil.rmtree(newest.with_name(str(BEFORE)) / "training")
    loop.train(config_to(NEWEST), workdir)
    assert "damaged" not in capsys.readouterr().err
    assert sorted(path.name for path in newest.parent.iterdir()) == ["2", str(NEWEST)]


@pytest.mark.parametrize("name", ["partial", "5.orbax-checkpoint-tmp"])
def test_what_was_half_written_is_removed_by_training_alone(run, name):
    """Of an update that will not be written again, whose folder would stay for ever."""
    workdir, newest = run
    left = shutil.copytree(newest, newest.with_name(name) / "5")
    assert restore.load_as(workdir, config_to(8))[1] == NEWEST
    assert left.is_dir()  # another process may be writing it
    loop.train(config_to(8), workdir)
    assert not left.parent.exists()


@pytest.mark.parametrize("damage", [biggest(flip), empty], ids=["flipped", "empty"])
def test_none_that_is_sound_is_one_line(run, damage):
    workdir, newest = run
    for folder in newest.parent.iterdir():
        damage(folder)
    for action in (loop.train, report.evaluate_run):
        message = refused(workdir, action, config_to(8), workdir)
        assert "no checkpoint in " in message
        assert " is valid; in 6, " in message
    assert refused(workdir, ntm_jax.load, workdir) == message


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no owners here")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_read_is_named(whole, what):
    """As another user, where this one may read everything."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        folder = shutil.copytree(whole[0] / "checkpoints", Path(place) / "checkpoints")
        path = folder / "6" if what == "folder" else parts(folder / "6")[3]
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            named = integrity.find_damage(folder / "6")
            found = integrity.latest_valid(folder)
        finally:
            os.seteuid(user)
        path.chmod(stat.S_IRWXU)
    assert named.endswith(f"cannot be read ({os.strerror(errno.EACCES)})")
    assert found == BEFORE


# ---- A full disk


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for two checkpoints and a half."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small file system, and not everywhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("filled", [False, True], ids=["by_checkpoints", "by_others"])
def test_a_full_disk_is_one_line_and_leaves_sound_checkpoints(tmp_path, small_disk, filled):
    base, workdir = tmp_path.parent, small_disk / "run"
    every = {"train__log_every": 3, "train__checkpoint_every": 20, "train__updates": 10**6}
    process = programs.start(base, workdir, **every)
    if filled:
        programs.wait_for(lambda: 20 in programs.checkpoints_in(workdir))
        with (small_disk / "other").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(512)):
                pass
    status, line = programs.end(process)
    assert status == 2
    assert line.startswith("ntm_jax: --workdir: ")
    assert "cannot be written to" in line
    kept = programs.checkpoints_in(workdir)
    assert kept
    for update in kept:
        assert integrity.find_damage(workdir / "checkpoints" / str(update)) is None
    if "last valid" in line:
        assert line.endswith(f"; the last valid one is of update {kept[-1]}")

    # With room again, it goes on to the same end.
    for other in small_disk.glob("other"):
        other.unlink()
    subprocess.run(["mount", "-o", "remount,size=50M", str(small_disk)], check=True)
    config = tiny(**(programs.USUAL | every | {"train__updates": kept[-1] + 5}))
    found = loop.train(config, workdir)
    assert_same(found, loop.train(config, tmp_path / "straight"))
    assert programs.rows(workdir) == programs.rows(tmp_path / "straight")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_metrics_that_cannot_be_written_are_one_line(monkeypatch, tmp_path):
    """The first line of metrics meets a full device; there is no checkpoint to fail before it."""
    begin = metrics.Metrics.__init__

    def full(self, *arguments):
        begin(self, *arguments)
        self._file.close()
        self._file = open("/dev/full", "w")  # noqa: SIM115
        self._csv.writer = csv.writer(self._file)

    monkeypatch.setattr(metrics.Metrics, "__init__", full)
    with pytest.raises(UserError) as caught:
        loop.train(config_of(train__updates=4, train__log_every=2), tmp_path)
    reason = os.strerror(errno.ENOSPC)
    assert str(caught.value).startswith(f"--workdir: {tmp_path} cannot be written to ({reason}); ")


# ---- Layouts


def test_the_first_layout_loads_and_is_gone_on_with(tmp_path):
    """A run of before checkpoints had a number, or config.json the fields of today."""
    workdir = shutil.copytree(STORED / "1", tmp_path / "run")
    (update,) = programs.checkpoints_in(workdir)
    folder = workdir / "checkpoints" / str(update)
    assert not (folder / integrity.CHECKSUMS).exists()
    assert isinstance(ntm_jax.load(workdir), ntm_jax.NTMCell)

    config = configs.read(workdir / "config.json")
    config.train.updates = update + 1
    config.train.checkpoint_every = update + 1
    state = loop.train(config, workdir)
    assert int(state.update) == update + 1
    assert integrity.find_damage(workdir / "checkpoints" / str(update + 1)) is None


def test_a_first_layout_that_orbax_cannot_read_is_one_line(tmp_path):
    """In a process of its own, for Orbax leaves behind what complains later."""
    workdir = shutil.copytree(STORED / "1", tmp_path / "run")
    for path in workdir.glob("checkpoints/*/parameters/d/*"):
        path.unlink()
    before = files(workdir)
    code = """if True:
        import sys, ntm_jax
        from ntm_jax.errors import UserError
        try:
            ntm_jax.load(sys.argv[1])
        except UserError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(workdir)],
        cwd=programs.ROOT,
        env=programs.environment(tmp_path.parent),
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"--workdir: .*/checkpoints/\d+ cannot be restored \(.*\)\n", done.stdout)
    assert files(workdir) == before


@pytest.mark.parametrize("layout", [0, 4, "new"])
def test_another_versions_layout_is_refused_and_named(run, layout):
    workdir, newest = run
    path = newest / integrity.RUN
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layout": layout}))
    integrity.write_checksums(newest)
    for action in (loop.train, report.evaluate_run):
        message = refused(workdir, action, config_to(8), workdir)
        assert f"/checkpoints/6 has layout {layout!r}" in message
        assert "knows those up to 3" in message
