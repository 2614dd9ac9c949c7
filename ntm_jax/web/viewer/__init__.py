"""Shows trained models: where they come from, what can be asked of them, and the pages that ask."""
