"""A run's folder: config, checkpoints and weight files."""
