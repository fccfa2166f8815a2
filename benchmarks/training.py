"""What a step of the alignment stage costs: caches, precision, checkpointing, compiling, and the wait for its data.

    python benchmarks/training.py                                   # the small model that ships, on clips drawn for it
    python benchmarks/training.py --runs runs/small-world           # or on those of its training
    python benchmarks/training.py --size published --batch 1 2 4    # on a GPU: CogVideoX-5B's size, random weights

`small` prints ratios of one run. Times of steps, reading and encoding are the processor's, one thread, which other
programs beside this one hardly change; the wait for data is that of the loop itself, on the clock. `published` is the
paper's first stage: a LoRA of rank 128 on a base in bfloat16, cached latents, two people a clip, 17,550 + 226 tokens.
MFU is of the maker's dense bfloat16 peak; what checkpointing computes again, the LoRA and the VAE that encodes the
canvases do not count as work. `tiny` is `published` in miniature, for a processor.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import best_seconds, seconds
from training_sizes import RANDOM_SIZES, Subject, random_subject, small_subject

from ingredients.apps.quiet_libraries import silence_libraries
from ingredients.core.training_log import LOG_NAME
from ingredients.data.clip_example import ClipExample
from ingredients.data.encoding_settings import EncoderConfig
from ingredients.data.world_examples import draw_example
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.loop.stage import StepPosition
from ingredients.training.loop.throughput import peak_flops, peak_memory
from ingredients.training.loop.trainer import Trainer
from ingredients.training.small_world.folders import load_clip_encoder
from ingredients.training.small_world.settings import PART_SETTINGS, AlignPartConfig
from ingredients.training.stages.alignment import AlignmentStage
from ingredients.training.stages.settings import AlignmentConfig

Batches = Sequence[Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to train."""

    stage: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the stage that differ."""

    trainer: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the loop that differ."""

    dtype: torch.dtype = torch.float32
    """The type of the base's weights."""


LORA = {"tuning": "lora", "lora_rank": 64}
VARIANTS = {
    "float32": Variant(trainer={"precision": "float32"}),
    "bfloat16": Variant(trainer={"precision": "bfloat16"}),
    "checkpointing": Variant(stage={"gradient_checkpointing": True}),
    "compiled": Variant(stage={"compile": True}),
    "passes of 4 clips": Variant(stage={"micro_batch_size": 4}),
    "without identity loss": Variant(stage={"identity_loss_weight": 0.0}),
    "Muon": Variant(trainer={"optimizer": "muon"}),
    "LoRA": Variant(stage=LORA),
    "LoRA on a base in bfloat16": Variant(stage=LORA, dtype=torch.bfloat16),
}
"""Of the small model: where nothing else is said, all of the base is tuned by AdamW, in what `auto` takes here."""


def make_trainer(subject: Subject, stage: AlignmentConfig, trainer: TrainerConfig, dtype: torch.dtype) -> Trainer:
    """A run that has not begun; nothing is written unless `fit` is called."""
    built = AlignmentStage(subject.make_transformer(dtype), subject.parts, stage)
    return Trainer(built, Path(tempfile.gettempdir()) / "unused", trainer)


def loop(**settings: Any) -> TrainerConfig:
    """A loop in the precision that is faster here."""
    return TrainerConfig(**{"precision": "auto"} | settings)


def draw(trainer: Trainer) -> Batches:
    """The next step's clips, as the loop reads them."""
    return trainer.stage.data.draw(StepPosition(step=0, progress=0.5, seed=0))


def time_variants(subject: Subject, batch_size: int, names: Sequence[str], rounds: int) -> dict[str, float]:
    """Prints the steps of each variant, and gives their seconds: the best of several rounds, in turns."""
    trainers, batches = {}, {}
    for name in names:
        variant = VARIANTS[name]
        stage = dataclasses.replace(AlignPartConfig().stage, batch_size=batch_size, image_share=0.0, **variant.stage)
        trainers[name] = make_trainer(subject, stage, loop(**variant.trainer), variant.dtype)
        batches[name] = draw(trainers[name])
        trainers[name].step(batches[name], progress=0.5)  # compiles, and makes the optimiser's states
    best = dict.fromkeys(names, float("inf"))
    for _ in range(rounds):
        for name in names:
            best[name] = min(best[name], seconds(step_of(trainers[name], batches[name]), "cpu"))
    print(f"\n{'step of ' + str(batch_size) + ' clips':<36} {'seconds':>8} {'samples/s':>9} {'of float32':>10}")
    for name in names:
        print(
            f"{name:<36} {best[name]:>8.2f} {batch_size / best[name]:>9.2f} {best[name] / best[names[0]]:>10.2f}",
            flush=True,
        )
    return best


def step_of(trainer: Trainer, batches: Batches) -> Callable[[], object]:
    """A step, to be timed."""
    return lambda: trainer.step(batches, progress=0.5)


def time_caches(subject: Subject, batch_size: int, step_seconds: float, rounds: int) -> None:
    """Prints what a step would cost that encoded its clips itself, each person by one photo."""
    assert subject.runs is not None
    drawn = PART_SETTINGS["latents"].load(subject.runs / "latents" / "config.yaml")
    encoder = load_clip_encoder(subject.runs, EncoderConfig(num_frame_references=0), model=drawn.model)
    examples = [with_one_photo(draw_example(seed, drawn.world)) for seed in range(batch_size)]
    captions = [example.caption for example in examples]
    config = dataclasses.replace(AlignPartConfig().stage, batch_size=batch_size, image_share=0.0)
    trainer = make_trainer(subject, config, loop(), torch.float32)

    def encode() -> None:
        encoder._prompt_embeds.clear()  # a caption comes once an epoch
        encoder.encode(examples)

    reading = best_seconds(lambda: draw(trainer), "cpu", rounds=rounds)
    text = best_seconds(lambda: encoder.encode_prompts(captions), "cpu", rounds=rounds)
    encoding = best_seconds(encode, "cpu", rounds=rounds)
    print(f"\n{batch_size} clips{'':<24} {'seconds':>8} {'of a step':>9}")
    for name, duration in (("read from the cache", reading), ("encode", encoding), ("of which captions", text)):
        print(f"{name:<32} {duration:>8.3f} {duration / step_seconds:>9.1%}")
    with_cache, without = (batch_size / (step_seconds + more) for more in (reading, encoding))
    print(f"samples/s with caches {with_cache:.2f}, without {without:.2f}: {with_cache / without:.2f} x", flush=True)


def with_one_photo(example: ClipExample) -> ClipExample:
    """The clip with as many photos as a step looks at."""
    return dataclasses.replace(example, references=tuple(photos[:1] for photos in example.references))


def time_waiting(subject: Subject, batch_size: int, folder: Path, num_steps: int) -> None:
    """Prints the share of the loop's time that steps wait for their data, after the first, which nobody read ahead."""
    stage = dataclasses.replace(AlignPartConfig().stage, batch_size=batch_size, image_share=0.0)
    settings = loop(num_steps=num_steps + 1, log_every=1, checkpoint_every=num_steps + 1)
    Trainer(AlignmentStage(subject.make_transformer(torch.float32), subject.parts, stage), folder, settings).fit(
        show=False
    )
    lines = [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()][1:]
    waited = sum(line["waiting_share"] * line["seconds_per_step"] for line in lines)
    total = sum(line["seconds_per_step"] for line in lines)
    print(f"\nthe loop waits for its data for {waited / total:.2%} of {num_steps} steps", flush=True)


def time_random(subject: Subject, arguments: argparse.Namespace, device: torch.device) -> None:
    """Prints the table of batch sizes."""
    dtype = torch.float32 if arguments.precision == "float32" else torch.bfloat16
    stage = AlignmentConfig(
        lora_rank=arguments.rank,
        train_patch_embed=False,
        gradient_checkpointing=arguments.checkpointing,
        compile=arguments.compile,
    )
    settings = TrainerConfig(
        optimizer=arguments.optimizer, learning_rate=2e-5, ema_decay=0.999, precision=arguments.precision
    )
    trainer = make_trainer(subject, stage, settings, dtype)
    peak = arguments.peak_tflops * 1e12 if arguments.peak_tflops else peak_flops(device)
    num_trained = sum(parameter.numel() for parameter in trainer.parameters.values())
    num_all = sum(parameter.numel() for parameter in trainer.stage.model.parameters())
    print(f"{num_trained:,} of {num_all:,} numbers are trained, {arguments.precision}, {name_of(device)}")
    print(
        f"{'batch':>5} {'seconds':>8} {'samples/s':>9} {'tokens/s':>9} {'TFLOP':>9} {'TFLOP/s':>8} {'MFU':>6} "
        f"{'memory':>8} {'canvases':>8}"
    )
    for batch_size in arguments.batch:
        trainer.stage.config.batch_size = batch_size
        batches = draw(trainer)
        work = trainer.stage.work(batches)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        duration = best_seconds(step_of(trainer, batches), device.type, rounds=arguments.rounds)
        memory = peak_memory(device)
        canvases = best_seconds(
            lambda batches=batches: trainer.stage.canvas_latents(batches[0].to(device)),
            device.type,
            rounds=arguments.rounds,
        )
        mfu = "-" if peak is None else f"{work.flops / duration / peak:.1%}"
        print(
            f"{batch_size:>5} {duration:>8.4f} {work.num_samples / duration:>9.3f} {work.num_tokens / duration:>9.0f} "
            f"{work.flops / 1e12:>9.3g} {work.flops / duration / 1e12:>8.3g} {mfu:>6} {memory / 1e9:>5.1f} GB "
            f"{canvases / duration:>8.1%}",
            flush=True,
        )


def name_of(device: torch.device) -> str:
    """For the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"a processor with {torch.get_num_threads()} thread(s)"


def parse_arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["small", *RANDOM_SIZES], default="small")
    parser.add_argument("--batch", type=int, nargs="+", default=None, help="default: 12 (small), 1 2 4 (others)")
    parser.add_argument("--rounds", type=int, default=3)
    small = parser.add_argument_group("small")
    small.add_argument("--runs", type=Path, default=None, help="folder of the small model's trained parts and clips")
    small.add_argument("--variants", choices=[*VARIANTS][1:], nargs="+", default=[*VARIANTS][1:])
    small.add_argument("--waiting-steps", type=int, default=8, help="steps of the loop whose waiting is measured")
    other = parser.add_argument_group("published and tiny")
    other.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16")
    other.add_argument("--rank", type=int, default=128)
    other.add_argument("--optimizer", choices=["adamw", "adamw8bit", "muon"], default="adamw")
    other.add_argument("--checkpointing", action=argparse.BooleanOptionalAction, default=True)
    other.add_argument("--compile", action="store_true")
    other.add_argument("--peak-tflops", type=float, default=None, help="of the device, if its name says nothing")
    return parser.parse_args()


def main() -> None:
    """Measures and prints."""
    arguments = parse_arguments()
    silence_libraries()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if arguments.size != "small":
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            arguments.batch = arguments.batch or [1, 2, 4]
            size = RANDOM_SIZES[arguments.size]
            subject = random_subject(size, scratch, num_clips=max(arguments.batch), device=device)
            time_random(subject, arguments, device)
            return
        torch.set_num_threads(1)
        for batch_size in arguments.batch or [12]:
            subject = small_subject(arguments.runs, scratch, num_clips=2 * batch_size)
            best = time_variants(subject, batch_size, ["float32", *arguments.variants], arguments.rounds)
            time_caches(subject, batch_size, min(best["float32"], best.get("bfloat16", torch.inf)), arguments.rounds)
            time_waiting(subject, batch_size, scratch / "run", arguments.waiting_steps)


if __name__ == "__main__":
    main()
