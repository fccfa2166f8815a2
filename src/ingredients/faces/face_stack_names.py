"""Names for who asks for a face stack, or looks for its files, without loading anything."""

from pathlib import Path
from typing import Literal

FaceStackName = Literal["model", "antelopev2", "dlib", "drawn"]
"""`model`: whatever the folder holds; `dlib`: the same, but dlib finds the faces of the photos."""

ANTELOPE_FOLDER = Path("models") / "antelopev2"
"""Where a folder of the published face networks has antelopev2's."""

DETECTOR_NAME, RECOGNISER_NAME = "scrfd_10g_bnkps.onnx", "glintr100.onnx"
EVA_NAME = "EVA02_CLIP_L_336_psz14_s6B"
EVA_NAMES = tuple(f"{EVA_NAME}{suffix}" for suffix in (".safetensors", ".pt", ".bin"))
"""What the image tower's checkpoint may be called; the first that is there is read."""
