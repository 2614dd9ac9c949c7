"""Computes whole sequences of an `NTMCell` in one kernel, for GPUs."""
