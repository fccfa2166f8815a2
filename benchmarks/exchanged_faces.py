"""Is it told when a face of a video becomes somebody else's, and not told where none does?

    python -m benchmarks.exchanged_faces drawn --clips 40            # clips of the drawn world, by the model's judge
    python -m benchmarks.exchanged_faces photographs ONE.jpg OTHER.jpg ONE_IN_THE_FILM.jpg OTHER_IN_THE_FILM.jpg

Two people as they are; with each other's face from some frame on; one who becomes the other, or a stranger; and with a
face that is wrong in a single frame. A clip of the drawn world is drawn with other people and otherwise the same, so
that nothing but the faces, hair and clothes changes. Photographed people wear pasted faces (`tests/generation/
exchanged_faces.py`), and dlib judges; `--picture` keeps what they look like. Told right: the turn that there is, to
the frame before or after it, and no other.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tests.generation.exchanged_faces import NUM_FRAMES, film, head

from ingredients.casebook.cases import Case, make_case
from ingredients.core.arrays import UInt8Array
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import load_judges
from ingredients.evaluation.measure import measure_turns
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.generation.judgement import AskedPerson, Judgement
from ingredients.generation.judging import judge_frames, know_people
from ingredients.media.photos import load_photo
from ingredients.media.pictures import write_picture
from ingredients.model_folders.find_model import default_model_path
from ingredients.pipelines.video_shape import FPS
from ingredients.world import sample_identity
from ingredients.world.identity import Identity
from ingredients.world.scenes import render_scene

Turns = Mapping[str, str | None]
"""For each person whose face turns, who it becomes; None for a stranger."""

FIRST_SEED = 910_000
"""Seed of the people of the first clip: they are in no case and in no calibration."""


def is_told(judged: Judgement, turns: Turns, frame: int) -> bool:
    """Whether a judgement has these turns at about a frame, and no others."""
    told = {
        person.name: [
            (None if turn.becomes < 0 else judged.asked[turn.becomes].name, judged.frame_numbers[turn.frame])
            for turn in person.turns
        ]
        for person in judged.people
        if person.turns
    }
    return set(told) == set(turns) and all(
        len(told[name]) == 1 and told[name][0][0] == becomes and abs(told[name][0][1] - frame) <= 1
        for name, becomes in turns.items()
    )


def is_counted(frames: UInt8Array, judge: Judge, asked: Sequence[AskedPerson], turns: Turns) -> bool:
    """Whether an evaluation counts whoever turns, and whoever is exchanged, and nobody else."""
    references = np.stack([person.reference for person in asked])
    record = measure_turns(judge, judge.track(frames), references, frame_size=frames.shape[1:3])
    is_exchange = len(turns) == len(asked)
    return record.turned == tuple(person.name in turns for person in asked) and record.exchanged == (
        is_exchange,
    ) * len(asked)


def draw(case: Case, people: Sequence[Identity], *, height: int, width: int, num_frames: int) -> UInt8Array:
    """The clip of a case (F, H, W, 3) with other people in it."""
    spec = dataclasses.replace(case.scene(), people=tuple(people))
    return render_scene(spec, height=height, width=width, num_frames=num_frames, fps=FPS).frames


def drawn(options: argparse.Namespace) -> None:
    """Counts over clips of the drawn world."""
    judge = load_judges(default_model_path(), judge="model", own_videos=True).judge
    size = {"height": options.height, "width": options.width, "num_frames": options.frames}
    half, last = options.frames // 2, options.frames - 1
    right: dict[str, list[int]] = {}
    for index in range(options.clips):
        case = make_case(index, first_seed=FIRST_SEED)
        one, other = case.identities
        stranger = sample_identity(FIRST_SEED + 5000 + index, "eval")
        photos = {"one": case.portraits()[0].image, "other": case.portraits()[1].image}
        asked = know_people(judge, photos)
        own, exchanged = draw(case, (one, other), **size), draw(case, (other, one), **size)
        doubled, lost = draw(case, (other, other), **size), draw(case, (stranger, other), **size)

        def from_frame(there: UInt8Array, frame: int, end: int | None = None, own: UInt8Array = own) -> UInt8Array:
            return np.concatenate([own[:frame], there[frame:end], own[len(own) if end is None else end :]])

        cases: dict[str, tuple[UInt8Array, Turns, int]] = {
            "as they are": (own, {}, 0),
            f"exchanged from frame {half} on": (from_frame(exchanged, half), {"one": "other", "other": "one"}, half),
            f"one becomes the other at frame {half}": (from_frame(doubled, half), {"one": "other"}, half),
            f"one becomes a stranger at frame {half}": (from_frame(lost, half), {"one": None}, half),
            f"exchanged in frame {half} alone": (from_frame(exchanged, half, half + 1), {}, 0),
            f"exchanged in frame {last} alone": (from_frame(exchanged, last), {}, 0),
        }
        for name, (frames, turns, frame) in cases.items():
            is_right = is_told(judge_frames(frames, judge, asked, fps=FPS), turns, frame)
            right.setdefault(name, [0, 0])[0] += is_right
            right[name][1] += is_counted(frames, judge, asked, turns)
            if options.verbose and not is_right:
                judged = judge_frames(frames, judge, asked, fps=FPS)
                print(f"clip {index}, {name}:", *[judged.verdict(each) for each in judged.people], *judged.remarks)
    print(f"told right, of {options.clips} clips of {options.frames} frames of {options.width}x{options.height}:")
    for name, (by_judging, by_counting) in right.items():
        print(f"  {name}: {by_judging}, and {by_counting} by an evaluation's turned_rate and exchanged_rate")


def photographs(options: argparse.Namespace) -> None:
    """Prints what is said of films of photographed people."""
    one, other, *filmed = map(load_photo, options.photos)
    detector = DlibFaceDetector()
    judge = load_judges(default_model_path(), judge="dlib").judge
    asked = know_people(judge, {"one": one, "other": other}, notice=print)
    heads = [head(photo, detector) for photo in filmed]
    shown = []
    for exchanged_from in (NUM_FRAMES, 0, NUM_FRAMES // 2, NUM_FRAMES // 4, NUM_FRAMES - 1):
        frames = film(*heads, detector, exchanged_from=exchanged_from)
        shown.append(frames[-1])
        judged = judge_frames(frames, judge, asked, fps=8.0, ordered=True)
        print(f"exchanged from frame {exchanged_from} of {NUM_FRAMES}:")
        print("\n".join([*(f"  {each.name}: {judged.verdict(each)}" for each in judged.people), *judged.remarks]))
    if options.picture is not None:
        write_picture(options.picture, np.vstack(shown[:2]))


def main() -> None:
    """Reads the arguments, and counts or prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    clips = commands.add_parser("drawn", help="clips of the drawn world, by the judge of the model that ships")
    clips.add_argument("--clips", type=int, default=40)
    clips.add_argument("--frames", type=int, default=9)
    clips.add_argument("--height", type=int, default=64)
    clips.add_argument("--width", type=int, default=96)
    clips.add_argument("--verbose", action="store_true", help="what is said where it is wrong")
    clips.set_defaults(run=drawn)
    films = commands.add_parser("photographs", help="pasted faces, by dlib")
    films.add_argument("photos", type=Path, nargs=4, help="of both, and of both in the film")
    films.add_argument("--picture", type=Path)
    films.set_defaults(run=photographs)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
