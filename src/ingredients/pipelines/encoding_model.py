"""The parts of a model folder that encode clips for training: everything but the transformer."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase, T5EncoderModel

from ingredients.core.errors import ModelFolderError
from ingredients.core.model_files import digest_files
from ingredients.core.protocols import FaceDetector
from ingredients.data.buckets import Bucket
from ingredients.data.clip_encoder import ClipEncoder, EncodePrompts, FindPhrases, vae_digest
from ingredients.data.encoding_settings import EncoderConfig
from ingredients.faces.drawn_face_stack import PICTURE_KIND_FOLDER
from ingredients.faces.face_stack import load_face_stack
from ingredients.model_folders.components import (
    face_encoder_folder,
    identity_beside,
    load_text_encoder,
    load_tokenizer,
    load_vae,
    transformer_part,
)
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.model_folders.transformer import build_transformer
from ingredients.models import IngredientsTransformer3DModel
from ingredients.models.backbones import VideoVae
from ingredients.pipelines.prompts import encode_prompts, find_phrases
from ingredients.pipelines.video_shape import VideoGeometry


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodingModel:
    """What encodes clips."""

    encoder: ClipEncoder
    """Encodes them."""

    detector: FaceDetector
    """Finds the faces of photos."""

    digests: dict[str, str]
    """Digests of the parts, by name: clips are of use to a model with the same ones."""

    bucket: Bucket
    """Length and size that the transformer was made for."""

    geometry: VideoGeometry
    """Which sizes it can make; learned positions, which can be dropped, do not count."""


def load_encoding_model(
    folder: Path,
    config: EncoderConfig,
    *,
    face_encoder: Path | None = None,
    allow_photographs: bool = False,
    device: torch.device,
    dtype: torch.dtype,
) -> EncodingModel:
    """Loads what encodes clips for training a model.

    Args:
        folder: the folder of the model: in the published layout, in ours, or a CogVideoX of diffusers' as the base.
        config: what is kept of a clip.
        face_encoder: folder of the face networks, where the model's has none.
        allow_photographs: whether face networks that know drawings only encode photographed people all the same.
        device: where they run.
        dtype: the type of VAE and text encoder.

    Raises:
        ModelFolderError: if a part is missing or damaged.
    """
    faces = find_face_encoder(folder, face_encoder)
    face_stack = load_face_stack(faces)
    transformer = build_transformer(folder / transformer_part(folder))
    vae = load_vae(folder / "vae", dtype=dtype).to(device)
    tokenizer = load_tokenizer(folder / "tokenizer")
    encoder = ClipEncoder(
        vae=vae,
        encode_prompts=caption_encoder(
            tokenizer,
            load_text_encoder(folder / "text_encoder", dtype=dtype).to(device),
            max_text_seq_length=transformer.config.max_text_seq_length,
        ),
        find_phrases=phrase_finder(tokenizer, max_text_seq_length=transformer.config.max_text_seq_length),
        recogniser=face_stack.recogniser,
        image_encoder=face_stack.image_encoder,
        canvas_crop_size=face_stack.canvas_crop_size,
        patch_size=transformer.config.patch_size,
        patch_size_t=transformer.config.patch_size_t,
        config=config,
        picture_kind=None if allow_photographs else face_stack.picture_kind,
    )
    return EncodingModel(
        encoder=encoder,
        detector=face_stack.facial_extractor().detector,
        digests=model_digests(folder, face_encoder=face_encoder),
        bucket=model_bucket(transformer, vae),
        geometry=VideoGeometry.of(transformer.backbone, transformer.config, vae.config),
    )


def caption_encoder(
    tokenizer: PreTrainedTokenizerBase, text_encoder: T5EncoderModel, *, max_text_seq_length: int
) -> EncodePrompts:
    """What encodes captions as the pipeline encodes prompts, padded to the text tokens that the transformer reads."""

    def encode(captions: Sequence[str]) -> torch.Tensor:
        return encode_prompts(
            tokenizer, text_encoder, captions, max_sequence_length=max_text_seq_length, device=text_encoder.device
        )

    return encode


def phrase_finder(tokenizer: PreTrainedTokenizerBase, *, max_text_seq_length: int) -> FindPhrases:
    """What finds, among the text tokens that the transformer reads, those that stand for people."""
    return functools.partial(find_phrases, tokenizer, max_sequence_length=max_text_seq_length)


def model_digests(folder: Path, *, face_encoder: Path | None = None) -> dict[str, str]:
    """Digests of the parts of a model that encode clips, without loading more than the VAE.

    The VAE is read for it as it is stored: in bfloat16, in which a GPU computes, half of the stored digits are lost.

    Raises:
        ModelFolderError: if a part is missing.
    """
    return {
        "vae": vae_digest(load_vae(folder / "vae", dtype=torch.float32)),
        "tokenizer": digest_files(folder / "tokenizer"),
        "text_encoder": digest_files(folder / "text_encoder"),
        "face_encoder": digest_files(find_face_encoder(folder, face_encoder), without=(PICTURE_KIND_FOLDER,)),
    }


def find_face_encoder(folder: Path, face_encoder: Path | None) -> Path:
    """The face networks of a model, or those that are given.

    Raises:
        ModelFolderError: if there are none.
    """
    faces = face_encoder or face_encoder_folder(folder, identity_beside(folder))
    if not faces.is_dir():
        raise ModelFolderError(
            f"The model {folder} has no face networks, which show it the people; name a folder that has some, such as "
            f"{FACE_ENCODER}/ of the published model, with --face-encoder."
        )
    return faces


def model_bucket(transformer: IngredientsTransformer3DModel, vae: VideoVae) -> Bucket:
    """The length and size that a transformer was made for."""
    shape = VideoGeometry.of(transformer.backbone, transformer.config, vae.config).own_shape
    return Bucket(num_frames=shape.num_frames, height=shape.height, width=shape.width)
