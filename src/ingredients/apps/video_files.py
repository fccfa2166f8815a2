"""The files of a video that the command line makes: where they go, whether they may, what a report says of them."""

from __future__ import annotations

import dataclasses
import filecmp
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingredients.core.errors import OutputError, PhotoError, ShapeError, UserInputError
from ingredients.core.files import check_not_an_input, check_output_path
from ingredients.generation.result_files import write_result
from ingredients.generation.routing_edit import check_routing_path, save_routing
from ingredients.media.pictures import check_picture_path
from ingredients.media.video import MAX_FRAME_PIXELS, check_video_path
from ingredients.pipelines.video_shape import FPS

if TYPE_CHECKING:
    from ingredients.generation.studio import StudioResult
    from ingredients.generation.takes import Takes
    from ingredients.pipelines.people import PhotoFile
    from ingredients.pipelines.video_shape import VideoShape


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VideoFiles:
    """What is written of one video."""

    output: Path
    """The video."""

    routing_map: Path | None = None
    """Picture to write: which person the router chose for each place."""

    contact_sheet: Path | None = None
    """Picture to write: the frames side by side."""

    routing: Path | None = None
    """Map to write: who is where, to be edited and given to `--routing-edit`."""

    scale: int = 1
    """The whole number of pixels to which each pixel of the video is enlarged in the file."""

    overwrite: bool = False
    """Whether files that are there may be replaced."""

    prompt_metadata: bool = True
    """Whether the files say what was asked for; that a model made them they always say."""

    def check(self, photos: Mapping[str, Sequence[PhotoFile]]) -> None:
        """Checks names and folders before anything is loaded.

        Args:
            photos: photos by the person's name, none of which may be written over.

        Raises:
            PhotoError: if a photo is missing, or one file is given for two people.
            OutputError: if a result cannot be written where it should go, or a file is there that must stay.
        """
        check_video_path(self.output)
        pictures = [picture for picture in (self.routing_map, self.contact_sheet) if picture is not None]
        for picture in pictures:
            check_picture_path(picture)
        routings = [] if self.routing is None else [check_routing_path(self.routing)]
        _check_files_differ(photos, [self.output, *pictures, *routings])
        for output in (self.output, *pictures, *routings):  # after the photos: that one of them is meant says more
            check_output_path(output, overwrite=self.overwrite)

    def check_size(self, shape: VideoShape) -> None:
        """Checks that the enlarged frames can be written.

        Raises:
            ShapeError: if they cannot.
        """
        if self.scale**2 * shape.height * shape.width > MAX_FRAME_PIXELS:
            raise ShapeError(
                f"A video of {shape.width}x{shape.height} enlarged {self.scale} times has larger frames than are "
                "written; make --scale smaller."
            )

    def of_seed(self, seed: int) -> VideoFiles:
        """The files of one of several seeds: `out.mp4` becomes `out-7.mp4` for seed 7."""
        return self._numbered(str(seed))

    def of_take(self, number: int) -> VideoFiles:
        """The files of one of several takes: `out.mp4` becomes `out-take-2.mp4` for take 2."""
        return self._numbered(f"take-{number}")

    def become(self, files: VideoFiles) -> None:
        """Gives what was written the names of other files; a picture that there was nothing to draw of is left out."""
        names = ("output", "routing_map", "contact_sheet", "routing")
        for written, wanted in ((getattr(self, name), getattr(files, name)) for name in names):
            if written is not None and wanted is not None and written.exists():
                written.replace(wanted)

    def _numbered(self, number: str) -> VideoFiles:
        def numbered(path: Path) -> Path:
            return path.with_name(f"{path.stem}-{number}{path.suffix}")

        return dataclasses.replace(
            self,
            output=numbered(self.output),
            routing_map=self.routing_map and numbered(self.routing_map),
            contact_sheet=self.contact_sheet and numbered(self.contact_sheet),
            routing=self.routing and numbered(self.routing),
        )

    def write(self, result: StudioResult) -> None:
        """Writes them; all is drawn before anything is written."""
        write_result(
            result,
            video=self.output,
            contact_sheet=self.contact_sheet,
            routing_map=self.routing_map,
            scale=self.scale,
            with_prompt=self.prompt_metadata,
        )
        if self.routing is not None and result.routing is not None:
            save_routing(self.routing, result.routing, result.identities.names)

    def to_json(
        self,
        result: StudioResult,
        *,
        model: Path,
        photos: Mapping[str, Sequence[PhotoFile]],
        seconds: float,
        notices: Sequence[str] = (),
        takes: Takes[StudioResult] | None = None,
    ) -> dict[str, Any]:
        """Plain values for a JSON object.

        Args:
            result: what was made.
            model: folder of the model.
            photos: photos by the person's name.
            seconds: time from the request to the written files, loading included.
            notices: what was told before it was made.
            takes: all that were made, if it is the best of several.
        """
        num_frames, height, width, _ = result.frames.shape
        report = {
            "video": str(self.output),
            "frames": num_frames,
            "height": height * self.scale,
            "width": width * self.scale,
            "scale": self.scale,
            "fps": FPS,
            "seconds": round(seconds, 2),
            "memory": result.memory.value,
            "model": str(model),
            "seed": result.provenance.seed,
            "prompt": result.provenance.prompt,
            "judge": result.judge,
            "people": [
                {
                    "name": person.name,
                    "photo": str(photos[person.name][0]),
                    "photos": [str(photo) for photo in photos[person.name]],
                    "judged": person.found is not None,
                    "found": person.found,
                    "similarity": person.similarity if person.similarity is None else round(person.similarity, 4),
                    "distance": person.distance if person.distance is None else round(person.distance, 4),
                }
                for person in result.people
            ],
            "routing_map": self.routing_map and str(self.routing_map),
            "contact_sheet": self.contact_sheet and str(self.contact_sheet),
            "routing": self.routing and str(self.routing),
            "notices": [*notices, *result.notices],
        }
        return report if takes is None else report | {"reason": takes.reason, "takes": self._takes_to_json(takes)}

    def _takes_to_json(self, takes: Takes[StudioResult]) -> list[dict[str, Any]]:
        names = takes.result.identities.names
        return [
            {
                "take": take.number,
                "seed": take.seed,
                "kept": take is takes.kept,
                "video": None
                if take.result is None
                else str((self if take is takes.kept else self.of_take(take.number)).output),
                "likeness": {
                    name: round(cosine, 4)
                    for name, cosine in zip(names, take.likeness, strict=take.result is not None)
                },
                "clarity": take.clarity and round(take.clarity, 4),
                "decidedness": take.decidedness and round(take.decidedness, 4),
                "stopped_after": take.stopped_after,
            }
            for take in takes.all
        ]


def check_seeds_differ(seeds: Sequence[int]) -> None:
    """Refuses a list of seeds that would make one video twice.

    Raises:
        UserInputError: if a seed is given twice.
    """
    if len(set(seeds)) < len(seeds):
        raise UserInputError(f"--seeds {' '.join(map(str, seeds))} names a seed twice, which makes the same video.")


def _check_files_differ(photos: Mapping[str, Sequence[PhotoFile]], outputs: Sequence[Path]) -> None:
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
        if output.resolve() in taken:
            raise OutputError(f"The output {output} is {taken[output.resolve()]} as well; choose another name for it.")
        check_not_an_input(output, (file.path for _, file in files))  # by a second name of the file, too
        taken[output.resolve()] = "another output"
