"""Training: updates in one jitted loop, and what happens around it."""
