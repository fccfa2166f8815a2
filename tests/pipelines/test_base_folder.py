"""A CogVideoX of diffusers' as the base, and identity weights beside it."""

import inspect
import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from ingredients.core.errors import ModelFolderError, OutputError, ShapeError, SpeedOptionError
from ingredients.core.memory_mode import MemoryMode
from ingredients.model_folders.identity import save_identity_folder
from ingredients.models.transformer_ingredients import LORA_TARGETS, IngredientsTransformer3DModel
from ingredients.pipelines.execution.memory_plan import MemoryPlan
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from tests.pipelines.stand_ins import (
    HEIGHT,
    NUM_FRAMES,
    PROMPT,
    WIDTH,
    make_face_stack,
    make_people,
    make_pipeline,
    make_transformer,
)

BASE_WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def write_base(folder: Path, **changes: object) -> CogVideoXTransformer3DModel:
    """A folder as diffusers keeps CogVideoX: its own class in the config, no face encoder."""
    pipeline = make_pipeline()
    pipeline.save_pretrained(folder)
    of_diffusers = inspect.signature(CogVideoXTransformer3DModel.__init__).parameters
    config = {name: value for name, value in pipeline.transformer.config.items() if name in of_diffusers}
    torch.manual_seed(6)
    base = CogVideoXTransformer3DModel(**config | changes).eval()
    shutil.rmtree(folder / "transformer")
    base.save_pretrained(folder / "transformer")
    return base


def write_identity(folder: Path, **changes: object) -> IngredientsTransformer3DModel:
    transformer = make_transformer(**changes)
    save_identity_folder(transformer, folder)
    return transformer


def denoise(pipeline: IngredientsPipeline, **arguments: object) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    frames = pipeline(prompt=PROMPT, num_inference_steps=1, generator=7, output_type="latent", **arguments).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def test_a_base_alone_makes_videos_from_the_prompt(tmp_path: Path) -> None:
    base = write_base(tmp_path, in_channels=3)
    loaded = load_pipeline(tmp_path, device="cpu")
    assert loaded.face_encoder is None
    assert not loaded.takes_canvas
    for name, tensor in base.state_dict().items():
        assert torch.equal(loaded.transformer.state_dict()[name], tensor)
    assert denoise(loaded).isfinite().all()


@pytest.mark.parametrize("base_channels", [3, 6])
@pytest.mark.parametrize("beside", [True, False])
def test_identity_weights_join_a_base(tmp_path: Path, base_channels: int, beside: bool) -> None:
    base = write_base(tmp_path / "base", in_channels=base_channels)
    identity = tmp_path / "base/identity" if beside else tmp_path / "mine"
    trained = write_identity(identity)
    make_face_stack().save(identity / "face_encoder")
    loaded = load_pipeline(tmp_path / "base", device="cpu", identity=None if beside else identity)
    assert loaded.face_encoder is not None
    assert loaded.transformer.config.routing == "argmax"
    weights = loaded.transformer.state_dict()
    for name, tensor in trained.identity_parameters():
        assert torch.equal(weights[name], tensor)
    for name, tensor in base.state_dict().items():
        joined = weights[name]
        if name == "patch_embed.proj.weight" and base_channels == 3:
            assert not joined[:, 3:].any()  # the image latents say nothing until they are trained to
            joined = joined[:, :3]
        assert torch.equal(joined, tensor)
    assert (denoise(loaded, people=make_people(2)) != denoise(loaded)).any()


def test_a_trained_patch_embedding_goes_along(tmp_path: Path) -> None:
    write_base(tmp_path, in_channels=3)
    trained = make_transformer()
    save_identity_folder(trained, tmp_path / "identity", trained_base=["patch_embed.proj.weight"])
    loaded = load_pipeline_without_faces(tmp_path)
    assert torch.equal(loaded.transformer.patch_embed.proj.weight, trained.patch_embed.proj.weight)


def load_pipeline_without_faces(folder: Path) -> IngredientsPipeline:
    return IngredientsPipeline.from_pretrained(folder, face_encoder=None)


def test_the_lora_of_identity_weights_is_added(tmp_path: Path) -> None:
    write_base(tmp_path)
    trained = make_transformer()
    trained.add_adapter(LoraConfig(r=3, lora_alpha=6, target_modules=list(LORA_TARGETS), init_lora_weights=False))
    save_identity_folder(trained, tmp_path / "identity")
    path = tmp_path / "identity/pytorch_lora_weights.safetensors"
    with_lora = load_pipeline_without_faces(tmp_path)
    adapter = with_lora.transformer.transformer_blocks[1].attn1.to_k
    original = trained.transformer_blocks[1].attn1.to_k
    assert torch.equal(adapter.lora_B["identity"].weight, original.lora_B["default"].weight)
    assert adapter.scaling["identity"] == 2
    prefixed = {f"transformer.{name}": tensor for name, tensor in load_file(path).items()}
    path.rename(tmp_path / "kept")
    without = load_pipeline_without_faces(tmp_path)
    assert (denoise(with_lora) != denoise(without)).any()
    save_file({name.replace("attn1", "attn7"): tensor for name, tensor in prefixed.items()}, path)
    with pytest.raises(ModelFolderError, match="pytorch_lora_weights"):
        load_pipeline_without_faces(tmp_path)
    save_file(prefixed | {"transformer.stranger.lora_A.weight": torch.ones(3, 32)}, path)
    with pytest.raises(ModelFolderError, match=r"no place for transformer\.stranger"):
        load_pipeline_without_faces(tmp_path)


def test_learned_positions_fix_the_shape_unless_they_are_dropped(tmp_path: Path) -> None:
    write_base(tmp_path, use_learned_positional_embeddings=True)
    make_face_stack().save(tmp_path / "face_encoder")
    fixed = load_pipeline(tmp_path, device="cpu")
    assert denoise(fixed, height=HEIGHT, width=WIDTH, num_frames=NUM_FRAMES).isfinite().all()
    with pytest.raises(ShapeError, match="learned positions"):
        denoise(fixed, height=HEIGHT, width=WIDTH + 8)
    free = load_pipeline(tmp_path, device="cpu", drop_learned_positions=True)
    assert "patch_embed.pos_embedding" not in free.transformer.state_dict()
    assert denoise(free, height=HEIGHT, width=WIDTH + 8).isfinite().all()


def test_identity_weights_trained_without_learned_positions_drop_them(tmp_path: Path) -> None:
    write_base(tmp_path, use_learned_positional_embeddings=True)
    write_identity(tmp_path / "identity")
    assert load_pipeline_without_faces(tmp_path).geometry.only_shape is None


def test_the_base_of_identity_weights_may_be_half_precision(tmp_path: Path) -> None:
    write_base(tmp_path)
    write_identity(tmp_path / "identity")
    loaded = IngredientsPipeline.from_pretrained(tmp_path, face_encoder=None, dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in loaded.transformer.state_dict().values()} == {torch.bfloat16}


# What goes wrong


def test_fused_matrices_would_lose_the_lora(tmp_path: Path) -> None:
    write_base(tmp_path)
    trained = make_transformer()
    trained.add_adapter(LoraConfig(r=3, target_modules=list(LORA_TARGETS), init_lora_weights=False))
    save_identity_folder(trained, tmp_path / "identity")
    make_face_stack().save(tmp_path / "identity/face_encoder")
    with pytest.raises(SpeedOptionError, match="leave out the LoRA"):
        load_pipeline(tmp_path, device="cpu", speed=SpeedOptions(fuse_qkv=True))


def test_only_a_base_has_positions_to_drop(tmp_path: Path) -> None:
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="no CogVideoX base, whose learned positions"):
        load_pipeline(tmp_path, device="cpu", drop_learned_positions=True)


def test_what_could_not_be_loaded_again_is_not_written(tmp_path: Path) -> None:
    pipeline = make_pipeline()
    pipeline.apply_speed_options(SpeedOptions(fuse_qkv=True))
    with pytest.raises(ValueError, match="fused projections"):
        pipeline.save_pretrained(tmp_path)
    pipeline.apply_speed_options(SpeedOptions())
    pipeline.save_pretrained(tmp_path / "whole")
    assert load_pipeline_without_faces(tmp_path / "whole")
    pipeline.transformer.add_adapter(LoraConfig(r=3, target_modules=list(LORA_TARGETS)))
    with pytest.raises(ValueError, match="has a LoRA"):
        pipeline.save_pretrained(tmp_path)
    eight_bit = make_pipeline()
    eight_bit.apply_memory_plan(MemoryPlan(mode=MemoryMode.MINIMAL), torch.device("cpu"))
    with pytest.raises(ValueError, match="in 8 bit"):
        eight_bit.save_pretrained(tmp_path)


def test_identity_weights_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    trained = make_transformer()
    for name in ("one", "two"):
        trained.add_adapter(LoraConfig(r=3, target_modules=list(LORA_TARGETS)), adapter_name=name)
    with pytest.raises(ValueError, match="adapters one, two"):
        save_identity_folder(trained, tmp_path / "identity")
    assert not (tmp_path / "identity").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        save_identity_folder(make_transformer(), tmp_path / "file" / "identity")


def test_a_model_with_identities_of_its_own_takes_no_others(tmp_path: Path) -> None:
    make_pipeline(face_encoder=make_face_stack()).save_pretrained(tmp_path / "whole")
    write_identity(tmp_path / "mine")
    with pytest.raises(ModelFolderError, match="identity modules of its own"):
        load_pipeline(tmp_path / "whole", identity=tmp_path / "mine")


@pytest.mark.parametrize("num_frames", [9, 17])
def test_a_base_with_temporal_patches_does_what_diffusers_does(tmp_path: Path, num_frames: int) -> None:
    """CogVideoX 1.5 puts latent frames in front until patches fit, and drops them; positions count from the corner."""
    base = write_base(tmp_path, in_channels=3, patch_size_t=2, ofs_embed_dim=None)
    loaded = load_pipeline(tmp_path, device="cpu", dtype=torch.float32)
    theirs = CogVideoXPipeline(
        tokenizer=loaded.tokenizer,
        text_encoder=loaded.text_encoder,
        vae=loaded.vae,
        transformer=base,
        scheduler=loaded.scheduler,
    )
    theirs.set_progress_bar_config(disable=True)
    call = {
        "prompt": PROMPT,
        "num_frames": num_frames,
        "height": base.config.sample_height * 4,
        "width": base.config.sample_width * 4,
        "num_inference_steps": 2,
        "guidance_scale": 6.0,
        "output_type": "latent",
    }
    text_length = base.config.max_text_seq_length
    expected = theirs(**call, max_sequence_length=text_length, generator=torch.Generator().manual_seed(7)).frames
    loaded.set_progress_bar_config(disable=True)
    made = loaded(**call, generator=torch.Generator().manual_seed(7)).frames
    assert made.shape[1] == 1 + (num_frames - 1) // 4 < expected.shape[1]
    torch.testing.assert_close(made, expected[:, -made.shape[1] :], rtol=1e-4, atol=1e-4)


def test_weights_of_other_patches_than_the_config_says_are_refused(tmp_path: Path) -> None:
    """CogVideoX 1.5 joins frames to patches, whose embedding is a matrix of another shape."""
    write_base(tmp_path)
    path = tmp_path / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"patch_size_t": 2}))
    with pytest.raises(ModelFolderError, match=r"patch_embed\.proj\.weight"):
        load_pipeline(tmp_path)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (BASE_WEIGHTS, "transformer_blocks.1.attn1.to_k.weight"),
        ("identity/identity.safetensors", "transformer_blocks.1.id_attn.to_kv.weight"),
    ],
)
def test_each_tensor_is_accounted_for(tmp_path: Path, file: str, name: str) -> None:
    write_base(tmp_path)
    write_identity(tmp_path / "identity")
    weights = load_file(tmp_path / file)
    for damaged, complaint in (
        ({key: tensor for key, tensor in weights.items() if key != name}, name),
        (weights | {"stranger": torch.ones(2)}, "stranger"),
        (weights | {name: weights[name][1:].contiguous()}, name),
    ):
        save_file(damaged, tmp_path / file)
        with pytest.raises(ModelFolderError, match=complaint):
            load_pipeline_without_faces(tmp_path)


def test_a_base_without_room_for_the_canvas_is_named(tmp_path: Path) -> None:
    write_base(tmp_path, in_channels=7)
    write_identity(tmp_path / "identity")
    with pytest.raises(ModelFolderError, match=r"patch_embed\.proj\.weight has shape"):
        load_pipeline_without_faces(tmp_path)


def test_a_damaged_identity_folder_is_named(tmp_path: Path) -> None:
    write_base(tmp_path / "base")
    write_identity(tmp_path / "mine")
    with pytest.raises(ModelFolderError, match=r"needs face networks: put them into .*mine/face_encoder"):
        load_pipeline(tmp_path / "base", identity=tmp_path / "mine")
    make_face_stack().save(tmp_path / "mine/face_encoder")
    with pytest.raises(ModelFolderError, match=r"There is no folder .*yours"):
        load_pipeline(tmp_path / "base", identity=tmp_path / "yours")
    config = tmp_path / "mine/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"id_shoe_size": 43}))
    with pytest.raises(ModelFolderError, match="unknown field id_shoe_size"):
        load_pipeline(tmp_path / "base", identity=tmp_path / "mine")
    (tmp_path / "mine/identity.safetensors").unlink()
    write_identity(tmp_path / "other")
    shutil.copy(tmp_path / "other/config.json", config)
    with pytest.raises(ModelFolderError, match=r"lacks .*identity\.safetensors"):
        load_pipeline(tmp_path / "base", identity=tmp_path / "mine")


def test_a_base_has_no_identity_weights_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="identity_modules=False"):
        save_identity_folder(make_transformer(identity_modules=False), tmp_path)
    with pytest.raises(ValueError, match="no weights named stranger"):
        save_identity_folder(make_transformer(), tmp_path, trained_base=["stranger"])
