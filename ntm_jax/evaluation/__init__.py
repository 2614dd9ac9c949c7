"""Evaluates models on named cases, and makes tables and figures."""
