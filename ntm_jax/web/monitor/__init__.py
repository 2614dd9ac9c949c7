"""Watches a run while it trains: what training writes, a process that computes, and one that answers browsers."""
