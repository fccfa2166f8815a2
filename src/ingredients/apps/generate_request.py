"""What a video is asked for with, and what came of it: the types behind every front end."""

from __future__ import annotations

import dataclasses
import filecmp
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingredients.core.errors import ModelFolderError, OutputError, PhotoError, PromptError, UserInputError
from ingredients.core.files import check_not_an_input, check_output_path
from ingredients.core.memory_mode import MemoryMode
from ingredients.core.numbers import check_number
from ingredients.core.printable import check_letters, printable
from ingredients.faces.face_stack_name import FaceStackName
from ingredients.media.pictures import check_picture_path
from ingredients.media.video import check_video_path
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.people import PhotoFile
from ingredients.pipelines.prompts import check_prompts

if TYPE_CHECKING:
    from ingredients.apps.people_check import JudgeName, PersonResult

FPS = 8.0
"""Frames a second of every model's videos (4.1)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """What is asked for."""

    photos: Mapping[str, Sequence[PhotoFile]]
    """Photos by the person's name, one or several each."""

    prompt: str
    """What happens."""

    output: Path
    """Video to write."""

    model: str | None = None
    """Model folder, or a model of the hub; None takes the one that ships."""

    identity: Path | None = None
    """Identity weights for a base; None takes those in its folder."""

    drop_learned_positions: bool = False
    """Whether to leave out a base's learned positions, which fix the size of the video."""

    face_stack: FaceStackName = "model"
    """Who reads the photos: `dlib` has dlib find the faces; a stack's name insists on it."""

    allow_photographs: bool = False
    """Whether a model that knows drawn people only takes photographs, with a warning and without a similarity."""

    seed: int = 0
    """Any integer; the same request makes the same video."""

    num_inference_steps: int | None = None
    """Denoising steps; None, here and in the next four, takes the model's own default."""

    guidance_scale: float | None = None
    """Weight of the prompt; 1 or less does without guidance."""

    identity_guidance_scale: float | None = None
    """Weight of the people against nobody in particular; 1 does without."""

    layout_share: float | None = None
    """Share of the steps, at the start, in which people are placed from left to right in the order given."""

    likeness_guidance_scale: float | None = None
    """How far each step is led to where the recogniser sees the people; 0 does without."""

    negative_prompt: str | None = None
    """What the video is led away from."""

    face_scale: float = 1.0
    """Strength of the faces' local features (alpha_m of Eq. 4)."""

    num_frames: int | None = None
    """Length in frames; None, here and below, takes what the model was trained on."""

    height: int | None = None
    """Pixels."""

    width: int | None = None
    """Pixels."""

    scale: int = 1
    """By how many whole pixels each pixel of the video is enlarged in the file."""

    memory: MemoryMode = MemoryMode.AUTO
    """How much of the model is on the device at a time."""

    speed: SpeedOptions = dataclasses.field(default_factory=SpeedOptions)
    """How the model runs; the defaults make the exact video."""

    routing_map: Path | None = None
    """Picture to write: which person the router chose for each place."""

    contact_sheet: Path | None = None
    """Picture to write: the frames side by side."""

    overwrite: bool = False
    """Whether files that are there may be replaced."""

    prompt_metadata: bool = True
    """Whether the files say what was asked for; that a model made them they always say."""

    def check(self) -> None:
        """Checks what can be checked before anything is loaded.

        Raises:
            PhotoError: if a photo is missing, or one file is given for two people.
            PromptError: if the prompt is empty, or not UTF-8.
            OutputError: if a result cannot be written where it should go, or a file is there that must stay.
        """
        check_prompts([self.prompt])
        check_letters(self.negative_prompt or "", "The negative prompt", kind=PromptError)
        for name in self.photos:
            check_letters(name, f"The name {printable(name)}", kind=UserInputError)
        _check_finite(self)
        if self.identity is not None and not self.identity.is_dir():
            raise ModelFolderError(f"There is no folder of identity weights {self.identity}; check the name.")
        check_video_path(self.output)
        pictures = [picture for picture in (self.routing_map, self.contact_sheet) if picture is not None]
        for picture in pictures:
            check_picture_path(picture)
        _check_files_differ(self.photos, [self.output, self.routing_map, self.contact_sheet])
        for output in (self.output, *pictures):  # after the photos: that one of them is meant says more
            check_output_path(output, overwrite=self.overwrite)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult:
    """What was made."""

    request: GenerateRequest
    """What was asked for."""

    model: str
    """Folder of the model."""

    num_frames: int
    """Length in frames."""

    height: int
    """Pixels of the file, enlarged as was asked for."""

    width: int
    """Pixels, likewise."""

    memory: MemoryMode
    """Memory mode that was used."""

    seconds: float
    """Time from the request to the written files, loading included."""

    people: tuple[PersonResult, ...]
    """In the order of the request."""

    judge: JudgeName | None
    """Who looked for them in the video; None if nobody could."""

    notices: tuple[str, ...]
    """Doubts about the photos, and words that the model does not know."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON object."""
        request = self.request
        return {
            "video": str(request.output),
            "frames": self.num_frames,
            "height": self.height,
            "width": self.width,
            "scale": request.scale,
            "fps": FPS,
            "seconds": round(self.seconds, 2),
            "memory": self.memory.value,
            "model": self.model,
            "seed": request.seed,
            "prompt": request.prompt,
            "judge": self.judge,
            "people": [
                {
                    "name": person.name,
                    "photo": person.photos[0],
                    "photos": list(person.photos),
                    "judged": person.found is not None,
                    "found": person.found,
                    "similarity": person.similarity if person.similarity is None else round(person.similarity, 4),
                    "distance": person.distance if person.distance is None else round(person.distance, 4),
                }
                for person in self.people
            ],
            "routing_map": request.routing_map and str(request.routing_map),
            "contact_sheet": request.contact_sheet and str(request.contact_sheet),
            "notices": list(self.notices),
        }


def with_seeds(request: GenerateRequest, seeds: Sequence[int]) -> list[GenerateRequest]:
    """The same request with several seeds, each with files of its own: `out.mp4` becomes `out-7.mp4` for seed 7.

    Raises:
        UserInputError: if a seed is given twice.
    """
    if len(set(seeds)) < len(seeds):
        raise UserInputError(f"--seeds {' '.join(map(str, seeds))} names a seed twice, which makes the same video.")

    def numbered(path: Path, seed: int) -> Path:
        return path.with_name(f"{path.stem}-{seed}{path.suffix}")

    return [
        dataclasses.replace(
            request,
            seed=seed,
            output=numbered(request.output, seed),
            routing_map=request.routing_map and numbered(request.routing_map, seed),
            contact_sheet=request.contact_sheet and numbered(request.contact_sheet, seed),
        )
        for seed in seeds
    ]


def _check_finite(request: GenerateRequest) -> None:
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, float):
            check_number(f"--{field.name.replace('_', '-')}", value)


def _check_files_differ(photos: Mapping[str, Sequence[PhotoFile]], outputs: Sequence[Path | None]) -> None:
    files = [(name, file) for name, given in photos.items() for file in given]
    for name, file in files:
        if not file.path.exists():
            raise PhotoError(f"The photo {file.path} of {name} does not exist; check the name and the folder.")
    for (first_name, first), (second_name, second) in itertools.combinations(files, 2):
        names_another_face = first.face != second.face and None not in (first.face, second.face)
        if first_name == second_name or names_another_face:
            continue
        if filecmp.cmp(first.path, second.path, shallow=False):
            raise PhotoError(
                f"{first_name} and {second_name} have the same photo, {first.path}; give each person one of their "
                f"own, or name a face of each, such as {first.path.name}#1 and {second.path.name}#2."
            )
    taken = {file.path.resolve(): f"the photo of {name}" for name, file in files}
    for output in outputs:
        if output is None:
            continue
        if output.resolve() in taken:
            raise OutputError(f"The output {output} is {taken[output.resolve()]} as well; choose another name for it.")
        check_not_an_input(output, (file.path for _, file in files))  # by a second name of the file, too
        taken[output.resolve()] = "another output"
