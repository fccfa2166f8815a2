"""A benchmark (4.1): people with photos, prompts, fixed sets of people and cases; drawn, or a user's."""
