"""Names of the published face networks' files, for who looks for them without loading anything."""

from pathlib import Path

ANTELOPE_FOLDER = Path("models") / "antelopev2"
DETECTOR_NAME, RECOGNISER_NAME = "scrfd_10g_bnkps.onnx", "glintr100.onnx"
EVA_NAME = "EVA02_CLIP_L_336_psz14_s6B"
EVA_NAMES = tuple(f"{EVA_NAME}{suffix}" for suffix in (".safetensors", ".pt", ".bin"))
"""What the image tower's checkpoint may be called; the first that is there is read."""
