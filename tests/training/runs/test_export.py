"""What runs have trained goes out in each layout, and comes back with the same outputs."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import CogVideoXTransformer3DModel
from safetensors.torch import load_file, save_file

from ingredients.core.errors import OutputError, UserInputError
from ingredients.data.encoded_clips import EncodedClips
from ingredients.model_folders.components import load_text_encoder
from ingredients.model_folders.identity import read_identity_folder
from ingredients.model_folders.new_folder_parts import stored_dtype
from ingredients.model_folders.origin import model_origin
from ingredients.model_folders.sampling_settings import (
    SamplingSettings,
    load_sampling_defaults,
    save_sampling_defaults,
)
from ingredients.model_folders.transformer import load_transformer
from ingredients.pipelines.encoding_model import model_digests
from ingredients.pipelines.loading import load_pipeline
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.training.runs.adapter_chain import adapter_of, join_adapters, trained_beside
from ingredients.training.runs.export import export_run, read_averages
from ingredients.training.runs.export_plan import Layout, plan_export
from ingredients.training.runs.folder import read_run, run_chain
from ingredients.training.stages.settings import AlignmentConfig, RouterConfig
from tests.apps.tiny_model import save_tiny_model
from tests.training.tiny_runs import (
    IDENTITY_WIDTHS,
    TinyRuns,
    denoise,
    encode_clips,
    make_base,
    train_align,
    train_both,
    train_route,
)

LINEAR = {"router_type": "linear"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model with identity modules, a judge, and what it says of sampling."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    save_sampling_defaults(SamplingSettings(num_inference_steps=7), folder)
    return folder


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    """Both stages from a text-to-video base."""
    folder = tmp_path_factory.mktemp("runs")
    base = make_base(model, folder / "base", in_channels=4)
    return train_both(folder, base, encode_clips(base, folder / "clips"))


def export(run: Path, output: Path, *, layout: Layout = "ours", **options: Any) -> Path:
    export_run(plan_export(read_run(run), layout=layout, **({"dtype": "float32"} | options)), output)
    return output


def trained_pipeline(run: Path, model: Path) -> IngredientsPipeline:
    """What a run trained, in the model's other parts, put together without an export."""
    transformer = load_transformer(run / "transformer", dtype=torch.float32)
    return IngredientsPipeline.from_pretrained(model, transformer=transformer, face_encoder=None)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# The same outputs


@pytest.mark.parametrize("stage", ["align", "route"])
@pytest.mark.parametrize("layout", ["ours", "published", "identity"])
def test_each_layout_gives_the_outputs_of_the_run(runs: TinyRuns, tmp_path: Path, layout: Layout, stage: str) -> None:
    run = runs.align if stage == "align" else runs.route
    exported = export(run, tmp_path / "out", layout=layout)
    if layout == "identity":
        pipeline = load_pipeline(runs.base, identity=exported, device="cpu")
    else:
        pipeline = load_pipeline(exported, device="cpu")
    outputs, expected = denoise(pipeline), denoise(trained_pipeline(run, runs.base))
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-4 if layout == "identity" else 0)
    base_only = load_pipeline(runs.base, device="cpu").transformer.state_dict()
    trained = load_transformer(run / "transformer", dtype=torch.float32).state_dict()
    change = trained["transformer_blocks.1.attn1.to_q.weight"] - base_only["transformer_blocks.1.attn1.to_q.weight"]
    assert change.abs().max() > 1e-3  # so that a LoRA that is lost or scaled otherwise shows


def test_the_stages_differ(runs: TinyRuns) -> None:
    """By so much that a chain without one of its LoRAs would show in the test above."""
    align, route = (denoise(trained_pipeline(run, runs.base)) for run in (runs.align, runs.route))
    assert (align - route).abs().max() > 1e-2


def test_a_published_folder_has_the_published_names(runs: TinyRuns, tmp_path: Path) -> None:
    exported = export(runs.route, tmp_path / "out", layout="published")
    names = set(load_file(exported / "transformer/diffusion_pytorch_model.safetensors"))
    assert {"router.0.id_merge.weight", "local_facial_extractor.latents"} <= names
    assert not any("multi_scale_projector" in name or "id_router" in name for name in names)
    config = json.loads((exported / "transformer/config.json").read_text())
    assert config["is_train_face"] is True
    assert "router_type" not in config
    assert config["routing"] == "argmax"  # the published code knows the mixture alone


def test_a_model_with_identity_modules_goes_on(model: Path, tmp_path: Path) -> None:
    """As the small model does: the router stage begins with a whole model."""
    clips = encode_clips(model, tmp_path / "clips")
    stage = RouterConfig(batch_size=2, lora_rank=2)
    run = train_route(tmp_path / "route", model, clips, stage=stage)
    exported = export(run, tmp_path / "out")
    assert torch.equal(denoise(load_pipeline(exported, device="cpu")), denoise(trained_pipeline(run, model)))
    with pytest.raises(
        UserInputError, match=r"routers, and this run's are .* mlp; .*model\.transformer\.router_type=linear"
    ):
        export(run, tmp_path / "published", layout="published")
    with pytest.raises(UserInputError, match="began with tiny, which has identity modules of its own"):
        export(run, tmp_path / "identity", layout="identity")
    assert {path.name for path in tmp_path.iterdir()} == {"clips", "route", "out"}


# What goes along


def test_the_other_parts_are_the_models(runs: TinyRuns, model: Path, tmp_path: Path) -> None:
    exported = export(runs.route, tmp_path / "out")
    changed = {"README.md", "model_index.json", "transformer/config.json"}
    changed.add("transformer/diffusion_pytorch_model.safetensors")
    assert files(exported) == files(runs.base) | {"README.md", "export.json"}
    for name in files(runs.base) - changed:
        assert (exported / name).read_bytes() == (runs.base / name).read_bytes(), name
    assert load_sampling_defaults(exported).num_inference_steps == 7
    EncodedClips([runs.clips]).check_parts(model_digests(exported))  # what was encoded stays of use


@pytest.mark.parametrize("layout", ["ours", "published", "identity"])
def test_nothing_says_where_it_was_made(runs: TinyRuns, tmp_path: Path, layout: Layout) -> None:
    config = runs.base / "vae/config.json"
    text = config.read_text()
    config.write_text(json.dumps(json.loads(text) | {"_name_or_path": str(runs.base)}))
    try:
        exported = export(runs.route, tmp_path / "out", layout=layout, checkpoint="last")
    finally:
        config.write_text(text)
    for path in exported.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(runs.base.parent).encode() not in content, path
            assert str(tmp_path).encode() not in content, path


@pytest.mark.parametrize(("name", "dtype"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)])
def test_weights_take_the_type_asked_for(runs: TinyRuns, tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    exported = export(runs.route, tmp_path / "out", dtype=name)
    assert stored_dtype(exported / "transformer") == dtype
    assert stored_dtype(exported / "vae") == dtype
    for key, tensor in load_file(exported / "text_encoder/model.safetensors").items():
        assert tensor.dtype == (torch.float32 if dtype == torch.float16 and ".wo." in key else dtype)  # as T5 needs it
    assert load_text_encoder(exported / "text_encoder", dtype=torch.float32)
    beside = export(runs.route, tmp_path / "identity", layout="identity", dtype=name)
    for weights in ("identity", "pytorch_lora_weights"):
        assert {tensor.dtype for tensor in load_file(beside / f"{weights}.safetensors").values()} == {dtype}


def test_by_default_the_type_is_that_of_the_model(model: Path, runs: TinyRuns, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(runs.base, base)
    path = base / "transformer/diffusion_pytorch_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    run = read_run(runs.align)
    config = dataclasses.replace(run.config, model=dataclasses.replace(run.config.model, folder=str(base)))
    plan = plan_export(dataclasses.replace(run, config=config))
    assert plan.dtype == torch.bfloat16
    export_run(plan, tmp_path / "out")
    assert stored_dtype(tmp_path / "out/transformer") == torch.bfloat16
    assert stored_dtype(tmp_path / "out/vae") == torch.float32  # as it was


def test_weights_too_large_for_a_type_are_refused(runs: TinyRuns, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.route, run)
    path = run / "transformer/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["proj_out.bias"][1] = 1e6
    save_file(weights, path)
    with pytest.raises(
        UserInputError, match=r"proj_out\.bias in .*/transformer do not fit into float16; take bfloat16"
    ):
        export(run, tmp_path / "out", dtype="float16")


def test_face_networks_say_which_features_the_run_was_trained_on(model: Path, tmp_path: Path) -> None:
    base = make_base(model, tmp_path / "base")
    clips = encode_clips(base, tmp_path / "clips", recognition_maps=True)
    stage = AlignmentConfig(batch_size=2, lora_rank=2, num_validation_batches=1)
    run = train_align(
        tmp_path / "align", base, clips, stage=stage, scale_source="recognition_and_clip", transformer=IDENTITY_WIDTHS
    )
    for layout in ("ours", "identity"):
        exported = export(run, tmp_path / layout, layout=layout)
        identity = exported if layout == "identity" else None
        pipeline = load_pipeline(base if identity else exported, identity=identity, device="cpu")
        assert pipeline.facial_extractor is not None
        assert pipeline.facial_extractor.scale_source == "recognition_and_clip"


# Checkpoints


def test_the_last_checkpoint_is_what_a_finished_run_exported(runs: TinyRuns, tmp_path: Path) -> None:
    finished, last = (
        load_file(
            export(runs.route, tmp_path / name, checkpoint=checkpoint)
            / "transformer/diffusion_pytorch_model.safetensors"
        )
        for name, checkpoint in (("finished", None), ("last", "last"))
    )
    assert finished.keys() == last.keys()
    assert all(torch.equal(finished[name], last[name]) for name in finished)


def test_a_checkpoint_of_a_run_that_goes_on_is_exported(runs: TinyRuns, tmp_path: Path) -> None:
    run = tmp_path / "route"
    shutil.copytree(runs.route, run)
    for name in ("transformer", "metrics.json"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "los')
    with pytest.raises(UserInputError, match=r"has not ended, so it has no transformer/; .*--checkpoint last"):
        export(run, tmp_path / "out")
    exported = export(run, tmp_path / "out", checkpoint="2")
    weights = load_file(exported / "transformer/diffusion_pytorch_model.safetensors")
    averages = load_file(run / "checkpoints/step-00000002.safetensors")
    before = load_file(runs.align / "transformer/diffusion_pytorch_model.safetensors")
    module = "transformer_blocks.0.attn1.to_q"
    down, up = (averages[f"averages/{module}.lora_{side}.default.weight"] for side in ("A", "B"))
    torch.testing.assert_close(weights[f"{module}.weight"], before[f"{module}.weight"] + up @ down)
    router = "transformer_blocks.0.id_router.video_out.weight"
    assert torch.equal(weights[router], averages[f"averages/{router}"])
    assert "after step 2" in (exported / "README.md").read_text()
    beside = export(run, tmp_path / "identity", layout="identity", checkpoint="2")
    outputs = [
        denoise(load_pipeline(exported, device="cpu")),
        denoise(load_pipeline(runs.base, identity=beside, device="cpu")),
    ]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-4)


def test_the_best_checkpoint(runs: TinyRuns, tmp_path: Path) -> None:
    run = tmp_path / "align"
    shutil.copytree(runs.align, run)
    (run / "checkpoints/best.json").unlink(missing_ok=True)
    with pytest.raises(UserInputError, match="Nothing says which checkpoint"):
        plan_export(read_run(run), checkpoint="best")
    noted = {"step": 2, "measure": "validation_loss_both", "value": 0.5}
    (run / "checkpoints/best.json").write_text(json.dumps(noted))
    plan = plan_export(read_run(run), checkpoint="best")
    assert plan.checkpoint == run / "checkpoints/step-00000002.safetensors"
    assert plan.step == 2


def test_a_checkpoint_that_is_not_there_or_does_not_fit_is_named(runs: TinyRuns, tmp_path: Path) -> None:
    run = tmp_path / "align"
    shutil.copytree(runs.align, run)
    with pytest.raises(UserInputError, match="no checkpoint of step 7; it has those of 1, 2, 3"):
        export(run, tmp_path / "out", checkpoint="7")
    with pytest.raises(UserInputError, match="must be last, best, or the number of a step"):
        export(run, tmp_path / "out", checkpoint="newest")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("lora_rank: 3", "lora_rank: 4"))
    with pytest.raises(UserInputError, match=r"does not fit the settings beside it .*lora_A"):
        export(run, tmp_path / "out", checkpoint="last")
    last = run / "checkpoints/step-00000003.safetensors"
    content = last.read_bytes()
    for damaged in (content[:-9], content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]):
        last.write_bytes(damaged)
        for layout in ("ours", "identity"):
            with pytest.raises(UserInputError, match=rf"{last} is damaged \(.*\); export another one\.$"):
                export(run, tmp_path / "out", checkpoint="last", layout=layout)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserInputError, match="has no checkpoint, and only those"):
        export(run, tmp_path / "out", checkpoint="last")


# The LoRA


def test_joined_adapters_do_what_each_did_after_the_other() -> None:
    generator = torch.Generator().manual_seed(0)

    def adapter(rank: int, *modules: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return {
            name: (torch.randn(rank, 7, generator=generator), torch.randn(11, rank, generator=generator))
            for name in modules
        }

    first, second, third = adapter(3, "q", "k"), adapter(2, "q", "v"), adapter(4, "q")
    joined = join_adapters([first, second, third])
    assert {name: down.shape[0] for name, (down, _) in joined.items()} == {"q": 9, "k": 3, "v": 2}
    for name, (down, up) in joined.items():
        expected = sum(each[name][1] @ each[name][0] for each in (first, second, third) if name in each)
        torch.testing.assert_close(up @ down, expected)


def test_identity_weights_hold_the_lora_of_both_runs(runs: TinyRuns, tmp_path: Path) -> None:
    exported = export(runs.route, tmp_path / "out", layout="identity")
    held = read_identity_folder(exported)
    assert held.lora is not None
    ranks = {name: tensor.shape[0] for name, tensor in load_file(held.lora).items() if "lora_A" in name}
    assert {name.partition(".lora_A")[0].split(".", 2)[2]: rank for name, rank in ranks.items()} == {
        "attn1.to_q": 5, "attn1.to_k": 3, "attn1.to_v": 3, "attn1.to_out.0": 3, "ff.net.0.proj": 3, "ff.net.2": 5,
    }  # fmt: skip
    beside_modules = [name for name in load_file(held.weights) if "id_" not in name and "multi_scale" not in name]
    assert sorted(beside_modules) == ["patch_embed.proj.bias", "patch_embed.proj.weight"]
    assert files(exported) == {
        "README.md", "config.json", "export.json", "identity.safetensors", "pytorch_lora_weights.safetensors",
        *(name for name in files(runs.base) if name.startswith("face_encoder/")),
    }  # fmt: skip


def test_diffusers_reads_the_lora_by_itself(runs: TinyRuns, tmp_path: Path) -> None:
    exported = export(runs.route, tmp_path / "out", layout="identity")
    plain = CogVideoXTransformer3DModel.from_pretrained(runs.base / "transformer")
    plain.load_lora_adapter(exported, weight_name="pytorch_lora_weights.safetensors", prefix=None)
    plain.fuse_lora()
    plain.unload_lora()
    trained = load_transformer(runs.route / "transformer", dtype=torch.float32).state_dict()
    for name, tensor in plain.state_dict().items():
        if not name.startswith("patch_embed.proj."):
            torch.testing.assert_close(tensor, trained[name], rtol=1e-5, atol=1e-6)


def test_a_base_in_half_precision_has_identity_weights_too(runs: TinyRuns, tmp_path: Path) -> None:
    half = train_both(tmp_path / "runs", runs.base, runs.clips, dtype="bfloat16")
    exported = export(half.route, tmp_path / "out", layout="identity")
    outputs = denoise(load_pipeline(runs.base, identity=exported, device="cpu"))
    expected = denoise(trained_pipeline(half.route, runs.base))
    assert (outputs - expected).abs().max() < 0.01 * expected.abs().max()  # each merging rounded the weights


def test_merging_in_half_precision_may_round_and_no_more(runs: TinyRuns) -> None:
    base = runs.base / "transformer"
    adapters = [
        adapter_of(read_averages(run / "checkpoints/step-00000003.safetensors")) for run in (runs.align, runs.route)
    ]
    merged = load_transformer(runs.route / "transformer", dtype=torch.float32)
    stored = load_file(base / "diffusion_pytorch_model.safetensors")
    weights = merged.state_dict()
    for name, tensor in stored.items():
        if name.startswith("patch_embed.proj."):
            continue
        weights[name] = tensor.bfloat16()
        for adapter in adapters:
            if (module := name.removesuffix(".weight")) in adapter:
                down, up = adapter[module]
                weights[name] = (weights[name].float() + up @ down).bfloat16()
    merged.load_state_dict(weights)
    trained = trained_beside(base, merged, join_adapters(adapters), run_dtype=torch.bfloat16)
    assert sorted(trained) == ["patch_embed.proj.bias", "patch_embed.proj.weight"]
    with pytest.raises(UserInputError, match="do not add up"):
        trained_beside(base, merged, adapters[0], run_dtype=torch.bfloat16)


def test_a_patch_embedding_that_was_not_trained_stays_with_the_base(model: Path, tmp_path: Path) -> None:
    base = make_base(model, tmp_path / "base")
    clips = encode_clips(base, tmp_path / "clips")
    stage = AlignmentConfig(batch_size=2, lora_rank=2, num_validation_batches=1, train_patch_embed=False)
    run = train_align(tmp_path / "align", base, clips, stage=stage, transformer=IDENTITY_WIDTHS)
    exported = export(run, tmp_path / "out", layout="identity")
    assert not any(name.startswith("patch_embed") for name in load_file(exported / "identity.safetensors"))
    outputs = denoise(load_pipeline(base, identity=exported, device="cpu"))
    torch.testing.assert_close(outputs, denoise(trained_pipeline(run, base)), rtol=0, atol=1e-4)


def test_a_base_tuned_in_full_has_no_lora(runs: TinyRuns, tmp_path: Path) -> None:
    stage = AlignmentConfig(batch_size=2, tuning="full", num_validation_batches=1)
    run = train_align(tmp_path / "align", runs.base, runs.clips, stage=stage, transformer=IDENTITY_WIDTHS | LINEAR)
    with pytest.raises(UserInputError, match=r"tuned the base in full \(stage\.tuning=full\).*--layout ours"):
        export(run, tmp_path / "out", layout="identity")
    for checkpoint in (None, "last"):
        exported = export(run, tmp_path / f"out-{checkpoint}", checkpoint=checkpoint)
        outputs = denoise(load_pipeline(exported, device="cpu"))
        assert torch.equal(outputs, denoise(trained_pipeline(run, runs.base)))


def test_a_run_that_was_trained_on_after_the_next_one_began_is_noticed(runs: TinyRuns, tmp_path: Path) -> None:
    for name in ("align", "route"):
        shutil.copytree(getattr(runs, name), tmp_path / name)
    config = tmp_path / "route/config.yaml"
    config.write_text(config.read_text().replace(str(runs.align), str(tmp_path / "align")))
    checkpoints = tmp_path / "align/checkpoints"
    for step in (2, 3):  # of the run as it is now, the last checkpoint is another one
        (checkpoints / f"step-{step:08d}.safetensors").unlink()
    with pytest.raises(UserInputError, match=r"do not add up to what was trained .*attn1\.to.*--layout ours"):
        export(tmp_path / "route", tmp_path / "out", layout="identity")
    assert not (tmp_path / "out").exists()


def test_what_identity_weights_cannot_say_is_named(runs: TinyRuns, tmp_path: Path) -> None:
    stage = AlignmentConfig(batch_size=2, lora_rank=2, num_validation_batches=1)
    changes = IDENTITY_WIDTHS | {"sample_height": 12}  # on which rotary positions are laid out
    run = train_align(tmp_path / "align", runs.base, runs.clips, stage=stage, transformer=changes)
    with pytest.raises(UserInputError, match=r"changed sample_height of the base .*--layout ours"):
        export(run, tmp_path / "out", layout="identity")


def test_a_chain_that_does_not_reach_the_base_is_named(runs: TinyRuns, tmp_path: Path) -> None:
    start = tmp_path / "loose"
    shutil.copytree(runs.align / "transformer", start)
    run = train_route(
        tmp_path / "route", runs.base, runs.clips, stage=RouterConfig(batch_size=2, lora_rank=2), start=start
    )
    with pytest.raises(UserInputError, match=r"began with .*loose, which is no run's folder"):
        export(run, tmp_path / "out", layout="identity")
    assert export(run, tmp_path / "out")


# Folders


def test_nothing_is_overwritten(runs: TinyRuns, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "mine").write_text("precious")
    with pytest.raises(OutputError, match="holds something already; choose another name"):
        export(runs.route, output)
    assert files(tmp_path) == {"out/mine"}


def test_a_folder_knows_what_it_is_an_export_of(runs: TinyRuns, tmp_path: Path) -> None:
    plan = plan_export(read_run(runs.route), dtype="float32")
    export_run(plan, tmp_path / "out")
    assert plan.is_exported_to(tmp_path / "out")
    others = ({"layout": "published"}, {"dtype": "float16"}, {"checkpoint": "1"})
    for other in others:
        assert not plan_export(read_run(runs.route), **({"dtype": "float32"} | other)).is_exported_to(tmp_path / "out")
    assert not plan.is_exported_to(runs.base)


def test_a_run_that_began_with_a_part_of_the_small_model_is_the_first(runs: TinyRuns, tmp_path: Path) -> None:
    """As `world train unpack` leaves it: settings of another kind beside the transformer."""
    shutil.copytree(runs.align / "transformer", tmp_path / "part" / "transformer")
    (tmp_path / "part/config.yaml").write_text("stage: {batch_size: 12}\ntrainer: {num_steps: 3}\n")
    run = read_run(runs.route)
    started = dataclasses.replace(run.config.model, start=tmp_path / "part")
    run = dataclasses.replace(run, config=dataclasses.replace(run.config, model=started))
    assert run_chain(run) == (run,)


def test_what_is_no_run_is_named(runs: TinyRuns, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=r"There is no run in .*base: it lacks config\.yaml"):
        read_run(runs.base)
    (tmp_path / "config.yaml").write_text("base: i2v\nstage: {lora_rank: 3}\n")
    with pytest.raises(UserInputError, match="`ingredients world train pack`"):
        read_run(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(UserInputError, match="cannot be read"):
        read_run(tmp_path)


# The card


def test_the_card_says_what_was_trained_on_what(runs: TinyRuns, tmp_path: Path) -> None:
    exported = export(runs.route, tmp_path / "mine")
    text = (exported / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["license"] == "other"
    assert metadata["library_name"] == "ingredients"
    assert "arxiv:2501.01790" in metadata["tags"]
    assert "base_model" not in metadata
    averages = read_averages(runs.route / "checkpoints/step-00000003.safetensors")
    measured = json.loads((runs.align / "metrics.json").read_text())
    for expected in (
        "9 frames of 32x48 pixels",
        "after step 3, in float32",
        "`clips`, 5 clips of 12 people who appear 12 times",
        f"| num_parameters | {sum(each.numel() for each in averages.values()):,} |",
        f"| validation_loss_both | {measured['validation_loss_both']:.4g} |",
        "LoRA of rank 3",
        "  learning_rate: 0.03\n",
        "ingredients generate --model mine --photo ana=ana.png",
        "that person's consent",
        "those of `base`: see its page",
    ):
        assert expected in body, expected
    settings = yaml.safe_load(body.rpartition("```yaml\n")[2].partition("```")[0])
    assert settings["model"]["start"] == "align"
    assert settings["data"]["train"] == ["clips"]


@pytest.mark.parametrize(
    ("layout", "relation", "options"),
    [
        ("ours", "finetune", "--model someone/mine --photo"),
        ("identity", "adapter", "--model cogvideox-5b --identity mine --photo"),
    ],
)
def test_the_card_of_what_comes_from_the_hub_and_goes_there(
    runs: TinyRuns, tmp_path: Path, layout: Layout, relation: str, options: str
) -> None:
    plan = dataclasses.replace(plan_export(read_run(runs.route), layout=layout), origin=model_origin("cogvideox-5b"))
    export_run(plan, tmp_path / "out", repo_id="someone/mine")
    _, front, body = (tmp_path / "out/README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["base_model"] == "zai-org/CogVideoX-5b"
    assert metadata["base_model_relation"] == relation
    assert body.startswith("# mine\n")
    assert f"ingredients generate {options}" in body
    assert "download someone/mine" in body
    assert "commercial use wants a registration" in body


def test_the_card_does_without_clips_that_are_elsewhere(runs: TinyRuns, tmp_path: Path) -> None:
    run = tmp_path / "route"
    shutil.copytree(runs.route, run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(runs.clips), "/elsewhere/clips"))
    text = (export(run, tmp_path / "out") / "README.md").read_text()
    assert "`clips`, which was not at hand" in text
    assert "/elsewhere" not in text


def test_curves_lie_beside_the_card_where_they_were_drawn(runs: TinyRuns, tmp_path: Path) -> None:
    plan = plan_export(read_run(runs.route))
    drawn = []

    def draw(chain: Any, path: Path) -> bool:
        drawn.append([run.name for run in chain])
        path.write_bytes(b"picture")
        return True

    export_run(plan, tmp_path / "with", draw_curves=draw)
    assert drawn == [["align", "route"]]
    assert (tmp_path / "with/curves.png").read_bytes() == b"picture"
    assert "](curves.png)" in (tmp_path / "with/README.md").read_text()
    export_run(plan, tmp_path / "without", draw_curves=lambda *_: False)
    assert "curves.png" not in (tmp_path / "without/README.md").read_text()
