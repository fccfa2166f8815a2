"""How a pipeline runs: memory modes, speed options, step caches, attention backends."""
