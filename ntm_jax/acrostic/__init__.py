"""Acrostics: a poem of the Tang with given characters in given places."""
