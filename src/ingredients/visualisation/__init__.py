"""Pictures of what a model does: routing maps, contact sheets, detected faces, training curves."""
