"""Videos of several people from their photos and a sentence."""
