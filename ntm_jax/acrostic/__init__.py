"""Acrostics for people: a message goes in, poems come out that carry it."""
