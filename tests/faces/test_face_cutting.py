"""Faces cut out by torch are the faces that Pillow cuts out for recognition."""

import numpy as np
import torch

from ingredients.faces.alignment import crop_arcface
from ingredients.faces.face_cutting import cut_faces
from ingredients.faces.pixel_values import crops_to_pixel_values
from ingredients.world import render_scene, sample_scene


def test_faces_are_cut_as_for_recognition() -> None:
    scene = render_scene(sample_scene(3, num_people=2), height=96, width=144, num_frames=1)
    landmarks = scene.landmarks[0]  # (2, 5, 2)
    expected = [crop_arcface(scene.frames[0], points, size=64) for points in landmarks]
    frames = crops_to_pixel_values(scene.frames).expand(2, -1, -1, -1)
    crops = cut_faces(frames, torch.from_numpy(landmarks), size=64)
    difference = (crops - crops_to_pixel_values(np.stack(expected))).abs()
    assert float(difference.median()) < 1 / 255
    assert float(difference.mean()) < 2 / 255  # Pillow rounds positions, which shows at edges
