"""The small model of the drawn world, part by part."""

PART_NAMES = (
    "detector",
    "recogniser",
    "image-encoder",
    "picture-kind",
    "picture-kind-close-ups",
    "judge",
    "judge-detector",
    "acting-judge",
    "attributes-judge",
    "sam",
    "text-encoder",
    "vae",
    "vae-decoder",
    "start",
    "latents",
    "base-t2v",
    "base-i2v",
    "align",
    "route",
    "pack",
    "unpack",
)
"""Names of the parts, in the order in which they need each other; nothing is imported to know them."""

ALL_PARTS = "all"
"""What the command calls all of them, one after the other."""
