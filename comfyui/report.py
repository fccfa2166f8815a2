"""What a node says of a video, for a person to read; nothing here needs ComfyUI."""

from ingredients.generation import StudioResult, Takes


def describe_video(result: StudioResult) -> str:
    """How each person was kept, and what else is worth knowing, a sentence a line."""
    frames, height, width, _ = result.frames.shape
    made = f"{frames} frames of {width}x{height}, seed {result.provenance.seed}, in {result.seconds:.1f} s"
    people = [f"{person.name}: {person.verdict}" for person in result.people]
    return "\n".join([made, *people, *result.remarks, *result.notices])


def describe_takes(takes: Takes[StudioResult]) -> str:
    """Which take was kept, and why, before what is to say of it."""
    return "\n".join([takes.reason, describe_video(takes.result)])
