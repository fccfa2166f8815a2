"""Films of two photographed people who wear each other's face from some moment on, as a bad generator has it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ingredients.core.arrays import UInt8Array
from ingredients.faces.dlib_faces import DlibFaceDetector
from ingredients.faces.face_choice import choose_face

SIZE = 256
NUM_FRAMES = 8


def head(photo: UInt8Array, detector: DlibFaceDetector) -> UInt8Array:
    """Head and shoulders (SIZE, SIZE, 3) of the largest face."""
    left, top, right, bottom = choose_face(detector.detect(photo), "largest", label="the photo").box
    middle, side = ((left + right) / 2, (top + bottom) / 2), 1.1 * (right - left)
    box = (middle[0] - side, middle[1] - side, middle[0] + side, middle[1] + side)
    return np.asarray(Image.fromarray(photo).crop(tuple(map(round, box))).resize((SIZE, SIZE)))


def with_face_of(one: UInt8Array, other: UInt8Array, detector: DlibFaceDetector) -> UInt8Array:
    """The head of one person with the other's face: fitted by 68 points, in the colours of the head's own."""
    points = [
        detector.outline(each, choose_face(detector.detect(each), "largest", label="it")) for each in (one, other)
    ]
    here, there = (np.asarray(each, np.float64) for each in points)
    fit, *_ = np.linalg.lstsq(np.c_[here, np.ones(len(here))], there, rcond=None)  # (3, 2): from here to there
    warped = Image.fromarray(other).transform((SIZE, SIZE), Image.Transform.AFFINE, tuple(fit.T.ravel()))
    raised = here.copy()
    raised[17:27, 1] -= 0.08 * np.ptp(here[:, 1])  # some of the forehead
    mask = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(mask).polygon([tuple(each) for each in np.r_[raised[:17], raised[26:16:-1]]], fill=255)
    inside = np.asarray(mask) > 0
    face, own = np.asarray(warped, np.float64), one[inside].astype(np.float64)
    face = (face - face[inside].mean(axis=0)) / face[inside].std(axis=0) * own.std(axis=0) + own.mean(axis=0)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(4)), np.float64)[..., None] / 255
    return np.clip(soft * face + (1 - soft) * one, 0, 255).round().astype(np.uint8)


def film(one: UInt8Array, other: UInt8Array, detector: DlibFaceDetector, *, exchanged_from: int) -> UInt8Array:
    """Both heads side by side (NUM_FRAMES, SIZE, 2 * SIZE, 3), trembling; with each other's face from a frame on."""
    faces = with_face_of(one, other, detector), with_face_of(other, one, detector)
    pairs = [(one, other) if number < exchanged_from else faces for number in range(NUM_FRAMES)]
    return np.stack([np.roll(np.hstack(pair), number % 3, axis=0) for number, pair in enumerate(pairs)])
