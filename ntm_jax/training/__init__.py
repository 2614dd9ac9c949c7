"""Trains models in one jitted loop, with checkpoints, metrics and observers."""
