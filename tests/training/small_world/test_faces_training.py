import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ingredients.core.errors import ModelFolderError
from ingredients.faces.drawn_face_stack import load_judge, load_judge_detector
from ingredients.faces.face_stack import load_face_stack
from ingredients.faces.network_settings import (
    DetectorConfig,
    ImageEncoderConfig,
    JudgeConfig,
    PictureKindConfig,
    RecogniserConfig,
)
from ingredients.faces.picture_kind import CloseUpClassifier
from ingredients.faces.segmenters import load_small_sam
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.small_world.faces.detector import DetectorStage
from ingredients.training.small_world.faces.part_run import Pool, cached_pool
from ingredients.training.small_world.faces.picture_kind import (
    load_trained_picture_kind,
    render_pool,
)
from ingredients.training.small_world.faces.settings import (
    DetectorTrainingConfig,
    ImageEncoderTrainingConfig,
    JudgeTrainingConfig,
    PictureKindTrainingConfig,
    RecogniserTrainingConfig,
    RecognitionTrainingConfig,
    SegmenterTrainingConfig,
    close_up_config,
    judge_detector_config,
)
from ingredients.training.small_world.pack import pack_face_networks
from ingredients.training.small_world.parts import PARTS
from ingredients.world import Scene
from ingredients.world.scenes import HIDDEN, VISIBLE, face_states


def train(part: str, config: object, output: Path, *, resume: bool = False) -> dict[str, float]:
    metrics: dict[str, float] = PARTS[part].run(output, config, resume=resume, show=False)
    return metrics


def _trainer(num_steps: int = 3) -> TrainerConfig:
    return TrainerConfig(num_steps=num_steps, num_warmup_steps=1, log_every=1, checkpoint_every=2)


def _detector(num_steps: int = 3) -> DetectorTrainingConfig:
    return DetectorTrainingConfig(
        detector=DetectorConfig(widths=(4, 6, 8, 10, 12), head_width=6),
        trainer=_trainer(num_steps),
        num_scenes=3,
        num_portraits=2,
        portrait_size=64,
        scene_batch_size=3,
        portrait_batch_size=2,
        num_validation_scenes=2,
    )


def _recognition(num_steps: int = 3) -> RecognitionTrainingConfig:
    return RecognitionTrainingConfig(
        trainer=_trainer(num_steps),
        num_people=8,
        num_group_scenes=1,
        num_pair_scenes=1,
        num_portraits=1,
        batch_size=6,
        num_validation_clips=1,
    )


def test_every_part_trains_and_packs_into_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="ingredients world train detector"):
        train("recogniser", RecogniserTrainingConfig(recognition=_recognition()), tmp_path)
    assert train("detector", _detector(), tmp_path).keys() >= {"recall", "landmark_error"}
    with pytest.raises(ModelFolderError, match="ingredients world train recogniser"):
        pack_face_networks(tmp_path, tmp_path / "model")
    recogniser = RecogniserConfig(crop_size=32, embedding_dim=9, widths=(4, 6, 8, 10))
    metrics = train(
        "recogniser",
        RecogniserTrainingConfig(recogniser=recogniser, recognition=_recognition()),
        tmp_path,
    )
    assert metrics.keys() >= {"rank_1", "stranger_rank_1", "tar_at_far_1e-3", "same_mean", "stranger_mean"}
    judge = JudgeConfig(crop_size=32, embedding_dim=7, widths=(4, 6), depths=(1, 1))
    train("judge", JudgeTrainingConfig(judge=judge, recognition=_recognition()), tmp_path)
    own = dataclasses.replace(
        _detector(), split="judge", detector=DetectorConfig(widths=(4, 5, 7, 9, 11), head_width=5)
    )
    train("judge-detector", own, tmp_path)
    encoder = ImageEncoderConfig(
        crop_size=24, hidden_size=12, intermediate_size=16, num_text_layers=1, num_attention_heads=3, projection_dim=5
    )
    image_metrics = train(
        "image-encoder",
        ImageEncoderTrainingConfig(
            image_encoder=encoder,
            trainer=_trainer(),
            num_scenes=3,
            num_portraits=3,
            face_batch_size=3,
            frame_batch_size=2,
            num_validation_pairs=4,
        ),
        tmp_path,
    )
    assert image_metrics.keys() >= {"description_rank_1", "caption_pairwise"}

    with pytest.raises(ModelFolderError, match="ingredients world train picture-kind"):
        pack_face_networks(tmp_path, tmp_path / "model")
    kinds = PictureKindConfig(crop_size=24, widths=(2, 3, 4, 5))
    close_ups = PictureKindConfig(crop_size=16, widths=(3, 4, 5, 2), close_ups=True, min_photograph_odds=2.0)
    kind_config = PictureKindTrainingConfig(
        picture_kind=kinds,
        trainer=_trainer(),
        num_portraits=2,
        num_scenes=2,
        num_foreign=3,
        batch_size=6,
        num_validation=2,
    )
    kind_metrics = train("picture-kind", kind_config, tmp_path)
    assert load_trained_picture_kind(tmp_path).second is None  # a model may have one alone
    close_metrics = train(
        "picture-kind-close-ups",
        dataclasses.replace(kind_config, picture_kind=close_ups),
        tmp_path,
    )
    for metrics in (kind_metrics, close_metrics):
        assert metrics.keys() >= {"drawn_world_refused", "photograph_right", "other_style_right"}

    (tmp_path / "model").mkdir()
    pack_face_networks(tmp_path, tmp_path / "model")
    stack = load_face_stack(tmp_path / "model" / "face_encoder")
    assert stack.recogniser.embedding_dim == 9
    assert stack.image_encoder.config == encoder
    assert load_judge(tmp_path / "model" / "judge").embedding_dim == 7
    assert stack.picture_kind is not None
    assert stack.picture_kind.config == kinds
    assert isinstance(stack.picture_kind.second, CloseUpClassifier)
    assert stack.picture_kind.second.config == close_ups
    judge_detector = load_judge_detector(tmp_path / "model" / "judge")
    assert judge_detector is not None
    assert judge_detector.config == own.detector != stack.detector.config
    kind_parts = ("picture-kind", "picture-kind-close-ups")
    for part in ("detector", "recogniser", "judge", "judge-detector", "image-encoder", *kind_parts):
        assert json.loads((tmp_path / part / "metrics.json").read_text())["steps"] == 3
        lines = [json.loads(line) for line in (tmp_path / part / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]


def test_the_judges_detector_learns_from_the_judges_people_alone(tmp_path: Path) -> None:
    """Another seed, narrower, and never a frame that the generator's detector has seen."""
    pools = []
    for split in ("train", "judge"):
        (tmp_path / split).mkdir()
        stage = DetectorStage(dataclasses.replace(_detector(), split=split), tmp_path / split)
        pools.append(stage.scenes["images"])
    ours, theirs = pools
    assert not (ours == theirs).all(axis=(1, 2, 3)).any()
    config, generators = judge_detector_config(), DetectorTrainingConfig()
    assert config.split == "judge"
    assert config.trainer.seed != generators.trainer.seed
    assert config.detector.widths != generators.detector.widths
    with pytest.raises(ValueError, match="people of eval are kept"):
        DetectorTrainingConfig(split="eval")


def test_a_resumed_run_repeats_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    train("detector", _detector(4), whole)

    class _InterruptedError(RuntimeError):
        pass

    from ingredients.training.small_world.faces import detector as module

    steps = module.DetectorStage.training_step

    def interrupted(self: object, generator: torch.Generator, *, progress: float) -> object:
        if progress >= 0.5:
            raise _InterruptedError
        return steps(self, generator, progress=progress)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.DetectorStage, "training_step", interrupted)
        with pytest.raises(_InterruptedError):
            train("detector", _detector(4), pieces)
    train("detector", _detector(4), pieces, resume=True)
    first, second = (load_file(folder / "detector" / "detector.safetensors") for folder in (whole, pieces))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0)


def test_a_pool_is_drawn_once_for_a_key(tmp_path: Path) -> None:
    renders: list[int] = []

    def render() -> Pool:
        renders.append(1)
        return {"values": np.arange(3)}

    path = tmp_path / "pool.npz"
    for _ in range(2):
        np.testing.assert_array_equal(cached_pool(path, {"seed": 1}, render)["values"], np.arange(3))
    assert len(renders) == 1
    cached_pool(path, {"seed": 2}, render)
    assert len(renders) == 2
    path.write_bytes(b"half a file")
    cached_pool(path, {"seed": 2}, render)
    assert len(renders) == 3


def test_a_covered_face_is_hidden() -> None:
    masks = np.zeros((1, 2, 10, 20), bool)
    masks[0, 0, :, :10] = True
    masks[0, 1, :, 10:] = True
    landmarks = np.full((1, 2, 5, 2), 5.0, np.float32)  # both on the first person's pixels
    scene = Scene(
        frames=np.zeros((1, 10, 20, 3), np.uint8),
        face_masks=masks,
        person_masks=masks,
        boxes=np.ones((1, 2, 4), np.float32),
        landmarks=landmarks,
        caption="",
    )
    np.testing.assert_array_equal(face_states(scene), [[VISIBLE, HIDDEN]])
    landmarks[0, 0, :2] = -3.0  # two landmarks outside the picture
    np.testing.assert_array_equal(face_states(scene), [[HIDDEN, HIDDEN]])


def test_pieces_from_close_up_are_learnt_beside_wholes() -> None:
    config = dataclasses.replace(
        close_up_config(),
        picture_kind=dataclasses.replace(close_up_config().picture_kind, crop_size=16),
        num_portraits=2,
        num_scenes=1,
        num_foreign=3,
        num_spoilt=2,
    )
    pool = render_pool(config)
    assert pool["PHOTOGRAPH"].shape == (6, 2, 16, 16, 3)
    whole, piece = pool["DRAWN_WORLD"][0].astype(int)
    assert abs(whole - piece).mean() > 5
    wholes_alone = dataclasses.replace(config, picture_kind=PictureKindConfig(crop_size=16))
    assert render_pool(wholes_alone)["OTHER_STYLE"].shape == (6, 1, 16, 16, 3)


def test_a_small_sam_learns_where_faces_are(tmp_path: Path) -> None:
    """A few steps on a few scenes lower the loss, and what is left is a folder that masks faces."""
    config = SegmenterTrainingConfig(
        trainer=dataclasses.replace(_trainer(20), learning_rate=5e-3),
        num_scenes=6,
        batch_size=3,
        num_validation_scenes=3,
        box_error=0.02,
    )
    metrics = PARTS["sam"].run(tmp_path, config, show=False)
    assert metrics.keys() >= {"intersection_over_union_at_-2", "intersection_over_union_at_0"}
    logged = [json.loads(line) for line in (tmp_path / "sam" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in logged if "loss" in line]
    assert np.mean(losses[-3:]) < 0.97 * losses[0]
    segmenter = load_small_sam(tmp_path / "sam" / "segmenter")
    logits = segmenter.segment(np.zeros((40, 60, 3), np.uint8), np.array([[5, 5, 30, 30]], np.float32))
    assert logits.shape == (1, 40, 60)
