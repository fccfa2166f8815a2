"""Model folders and models of the hub: what is in them, read strictly, and written whole."""
