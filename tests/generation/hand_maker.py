"""Something that makes videos without a model: colours that depend on the request, a step at a time.

It also runs as a process of its own, `python -m tests.generation.hand_maker STORE PORT_FILE`: a whole server, whose
start costs little, for tests that kill it.
"""

import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingredients.core.arrays import Float32Array, Int64Array, UInt8Array
from ingredients.core.warnings_told import Notice
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.generation.asked_actions import asked_actions
from ingredients.generation.jobs import PersonAction, PersonTurn
from ingredients.generation.model_facts import ModelFacts
from ingredients.generation.page_help import FaceNotes, JudgedFile, PhotoNotes
from ingredients.generation.progress import CancelledError, OnStep, StepDone, StepPreview
from ingredients.generation.request import StudioRequest
from ingredients.media.provenance import Provenance
from ingredients.model_folders.sampling_settings import SamplingOverrides, SamplingSettings
from ingredients.pipelines.video_shape import VideoGeometry, VideoShape

FACTS = ModelFacts(
    name="by-hand",
    geometry=VideoGeometry(
        spatial_ratio=4,
        temporal_ratio=4,
        patch_size=2,
        own_shape=VideoShape(height=32, width=48, num_frames=9),
    ),
    sampling=SamplingSettings(num_inference_steps=3),
    reads_photographs=False,
    has_judge=True,
    step_caches=("first-block", "pab", "faster"),
    words=("beach", "wave"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandPerson:
    name: str
    found: bool | None = True
    similarity: float | None = 0.91239
    distance: float | None = None
    verdict: str = "found, similarity 0.91"
    turns: Sequence[PersonTurn] = ()
    action: PersonAction | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandVideo:
    frames: UInt8Array
    people: Sequence[HandPerson]
    provenance: Provenance
    routing: Int64Array
    latents: Float32Array
    judge: str | None = "model"
    seconds: float = 0.25
    notices: Sequence[str] = ("A word is not known.",)
    remarks: Sequence[str] = ("A stranger: face 3 is nobody of those asked for.",)

    def best_faces(self) -> dict[str, UInt8Array]:
        return {person.name: self.frames[0, :16, :16] for person in self.people}

    def contact_sheet(self, *, with_prompt: bool = True) -> UInt8Array:
        return np.concatenate(self.frames, axis=1)

    def routing_sheet(self) -> UInt8Array | None:
        return self.frames[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandTake:
    number: int
    seed: int
    result: HandVideo | None
    likeness: Sequence[float] = ()
    clarity: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandTakes:
    all: Sequence[HandTake]
    kept: HandTake
    reason: str

    @property
    def result(self) -> HandVideo:
        assert self.kept.result is not None
        return self.kept.result


class HandMaker:
    """Remembers what it made; may wait at each step until somebody lets it go on."""

    def __init__(self, *, seconds_a_step: float = 0.0, waits: bool = False) -> None:
        self.facts = FACTS
        self.made: list[StudioRequest] = []
        self.noted: list[tuple[dict[str, Any], Sequence[int] | None]] = []
        self.judged: list[list[tuple[str, list[Any]]]] = []
        self.go_on = threading.Event()
        self.cancelled = threading.Event()
        self.error: Exception | None = None
        self.turns: Sequence[PersonTurn] = ()
        self._seconds_a_step = seconds_a_step
        if not waits:
            self.go_on.set()

    def look_at_photo(self, photo: UInt8Array, *, label: str) -> PhotoNotes:
        """A face for each 100 pixels of width; what is mostly blue is a photograph."""
        number = photo.shape[1] // 100
        is_photograph = bool(photo[..., 2].mean() > 1.5 * photo[..., 0].mean())
        refusal = f"{label} looks like a photograph." if is_photograph else None
        return PhotoNotes(
            faces=tuple(
                FaceNotes(
                    number=index + 1,
                    box=(index / number, 0.0, (index + 1) / number, 1.0),
                    crop=np.ascontiguousarray(photo[:64, 100 * index : 100 * index + 64]),
                    notes=("The face is small.",) if number > 1 else (),
                )
                for index in range(number)
            ),
            is_photograph=is_photograph,
            refusal=refusal if number else f"No face was found in {label}.",
            can_be_drawn=is_photograph,
        )

    def notes_on_prompt(
        self,
        prompt: str,
        names: Sequence[str],
        *,
        sampling: SamplingOverrides | None = None,
        order: Sequence[int] | None = None,
    ) -> list[str]:
        self.noted.append((dict(sampling or {}), order))
        return ["The text encoder does not know 'yodel'."] if "yodel" in prompt else []

    def judge_file(
        self,
        video: Path,
        people: Sequence[IdentityPhotos],
        *,
        title: str,
        on_step: OnStep | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> JudgedFile:
        """Looks at 8 frames, and waits after the second until it may go on."""
        assert video.is_file()
        self.judged.append([(person.name, list(person.faces)) for person in people])
        for frame in range(1, 9):
            if on_step is not None:
                on_step(StepDone(step=frame, total=8, seconds_left=8.0 - frame))
            while frame == 2 and not self.go_on.wait(0.01):
                if is_cancelled is not None and is_cancelled():
                    self.cancelled.set()
                    raise CancelledError("Judging was cancelled at frame 2 of 8.")
        seen = [{"name": person.name, "verdict": "right, similarity 0.90", "status": "right"} for person in people]
        return JudgedFile(
            values={
                "people": seen,
                "remarks": ["A stranger: face 3 is nobody of those asked for."],
                "likeness": "0 to 1",
            },
            sheet=np.zeros((40, 60, 3), np.uint8),
            notices=("dlib judges.",),
        )

    def needed_bytes(self, request: StudioRequest, *, num_people: int) -> int:
        return 100_000_000 * num_people - (20_000_000 if request.options.decode_in_tiles else 0)

    def make(
        self,
        request: StudioRequest,
        *,
        on_step: OnStep | None = None,
        notice: Notice | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        **_: Any,
    ) -> HandVideo:
        request.check()
        shape = self.facts.geometry.shape(height=request.height, width=request.width, num_frames=request.num_frames)
        steps = request.sampling.get("num_inference_steps") or self.facts.sampling.num_inference_steps
        generator = np.random.default_rng(abs(request.seed))
        for step in range(1, steps + 1):
            time.sleep(self._seconds_a_step)
            preview = StepPreview(
                frames=generator.integers(0, 255, (3, 8, 12, 3), dtype=np.uint8),
                routing_map=generator.integers(-1, len(request.people), (3, 4, 6)),
            )
            if on_step is not None:
                on_step(StepDone(step=step, total=steps, seconds_left=float(steps - step), preview=preview))
            while not self.go_on.wait(0.01):
                if is_cancelled is not None and is_cancelled():
                    break
            if is_cancelled is not None and is_cancelled():
                raise CancelledError(f"The video was cancelled after step {step} of {steps}.")
        if self.error is not None:
            raise self.error
        self.made.append(request)
        people = [person for person in request.people if isinstance(person, IdentityPhotos)]
        names = [person.name for person in people]
        asked = asked_actions(request.prompt, names)
        grid = self.facts.geometry.token_grid(shape)
        routing = np.broadcast_to(np.arange(grid[2]) * len(people) // grid[2], grid).copy()  # nobody above
        routing[:, 0] = -1
        return HandVideo(
            routing=routing if request.routing is None else request.routing,
            latents=np.full((grid[0], 2, 8, 12), request.seed, np.float32),
            frames=generator.integers(0, 255, (shape.num_frames, shape.height, shape.width, 3), dtype=np.uint8),
            people=[
                HandPerson(name=name, turns=self.turns, action=PersonAction(seen="nod", share=0.8, asked=actions))
                for name, actions in zip(names, asked, strict=True)
            ],
            provenance=Provenance(
                model="by-hand",
                seed=request.seed,
                people=tuple(person.name for person in people),
                prompt=request.prompt,
            ),
        )

    def make_takes(self, request: StudioRequest, *, on_step: OnStep | None = None, **told: Any) -> HandTakes:
        """Keeps the second of them."""
        takes: list[HandTake] = []

        def count(done: StepDone) -> None:
            assert on_step is not None
            step, total = done.step + len(takes) * done.total, done.total * request.takes
            on_step(dataclasses.replace(done, step=step, total=total))

        for number in range(1, request.takes + 1):
            this = dataclasses.replace(request, seed=request.seed + number - 1)
            made = self.make(this, on_step=count, **told)
            likeness = [0.9 - 0.1 * abs(number - 2)] * len(made.people)
            takes.append(HandTake(number=number, seed=this.seed, result=made, likeness=likeness))
        return HandTakes(all=takes, kept=takes[1], reason="Take 2 is kept: ana is most alike in it (0.90, else 0.80).")


def main(store: str, port_file: str, seconds_a_step: str = "0.02") -> None:
    from ingredients.apps.server.run import run_server
    from ingredients.core.files import write_text

    run_server(
        Path(store),
        lambda: HandMaker(seconds_a_step=float(seconds_a_step)),
        port=0,
        on_listening=lambda address, _: write_text(Path(port_file), address),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
