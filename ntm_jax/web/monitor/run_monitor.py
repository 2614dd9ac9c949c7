"""Connects training to the monitor, by a few files that two other processes read.

    training    writes metrics.csv as always, and into a folder of its own weights.safetensors
    server      answers browsers from those files and the worker's, and computes nothing
    worker      runs the newest weights on held-out episodes and the latest one, at the lowest priority,
                on one core; seldom while nobody looks. It keeps one episode over training, see `moments`

Training waits for neither process, so a visitor cannot hold it up, and nothing goes back to it.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax.errors import UserError, needs
from ntm_jax.storage import weights
from ntm_jax.storage.files import write_atomically
from ntm_jax.training.metrics import Row
from ntm_jax.training.observers import Begun, Observer
from ntm_jax.web import moments

# Between two files of weights, at least: their writing is to take a thousandth of training's time.
LEAST_SECONDS, MOST_SECONDS, TIMES_AS_LONG = 1.0, 30.0, 1000

# What each process does first, before it imports: that is most of what it ever computes. Where all cores are
# busy, niceness alone would leave the worker 1.4% of training's core; idle scheduling leaves it a fifth of that.
# One core, for then XLA and NumPy start one thread, and not one for each.
POLITE = "os.nice(10)"
IDLE = (
    "os.nice(19); hasattr(os, 'sched_setaffinity') and ("
    "os.sched_setaffinity(0, [max(os.sched_getaffinity(0))]), "
    "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))"
)

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
MOMENTS = "moments"  # a folder of weights whose moment is to be kept, named by their update
ROOM_FOR_MOMENTS = 20_000_000  # bytes of them that may wait for the worker
EPISODE, EVALUATION = "episode.json", "evaluation.jsonl"
PRINTING = "printing"  # is there while episodes are to be printed
LOOKED_AT = "looked_at"  # its time is when a page asked last
TRAINED, EVALUATED = "trained", "evaluated"  # are there once that has ended
CASES = "cases.jsonl"  # of the evaluation after training, as they come

LAST_SECONDS = 2.5  # for which an open page is given its last answer
LOOKING_SECONDS = 5.0  # since a page asked; then none is open any more

MEMORY = Path("/dev/shm")  # on a disk, replacing a file takes ten times as long
ROOM = 50_000_000  # bytes that are to be free there


class RunMonitor(Observer):
    """Runs the monitor of a run, from before its folder is opened until training ends, or its evaluation.

    Args:
      config_file: the run's config file, as `config.load` takes it, if that adds the task to `TASKS`. The
        worker's process runs it too.
      stays: whether an evaluation follows. The monitor then stays until `end`.
    """

    def __init__(self, config_file: str = "", stays: bool = False) -> None:
        self._config_file, self._stays = config_file, stays
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._publish: Publisher | None = None

    def open(self, config: ConfigDict, workdir: Path) -> None:
        """Starts the monitor's processes and says where they are found.

        Raises:
          UserError: the port is in use, or this system cannot hand it on, or the extra `web` is not installed.
        """
        with needs("web"):
            from ntm_jax.web import server

        if sys.platform == "win32":
            raise UserError("monitor.port: the monitor needs Linux or macOS; leave it at -1")
        options, stack = config.monitor, self._stack
        listener = stack.enter_context(server.listen(options.host, options.port, "monitor.port"))
        made = tempfile.TemporaryDirectory(prefix="ntm_jax_monitor_", dir=_place())
        folder = Path(stack.enter_context(made))
        (folder / CONFIG).write_text(configs.to_json(config), encoding="utf-8")
        places = [str(folder), str(workdir.absolute())]
        handle = str(listener.fileno())
        _start(stack, "server", POLITE, [*places, handle], pass_fds=[listener.fileno()])
        _start(stack, "worker", IDLE, [*places, self._config_file])
        print(f"monitor: {server.address(listener, options.host)}", flush=True)
        self._publish = Publisher(folder, config)
        self._folder = folder

    def begin(self, begun: Begun) -> None:
        """Shows the state that the session begins with."""
        self.publish(begun.update, begun.parameters)

    def row(self, row: Row, parameters: Any, skipped: int) -> None:
        """Shows the parameters after a row of metrics.csv, if it is time."""
        self.publish(row.update, parameters)

    def publish(self, update: int, parameters: Any) -> None:
        """Shows the parameters after an update, if it is time; see `Publisher`."""
        if self._publish is not None:
            self._publish(update, parameters)

    def close(self) -> None:
        """Ends the processes, unless they are to stay."""
        self._mark(TRAINED)
        if not self._stays:
            self.end()

    def case(self, result: Mapping[str, Any]) -> None:
        """Shows the numbers of a case of the evaluation."""
        if self._folder is not None:
            with suppress(OSError), (self._folder / CASES).open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")

    def evaluated(self) -> None:
        """Shows that the evaluation has ended; if a page is open, waits until it has asked once more."""
        self._mark(EVALUATED)
        if self._folder is None:
            return
        with suppress(OSError):
            if time.time() - (self._folder / LOOKED_AT).stat().st_mtime < LOOKING_SECONDS:
                time.sleep(LAST_SECONDS)

    def end(self) -> None:
        """Ends the processes."""
        self._folder = None
        self._stack.close()

    def _mark(self, name: str) -> None:
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / name).touch()


def _place() -> Path | None:
    """Returns where to create the monitor's folder, or None for the default temporary folder."""
    try:
        roomy = shutil.disk_usage(MEMORY).free >= ROOM
    except OSError:
        return None
    return MEMORY if roomy and os.access(MEMORY, os.W_OK) else None


class Publisher:
    """Writes weights for the monitor's processes, so seldom that it takes a thousandth of training's time.

    Args:
      folder: the monitor's.
      config: of the run.
    """

    def __init__(self, folder: Path, config: ConfigDict):
        self._folder, self._config = folder, config
        self._earliest = -math.inf  # when to write next
        self._kept: int | None = None  # the last update whose moment is to be kept
        # Seconds that writing took. The least counts, for others are of a busy machine.
        self._costs: deque[float] = deque(maxlen=5)

    def __call__(self, update: int, parameters: Any) -> None:
        """Writes the parameters after an update if it is time, or if it is the last."""
        begun = time.monotonic()
        if begun < self._earliest and update < self._config.train.updates:
            return
        # Copied now: the next update reuses these buffers.
        content = weights.dump(jax.device_get(parameters), self._config, update)
        # A full disk is no reason to stop training: the page shows what it has.
        written = False
        with suppress(OSError):
            write_atomically(self._folder / WEIGHTS, content)
            written = True
        now = time.monotonic()
        if written:
            with suppress(OSError):  # not part of the cost below, for it is seldom
                self._keep(update, content)
        if self._earliest > -math.inf:  # the first is longer than any other
            self._costs.append(now - begun)
        rest = TIMES_AS_LONG * min(self._costs, default=0.0)
        self._earliest = now + min(max(rest, LEAST_SECONDS), MOST_SECONDS)

    def _keep(self, update: int, content: bytes) -> None:
        """Lays weights aside whose moment is to be kept, if there is room, as there always is for the last."""
        updates = self._config.train.updates
        if not moments.apart(self._kept, update, updates):
            return
        folder = self._folder / MOMENTS
        folder.mkdir(exist_ok=True)
        waiting = [path.stat().st_size for path in folder.glob("*.safetensors")]
        if waiting and update < updates and sum(waiting) + len(content) > ROOM_FOR_MOMENTS:
            return
        self._kept = update
        write_atomically(folder / f"{update}.safetensors", content)


def _start(stack: ExitStack, module: str, first: str, arguments: list[str], **options: Any) -> None:
    """Starts a process that ends with the context, or with this process, when its input closes."""
    code = f"import os, sys; {first}; from ntm_jax.web.monitor.{module} import main; main(*sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for training, which ends the others
        env={**os.environ, "JAX_PLATFORMS": "cpu"},  # an accelerator is training's
        **options,
    )

    def stop() -> None:
        process.kill()
        assert process.stdin is not None
        process.stdin.close()
        process.wait()

    stack.callback(stop)
