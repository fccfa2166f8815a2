"""All settings of curation, a group for each step; beside each default stands where it comes from."""

import dataclasses
from typing import Annotated, Literal

from ingredients.core.ranges import Count, Range, RangeChecked, Share, check_ranges

Seconds = Annotated[float, Range(at_least=0, at_most=86_400)]
Side = Annotated[int, Range(at_least=16, at_most=8192)]
Rate = Annotated[float, Range(above=0, at_most=1000)]
Level = Annotated[float, Range(at_least=0, at_most=255)]
Speed = Annotated[float, Range(at_least=0, at_most=1000)]
Score = Annotated[float, Range(at_least=0, at_most=1e6)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig(RangeChecked):
    """Which files are looked into at all."""

    min_short_side: Side = 240
    """Pixels of the shorter side. Half of the paper's 480 (4.1): what is enlarged more than twice teaches blur."""

    min_seconds: Seconds = 2.0
    """Length of the file: that of the shortest clip."""

    max_bytes: Annotated[int, Range(at_least=1, at_most=2**50)] = 2**40
    """Largest file, a terabyte: a guard against what is no film."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignalsConfig(RangeChecked):
    """What is measured of every frame while a source is decoded once, on frames scaled down."""

    longest_side: Side = 320
    """Pixels of the small frames. PySceneDetect scales to about as many by itself; a step of motion of one pixel is
    0.3 % of the width."""

    motion: Literal["codec", "flow"] = "codec"
    """Motion from the codec's vectors, which cost next to nothing (as in NVIDIA's cosmos-curate), with dense optical
    flow in their place where a codec gives none; or always from optical flow, which does not depend on an encoder."""

    blur_side: Side = 720
    """Pixels of the longer side of the frames on which sharpness is measured: the width of the paper's (4.1)."""

    blur_every: Annotated[float, Range(above=0, at_most=60)] = 0.5
    """Seconds between frames on which sharpness is measured: it changes slowly, and costs more than the rest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShotsConfig:
    """Where one shot ends and the next begins, and which part of a shot is a clip."""

    detector: Literal["adaptive", "content", "transnet"] = "adaptive"
    """PySceneDetect's adaptive detector (content changes more than in the frames around, so that fast camera motion is
    no cut), its plain one, or TransNetV2 (an extra)."""

    adaptive_threshold: Score = 3.0
    """How many times the change of the frames around; PySceneDetect's default."""

    min_content: Score = 15.0
    """Least change of content that the adaptive detector takes for a cut; PySceneDetect's default."""

    content_threshold: Score = 27.0
    """Change of content that the plain detector takes for a cut; PySceneDetect's default."""

    cut_likeness: Annotated[float, Range(at_least=-1, at_most=1)] = 0.9
    """Correlation of the pictures on both sides from which cuts of PySceneDetect's within a second of each other are
    none: a camera that goes along books or fences changes every edge again and again, and the picture hardly. In 539
    cuts of drawn films it is 0.87 at most, along bookshelves 0.92 and above. One alone stays a cut, as between two
    takes of the same."""

    transnet_threshold: Share = 0.4
    """Probability that TransNetV2 takes for a cut: below its authors' 0.5, as a cut that is missed costs a clip that
    jumps, and one too many only a shorter clip."""

    dissolves: bool = True
    """Whether dissolves and fades end shots, too; the detectors of cuts miss them."""

    dissolve_residual: Share = 0.28
    """How much of the change across a dissolve its middle may lie off the mean of both ends; measured on drawn films
    (docs/curation.md)."""

    dissolve_coarse_residual: Share = 0.22
    """The same in dissolves of half a second and more, which are looked at in coarser pictures, as people move in
    them; chosen on the drawn films of seeds 33, 201, 202 and 205."""

    dissolve_change: Level = 14.0
    """Least mean change, in grey levels, across a dissolve; measured on drawn films."""

    dissolve_ratio: Score = 1.2
    """How many times more a picture changes across a dissolve than in as much time before and after."""

    dissolve_likeness: Annotated[float, Range(at_least=-1, at_most=1)] = 0.8
    """Largest correlation of the pictures before and after: where they correlate more, the light changed, or people
    moved; chosen on the same films."""

    dissolve_return: Share = 0.6
    """Least difference between any picture of the second before and any of the second after, in parts of the change
    across: who sways or nods comes back, and what a dissolve replaced does not. In the drawn films of seeds 1, 33, 34,
    104, 201, 202 and 205 dissolves are at 0.78 and above, heads that sway at 0.44 and below. Fades to black and white
    need not reach it: no motion makes them."""

    min_seconds: Seconds = 2.0
    """Shortest clip: 49 frames at 24 frames a second."""

    max_seconds: Annotated[float, Range(above=0, at_most=86_400)] = 10.0
    """Longest clip; a longer shot becomes several of equal length. One caption holds for about as long."""

    trim_seconds: Seconds = 0.5
    """Cut off at both ends of each shot: remains of transitions."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_ranges(self)
        if self.max_seconds < self.min_seconds:
            raise ValueError(f"max_seconds is {self.max_seconds:g}, below min_seconds, {self.min_seconds:g}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QualityConfig(RangeChecked):
    """Which clips are worth looking at people in. Measured on small frames, all but text."""

    min_brightness: Level = 24.0
    """Least mean grey level: below, a picture is black with a few lights. A fifth of middle grey."""

    max_brightness: Level = 240.0
    """Largest mean grey level: above, a picture is white."""

    min_contrast: Level = 8.0
    """Least standard deviation of grey levels within a frame: below, there is a wall, fog or a colour card."""

    max_clipped: Share = 0.6
    """Largest part of a frame that is black or white without a difference, bars left out."""

    min_sharpness: Score = 0.004
    """Least variance of the Laplacian by the variance of the grey levels, at 720 pixels: its value falls by the
    fourth power of the blur's width. Measured on drawn films and photographs blurred by known amounts."""

    min_motion: Speed = 0.0002
    """Least mean motion, in picture heights a second: below, a clip is a photograph. A few people who only blink are
    above. cosmos-curate's limit is about a hundred times as high: raise it where talking heads are not wanted."""

    max_motion: Speed = 1.5
    """Largest mean motion, in picture heights a second: a camera thrown about."""

    min_patch_motion: Speed = 0.0
    """Least motion of the stillest of sixteen parts of the picture. Off, as most clips of talking people are from a
    camera that stands; cosmos-curate has it to find slides and frames around pictures."""

    max_still_share: Share = 0.8
    """Largest part of the steps from frame to frame in which nothing changes: stills, slides, videos that hang."""

    still_change: Level = 0.03
    """Mean change of grey levels from frame to frame up to which nothing changes: below the noise of a camera, which
    is a grey level or so. Drawn stills are at 0 in more than 9 of 10 steps, the calmest pairs of people in 3 of 4."""

    max_bars: Share = 0.5
    """Largest part of the picture that bars may take; they are cut off, and what is left is the clip."""

    bar_brightness: Level = 24.0
    """Brightest grey level of a bar: black of video (16) and some noise."""

    max_text_share: Share = 0.004
    """Largest part of the picture that burnt-in text and marks may cover."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """What is taken for burnt-in text: steady edges in lines, in numbers chosen on drawn films (docs/curation.md)."""

    min_contrast: Level = 90.0
    """Grey levels between a letter and what is around it, within three pixels."""

    most_change: Level = 40.0
    """Grey levels by which a letter's pixel changes over the clip."""

    min_height: Share = 0.03
    """Lowest line, in parts of the picture's height, and four pixels at least."""

    max_height: Share = 0.16
    """Highest line, in parts of the picture's height."""

    min_width: Share = 0.09
    """Narrowest line, in parts of the picture's height: what is narrower or lower, as outlines of heads that touch a
    line are, is none of it."""

    min_ratio: Annotated[float, Range(at_least=0, at_most=100)] = 1.8
    """Least width of a line by its height."""

    min_density: Share = 0.4
    """Least part of a line's box that are edges."""

    min_strokes: Annotated[float, Range(at_least=0, at_most=100)] = 1.0
    """Fewest strokes along a line, for each of its heights."""

    min_letters: Annotated[int, Range(at_least=0, at_most=1000)] = 8
    """Fewest strokes of a line in all: eyes and glasses of people who stand side by side have fewer."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_ranges(self)
        if self.max_height < self.min_height:
            raise ValueError(f"max_height is {self.max_height:g}, below min_height, {self.min_height:g}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesConfig(RangeChecked):
    """Clips that show the same."""

    max_distance: Share = 0.2
    """Part of a perceptual hash's bits by which two frames that may be the same differ at most. Generous, as flat
    places of a picture give bits by lot: what looks alike is looked at more closely."""

    hash_size: Annotated[int, Range(at_least=4, at_most=16)] = 16
    """Rows and columns of the difference hash: 256 bits."""

    min_overlap: Annotated[float, Range(above=0, at_most=1)] = 0.5
    """Part of the shorter clip's frames that must be in the other one for it to be a duplicate."""

    max_difference: Level = 4.0
    """Largest mean difference of thumbnails of the same footage, in grey levels: encoded again, with a small mark."""

    max_changed: Share = 0.35
    """Largest part of the change within a quarter of a second by which the same footage may differ: people who sit in
    the same place at another time differ by all of it."""

    noise: Level = 1.0
    """Grey levels up to which any two clips are the same, also where nothing changes: what encoding again costs."""

    noise_of_bars: Level = 2.5
    """The same where bars let two clips be seen less or more finely: the same footage with and without them was at 2.1
    at most, in 82 drawn shots with bars of 10 to 22 pixels (docs/curation.md)."""

    embedding: str | None = None
    """By which near duplicates are found, too: `drawn`, the dual encoder of the drawn world, or the folder of a CLIP
    in transformers' layout. None looks for none."""

    near_likeness: Annotated[float, Range(at_least=-1, at_most=1)] | None = None
    """Cosine of frames, on average, from which clips are near duplicates. None takes 0.8 for clips with the same
    people, and 0.95 where nobody is looked for: in drawn films repeated shots are at 0.94 and above, other shots of
    the same people at 0.65 and below, of others up to 0.93 (docs/curation.md). CLIP's cosines were not measured."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CutConfig(RangeChecked):
    """Which frames of a clip are written, and how."""

    num_frames: Count | None = 49
    """Frames of each clip, from its middle, at the stride (4.1); a shorter clip has fewer. None takes all."""

    stride: Count = 2
    """Every which frame is taken (4.1)."""

    min_frames: Count = 17
    """Fewest frames: five latent frames of CogVideoX's VAE."""

    max_fps: Rate = 30.0
    """Sources with a higher rate are first thinned out to at most this one: at 60 frames a second, 49 frames at a
    stride of 2 are less than two seconds. The paper does not say; its videos were of usual rates."""

    short_side: Side = 480
    """Pixels of the shorter side; larger clips are scaled down, smaller ones stay. The paper's height (4.1)."""

    constant_rate_factor: Annotated[int, Range(at_least=0, at_most=51)] = 14
    """Quality of the H.264 that is written: no difference is seen."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BalanceConfig(RangeChecked):
    """What the data set should be made of."""

    most_of_one_kind: Share = 1.0
    """Largest part of all clips that may show one action at one place; more are left out by lot. Off, as a small data
    set can spare none. The paper balanced its topics (4.1), and gives no number."""

    target: tuple[str, ...] = ()
    """Wanted shares such as `people=2:0.7` or `place=beach:0.1`, from which each clip gets a weight."""

    held_out_share: Share = 0.0
    """Part of the clips that is a data set of its own, chosen by people: whoever is in it is in no other clip."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeopleConfig:
    """Who is in a clip, and which clips have the people that training needs."""

    faces: Literal["drawn", "dlib", "antelopev2"] = "dlib"
    """Who finds and tells faces apart: the small model's networks (drawn people), dlib (photographs; runs offline), or
    the published model's (photographs; needs `face_encoder`)."""

    face_encoder: str | None = None
    """Folder `face_encoder/` of a model, for antelopev2, or for other drawn networks than those that ship."""

    min_people: Annotated[int, Range(at_least=0, at_most=1000)] = 2
    """Fewest people: the paper's filter (4.1). With 0 nobody is looked for: the clips have no people and no masks."""

    max_people: Count = 6
    """Most people: as many faces have room on the canvas in cells of a third of its width."""

    min_together: Share = 0.5
    """Least part of the clip in which `min_people` are seen at once. The paper does not say; with less, most frames
    teach nothing of two."""

    min_presence: Share = 0.25
    """Least part of the clip in which a face is seen, for its owner to be one of the people: passers-by are none."""

    min_face: Share = 0.1
    """Least height of a face, as a median over the track, in parts of the clip's shorter side: 48 of 480 pixels are
    three tokens of CogVideoX, fewer leave a router nothing to learn."""

    min_face_pixels: Count = 16
    """The same in pixels: what is smaller is not told apart from others."""

    max_gap: Annotated[int, Range(at_least=0, at_most=1000)] = 5
    """Frames in a row in which a face may be missed and counts as seen: detectors lose faces that turn."""

    min_confidence: Share | None = None
    """The detector's confidence that a face must reach in one frame of the clip at least, for its owner to be one of
    the people: a bookshelf that looks a little like a face does so in every frame. None takes that of the face
    stack."""

    seen_confidence: Share | None = None
    """The detector's confidence from which a face counts as seen in a frame: of one that another head half covers it
    finds a part, less surely. None takes that of the face stack."""

    min_likeness: Annotated[float, Range(at_least=-1, at_most=1)] | None = None
    """Cosine of embeddings below which a step leads to somebody else; None takes that of the face stack."""

    join_likeness: Annotated[float, Range(at_least=-1, at_most=1)] | None = None
    """Cosine from which two pieces of track are one person's; None takes that of the face stack."""

    same_person: Annotated[float, Range(at_least=-1, at_most=1)] | None = None
    """Cosine from which people of two clips are one; None takes that of the face stack."""

    lent_references: Annotated[int, Range(at_least=0, at_most=16)] = 0
    """Pictures of each person from other clips that are put into the data set as references. With 0 there are none,
    and training draws the faces of other clips by itself (docs/data.md), as long as it reads them together."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_ranges(self)
        if self.max_people < self.min_people:
            raise ValueError(f"max_people is {self.max_people}, below min_people, {self.min_people}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MasksConfig(RangeChecked):
    """Which pixels are a face's."""

    by: Literal["box", "selfie", "sam", "sam2"] = "box"
    """The boxes themselves, which need nothing; MediaPipe's person segmentation cut by the boxes (photographs, on any
    processor); SAM, as in the paper (4.1); or SAM 2."""

    model: str | None = None
    """Folder of SAM's or SAM 2's weights in transformers' layout, or of the person segmentation. None takes, for
    sam, the small one of the drawn world that ships."""

    threshold: Annotated[float, Range(at_least=-30, at_most=30)] | None = None
    """Logit from which a pixel is a face's. None takes -2 for SAM and SAM 2 as their authors trained them, as in the
    paper (Figure 7), and 0 for the others, which is best for the small SAM (docs/curation_people.md)."""

    rim: Annotated[float, Range(at_least=0, at_most=30)] | None = None
    """Logits on either side of the threshold between which a mask's rim follows the edges of the picture; 0 leaves it
    to the logits. None takes 3 for the small SAM and the person segmentation, which know where a face is and draw the
    rim of a mean one, and 0 for the others; chosen on the drawn films of seed 401 (docs/curation_people.md)."""

    margin: Annotated[float, Range(at_least=0, at_most=5)] = 0.25
    """How far beyond its box a mask may reach, in parts of the box."""

    min_cover: Share = 0.2
    """Least part of its boxes that a face's masks must cover: below, something else was masked."""

    @property
    def least_logit(self) -> float:
        """The threshold that holds."""
        if self.threshold is not None:
            return self.threshold
        return -2.0 if self.by in ("sam", "sam2") and self.model is not None else 0.0

    @property
    def rim_width(self) -> float:
        """The rim that holds."""
        if self.rim is not None:
            return self.rim
        return 3.0 if self.by == "selfie" or (self.by == "sam" and self.model is None) else 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptionsConfig:
    """What is said of a clip."""

    by: Literal["template", "given", "endpoint", "qwen"] = "template"
    """A sentence of what was measured, of drawn people also what they do and where; a file of captions; any server
    that speaks the chat-completions shape with pictures; or Qwen2-VL, as in the paper (4.1), or Qwen3-VL in
    process."""

    file: str | None = None
    """The file for `given`: JSON lines with `clip_id` and `caption`."""

    model: str | None = None
    """The name that the server of `endpoint` knows; for `qwen` the folder of the weights."""

    base_url: str = "http://localhost:8000/v1"
    """The address of the server, before `/chat/completions`."""

    key_variable: str = "CAPTIONS_API_KEY"
    """Variable of the environment that holds the server's key; without it none is sent."""

    num_pictures: Annotated[int, Range(at_least=1, at_most=64)] = 4
    """Frames that the captioner sees, at even distances."""

    longest_side: Side = 512
    """Pixels to which they are scaled down: what happens is seen in them, and they cost less."""

    max_tokens: Count = 120
    """Longest answer."""

    requests_a_minute: Annotated[float, Range(above=0, at_most=1e6)] = 60.0
    """Most requests of one process."""

    min_action: Share = 0.9
    """How sure the judge of drawn people must be of what somebody does for the template to say it. This and the next
    were chosen on drawn films of seeds 33, 201 and 205, the two after them on those of 101 to 103
    (docs/curation_people.md)."""

    min_expression: Share = 0.85
    """The same of somebody's face."""

    min_place: Share = 0.7
    """The same of the place."""

    min_light: Share = 0.8
    """The same of the light."""

    timeout_seconds: Annotated[float, Range(above=0, at_most=3600)] = 60.0
    """Longest wait for an answer."""

    most_attempts: Annotated[int, Range(at_least=1, at_most=20)] = 5
    """How often a request is sent again after an answer that says to, or none; waits double from one second on."""

    dollars_per_million_input: Annotated[float, Range(at_least=0, at_most=1e6)] = 0.0
    """Price of a million tokens that the captioner reads, for the estimate."""

    dollars_per_million_output: Annotated[float, Range(at_least=0, at_most=1e6)] = 0.0
    """Price of a million tokens that it writes."""

    most_dollars: Annotated[float, Range(at_least=0, at_most=1e9)] | None = None
    """What captions by a server may cost by the estimate that is made before the first; above, the work ends there."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_ranges(self)
        needed = {"given": "file", "endpoint": "model", "qwen": "model"}.get(self.by)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"captions by {self.by} need captions.{needed}")

    @property
    def is_asked(self) -> bool:
        """Whether somebody looks at pictures and answers, which takes time or money."""
        return self.by in ("endpoint", "qwen")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CurationConfig:
    """Everything that decides what becomes of raw videos."""

    probe: ProbeConfig = ProbeConfig()
    """Which files are looked into."""

    signals: SignalsConfig = SignalsConfig()
    """What is measured of each frame."""

    shots: ShotsConfig = ShotsConfig()
    """Where shots and clips begin and end."""

    quality: QualityConfig = QualityConfig()
    """Which clips are good enough."""

    duplicates: DuplicatesConfig = DuplicatesConfig()
    """Which clips show the same."""

    cut: CutConfig = CutConfig()
    """Which frames are written."""

    text: TextConfig = TextConfig()
    """What burnt-in text is."""

    people: PeopleConfig = PeopleConfig()
    """Who must be in a clip."""

    masks: MasksConfig = MasksConfig()
    """Which pixels are a face's."""

    captions: CaptionsConfig = CaptionsConfig()
    """What is said."""

    balance: BalanceConfig = BalanceConfig()
    """What the data set is made of."""

    @property
    def asks_a_server(self) -> bool:
        """Whether captions are asked of a server, which may cost."""
        return self.captions.by == "endpoint" and self.people.min_people > 0
