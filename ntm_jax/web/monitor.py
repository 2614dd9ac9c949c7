"""The monitor as training sees it: a few files, written now and then, that two other processes read.

    training          writes metrics.csv as always, and into a folder of its own weights.safetensors
    monitor_server    answers browsers from those files and the worker's, and computes nothing
    monitor_worker    runs the newest weights on held-out episodes and the latest one, at the lowest priority,
                      on one core; seldom while nobody looks

Neither process is ever waited for, so a visitor cannot hold training up, and nothing goes back to it.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import jax
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.storage import weights
from ntm_jax.storage.files import write_atomically

Publish: TypeAlias = Callable[[int, Any], None]  # of updates done and parameters
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
EPISODE, EVALUATION = "episode.json", "evaluation.jsonl"
PRINTING = "printing"  # is there while episodes are to be printed
LOOKED_AT = "looked_at"  # its time is when a page asked last

MEMORY = Path("/dev/shm")  # on a disk, replacing a file takes ten times as long
ROOM = 50_000_000  # bytes that are to be free there


@contextmanager
def beside(config: ConfigDict, workdir: Path) -> Iterator[Publish]:
    """The monitor of a run for as long as the context lasts; nothing if `monitor.port` is off.

    Args:
      config: of the run.
      workdir: its folder, which need not exist yet.

    Yields:
      What to call with every state worth showing.

    Raises:
      UserError: the port is in use, or this system cannot hand it on.
    """
    options = config.get("monitor")
    if options is None or options.port < 0:
        yield nothing
        return
    from ntm_jax.web import server

    if sys.platform == "win32":
        raise UserError("monitor.port: the monitor needs Linux or macOS; leave it at -1")
    with ExitStack() as stack:
        listener = stack.enter_context(server.listen(options.host, options.port, "monitor.port"))
        made = tempfile.TemporaryDirectory(prefix="ntm_jax_monitor_", dir=_place())
        folder = Path(stack.enter_context(made))
        (folder / CONFIG).write_text(configs.to_json(config), encoding="utf-8")
        places = [str(folder), str(workdir.absolute())]
        handle = str(listener.fileno())
        _start(stack, "monitor_server", POLITE, [*places, handle], pass_fds=[listener.fileno()])
        _start(stack, "monitor_worker", IDLE, places)
        print(f"monitor: {server.address(listener, options.host)}", flush=True)
        yield _publisher(folder, config)


def nothing(update: int, parameters: Any) -> None:
    """What to call where nobody looks."""


def _place() -> Path | None:
    """Where the monitor's folder is made; None: where temporary folders usually are."""
    try:
        roomy = shutil.disk_usage(MEMORY).free >= ROOM
    except OSError:
        return None
    return MEMORY if roomy and os.access(MEMORY, os.W_OK) else None


def _publisher(folder: Path, config: ConfigDict) -> Publish:
    earliest = -math.inf
    costs: deque[float] = deque(
        maxlen=5
    )  # seconds; the least counts, for others are of a busy machine

    def publish(update: int, parameters: Any) -> None:
        nonlocal earliest
        begun = time.monotonic()
        if begun < earliest and update < config.train.updates:
            return
        # Copied now: the next update reuses these buffers.
        content = weights.dump(jax.device_get(parameters), config, update)
        # A full disk is no reason to stop training: the page shows what it has.
        with suppress(OSError):
            write_atomically(folder / WEIGHTS, content)
        now = time.monotonic()
        if earliest > -math.inf:  # the first is longer than any other
            costs.append(now - begun)
        rest = TIMES_AS_LONG * min(costs, default=0.0)
        earliest = now + min(max(rest, LEAST_SECONDS), MOST_SECONDS)

    return publish


def _start(stack: ExitStack, module: str, first: str, arguments: list[str], **options: Any) -> None:
    """A process that ends with the context, or, by the end of its input, with this process however that ends."""
    code = f"import os, sys; {first}; from ntm_jax.web.{module} import main; main(*sys.argv[1:])"
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
