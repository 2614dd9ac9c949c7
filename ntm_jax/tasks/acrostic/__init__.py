"""Acrostics: a poem of the Tang with given characters in given places."""

from ntm_jax.tasks.acrostic.task import Acrostic

__all__ = ["Acrostic"]
