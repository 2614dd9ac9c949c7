"""Reads and writes run folders: config, checkpoints and weight files."""
