"""Types and protocols, errors, optional dependencies, config files and progress: what every other layer may import."""
