"""The one training loop: trainer, what a stage supplies, checkpoints, optimisers, precision, processes."""
