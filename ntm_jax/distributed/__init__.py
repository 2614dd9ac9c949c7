"""Trains one run in several processes."""
