"""Training: one loop, a stage for each part of the small model, and the paper's two stages (section 3.3)."""
