"""Writes the viewer with its models and episodes into files that need no server."""
