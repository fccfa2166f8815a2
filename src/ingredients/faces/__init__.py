"""Faces: detection, alignment, recognition, the image encoder, and the facial extractor that joins them."""
