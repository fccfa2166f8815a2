"""Section 4.1 of the paper to the letter, for numbers that can be laid beside the published ones."""

from ingredients.evaluation.metrics.per_case import CaseMean
from ingredients.evaluation.records import CaseRecord, Need


def _face_similarity(record: CaseRecord) -> float:
    assert record.paper is not None
    return record.paper.face_similarity


def _text_cosine(record: CaseRecord) -> float:
    assert record.text is not None
    return record.text.cosine


def _text(name: str, description: str, encoder: Need) -> CaseMean:
    return CaseMean(
        name=name,
        description=description,
        of_case=_text_cosine,
        needs=frozenset({"text", encoder}),
        is_percentage=True,
    )


PAPER_FACE_SIMILARITY = CaseMean(
    name="paper_face_similarity",
    description="4.1: a frame's faces matched greedily to the people, lowest cosine of the matches, mean over frames "
    "and videos (the paper's recogniser is FaceNet)",
    of_case=_face_similarity,
    needs=frozenset({"paper"}),
    is_percentage=True,
)

PAPER_CLIP_TEXT = _text(
    "paper_clip_text", "4.1: cosine of frames and prompt in CLIP, mean over frames and videos", "clip"
)

DUAL_ENCODER_TEXT = _text(
    "dual_encoder_text",
    "cosine of frames and prompt in the model's own dual encoder, which stands in for CLIP: not the paper's number",
    "dual_encoder",
)
