"""What a router stage learns from masks that curation made, against the films' exact ones (sections 3.3 and 4.1).

    ingredients world film --minutes 6 --seed 33 --output films
    ingredients world film --minutes 2.5 --seed 34 --output held-out-films
    for set in films held-out-films; do
        ingredients curate $set/films --output clips/$set --config configs/curation/drawn-world.yaml \
            --config configs/curation/small-model.yaml masks.by=sam
        ingredients data encode clips/$set --output encoded/$set --frame-references 2
    done
    python benchmarks/curated_training.py --output runs/curated

One run for each kind of masks: the same model, schedule, clips and seed, so that masks alone differ. The model is the
small one that ships, **its routers drawn anew**: those that ship have learnt from exact masks, and would hide what
curated ones teach. Recall is that of `ingredients train route`: balanced over people, over timesteps and the last half
of the routed blocks, on clips of other films and other people, whose masks are the films' own. The schedule is short,
on images of the clips' first frames; `KEY=VALUE` changes it. What has been done is kept, and a run that was stopped
goes on.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ingredients.core.arrays import BoolArray, Int64Array
from ingredients.core.config import load_config
from ingredients.core.json_yaml import read_json_lines
from ingredients.curation.config import MasksConfig
from ingredients.curation.masks import apart, open_segmenter
from ingredients.data.buckets import Bucket, frame_bucket
from ingredients.data.clip_folder import read_clip_folder
from ingredients.data.encoded_clips import EncodedClip, EncodedClips, EncodedPerson, claim_folder, write_shard
from ingredients.data.film_folder import read_films
from ingredients.data.mask_files import read_masks
from ingredients.data.routing_targets import decide_routing_targets, token_coverage
from ingredients.data.schema import ClipRecord
from ingredients.faces.detector import intersection_over_union
from ingredients.media.video import read_video
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.transformer import load_transformer
from ingredients.training.runs.configuration import RouteRunConfig
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.training.runs.run import build_stage, train_run
from ingredients.training.runs.start import draw_routers_anew
from ingredients.world.film_truth import FilmTruth

_STRIDE = 2
"""Frames of the film from one of a clip to the next (4.1)."""

_SAME_FACE = 0.3
_TEMPORAL_RATIO = 4
UNTRAINED, EXACT, CURATED, BOX = "untrained", "exact", "curated", "box"
SCHEDULE = (
    "trainer.num_steps=150", "trainer.num_warmup_steps=10", "trainer.learning_rate=4e-3", "trainer.ema_decay=0.9",
    "trainer.checkpoint_every=20", "trainer.validate_every=null", "trainer.sample_every=null", "trainer.trackers=[]",
    "stage.image_share=1", "stage.image_batch_size=12", "stage.routing_loss_weight=1",
    "stage.base_learning_rate_scale=0.25", "stage.num_validation_batches=2",
)  # fmt: skip
"""What differs from `configs/drawn-world/route.yaml`, so that a run takes a minute or two of a processor."""

Masks = dict[str, BoolArray]
"""Face masks (F, N, H, W) of clips, by their names."""


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, default=Path("films"))
    parser.add_argument("--held-out-films", type=Path, default=Path("held-out-films"))
    parser.add_argument("--clips", type=Path, default=Path("clips"), help="folder of both curated data sets")
    parser.add_argument("--encoded", type=Path, default=Path("encoded"), help="folder of both, encoded")
    parser.add_argument("--output", type=Path, default=Path("runs/curated"))
    parser.add_argument(
        "--kinds", nargs="+", default=[UNTRAINED, EXACT, CURATED], choices=(UNTRAINED, EXACT, CURATED, BOX)
    )
    parser.add_argument("--config", type=Path, default=Path("configs/drawn-world/route.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of routers, order and noise")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of `ingredients train route`")
    arguments = parser.parse_args()
    held_out = encode_held_out(arguments)
    overlaps = encode_all_kinds(arguments, {0.0: CURATED})
    for seed in arguments.seeds:
        start = fresh_routers(arguments.output / f"start-{seed}", seed)
        for name in arguments.kinds:
            recall = train(arguments, name, start, held_out, seed)
            print(json.dumps({"masks": name, "overlap": overlaps.get(name), "seed": seed, "recall": round(recall, 4)}))


def encode_held_out(arguments: argparse.Namespace) -> Path:
    """The held-out clips with exact masks."""
    name = arguments.held_out_films.name
    records = read_clip_folder(arguments.clips / name)
    exact = exact_masks(arguments.held_out_films, arguments.clips / name, records)
    return write_encoded(arguments.encoded / name, arguments.output / "encoded" / "held-out", records, exact)


def encode_all_kinds(arguments: argparse.Namespace, by_threshold: dict[float, str]) -> dict[str, float]:
    """The clips once for each kind of masks; returns how much these overlap with the exact ones, on the whole.

    Kinds are the exact masks and those of some thresholds, of which 0 is what curation wrote. Clips in which it
    tracked something that is nobody are in none: they have no exact masks.
    """
    names = [EXACT, *by_threshold.values()]
    known = arguments.output / "overlaps.json"
    if known.is_file() and (found := json.loads(known.read_text())).keys() >= set(names):
        return {kind: found[kind] for kind in names}
    name = arguments.films.name
    encoded, output = arguments.encoded / name, arguments.output / "encoded"
    records = read_clip_folder(arguments.clips / name)
    exact = exact_masks(arguments.films, arguments.clips / name, records)
    records = [record for record in records if record.clip_id in exact]
    kinds: dict[str, Masks] = {EXACT: exact, CURATED: {record.clip_id: curated_masks(record) for record in records}}
    kinds |= threshold_masks(records, {each: kind for each, kind in by_threshold.items() if kind != CURATED})
    for kind in names:
        write_encoded(encoded, output / kind, records, kinds[kind])
    _check_same_targets(EncodedClips([encoded]), EncodedClips([output / CURATED]))
    overlaps = {kind: round(_mean_overlap(kinds[kind], exact), 4) for kind in names}
    known.write_text(json.dumps(overlaps))
    return overlaps


def _check_same_targets(by_command: EncodedClips, here: EncodedClips) -> None:
    """Targets that are made here of curated masks are those that `ingredients data encode` makes."""
    places = {entry.clip_id: place for place, entry in enumerate(by_command.entries)}
    for place, entry in enumerate(here.entries):
        theirs = by_command.tensor(places[entry.clip_id], "routing_targets")
        assert torch.equal(theirs, here.tensor(place, "routing_targets")), entry.clip_id


def exact_masks(films: Path, clips: Path, records: Sequence[ClipRecord]) -> Masks:
    """What the films drew, of the people whom curation tracked, at its tracks' places."""
    truths = {film.name: film for film in read_films(films)}
    lines = {values["clip_id"]: values for _, values in read_json_lines(clips / "clips.jsonl", remedy="curate anew")}
    drawn: dict[tuple[str, int], Any] = {}
    masks: Masks = {}
    for record in records:
        line = lines[record.clip_id]
        film = truths[Path(line["source"]).stem]
        cut, bars = line["measured"]["cut"], line["measured"]["bars"]
        frames = [cut["first_frame"] + _STRIDE * number for number in range(record.num_frames)]
        number = _shot_of(film, frames)
        if frames[0] < film.shots[number].start or frames[-1] >= film.shots[number].stop:
            print(f"{record.clip_id}: of two shots; left out")
            continue
        if (film.name, number) not in drawn:
            drawn = {(film.name, number): film.draw_shot(number).scene}  # clips of one shot follow each other
        scene = drawn[film.name, number]
        rows = [frame - film.shots[number].start for frame in frames]
        corner = np.array([bars["left"], bars["top"]] * 2, np.float32)
        whose = [_owner(track.boxes, scene.boxes[rows] - corner) for track in record.people]
        if -1 in whose or len(set(whose)) < len(whose):
            print(f"{record.clip_id}: not everybody who was tracked is somebody; left out")
            continue
        window = scene.face_masks[rows][:, whose]
        masks[record.clip_id] = window[
            :, :, bars["top"] : bars["top"] + record.height, bars["left"] : bars["left"] + record.width
        ]
    return masks


def _shot_of(film: FilmTruth, frames: Sequence[int]) -> int:
    middle = frames[len(frames) // 2]
    return next(number for number, shot in enumerate(film.shots) if shot.start <= middle < shot.stop)


def _owner(track: Sequence[Any], boxes: np.ndarray) -> int:
    """Whose track of boxes it is, of true boxes (F, N, 4); -1 for nobody's."""
    votes = Counter[int]()
    for box, there in zip(track, boxes, strict=True):
        if box is not None:
            shared = [
                intersection_over_union(np.asarray(box, np.float32), each) if np.isfinite(each).all() else 0.0
                for each in there
            ]
            votes[int(np.argmax(shared)) if max(shared) > _SAME_FACE else -1] += 1
    return votes.most_common(1)[0][0]


def curated_masks(record: ClipRecord) -> BoolArray:
    """What curation wrote, (F, N, H, W)."""
    size = {"num_frames": record.num_frames, "height": record.height, "width": record.width}
    return np.stack([read_masks(person.face_masks, **size) for person in record.people], axis=1)


def threshold_masks(records: Sequence[ClipRecord], names: dict[float, str]) -> dict[str, Masks]:
    """What curation would have written at other thresholds: the small SAM looks once."""
    config = MasksConfig(by="sam")
    segmenter = open_segmenter(config)
    found: dict[str, Masks] = {name: {} for name in names.values()}
    for record in records if names else ():
        frames = read_video(record.video).frames
        shape = record.num_frames, len(record.people), record.height, record.width
        of_clip = {name: np.zeros(shape, bool) for name in names.values()}
        for row, frame in enumerate(frames):
            there = [index for index, person in enumerate(record.people) if person.boxes[row] is not None]
            if there:
                boxes = np.array([record.people[index].boxes[row] for index in there], np.float32)
                logits = segmenter.segment(frame, boxes)
                for threshold, name in names.items():
                    of_clip[name][row, there] = apart(logits, boxes, threshold=threshold, margin=config.margin)
        for name, masks in of_clip.items():
            found[name][record.clip_id] = masks
    return found


def _mean_overlap(masks: Masks, exact: Masks) -> float:
    """Mean intersection over union of the faces of all frames, those in which neither has anything left out."""
    overlaps = []
    for clip_id, found in masks.items():
        both, either = ((found & exact[clip_id]).sum((2, 3)), (found | exact[clip_id]).sum((2, 3)))
        overlaps.append((both[either > 0] / either[either > 0]).ravel())
    return float(np.concatenate(overlaps).mean())


def write_encoded(source: Path, target: Path, records: Sequence[ClipRecord], masks: Masks) -> Path:
    """Encoded clips with routing targets of other masks; all else about them stays as it was encoded."""
    clips = EncodedClips([source])
    description = clips.descriptions[0] | {"source": {"fingerprint": f"{target.name} masks of {source.name}"}}
    claim_folder(target, {name: value for name, value in description.items() if name != "format"},
                 clips.empty_prompt_embeds)  # fmt: skip
    of_record = {record.clip_id: record for record in records}
    bucket = Bucket(**description["reading"]["buckets"][0])
    patch_size = description["widths"]["patch_size"]
    kept = list(_with_targets(clips, of_record, masks, bucket, patch_size))
    write_shard(target / "shard-00000000.safetensors", kept, skipped={})
    return target


def _with_targets(
    clips: EncodedClips, records: dict[str, ClipRecord], masks: Masks, bucket: Bucket, patch_size: int
) -> Iterator[EncodedClip]:
    for index, entry in enumerate(clips.entries):
        if entry.clip_id not in masks:
            continue
        record = records[entry.clip_id]
        framing = frame_bucket(bucket, height=record.height, width=record.width)
        framed = np.stack([framing.masks(each) for each in np.moveaxis(masks[entry.clip_id], 1, 0)], axis=1)
        tensors = {
            name: clips.tensor(index, name)
            for name in ("latents", "prompt_embeds", "face_landmarks", "box_targets", "nearest_targets")
        }
        grid = tensors["latents"].shape[-2] // patch_size, tensors["latents"].shape[-1] // patch_size
        targets: Int64Array = decide_routing_targets(
            token_coverage(framed, grid=grid, temporal_compression=_TEMPORAL_RATIO)
        )
        yield EncodedClip(
            clip_id=entry.clip_id,
            caption=clips.caption(index),
            routing_targets=torch.from_numpy(targets).to(torch.int8),
            people=tuple(
                EncodedPerson(
                    person_id=person_id,
                    kinds=entry.kinds[person],
                    frames=entry.frames[person],
                    **{
                        several: torch.stack(
                            [clips.reference(index, person, number, one) for number in range(len(entry.kinds[person]))]
                        )
                        for several, one in (
                            ("embeds", "embeds"),
                            ("hidden_states", "hidden_states"),
                            ("canvas_crops", "canvas_crop"),
                        )
                    },
                )
                for person, person_id in enumerate(entry.person_ids)
            ),
            **tensors,
            **{name: clips.tensor(index, name) for name in entry.also},
        )


def fresh_routers(folder: Path, seed: int) -> Path:
    """The small model's transformer with routers drawn anew, as `model.start` reads it."""
    if not (folder / "transformer" / "config.json").is_file():
        transformer = load_transformer(default_model_path() / "transformer", dtype=torch.float32)
        draw_routers_anew(transformer, seed)
        transformer.save_pretrained(folder / "transformer")
    return folder


def train(arguments: argparse.Namespace, name: str, start: Path, held_out: Path, seed: int) -> float:
    """One router stage on one kind of masks, or none; returns the recall on held-out clips."""
    folder, encoded = arguments.output / f"{name}-{seed}", arguments.output / "encoded"
    result = folder / "recall.json"
    if result.is_file():
        return float(json.loads(result.read_text())["recall"])
    kind = RUN_KINDS["route"]
    began = time.process_time()
    if name == UNTRAINED:
        folder.mkdir(parents=True, exist_ok=True)
    elif not (folder / "metrics.json").is_file():
        config = _config(arguments, seed, start=start, train=encoded / (CURATED if name == BOX else name))
        config.stage.supervision = "box" if name == BOX else "segment"
        train_run(kind, config, folder, resume=any(folder.glob("checkpoints/*")), show=False)
    learnt = start if name == UNTRAINED else folder
    config = _config(arguments, seed, start=learnt, train=held_out, validation=[held_out])
    stage, _ = build_stage(kind, config, device=torch.device("cpu"))
    measured = stage.validate()
    result.write_text(json.dumps({name: round(value, 4) for name, value in measured.items()}))
    print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)
    return float(measured["recall"])


def _config(
    arguments: argparse.Namespace, seed: int, *, start: Path, train: Path, validation: Sequence[Path] = ()
) -> RouteRunConfig:
    overrides = [
        f"data.train=[{train}]",
        f"data.validation=[{', '.join(map(str, validation))}]",
        f"model.start={start}",
        f"trainer.seed={seed}",
        *SCHEDULE,
        *arguments.settings,
    ]
    return load_config(RouteRunConfig, arguments.config, overrides=overrides, defaults=RouteRunConfig())


if __name__ == "__main__":
    main()
