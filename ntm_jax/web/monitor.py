"""The monitor as training sees it: a few files, written now and then, that two other processes read.

    training          writes metrics.csv as always, and into a folder of its own weights.safetensors
    monitor_server    answers browsers from those files and the worker's, and computes nothing
    monitor_worker    runs the newest weights on held-out episodes and the latest one, at the lowest priority

Neither process is ever waited for, so a visitor cannot hold training up, and nothing goes back to it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import jax
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import weights
from ntm_jax.errors import UserError

Publish: TypeAlias = Callable[[int, Any], None]  # of updates done and parameters
SECONDS_BETWEEN = 1.0  # two files of weights, at least

# What each process does first, before it imports: that is most of what it ever computes. Where all cores are
# busy, niceness alone would leave the worker 1.4% of training's core; idle scheduling leaves it a fifth of that.
POLITE = "os.nice(5)"
IDLE = (
    "os.nice(19); hasattr(os, 'SCHED_IDLE') and "
    "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
)

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
EPISODE, EVALUATION = "episode.json", "evaluation.jsonl"
PRINTING = "printing"  # is there while episodes are to be printed


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
        yield lambda update, parameters: None
        return
    from ntm_jax.web import guard  # starlette and uvicorn, for those who watch

    if sys.platform == "win32":
        raise UserError("monitor.port: the monitor needs Linux or macOS; leave it at -1")
    with ExitStack() as stack:
        listener = stack.enter_context(guard.listen(options.host, options.port, "monitor.port"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ntm_jax_monitor_")))
        (folder / CONFIG).write_text(configs.to_json(config), encoding="utf-8")
        places = [str(folder), str(workdir.absolute())]
        handle = str(listener.fileno())
        _start(stack, "monitor_server", POLITE, [*places, handle], pass_fds=[listener.fileno()])
        _start(stack, "monitor_worker", IDLE, places)
        print(f"monitor: {guard.address(listener, options.host)}", flush=True)
        yield _publisher(folder, config)


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file at once, so that a reader sees the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _publisher(folder: Path, config: ConfigDict) -> Publish:
    last = -SECONDS_BETWEEN

    def publish(update: int, parameters: Any) -> None:
        nonlocal last
        if time.monotonic() - last < SECONDS_BETWEEN and update < config.train.updates:
            return
        # Copied now: the next update reuses these buffers.
        content = weights.dump(jax.device_get(parameters), config, update)
        write_whole(folder / WEIGHTS, content)
        last = time.monotonic()

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
