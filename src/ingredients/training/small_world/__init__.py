"""The small model of the drawn world, part by part."""
