"""Builds optimizers, clipping and learning-rate schedules, each chosen by name."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ntm_jax.errors import UserError, unknown_choice


def graves_rmsprop(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9, **arguments: Any
) -> optax.GradientTransformation:
    """Builds RMSProp as in Graves 2013 (arXiv 1308.0850, eqs. 38-41): centred, decay 0.95, 1e-4 inside the root."""
    arguments = {"decay": 0.95, "eps": 1e-4, "centered": True} | arguments
    return optax.rmsprop(learning_rate, momentum=momentum, **arguments)


def sgd(
    learning_rate: optax.ScalarOrSchedule, momentum: float = 0.9, **arguments: Any
) -> optax.GradientTransformation:
    """Builds gradient descent with momentum."""
    return optax.sgd(learning_rate, momentum, **arguments)


# With defaults of their own, and all arguments of those in optax. Any other name is looked up there.
OURS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "graves_rmsprop": graves_rmsprop,
    "sgd": sgd,
}
CLIPPINGS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "none": lambda limit: optax.identity(),
    "value": optax.clip,  # every element into [-limit, limit], as the paper does
    "global_norm": optax.clip_by_global_norm,
}
SCHEDULES = ("constant", "linear", "cosine", "exponential")
EXPONENTIAL_END = 0.01  # of the peak, at the end of training


def build(config: ConfigDict, schedule_ends: Sequence[int]) -> optax.GradientTransformation:
    """Builds the clipping and the optimiser that `config.optimizer` describes.

    Args:
      config: a whole config.
      schedule_ends: see `schedule`.

    Raises:
      UserError: an unknown name, or an argument that the optimiser does not take.
    """
    options = config.optimizer
    if options.clip not in CLIPPINGS:
        raise unknown_choice("optimizer.clip", options.clip, CLIPPINGS)
    constructor, arguments = _constructor(options.name), parse_arguments(options.arguments)
    optimizer, error = _tried(constructor, schedule(config, schedule_ends), arguments)
    if optimizer is None:
        if _tried(constructor, options.learning_rate, arguments)[0] is not None:
            raise UserError(
                f"optimizer.name: {options.name!r} takes no learning-rate schedule, which every run has; "
                "choose another"
            )
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"optimizer.arguments: {options.name!r} does not take {options.arguments!r} ({reason})"
        )
    return optax.chain(CLIPPINGS[options.clip](options.clip_limit), optimizer)


def schedule(config: ConfigDict, schedule_ends: Sequence[int]) -> optax.Schedule:
    """Returns a function from an update to its learning rate.

    It rises to `learning_rate` over `warmup` updates, then follows `optimizer.schedule` to the end of training.

    Args:
      config: a whole config.
      schedule_ends: ascending. Up to each of them, the rate is what it would be if training ended there.
    """
    *restarts, end = schedule_ends
    found = _schedule(config, end)
    for restart in reversed(restarts):
        found = _before(restart, _schedule(config, restart), found)
    # Optax divides counts, and a quotient of 32-bit integers would be float32 also where others are float64.
    return lambda count: found(jnp.asarray(count, float))


def _before(update: int, first: optax.Schedule, then: optax.Schedule) -> optax.Schedule:
    """Returns `first` up to an update, and `then` from it on."""
    return lambda count: jnp.where(count < update, first(count), then(count))


def _schedule(config: ConfigDict, updates: int) -> optax.Schedule:
    options = config.optimizer
    peak, rest = options.learning_rate, max(updates - options.warmup, 1)
    if options.schedule == "constant":
        main = optax.constant_schedule(peak)
    elif options.schedule == "linear":
        main = optax.linear_schedule(peak, 0.0, rest)
    elif options.schedule == "cosine":
        main = optax.cosine_decay_schedule(peak, rest)
    elif options.schedule == "exponential":
        main = optax.exponential_decay(peak, rest, EXPONENTIAL_END)
    else:
        raise unknown_choice("optimizer.schedule", options.schedule, SCHEDULES)
    if options.warmup == 0:
        return main
    warmup = optax.linear_schedule(0.0, peak, options.warmup)
    return optax.join_schedules([warmup, main], [options.warmup])


def parse_arguments(text: str) -> dict[str, Any]:
    """Parses `"b1=0.9, nesterov=True"` to `{"b1": 0.9, "nesterov": True}`. Values are Python literals."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args:
            values = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
            if len(values) == len(call.keywords):  # none twice
                return values
    except (SyntaxError, ValueError):
        pass
    raise UserError(
        f"optimizer.arguments: {text!r} cannot be read; write it like 'b1=0.9, nesterov=True'"
    )


def _tried(
    constructor: Callable[..., optax.GradientTransformation],
    rate: optax.ScalarOrSchedule,
    arguments: Mapping[str, Any],
) -> tuple[optax.GradientTransformation | None, Exception | None]:
    """Returns an optimiser with which an update can be made, or None and the error.

    An argument of the wrong kind shows only in an update.
    """
    try:
        optimizer = constructor(learning_rate=rate, **arguments)
        with jax.numpy_dtype_promotion("standard"):  # which optax counts on
            jax.eval_shape(partial(_update, optimizer), jnp.zeros(2))
    except (TypeError, ValueError) as error:
        return None, error
    return optimizer, None


def _update(optimizer: optax.GradientTransformation, values: jax.Array) -> optax.Updates:
    """Returns one update of a small parameter."""
    parameters = {"w": values}
    return optimizer.update(parameters, optimizer.init(parameters), parameters)[0]


def _constructor(name: str) -> Callable[..., optax.GradientTransformation]:
    found = OURS.get(name) or getattr(optax, name, None)
    if not callable(found) or "learning_rate" not in inspect.signature(found).parameters:
        raise UserError(
            f"optimizer.name: {name!r} is unknown; choose one of {', '.join(sorted(OURS))}, "
            "or an optax optimizer that takes a learning_rate, such as adam"
        )
    return found
