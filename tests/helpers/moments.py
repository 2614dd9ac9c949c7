"""A run whose moments are known."""

import numpy as np

from ntm_jax.web.moments import Moments
from ntm_jax.web.packing import pack
from tests.helpers.browser import save_walker
from tests.helpers.configs import tiny

UPDATES = (0, 7)


def save_moments(workdir, inputs=None, **more):
    """A run with two moments: at update 0 heads that are nowhere and 8 bits wrong, at update 7 one that walks.

    `more` is added to their content.
    """
    save_walker(workdir, tiny())
    for update, on in zip(UPDATES, (0.0, 1.0), strict=True):
        weights = on * np.eye(8)[[6, 7, 0, 1]][:, None]
        arrays = {name: np.ones((4, 2)) for name in ("inputs", "targets", "probabilities")}
        arrays |= {} if inputs is None else {"inputs": np.asarray(inputs)}
        arrays |= {"mask": np.ones(4), "read_weightings": weights, "write_weightings": weights}
        content = {"update": update, "task": "copy", "steps": 4, **more}
        content["scores"] = {"wrong_bits": 8 - update, "scored_bits": 8, "bits": 1.5}
        content["arrays"] = {name: pack(values) for name, values in arrays.items()}
        Moments(workdir).add(content, UPDATES[-1])
