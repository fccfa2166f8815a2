"""Pictures that are not of the drawn world, made from a seed: photograph-like ones, and drawings of other styles.

No photograph is at hand to train from, and none is needed: what tells a photograph from flat drawings is shading,
texture and soft focus, which random pictures have as well (dead leaves and coloured noise stand in for natural images
in Baradad et al., "Learning to See by Looking at Noise", 2021). More than half of the pictures show something like a
face where an aligned crop has it.

Legend: S side of a picture; coordinates of a crop in parts of its side.
"""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from ingredients.core.arrays import Float32Array, UInt8Array
from ingredients.faces.alignment import ARCFACE_TEMPLATE
from ingredients.world.shapes import Floats

_SUPERSAMPLING = 3
_LEFT_EYE, _RIGHT_EYE, _NOSE, _LEFT_MOUTH, _RIGHT_MOUTH = ARCFACE_TEMPLATE
_MOUTH = ((_LEFT_MOUTH[0] + _RIGHT_MOUTH[0]) / 2, (_LEFT_MOUTH[1] + _RIGHT_MOUTH[1]) / 2)

_Generator = np.random.Generator
_Rgb = tuple[int, int, int]


def draw_photographic(rng: _Generator, size: int) -> UInt8Array:
    """A picture (S, S, 3) with the shading, texture and focus of a photograph; more than half show a kind of face."""
    kind = rng.random()
    if kind < 0.58:
        picture = _photographic_face(rng, size)
    elif kind < 0.74:
        picture = _lit_objects(rng, size)
    elif kind < 0.82:
        picture = _courses(rng, size)
    elif kind < 0.95:
        picture = _leaves(rng, size, flat=False)
    else:
        picture = _coloured_noise(rng, size)
    return expose(picture, rng)


def photographic_from(drawing: UInt8Array, rng: _Generator) -> UInt8Array:
    """A drawing (S, S, 3) of which shading, texture and bent lines make something like a photograph."""
    size = len(drawing)
    picture = _bend(drawing.astype(np.float32) / 255.0, rng, amount=float(rng.uniform(0.01, 0.03)) * size)
    picture = _blur(picture, float(rng.uniform(0.005, 0.02)) * size)
    picture *= np.exp(float(rng.uniform(0.15, 0.5)) * noise_field(rng, size, float(rng.uniform(1.6, 2.4))))[..., None]
    texture = noise_field(rng, size, float(rng.uniform(0.6, 1.5)))
    picture *= 1.0 + float(rng.uniform(0.02, 0.2)) * texture[..., None]
    if rng.random() < 0.4:  # a round head in light from one side
        across, down = _grid(size)
        picture *= _head_shading(rng, (across - 0.5) / 0.62, (down - 0.55) / 0.8)[..., None]
    return expose(picture, rng)


def draw_other_style(rng: _Generator, size: int) -> UInt8Array:
    """A drawing (S, S, 3) in a style of its own; most show a face."""
    kind = rng.random()
    if kind < 0.7:
        return _cartoon(rng, size)
    return _to_uint8(_leaves(rng, size, flat=True))


def restyled(drawing: UInt8Array, rng: _Generator) -> UInt8Array:
    """A drawing (S, S, 3) in another style: as lines, in negative, in two colours, or with outlines."""
    photo = Image.fromarray(drawing)
    grey = photo.convert("L")
    edges = ImageOps.invert(grey.filter(ImageFilter.FIND_EDGES)).point(lambda value: max(0, 2 * value - 255))
    match int(rng.integers(4)):
        case 0:
            return np.asarray(edges.convert("RGB"))
        case 1:
            return np.asarray(ImageOps.invert(photo))
        case 2:
            threshold = int(rng.integers(70, 180))
            two = ImageOps.colorize(
                grey.point(lambda value: 255 * (value > threshold)),
                _random_colour(rng, 0, 110),
                _random_colour(rng, 150, 256),
            )
            return np.asarray(two)
        case _:
            thick = edges.filter(ImageFilter.MinFilter(3)).point(lambda value: 255 * (value > 110))
            return np.asarray(ImageChops.multiply(photo, thick.convert("RGB")))


def expose(picture: Float32Array, rng: _Generator) -> UInt8Array:
    """What a camera does to a scene (S, S, 3): focus, exposure, colours, vignette, a response curve, grain."""
    size = len(picture)
    if rng.random() < 0.6:  # the scene fills the range, or more than that
        low, high = np.percentile(picture, (3, 97))
        picture = (picture - low) / max(float(high - low), 0.1) * float(rng.uniform(0.6, 1.1)) + float(
            rng.uniform(-0.05, 0.15)
        )
    grey = picture.mean(axis=-1, keepdims=True)
    picture = grey + (picture - grey) * float(rng.uniform(0.2, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 1.6))
    if rng.random() < 0.5:
        picture = _blur(picture, float(np.exp(rng.uniform(np.log(0.003), np.log(0.04)))) * size)
    across, down = _grid(size)
    slope = rng.uniform(-0.5, 0.5, 2)
    light = 1.0 + float(slope[0]) * (across - 0.5) + float(slope[1]) * (down - 0.5)
    picture = np.clip(picture * light[..., None], 0.0, 1.0) ** float(np.exp(rng.uniform(-0.4, 0.4)))
    grain = float(rng.uniform(0.0, 0.03))
    return _to_uint8(picture + grain * rng.normal(size=picture.shape).astype(np.float32))


def noise_field(
    rng: _Generator, size: int, exponent: float, *, stretch: float = 1.0, angle: float = 0.0
) -> Float32Array:
    """Noise (S, S) of mean 0 and deviation 1 whose amplitude falls with frequency to a power, as in natural images.

    Args:
        rng: source of randomness.
        size: S.
        exponent: the exponent of the fall; 0 is white noise, 1 like most photographs, 2 like clouds.
        stretch: how much longer structures are along `angle` than across it.
        angle: radians.
    """
    rows, columns = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    along = math.cos(angle) * columns + math.sin(angle) * rows
    across = math.cos(angle) * rows - math.sin(angle) * columns
    frequency = np.hypot(along * stretch, across)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) / np.maximum(frequency, 1.0 / size) ** exponent
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(field / max(float(field.std()), 1e-9), np.float32)


def _grid(size: int) -> tuple[Float32Array, Float32Array]:
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    across, down = np.meshgrid(steps, steps)
    return across.astype(np.float32), down.astype(np.float32)


def _coloured_noise(rng: _Generator, size: int) -> Float32Array:
    """Fields of noise, mixed into colours that mostly differ in brightness."""
    exponent = float(rng.uniform(0.7, 2.2))
    fields = np.stack([noise_field(rng, size, exponent) for _ in range(3)], axis=-1)
    mixing = rng.uniform(0.05, 0.3) * np.ones((1, 3)) * np.array([[1.0], [0.0], [0.0]])
    mixing = mixing + rng.normal(0, 0.06, (3, 3))
    return np.asarray(rng.uniform(0.2, 0.8, 3) + fields @ mixing, np.float32)


def _palette(rng: _Generator) -> Float32Array:
    """A few colours (colours, 3) that belong together."""
    base = rng.uniform(0.1, 0.9, 3)
    spread = rng.uniform(0.05, 0.35)
    return np.clip(base + rng.normal(0, spread, (int(rng.integers(3, 8)), 3)), 0.02, 0.98).astype(np.float32)


def _leaves(rng: _Generator, size: int, *, flat: bool) -> Float32Array:
    """Shapes of all sizes that cover each other; shaded and textured, or flat."""
    across, down = _grid(size)
    palette = _palette(rng) if not flat else rng.uniform(0, 1, (int(rng.integers(2, 9)), 3)).astype(np.float32)
    picture = np.zeros((size, size, 3), np.float32) + palette[0]
    textures = [noise_field(rng, size, float(rng.uniform(0.5, 1.8))) for _ in range(3)] if not flat else []
    focus = float(np.exp(rng.uniform(np.log(0.005), np.log(0.08)))) if not flat else 0.6 / size
    num_shapes = int(rng.integers(6, 30)) if flat else int(rng.integers(20, 90))
    for _ in range(num_shapes):
        radius = min(0.04 / (1 - 0.97 * rng.random()) ** 0.7, 0.7)
        x, y, angle = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, math.pi)
        u = (across - x) * math.cos(angle) + (down - y) * math.sin(angle)
        v = (down - y) * math.cos(angle) - (across - x) * math.sin(angle)
        v = v * float(rng.uniform(1, 3))
        is_round = rng.random() < 0.6
        distance = (np.hypot(u, v) if is_round else np.maximum(np.abs(u), np.abs(v))) - radius
        cover = np.clip(0.5 - distance / focus, 0, 1)[..., None]
        colour = palette[int(rng.integers(len(palette)))]
        if not flat:
            shading = 1.0 + float(rng.uniform(-1.5, 1.5)) * u / max(radius, 0.1) * 0.3
            shading = shading + float(rng.uniform(0.0, 0.3)) * textures[int(rng.integers(3))]
            colour = colour * shading[..., None] * float(rng.uniform(0.7, 1.3))
        picture = picture * (1 - cover) + colour * cover
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _courses(rng: _Generator, size: int) -> Float32Array:
    """Rows of like pieces with joints or gaps between them: bricks, tiles, planks, pleats, ribbons."""
    across, down = _grid(size)
    angle = float(rng.uniform(0, math.pi))
    u = (across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle)
    v = (down - 0.5) * math.cos(angle) - (across - 0.5) * math.sin(angle)
    bend = float(rng.uniform(0.0, 0.03))
    u, v = u + bend * noise_field(rng, size, 2.0), v + bend * noise_field(rng, size, 2.0)
    height = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    width = height * float(np.exp(rng.uniform(np.log(0.8), np.log(8.0))))
    row = np.floor(v / height)
    along = u / width + row * float(rng.choice((0.0, 0.5, 0.37)))
    piece = np.floor(along)
    to_edge = np.minimum(
        np.minimum(along - piece, 1 - along + piece) * width,
        np.minimum(v / height - row, 1 - v / height + row) * height,
    )
    joint = height * float(rng.uniform(0.03, 0.2))
    palette = _palette(rng)
    tones = rng.uniform(0.6, 1.3, 64)
    tone = tones[(row * 7 + piece * 13).astype(int) % 64] if rng.random() < 0.7 else np.ones_like(u)
    texture = noise_field(rng, size, float(rng.uniform(0.5, 1.5)))
    shading = tone * (1 + float(rng.uniform(0.02, 0.25)) * texture)
    bevel = np.clip(to_edge / (joint * float(rng.uniform(1.0, 4.0))), 0, 1) ** 0.5
    shading = shading * (1 - float(rng.uniform(0.0, 0.5)) * (1 - bevel))
    surface = palette[0] * shading[..., None]
    between = palette[1] * (1 + float(rng.uniform(0.02, 0.2)) * texture)[..., None]
    cover = _soft(to_edge - joint / 2, max(float(rng.uniform(0.2, 1.0)) * joint, 1.0 / size))
    picture = _over(between.astype(np.float32), surface.astype(np.float32), cover)
    return _lit(picture, noise_field(rng, size, 2.2), float(rng.uniform(0.0, 0.2)))


def _head_shading(rng: _Generator, u: Floats, v: Floats) -> Float32Array:
    """How bright a round head, whose edge is where u and v have length 1, is in light from one side."""
    depth = np.sqrt(np.clip(1.0 - u**2 - v**2, 0.0, 1.0))
    light = rng.normal(0, 1, 3)
    if rng.random() < 0.4:  # from the camera
        light[:2] *= 0.3
    light[2] = abs(light[2]) + 0.4
    light /= np.linalg.norm(light)
    lit = np.clip(u * light[0] + v * light[1] + depth * light[2], 0, 1)
    ambient = float(rng.uniform(0.25, 0.75))
    shine = 0.25 * lit ** float(rng.uniform(6, 30)) * float(rng.random())
    return np.asarray(ambient + (1 - ambient) * lit + shine, np.float32)


def _lit_objects(rng: _Generator, size: int) -> Float32Array:
    """A few smooth things with sharp edges, lit from one side: cups, fruit, folds, boxes."""
    across, down = _grid(size)
    palette = _palette(rng)
    ramp = (across - 0.5) * float(rng.uniform(-0.8, 0.8)) + (down - 0.5) * float(rng.uniform(-0.8, 0.8))
    picture = palette[0] * (1 + ramp)[..., None]
    light = rng.normal(0, 1, 2)
    light /= np.linalg.norm(light)
    grain = noise_field(rng, size, float(rng.uniform(0.3, 1.5))) * float(rng.uniform(0.0, 0.05))
    focus = float(np.exp(rng.uniform(np.log(0.01), np.log(0.08))))
    for _ in range(int(rng.integers(2, 9))):
        radius = float(np.exp(rng.uniform(np.log(0.08), np.log(0.6))))
        x, y, angle = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, math.pi)
        u = ((across - x) * math.cos(angle) + (down - y) * math.sin(angle)) / radius
        v = ((down - y) * math.cos(angle) - (across - x) * math.sin(angle)) / radius * float(rng.uniform(0.7, 2.5))
        is_round = rng.random() < 0.65
        reach = np.hypot(u, v) if is_round else np.maximum(np.abs(u), np.abs(v))
        shadow = _soft(1.1 - np.hypot(u + 0.25 * light[0], v + 0.25 * light[1]), 0.5)
        picture = _lit(picture, shadow, -float(rng.uniform(0.0, 0.5)))
        facing = light[0] * u + light[1] * v
        if rng.random() < 0.3:  # hollow: the other side is lit
            facing = -facing
        shading = float(rng.uniform(0.5, 0.8)) + float(rng.uniform(0.15, 0.5)) * facing + grain
        if rng.random() < 0.5:  # a highlight
            away = np.hypot(u - 0.4 * light[0], v - 0.4 * light[1])
            shading = shading + float(rng.uniform(0.1, 0.8)) * np.exp(-((away / float(rng.uniform(0.1, 0.4))) ** 2))
        if rng.random() < 0.3:  # folds, or a rim
            shading = shading * (1 + 0.15 * np.sin(float(rng.uniform(4, 25)) * (u if rng.random() < 0.5 else reach)))
        colour = palette[int(rng.integers(len(palette)))] * np.clip(shading, 0.02, 2.0)[..., None]
        picture = _over(picture, colour.astype(np.float32), _soft(1.0 - reach, focus / radius))
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _photographic_face(rng: _Generator, size: int) -> Float32Array:
    """A head lit from one side, soft features and hair of strands, before something out of focus."""
    across, down = _grid(size)
    background = _leaves(rng, size, flat=False) if rng.random() < 0.6 else _coloured_noise(rng, size)
    picture = _blur(background, float(rng.uniform(0.0, 0.06)) * size)
    skin = np.array([0.95, 0.75, 0.62], np.float32) * float(rng.uniform(0.25, 1.0))
    skin = np.clip(skin + rng.normal(0, 0.05, 3), 0.03, 1.0).astype(np.float32)
    if rng.random() < 0.15:
        skin = rng.uniform(0.1, 0.9, 3).astype(np.float32)  # an animal, a statue, a mask
    half_width, half_height = float(rng.uniform(0.38, 0.55)), float(rng.uniform(0.52, 0.72))
    middle_x, middle_y = 0.5 + float(rng.normal(0, 0.03)), 0.55 + float(rng.normal(0, 0.03))
    u, v = (across - middle_x) / half_width, (down - middle_y) / half_height
    hair_field = noise_field(rng, size, 1.0, stretch=float(rng.uniform(3, 10)), angle=float(rng.uniform(0, math.pi)))
    hair = rng.uniform(0.02, 0.6) * np.array([1.0, rng.uniform(0.6, 1.0), rng.uniform(0.3, 1.0)])
    hair_shade = np.clip(1.0 + float(rng.uniform(0.2, 0.6)) * hair_field, 0.1, 2.5)[..., None]
    hair_cover = _soft(float(rng.uniform(1.1, 1.5)) - np.hypot(u, v + float(rng.uniform(0.0, 0.4))), 0.08)
    picture = _over(picture, hair.astype(np.float32) * hair_shade, hair_cover)
    shading = _head_shading(rng, u, v)
    shading = shading * (1 + float(rng.uniform(0.01, 0.08)) * noise_field(rng, size, float(rng.uniform(0.3, 1.2))))
    shading = shading * np.exp(float(rng.uniform(0.03, 0.2)) * noise_field(rng, size, 2.0))
    face = skin * shading[..., None]
    spread = float(rng.uniform(0.7, 1.3))
    for x, y in (_LEFT_EYE, _RIGHT_EYE):
        x, y = x + float(rng.normal(0, 0.01)), y + float(rng.normal(0, 0.01))
        socket = _blob(across - x, down - y, 0.11 * spread, 0.07 * spread)
        face = _lit(face, socket, -float(rng.uniform(0.1, 0.5)))
        white = _blob(across - x, down - y, 0.06 * spread, float(rng.uniform(0.012, 0.03))) * float(
            rng.uniform(0.2, 0.8)
        )
        face = _over(face, np.float32(rng.uniform(0.5, 0.95)) * np.ones(3, np.float32), white)
        pupil_size = float(rng.uniform(0.018, 0.036)) * spread
        iris = _soft(pupil_size - np.hypot(across - x, down - y), 0.015) * float(rng.uniform(0.5, 1.0))
        lid = _blob(across - x, down - y + 0.022, 0.07 * spread, 0.01) * float(rng.uniform(0.0, 0.9))
        face = _lit(face, lid, -0.8)
        face = _over(face, (rng.uniform(0.02, 0.3) * rng.uniform(0.5, 1, 3)).astype(np.float32), iris)
        glint = _blob(across - x - 0.008, down - y + 0.008, 0.006, 0.006) * float(rng.random())
        face = _over(face, np.ones(3, np.float32), glint)
        brow = _blob(across - x, down - y + float(rng.uniform(0.07, 0.11)), 0.09, float(rng.uniform(0.01, 0.025)))
        brow = brow * np.clip(0.8 + 0.4 * hair_field, 0, 1) * float(rng.uniform(0.2, 0.9))
        face = _over(face, hair.astype(np.float32), brow)
    side = float(rng.choice((-1.0, 1.0)))
    nose_x, nose_y = _NOSE[0], _NOSE[1]
    face = _lit(face, _blob(across - nose_x, down - nose_y + 0.06, 0.02, 0.12), 0.25 * float(rng.random()))
    shadow = _blob(across - nose_x - side * 0.06, down - nose_y + 0.03, 0.03, 0.1)
    face = _lit(face, shadow, -0.4 * float(rng.random()))
    for direction in (-1, 1):
        nostril = _blob(across - nose_x - direction * 0.04, down - nose_y - 0.03, 0.018, 0.01)
        face = _lit(face, nostril, -float(rng.uniform(0.2, 0.8)))
    redness = float(rng.uniform(0.25, 0.6))
    lips = (skin * np.array([0.9, redness, redness], np.float32) * float(rng.uniform(0.5, 1.0))).astype(np.float32)
    bend = float(rng.uniform(-0.6, 1.2)) * (across - _MOUTH[0]) ** 2
    mouth = _blob(across - _MOUTH[0], down - _MOUTH[1] + bend, 0.13, float(rng.uniform(0.015, 0.04)))
    face = _over(face, lips, mouth * float(rng.uniform(0.3, 0.9)))
    if rng.random() < 0.3:
        teeth = _blob(across - _MOUTH[0], down - _MOUTH[1] + bend, 0.09, 0.015)
        face = _over(face, np.full(3, 0.9, np.float32), teeth * float(rng.uniform(0.5, 1.0)))
    gap = _blob(across - _MOUTH[0], down - _MOUTH[1] + bend, 0.12, 0.006)
    face = _lit(face, gap, -0.6 * float(rng.random()))
    if rng.random() < 0.5:  # from the nose to the corners of the mouth
        for direction in (-1, 1):
            away = across - nose_x - direction * (0.06 + 0.35 * np.clip(down - nose_y, 0, 0.3))
            fold = np.exp(-((away / 0.015) ** 2)) * _blob(across - across, down - nose_y - 0.12, 1.0, 0.09)
            face = _lit(face, fold.astype(np.float32), -float(rng.uniform(0.05, 0.35)))
    if rng.random() < 0.3:
        stubble = _blob(across - _MOUTH[0], down - _MOUTH[1] - 0.05, 0.3, 0.2) * np.clip(0.6 + 0.5 * hair_field, 0, 1)
        face = _over(face, hair.astype(np.float32), stubble * float(rng.uniform(0.2, 0.9)))
    picture = _over(picture, face, _soft(1.0 - np.hypot(u, v), float(rng.uniform(0.02, 0.12))))
    if rng.random() < 0.3:
        picture = _glasses(rng, picture, across, down)
    if rng.random() < 0.3:
        picture = _cap(rng, picture, across, down, u)
    elif rng.random() < 0.5:  # hair over the forehead
        fringe = _soft(float(rng.uniform(0.05, 0.3)) + 0.1 * hair_field - down, 0.06)
        picture = _over(picture, hair.astype(np.float32) * hair_shade, fringe)
    return _bend(picture, rng, amount=float(rng.uniform(0.0, 0.02)) * size)


def _glasses(rng: _Generator, picture: Float32Array, across: Floats, down: Floats) -> Float32Array:
    """Rims of any thickness and shape, darker above, with lenses that tint and shine."""
    power, half_width = float(rng.uniform(2.0, 5.0)), float(rng.uniform(0.1, 0.15))
    half_height, thickness = half_width * float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.004, 0.018))
    colour, brow = rng.uniform(0, 0.5, 3) * np.array([1.0, 0.8, 0.6]), float(rng.uniform(0.0, 0.02))
    tint = float(rng.uniform(-0.5, 0.1))
    for x, y in (_LEFT_EYE, _RIGHT_EYE):
        side = -1.0 if x < 0.5 else 1.0
        to_x, to_y = across - x - 0.01 * side, down - y - 0.01
        reach = (np.abs(to_x / half_width) ** power + np.abs(to_y / half_height) ** power) ** (1 / power)
        inside = half_width * (1.0 - reach)
        picture = _lit(picture, _soft(inside, 0.02), tint)
        glare = _blob(to_x - float(rng.normal(0, 0.04)), to_y - float(rng.normal(0, 0.03)), 0.03, 0.015)
        picture = _over(picture, np.ones(3, np.float32), glare * _soft(inside, 0.02) * float(rng.uniform(0, 0.7)))
        rim = thickness + brow * _soft(-to_y, 0.05) - np.abs(inside)
        shade = np.clip(1 - 6 * to_y, 0.4, 2.0)[..., None]
        picture = _over(picture, (colour * shade).astype(np.float32), _soft(rim, float(rng.uniform(0.008, 0.02))))
        temple = thickness - np.abs(to_y + 0.03)
        beyond = _soft(side * to_x - half_width, 0.01)
        picture = _over(picture, colour.astype(np.float32), _soft(temple, 0.01) * beyond)
    bridge = thickness - np.abs(down - _LEFT_EYE[1] + 0.02)
    between = _soft(_RIGHT_EYE[0] - _LEFT_EYE[0] - 2 * half_width - 2 * np.abs(across - 0.5), 0.01)
    return _over(picture, colour.astype(np.float32), _soft(bridge, 0.01) * between)


def _cap(rng: _Generator, picture: Float32Array, across: Floats, down: Floats, u: Floats) -> Float32Array:
    """Cloth above the forehead with a shadow below, and sometimes something shiny on it."""
    cloth = rng.uniform(0.02, 0.8, 3) * np.clip(1 + 0.5 * u, 0.2, 2.0)[..., None]
    edge = float(rng.uniform(0.05, 0.28)) + float(rng.uniform(-0.3, 0.3)) * (across - 0.5) ** 2
    cover = _soft(edge - down, 0.02)
    picture = _over(picture, cloth.astype(np.float32), cover)
    if rng.random() < 0.4:
        pattern = noise_field(rng, len(picture), float(rng.uniform(0.5, 1.2)))
        badge = _soft(pattern - float(rng.uniform(0.0, 1.0)), 0.4) * _blob(
            across - 0.5, down - float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.08, 0.4)), 0.06
        )
        picture = _over(picture, np.array([0.9, 0.8, 0.5], np.float32) * (1 + 0.3 * pattern)[..., None], badge * cover)
    return _lit(picture, _blob(across - 0.5, down - edge - 0.03, 0.5, 0.03), -float(rng.uniform(0.1, 0.6)))


def _cartoon(rng: _Generator, size: int) -> UInt8Array:
    """A face of flat colours, outlines and dots, as comics, emoji and children draw them."""
    side = size * _SUPERSAMPLING
    is_line_art = rng.random() < 0.25
    paper = (255, 255, 255) if is_line_art or rng.random() < 0.2 else _random_colour(rng, 0, 256)
    picture = Image.new("RGB", (side, side), paper)
    draw = ImageDraw.Draw(picture)
    ink = _random_colour(rng, 0, 70)
    width = int(side * rng.uniform(0.006, 0.035))
    outline = ink if is_line_art or rng.random() < 0.75 else None
    skin = None if is_line_art else _random_colour(rng, 60, 256)
    hair = None if is_line_art else _random_colour(rng, 0, 256)

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x * side, y * side) for x, y in points]

    def oval(
        x: float, y: float, half_width: float, half_height: float, fill: _Rgb | None, line: _Rgb | None = outline
    ) -> None:
        box = at((x - half_width, y - half_height), (x + half_width, y + half_height))
        draw.ellipse([*box[0], *box[1]], fill=fill, outline=line, width=width)

    half_width, half_height = float(rng.uniform(0.34, 0.6)), float(rng.uniform(0.42, 0.7))
    middle_y = 0.55 + float(rng.normal(0, 0.04))
    if rng.random() < 0.6:
        oval(0.5, middle_y - 0.12, half_width * 1.15, half_height * 1.05, hair)
    shape = rng.random()
    if shape < 0.6:
        oval(0.5, middle_y, half_width, half_height, skin)
    elif shape < 0.8:
        top, bottom = middle_y - half_height, middle_y + half_height
        chin = float(rng.uniform(0.02, half_width))
        corners = at(
            (0.5 - half_width, top), (0.5 + half_width, top), (0.5 + half_width, middle_y), (0.5 + chin, bottom),
            (0.5 - chin, bottom), (0.5 - half_width, middle_y),
        )  # fmt: skip
        draw.polygon(corners, fill=skin, outline=outline, width=width)
    else:
        box = at((0.5 - half_width, middle_y - half_height), (0.5 + half_width, middle_y + half_height))
        draw.rounded_rectangle([*box[0], *box[1]], radius=0.1 * side, fill=skin, outline=outline, width=width)
    if skin is not None and rng.random() < 0.35:  # the shadow's side, in one darker tone
        darker = (int(skin[0] * 0.8), int(skin[1] * 0.8), int(skin[2] * 0.8))
        box = at((0.55, middle_y - half_height * 0.9), (0.5 + half_width * 0.9, middle_y + half_height * 0.9))
        draw.ellipse([*box[0], *box[1]], fill=darker)
    eye_kind, eye_size = int(rng.integers(6)), float(rng.uniform(0.02, 0.12))
    iris = _random_colour(rng, 0, 200)
    for x, y in (_LEFT_EYE, _RIGHT_EYE):
        if eye_kind == 0:
            oval(x, y, eye_size * 0.5, eye_size * float(rng.uniform(0.5, 0.9)), ink)
        elif eye_kind in (1, 2):
            height = eye_size * (1.0 if eye_kind == 1 else 1.6)
            oval(x, y, eye_size, height, (255, 255, 255), ink)
            oval(x, y + eye_size * 0.1, eye_size * 0.7, height * 0.75, iris)
            oval(x, y + eye_size * 0.1, eye_size * 0.3, height * 0.4, ink)
            oval(x - eye_size * 0.25, y - height * 0.3, eye_size * 0.2, eye_size * 0.2, (255, 255, 255), None)
        elif eye_kind == 3:
            box = at((x - eye_size, y - eye_size), (x + eye_size, y + eye_size))
            draw.arc([*box[0], *box[1]], 180, 360, fill=ink, width=max(width, 2))
        elif eye_kind == 4:
            draw.line(at((x - eye_size, y - eye_size), (x + eye_size, y + eye_size)), fill=ink, width=max(width, 2))
            draw.line(at((x - eye_size, y + eye_size), (x + eye_size, y - eye_size)), fill=ink, width=max(width, 2))
        else:
            oval(x, y, eye_size, eye_size * 0.8, (255, 255, 255), ink)
            oval(x, y, eye_size * 0.35, eye_size * 0.35, ink)
        if rng.random() < 0.6:
            lift = float(rng.uniform(-0.03, 0.03)) * (1 if x < 0.5 else -1)
            brow = at((x - 0.08, y - eye_size - 0.05 + lift), (x + 0.08, y - eye_size - 0.05 - lift))
            draw.line(brow, fill=ink, width=int(width * rng.uniform(1, 3)) + 1)
    match int(rng.integers(4)):
        case 0:
            draw.line(
                at((_NOSE[0], _NOSE[1] - 0.12), (_NOSE[0] + 0.05, _NOSE[1]), (_NOSE[0], _NOSE[1])), ink, width + 1
            )
        case 1:
            oval(_NOSE[0], _NOSE[1], 0.04, 0.03, _random_colour(rng, 0, 256))
        case 2:
            draw.polygon(
                at((0.5, 0.52), (0.44, 0.66), (0.56, 0.66)), fill=_random_colour(rng, 0, 256), outline=outline
            )
        case _:
            pass
    smile, reach = float(rng.uniform(-0.1, 0.14)), float(rng.uniform(0.06, 0.22))
    box = at((_MOUTH[0] - reach, _MOUTH[1] - abs(smile) - 0.01), (_MOUTH[0] + reach, _MOUTH[1] + abs(smile) + 0.01))
    if rng.random() < 0.5:
        draw.arc([*box[0], *box[1]], *((0, 180) if smile > 0 else (180, 360)), fill=ink, width=width + 2)
    elif rng.random() < 0.6:
        draw.chord([*box[0], *box[1]], 0, 180, fill=_random_colour(rng, 0, 256), outline=ink, width=width)
    else:
        draw.line(at((_MOUTH[0] - reach, _MOUTH[1]), (_MOUTH[0] + reach, _MOUTH[1])), fill=ink, width=width + 2)
    if rng.random() < 0.3:
        for x in (0.2, 0.8):
            oval(x, 0.72, 0.07, 0.05, _random_colour(rng, 120, 256), None)
    if rng.random() < 0.5:  # a fringe of points
        low = float(rng.uniform(0.05, 0.3))
        teeth = [
            (index / 8, low * (1.0 if index % 2 else float(rng.uniform(0.2, 0.7))))
            for index in range(int(rng.integers(3, 9)) * 2 + 1)
        ]
        draw.polygon(at((0.0, -0.2), *teeth, (1.2, -0.2)), fill=hair, outline=outline)
    if is_line_art and rng.random() < 0.5:
        for _ in range(int(rng.integers(5, 40))):
            x, y, length = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.03, 0.2)
            draw.line(at((x, y), (x + length, y - length)), fill=ink, width=1)
    picture = picture.resize((size, size), Image.Resampling.BOX)
    if rng.random() < 0.2:  # as pixel art
        small = int(rng.integers(12, 32))
        picture = picture.resize((small, small), Image.Resampling.BILINEAR).resize(
            (size, size), Image.Resampling.NEAREST
        )
    return np.asarray(picture)


def _random_colour(rng: _Generator, low: int, high: int) -> _Rgb:
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def _blob(across: Floats, down: Floats, half_width: float, half_height: float) -> Float32Array:
    return np.asarray(np.exp(-0.5 * ((across / half_width) ** 2 + (down / half_height) ** 2)), np.float32)


def _soft(inside: Floats, softness: float) -> Float32Array:
    """Cover (S, S) in 0..1 of where a distance is positive."""
    return np.asarray(np.clip(0.5 + inside / softness, 0.0, 1.0), np.float32)


def _over(picture: Floats, colour: Floats, cover: Floats) -> Float32Array:
    return np.asarray(picture * (1 - cover[..., None]) + colour * cover[..., None], np.float32)


def _lit(picture: Floats, where: Floats, amount: float) -> Float32Array:
    """Brighter or darker by a factor where a cover says so."""
    return np.asarray(picture * (1 + amount * where[..., None]), np.float32)


def _bend(picture: Float32Array, rng: _Generator, *, amount: float) -> Float32Array:
    """Moves each pixel by up to some pixels, neighbours alike."""
    size = len(picture)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    rows = np.clip(rows + amount * noise_field(rng, size, 2.2), 0, size - 1.001)
    columns = np.clip(columns + amount * noise_field(rng, size, 2.2), 0, size - 1.001)
    top, left = rows.astype(int), columns.astype(int)
    lower, further = (rows - top)[..., None], (columns - left)[..., None]
    upper_row = picture[top, left] * (1 - further) + picture[top, left + 1] * further
    lower_row = picture[top + 1, left] * (1 - further) + picture[top + 1, left + 1] * further
    return np.asarray(upper_row * (1 - lower) + lower_row * lower, np.float32)


def _blur(picture: Float32Array, radius: float) -> Float32Array:
    if radius < 0.3:
        return picture
    blurred = Image.fromarray(_to_uint8(picture)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, np.float32) / 255.0


def _to_uint8(picture: Float32Array) -> UInt8Array:
    return np.asarray(np.clip(picture * 255.0 + 0.5, 0, 255), np.uint8)
