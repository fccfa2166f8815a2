"""How alike the recogniser finds photos of one drawn person, of lookalikes and of strangers.

python benchmarks/same_person_cosines.py --people 500
"""

import argparse
import itertools
from collections.abc import Sequence

import numpy as np
import torch

from ingredients.faces.drawn_face_stack import DrawnFaceStack, load_drawn_face_stack
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.folder_names import FACE_ENCODER
from ingredients.world import Identity, render_portrait, sample_identity

_NUM_PHOTOS = 4
_THRESHOLDS = (0.5, 0.6, 0.7, 0.75)


def main() -> None:
    """Prints a table row for each kind of pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=500)
    number = parser.parse_args().people
    stack = load_drawn_face_stack(default_model_path() / FACE_ENCODER)
    people = [sample_identity(seed, "eval") for seed in range(number)]
    alike = [sample_identity(number + seed, "eval", like=person) for seed, person in enumerate(people)]
    photos = [embed(stack, people, first_seed=number * take) for take in range(_NUM_PHOTOS)]
    of_alike = embed(stack, alike, first_seed=number * _NUM_PHOTOS)
    between = (photos[0] @ photos[0].T).numpy()
    cosines = {
        "one person": np.concatenate(
            [(first * second).sum(dim=1).numpy() for first, second in itertools.combinations(photos, 2)]
        ),
        "lookalikes (same skin, hair colour and hat)": (photos[0] * of_alike).sum(dim=1).numpy(),
        "strangers": between[np.triu_indices(number, 1)],
    }
    print("| photos of | pairs | mean | least | most | " + " | ".join(f"below {each}" for each in _THRESHOLDS) + " |")
    print("|---" * (5 + len(_THRESHOLDS)) + "|")
    for name, values in cosines.items():
        below = " | ".join(f"{(values < each).mean():.2%}" for each in _THRESHOLDS)
        print(f"| {name} | {len(values)} | {values.mean():.2f} | {values.min():.2f} | {values.max():.2f} | {below} |")


@torch.inference_mode()
def embed(stack: DrawnFaceStack, people: Sequence[Identity], *, first_seed: int) -> torch.Tensor:
    """One portrait of each person, found, aligned and embedded: (people, D) of length 1."""
    crops = []
    for index, person in enumerate(people):
        image = render_portrait(person, first_seed + index, size=256).image
        crops.append(stack.recogniser.align(image, stack.detector.detect(image)[0].landmarks))
    return torch.nn.functional.normalize(stack.recogniser.embed(np.stack(crops)), dim=-1)


if __name__ == "__main__":
    main()
