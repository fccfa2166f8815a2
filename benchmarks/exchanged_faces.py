"""What dlib says of two photographed people who wear each other's face in a film.

    python -m benchmarks.exchanged_faces ONE.jpg OTHER.jpg ONE_IN_THE_FILM.jpg OTHER_IN_THE_FILM.jpg

A true film, one in which the faces are exchanged, and one that changes half-way; `--picture` keeps what they look
like.
"""

import argparse
from pathlib import Path

import numpy as np
from tests.generation.exchanged_faces import NUM_FRAMES, film, head

from ingredients.evaluation.judges import load_judges
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.generation.judging import judge_frames, know_people
from ingredients.media.photos import load_photo
from ingredients.media.pictures import write_picture
from ingredients.model_folders.find_model import default_model_path


def main() -> None:
    """Reads the arguments, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs=4, help="of both, and of both in the film")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    one, other, *filmed = map(load_photo, options.photos)
    detector = DlibFaceDetector()
    judge = load_judges(default_model_path(), judge="dlib").judge
    asked = know_people(judge, {"one": one, "other": other}, notice=print)
    heads = [head(photo, detector) for photo in filmed]
    shown = []
    for exchanged_from in (NUM_FRAMES, 0, NUM_FRAMES // 2):
        frames = film(*heads, detector, exchanged_from=exchanged_from)
        shown.append(frames[-1])
        judged = judge_frames(frames, judge, asked, fps=8.0, ordered=True)
        print(f"exchanged from frame {exchanged_from} of {NUM_FRAMES}:")
        print("\n".join([*(f"  {each.name}: {judged.verdict(each)}" for each in judged.people), *judged.remarks]))
    if options.picture is not None:
        write_picture(options.picture, np.vstack(shown[:2]))


if __name__ == "__main__":
    main()
