"""Evaluation: costs on named cases, tables and figures."""
