"""From a folder of clips to a trained model, by the commands that a user types."""

import json
import re
import shutil
import types
from pathlib import Path

import pytest
import torch
import yaml

from ingredients.apps.train_samples import TrainingSampler
from ingredients.core.output_folders import MARKER_NAME, claimed_folder
from ingredients.data.encoded_clips import EncodedClips
from ingredients.models import IngredientsTransformer3DModel
from ingredients.training.runs.configuration import SamplesConfig
from ingredients.training.runs.start import base_within
from ingredients.training.stages.diffusion import FrozenParts
from tests.apps.conftest import Run
from tests.apps.tiny_model import takes_all_for_photographs
from tests.faces.antelope_folder import NETWORKS, RECOGNITION_DIM, write_antelope_folder
from tests.faces.onnx_models import STAGE_WIDTHS, write_residual_network

CONFIGS = Path(__file__).parents[2] / "configs"
CLIPS = ("world", "clips", "--number", 6, "--height", 32, "--width", 48, "--references", 1, "--output", "clips")
QUICK = (
    "trainer.num_steps=2",
    "trainer.log_every=1",
    "trainer.checkpoint_every=1",
    "trainer.trackers=[]",
    "stage.batch_size=2",
    "stage.num_validation_batches=1",
    "samples.num_inference_steps=2",
    "samples.num_clips=1",
)


@pytest.fixture
def encoded(run: Run, tiny_model: Path) -> Path:
    """Clips encoded by the tiny model, in the folder where commands run."""
    assert run(*CLIPS).exit_code == 0
    result = run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded", "--shard-size", 4)
    assert result.exit_code == 0, result.output
    return Path("encoded")


def widths_of(run_folder: str) -> int:
    width: int = IngredientsTransformer3DModel.load_config(f"{run_folder}/transformer")["id_vit_dim"]
    return width


def notes_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Note: ")]


def make_base(model: Path, **changes: object) -> None:
    """Turns a model into a text-to-video base with the same other parts."""
    config = dict(IngredientsTransformer3DModel.load_config(model / "transformer"))
    fields = {name: value for name, value in config.items() if not name.startswith("_")}
    torch.manual_seed(1)
    base = IngredientsTransformer3DModel(**(fields | {"identity_modules": False, "in_channels": 4} | changes))
    base.save_pretrained(model / "transformer")


def test_clips_are_encoded_once_and_only_by_the_model_that_is_trained(
    run: Run, tiny_model: Path, encoded: Path
) -> None:
    clips = EncodedClips([encoded])
    assert len(clips) == 6
    assert clips.entries[0].latent_shape == (3, 4, 8, 12)
    assert clips.descriptions[0]["widths"] == {
        "id_recognition_dim": 12,
        "id_semantic_dim": 20,
        "id_vit_dim": 24,
        "max_text_seq_length": 12,
        "patch_size": 2,
    }
    written = [path.stat().st_mtime_ns for path in sorted(encoded.glob("*.safetensors"))]
    again = run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded", "--shard-size", 4)
    assert again.exit_code == 0, again.output
    assert "6 of 6 clips" in again.stderr
    assert [path.stat().st_mtime_ns for path in sorted(encoded.glob("*.safetensors"))] == written
    other = run("data", "encode", "clips", "--output", "encoded", "--bucket", "9x32x48", "--shard-size", 4)
    assert other.exit_code == 2
    assert "encoded otherwise" in other.stderr
    assert "parts.vae" in other.stderr
    trained = run("train", "align", "--data", "encoded", *QUICK)  # the model that ships
    assert trained.exit_code == 2
    assert "were encoded by another" in trained.stderr


def test_clips_that_a_gpu_encoded_are_trained_on(run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU encodes in bfloat16, and training reads the VAE in float32."""
    monkeypatch.setattr("ingredients.pipelines.loading.default_dtype", lambda device: torch.bfloat16)
    run(*CLIPS)
    encoded = run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded")
    assert encoded.exit_code == 0, encoded.output
    assert EncodedClips([Path("encoded")]).tensor(0, "latents").dtype == torch.bfloat16
    trained = run("train", "align", "--model", tiny_model, "--data", "encoded", *QUICK)
    assert trained.exit_code == 0, trained.output


def test_shards_encode_as_their_folder_does(run: Run, tiny_model: Path, encoded: Path) -> None:
    run("data", "pack", "clips", "--output", "shards", "--clips-per-shard", 2)
    result = run("data", "encode", "shards", "--model", tiny_model, "--output", "from-shards", "--shard-size", 4)
    assert result.exit_code == 0, result.output
    folder, shards = EncodedClips([encoded]), EncodedClips([Path("from-shards")])
    assert [entry.clip_id for entry in shards.entries] == [entry.clip_id for entry in folder.entries]
    assert torch.equal(folder.tensor(3, "latents"), shards.tensor(3, "latents"))


def test_buckets_and_bad_clips(run: Run, tiny_model: Path) -> None:
    run(*CLIPS)
    Path("clips/videos/train-00000002.mp4").write_bytes(b"no video")
    arguments = ("data", "encode", "clips", "--model", tiny_model, "--output", "encoded")
    stopped = run(*arguments, "--on-bad-clip", "stop")
    assert stopped.exit_code == 2
    assert "train-00000002" in stopped.stderr
    result = run(*arguments, "--bucket", "9x32x48", "--bucket", "9x16x16", "--stride", 1)
    assert result.exit_code == 2
    assert "reading.buckets" in result.stderr  # the folder was begun otherwise
    result = run(*arguments[:-1], "other", "--bucket", "1x32x48", "--bucket", "17x32x48")
    assert result.exit_code == 0, result.output
    assert "Left out: train-00000002" in result.stderr
    assert "5 of 6 clips" in result.stderr
    assert {entry.latent_shape[0] for entry in EncodedClips([Path("other")]).entries} == {1}
    for bucket, problem in (
        ("9x32", "must read FRAMESxHEIGHTxWIDTH"),
        ("10x32x48", "has 10 frames"),
        ("9x32x50", "The width 50 is not a multiple of 8"),
    ):
        result = run(*arguments, "--bucket", bucket)
        assert result.exit_code == 2
        assert problem in result.stderr


def test_a_data_set_without_a_usable_clip_is_no_success(run: Run, tiny_model: Path) -> None:
    """Whichever machine is the last to say so, where several share the work."""
    run(*CLIPS[:2], "--number", 2, *CLIPS[4:])
    for video in Path("clips/videos").iterdir():
        video.write_bytes(b"no video")
    arguments = ("data", "encode", "clips", "--model", tiny_model, "--shard-size", 1, "--output")
    for _ in range(2):  # the second time from what is there
        result = run(*arguments, "encoded")
        assert result.exit_code == 2, result.output
        assert "Left out: train-00000001" in result.stderr
        assert "Error: No clip of clips could be encoded (2 left out); `ingredients data check clips`" in result.stderr
        assert result.stdout == ""
    assert run(*arguments, "shared", "--part", "0/2").exit_code == 0
    assert run(*arguments, "shared", "--part", "1/2").exit_code == 2


def test_photographed_people_are_left_out_where_the_networks_know_drawings(run: Run, tiny_model: Path) -> None:
    """Features that mean nothing would be trained on; whoever wants them says so."""
    takes_all_for_photographs(tiny_model / "face_encoder")
    run(*CLIPS[:2], "--number", 2, *CLIPS[4:])
    arguments = ("data", "encode", "clips", "--model", tiny_model, "--output", "encoded")
    refused = run(*arguments)
    assert refused.exit_code == 2, refused.output
    message = " ".join(refused.stderr.split())
    assert (
        "Left out: train-00000001: Person 0 looks photographed, and these face networks know drawn people" in message
    )
    assert "--face-encoder" in message
    assert "--allow-photographs" in message
    allowed = run(*arguments[:-1], "allowed", "--allow-photographs")
    assert allowed.exit_code == 0, allowed.output
    assert "Left out" not in allowed.stderr
    assert len(EncodedClips([Path("allowed")])) == 2


def test_a_base_is_aligned_and_routed(run: Run, tiny_model: Path) -> None:
    """Both stages from the command line, with samples on the way; what comes out is a model."""
    make_base(tiny_model)
    run(*CLIPS)
    run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded")
    data = ("--model", tiny_model, "--data", "encoded", "--validation-data", "encoded")
    aligned = run(
        "train", "align", *data, "--output", "aligned", *QUICK, "trainer.sample_every=2", "stage.lora_rank=2"
    )
    assert aligned.exit_code == 0, aligned.output
    assert "validation_loss_both" in aligned.stdout
    assert "_t900" not in aligned.stdout
    samples = Path("aligned/samples/step-00000002")
    assert {path.suffix for path in samples.iterdir()} == {".mp4", ".png"}
    assert len(list(samples.iterdir())) == 3
    config = IngredientsTransformer3DModel.load_config("aligned/transformer")
    assert config["in_channels"] == 8
    assert config["id_vit_dim"] == 24
    saved = yaml.safe_load(Path("aligned/config.yaml").read_text())
    assert saved["data"]["train"] == ["encoded"]
    routed = run("train", "route", *data, "--output", "routed", *QUICK, "model.start=aligned")
    assert routed.exit_code == 0, routed.output
    lines = [json.loads(line) for line in Path("routed/log.jsonl").read_text().splitlines()]
    assert (lines[0]["step"], "recall" in lines[0]) == (0, True)  # before the first step
    assert {"routing_loss", "diffusion_loss", "samples_per_second", "tokens_per_second", "memory_gb"} <= set(lines[1])
    without = run("train", "route", *data, "--output", "other", *QUICK)
    assert without.exit_code == 2
    assert "model.start=RUN" in without.stderr


def test_a_run_goes_on(run: Run, tiny_model: Path, encoded: Path) -> None:
    arguments = ("train", "route", "--model", tiny_model, "--data", encoded, "--output", "run", *QUICK)
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 2
    assert "holds a run, up to step-00000002; --resume goes on with it" in again.stderr
    longer = run(*arguments, "trainer.num_steps=3", "--resume")
    assert longer.exit_code == 0, longer.output
    assert [json.loads(line)["step"] for line in Path("run/log.jsonl").read_text().splitlines()] == [1, 2, 3]


def test_a_run_goes_on_with_the_model_that_it_had(
    run: Run, tiny_model: Path, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights were trained on top of those; and a refused call leaves the record of the run as it was."""
    arguments = ("train", "route", "--model", tiny_model, "--data", encoded, "--output", "run", *QUICK)
    assert run(*arguments).exit_code == 0
    settings = Path("run/config.yaml").read_bytes()
    for changed, problem in (
        (f"model.start={tiny_model}", f"began with model.start=null, not {tiny_model}; set model.start=null"),
        ("trainer.seed=3", "was trained with seed=0, not 3"),
        ("stage.lora_rank=3", "holds other parameters"),
    ):
        result = run(*arguments, changed, "--resume")
        assert result.exit_code == 2, result.output
        assert problem in " ".join(result.stderr.split())
        assert Path("run/config.yaml").read_bytes() == settings
    monkeypatch.chdir(tiny_model.parent)  # the same folders by other names
    arguments = ("train", "route", "--model", "tiny", "--data", "here/encoded", "--output", "here/run", *QUICK)
    result = run(*arguments, "trainer.num_steps=3", "--resume")
    assert result.exit_code == 0, result.output


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_a_run_goes_into_a_folder_of_its_own(run: Run, tiny_model: Path, encoded: Path) -> None:
    """Nothing that was there before is touched: not a user's folder, nor the model's, nor that of other clips."""
    mine = Path("mine")
    (mine / "transformer").mkdir(parents=True)
    for name in ("log.jsonl", "metrics.json", "best.json", ".notes.20240131.txt", "transformer/config.json", "a.yaml"):
        (mine / name).write_text("{}")
    for folder, settings, problem in (
        (mine, (), "The folder mine holds something already"),
        (mine, ("--config", "mine/a.yaml", "--resume"), "The folder mine holds something already"),
        (tiny_model, (), f"The output {tiny_model} holds {tiny_model}, which the run reads (model.folder)"),
        (tiny_model.parent, (), f"holds {tiny_model}, which the run reads (model.folder)"),
        (encoded, (), "holds encoded, which the run reads (data.train=encoded)"),
        (tiny_model / "vae", (), "holds something already"),
    ):
        before = contents(folder)
        result = run("train", "route", "--model", tiny_model, "--data", encoded, "--output", folder, *QUICK, *settings)
        assert result.exit_code == 2, result.output
        assert problem in " ".join(result.stderr.split())
        assert contents(folder) == before


def test_a_run_that_has_ended_keeps_its_settings_and_its_folder(run: Run, tiny_model: Path, encoded: Path) -> None:
    arguments = ("train", "route", "--model", tiny_model, "--data", encoded, "--output", "run", *QUICK)
    assert run(*arguments).exit_code == 0
    settings = Path("run/config.yaml").read_bytes()
    other = run(*arguments, "trainer.learning_rate=0.5", "--resume")
    assert other.exit_code == 2, other.output
    assert "has ended, after step 2, so trainer.learning_rate=0.5 in place of 3e-05 would" in other.stderr
    assert Path("run/config.yaml").read_bytes() == settings
    shutil.rmtree("run/transformer")
    again = run(*arguments, "--resume")
    assert again.exit_code == 0, again.output
    assert Path("run/transformer/config.json").exists()
    assert Path("run/config.yaml").read_bytes() == settings
    with claimed_folder(Path("run"), "a training run"):
        locked = run(*arguments, "trainer.num_steps=3", "--resume")
    assert locked.exit_code == 2
    assert "Another process is writing into the folder run" in locked.stderr
    assert Path("run/config.yaml").read_bytes() == settings
    Path("run", MARKER_NAME).unlink()  # as earlier versions left it
    longer = run(*arguments, "trainer.num_steps=3", "trainer.learning_rate=0.5", "--resume")
    assert longer.exit_code == 0, longer.output
    assert yaml.safe_load(Path("run/config.yaml").read_text())["trainer"]["learning_rate"] == 0.5


def test_a_run_tells_a_redirected_log_how_it_goes_on(run: Run, tiny_model: Path, encoded: Path) -> None:
    data = ("--model", tiny_model, "--data", encoded, "--validation-data", encoded)
    result = run("train", "route", *data, "--output", "run", *QUICK, "trainer.num_steps=3")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("route: ")]
    number = r"[-\d.e]+"
    expected = [
        rf"route: step 0, recall {number}, .*validation loss {number}.*",
        rf"route: step 1 of 3, loss {number}, learning rate {number}, .+ left",
        rf"route: step 2 of 3, loss {number}, learning rate {number}, .+ left",
        rf"route: step 3 of 3, loss {number}, learning rate {number}, under a second left",
        rf"route: step 3, recall {number}, .*validation loss {number}.*",
    ]
    assert len(lines) == len(expected), result.stderr
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(expected, lines, strict=True)), lines


def test_what_no_memory_holds_is_said(
    run: Run, tiny_model: Path, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("train", "route", "--model", tiny_model, "--data", encoded, "--output", "run", *QUICK)

    def exhaust(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    with monkeypatch.context() as patched:
        patched.setattr("ingredients.training.stages.router.RouterStage.loss", exhaust)
        result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "The memory was not enough for the run in run; lower stage.micro_batch_size" in result.stderr
    monkeypatch.setattr("psutil.virtual_memory", lambda: types.SimpleNamespace(total=10**8, available=10**8))
    result = run(*arguments, "stage.batch_size=60000")
    assert result.exit_code == 2, result.output
    assert "A step of stage.batch_size=60000 takes 1 GB for its clips alone" in result.stderr


def test_the_papers_one_frame_for_all_and_its_resize_of_masks(run: Run, tiny_model: Path, encoded: Path) -> None:
    one_frame = ("train", "route", "--model", tiny_model, "stage.reference_source=same_frame", *QUICK)
    refused = run(*one_frame, "--data", encoded, "--output", "refused")
    assert refused.exit_code == 2
    assert "clips that were encoded with --shared-frames, and those in encoded were not" in refused.stderr
    options = ("--frame-references", 2, "--shared-frames", "--mask-resize", "trilinear")
    result = run("data", "encode", "clips", "--model", tiny_model, "--output", "shared", *options)
    assert result.exit_code == 0, result.output
    described = EncodedClips([Path("shared")]).descriptions[0]["encoder"]
    assert (described["frame_choice"], described["mask_resize"]) == ("shared", "trilinear")
    assert not {"frame_choice", "mask_resize"} & EncodedClips([encoded]).descriptions[0]["encoder"].keys()
    trained = run(*one_frame, "--data", "shared", "--output", "run")
    assert trained.exit_code == 0, trained.output


def test_what_a_run_warns_of_is_a_line(
    run: Run, tiny_model: Path, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TensorBoard, and with every step left out for a jump that is none."""
    monkeypatch.setattr("ingredients.training.loop.processes.get_available_trackers", list)
    monkeypatch.setattr("ingredients.training.loop.loss_watch._NEEDED", 1)
    arguments = ("train", "route", "--model", tiny_model, "--data", encoded, "--output", "run", *QUICK)
    result = run(*arguments, "trainer.trackers=[tensorboard]", "trainer.spike_factor=0.01")
    assert result.exit_code == 0, result.output
    notes = notes_in(result.stderr)
    assert len(notes) == 2
    assert "TensorBoard is not installed" in notes[0]
    assert notes[1].startswith("Note: Step 2 was left out, because the loss jumps to ")
    assert "Warning" not in result.stderr


def test_held_out_clips_that_are_missing_or_learnt_from_are_a_note(run: Run, tiny_model: Path, encoded: Path) -> None:
    arguments = ("train", "align", "--model", tiny_model, "--data", encoded, *QUICK)
    asked = ("trainer.validate_every=1", "trainer.sample_every=1")
    without = run(*arguments, *asked, "--output", "without")
    assert without.exit_code == 0, without.output
    assert notes_in(without.stderr) == [
        "Note: There are no held-out clips, so trainer.validate_every and trainer.sample_every will do nothing; name "
        "some with --validation-data."
    ]
    assert notes_in(run(*arguments, "--output", "unasked").stderr) == []
    seeds = ("--first-seed", 4, "--number", 3)
    run(*CLIPS[:2], *seeds, *CLIPS[4:-1], "others")
    run("data", "encode", "others", "--model", tiny_model, "--output", "held-out")
    shared = run(*arguments, "--validation-data", "held-out", "--output", "shared")
    assert shared.exit_code == 0, shared.output
    (note,) = notes_in(shared.stderr)
    assert note.startswith("Note: 2 of 3 held-out clips are learnt from as well (train-00000004, train-00000005), so ")


def test_a_dry_run_plans_and_writes_nothing(run: Run, tiny_model: Path, encoded: Path) -> None:
    result = run("train", "align", "--model", tiny_model, "--data", encoded, "--dry-run", "trainer.num_steps=30")
    assert result.exit_code == 0, result.output
    for words in ("multi-scale projector", "LoRA", "frozen weights", "6 clips", "30 steps of 16 clips", "one H200"):
        assert words in result.stdout
    assert not Path("runs").exists()


def test_a_dry_run_needs_no_clips_and_one_process_speaks(run: Run, tiny_model: Path, monkeypatch) -> None:
    dry_run = ("train", "align", "--model", tiny_model, "--dry-run", "trainer.num_steps=30")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "0")
    main = run(*dry_run)
    assert main.exit_code == 0, main.output
    assert "Note: No clips are named (--data); the plan takes" in main.stdout
    assert "memory of each of 4 processes" in main.stdout
    monkeypatch.setenv("RANK", "3")
    other = run(*dry_run)
    assert (other.exit_code, other.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainer.trackers=[nothing]"], "There is no tracker 'nothing'"),
        (["trainer.precision=float32", "model.dtype=bfloat16"], "trainer.precision=float32 cannot compute"),
        (["--output", "mine"], "The folder mine holds something already"),
        (["--output", "."], "which the run reads"),
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses(
    arguments: list[str], said: str, run: Run, tiny_model: Path, encoded: Path
) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    command = ("train", "align", "--model", tiny_model, "--data", encoded, *QUICK, *arguments)
    told = [run(*command), run(*command, "--dry-run")]
    for result in told:
        assert result.exit_code == 2, result.output
        assert said in " ".join(result.stderr.split())


def test_samples_of_large_videos_are_decoded_in_tiles(
    run: Run, tiny_model: Path, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingredients.apps.train_samples.SMALL_TILE", (6, 10))  # of 8 x 12 latents
    seen: dict[str, set[torch.Size]] = {"encoder": set(), "decoder": set()}

    class Sampler(TrainingSampler):
        def __init__(self, parts: FrozenParts, folder: Path, config: SamplesConfig) -> None:
            super().__init__(parts, folder, config)
            for name, sizes in seen.items():
                part = getattr(parts.vae, name)
                part.register_forward_pre_hook(lambda _, inputs, sizes=sizes: sizes.add(inputs[0].shape[-2:]))

    monkeypatch.setattr("ingredients.apps.train_samples.TrainingSampler", Sampler)
    result = run(
        "train", "align", "--model", tiny_model, "--data", encoded, "--validation-data", encoded, "--output", "tiled",
        *QUICK, "trainer.sample_every=1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert seen["encoder"] == {(32, 48)}  # canvases stay whole
    assert seen["decoder"] == {(6, 10), (6, 4), (3, 10), (3, 4)}  # overlapping by a sixth and a fifth
    assert len(list(Path("tiled/samples").rglob("*.mp4"))) == 2


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (("stage.batch=3",), "has no setting 'batch'"),
        (("stage.lora_modules=[nothing]",), "The transformer has no modules named nothing"),
        (("model.transformer.router_type=linear",), "which model.transformer cannot change to 'linear'"),
        (("model.scale_source=recognition_and_clip",), "--recognition-maps"),
        (("stage.kept_shares=[1, 1, 1]",), "shares that sum to 1"),
    ],
)
def test_mistakes_are_one_sentence(
    run: Run, tiny_model: Path, encoded: Path, settings: tuple[str, ...], problem: str
) -> None:
    result = run("train", "align", "--model", tiny_model, "--data", encoded, *QUICK, *settings)
    assert result.exit_code == 2, result.output
    assert problem in result.stderr
    assert result.stderr.count("\n") <= 2


def test_without_clips_there_is_nothing_to_learn(run: Run, tiny_model: Path) -> None:
    result = run("train", "align", "--model", tiny_model, *QUICK)
    assert result.exit_code == 2
    assert "nothing to learn from" in result.stderr
    result = run("train", "align", "--model", tiny_model, "--data", "nowhere", *QUICK)
    assert result.exit_code == 2
    assert "There is no folder of encoded clips nowhere; check the name" in result.stderr


def test_the_recognisers_maps_are_trained_on_if_they_were_encoded(run: Run, tiny_model: Path) -> None:
    make_base(tiny_model)
    run(*CLIPS)
    run("data", "encode", "clips", "--model", tiny_model, "--output", "maps", "--recognition-maps")
    base = ("train", "align", "--model", tiny_model, "--data", "maps", *QUICK)
    assert run(*base, "--output", "with", "model.scale_source=recognition_and_clip").exit_code == 0
    assert run(*base, "--output", "without").exit_code == 0
    assert [widths_of(name) for name in ("with", "without")] == [24 + 4, 24]
    run("data", "encode", "clips", "--model", tiny_model, "--output", "plain")
    mixed = run(*base, "--validation-data", "plain", "--output", "mixed", "model.scale_source=recognition_and_clip")
    assert mixed.exit_code == 2
    assert "those in plain were not" in " ".join(mixed.stderr.split())


def test_the_maps_of_an_onnx_recogniser_are_encoded_if_it_has_some(run: Run, tiny_model: Path) -> None:
    faces = tiny_model / "face_encoder"
    shutil.rmtree(faces)
    write_antelope_folder(faces)
    run(*CLIPS)
    encode = ("data", "encode", "clips", "--model", tiny_model, "--recognition-maps")
    without = run(*encode, "--output", "none")
    assert without.exit_code == 2
    assert "gives no feature maps: it has no residual stages" in " ".join(without.stderr.split())
    write_residual_network(faces / NETWORKS[0], embedding_dim=RECOGNITION_DIM)
    result = run(*encode, "--output", "maps")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("maps/encoded.json").read_text())["widths"]["recognition_map_dim"] == max(STAGE_WIDTHS)


def test_learned_positions_fit_one_shape(run: Run, tiny_model: Path) -> None:
    make_base(tiny_model, use_learned_positional_embeddings=True)
    run(*CLIPS)
    run("data", "encode", "clips", "--model", tiny_model, "--output", "clips-of-it")
    run(*CLIPS[:-1], "others", "--first-seed", 6)
    run("data", "encode", "others", "--model", tiny_model, "--bucket", "1x32x48", "--output", "images")
    train = ("train", "align", "--model", tiny_model, "--dry-run", *QUICK, "--data")
    assert run(*train, "clips-of-it").exit_code == 0
    for arguments in (("images",), ("clips-of-it", "--data", "images"), ("clips-of-it", "stage.image_share=0.5")):
        refused = run(*train, *arguments)
        assert refused.exit_code == 2, refused.output
        assert "fit latents of 3 frames of 8x12 only" in " ".join(refused.stderr.split())


def test_the_faces_can_be_joined_after_the_vae(run: Run, tiny_model: Path) -> None:
    make_base(tiny_model)
    run(*CLIPS)
    run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded")
    data = ("--model", tiny_model, "--data", "encoded", "--validation-data", "encoded")
    result = run(
        "train", "align", *data, "--output", "after", *QUICK,
        "model.transformer.canvas_placement=after", "trainer.sample_every=2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert IngredientsTransformer3DModel.load_config("after/transformer")["canvas_placement"] == "after"


def test_every_ablation_begins_as_documented(run: Run, tiny_model: Path) -> None:
    """The recipe and one file behind it: alignments from the base within the model, router stages from the model."""
    base_within(IngredientsTransformer3DModel.from_pretrained(tiny_model / "transformer")).save_pretrained("base")
    run(*CLIPS)
    run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded", "--recognition-maps")
    data = ("--model", tiny_model, "--data", "encoded")
    for path in sorted((CONFIGS / "ablations").glob("*.yaml")):
        stage, _, name = path.stem.partition("-")
        start = ["model.start=base"] if stage == "align" else []
        command = ("train", stage, "--config", CONFIGS / "drawn-world" / f"{stage}.yaml", "--config", path, *data)
        if path.stem == "route-background-class":
            start = ["model.start=background-class"]
        if path.stem == "align-background-class":
            result = run(*command, *start, *QUICK, "stage.image_batch_size=2", "--output", name)
        else:
            result = run(*command, *start, "--dry-run")
        assert result.exit_code == 0, (path.stem, result.output)
    refused = run("train", "align", *data, "--config", CONFIGS / "ablations/align-after-vae.yaml", "--dry-run")
    assert refused.exit_code == 2
    assert "`ingredients world train unpack` takes one out" in " ".join(refused.stderr.split())


def test_the_background_can_be_a_class_of_its_own(run: Run, tiny_model: Path) -> None:
    make_base(tiny_model)
    run(*CLIPS)
    run("data", "encode", "clips", "--model", tiny_model, "--output", "encoded")
    data = ("--model", tiny_model, "--data", "encoded", *QUICK)
    run("train", "align", *data, "--output", "a", "model.transformer.route_background=true")
    routed = run("train", "route", *data, "--output", "b", "model.start=a", "stage.background=class")
    assert routed.exit_code == 0, routed.output
    wrong = run("train", "route", *data, "--output", "c", "model.start=a")
    assert wrong.exit_code == 2
    assert "set stage.background=class, or align a base with model.transformer.route_background=false" in wrong.stderr
