"""Encoded clips as the diffusion stages learn from them: in an order that goes on where it stopped, in batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingredients.core.errors import UserInputError
from ingredients.core.token_time import front_padding
from ingredients.data.batches import ClipBatch, draw_batch
from ingredients.data.encoded_clips import EncodedClips
from ingredients.data.sampling import SampleDraw, SampleOrder, fixed_draws, share
from ingredients.training.loop.stage import StepPosition
from ingredients.training.stages.settings import DiffusionConfig


class ClipData:
    """The `TrainingData` of a diffusion stage, and the held-out clips on which it is measured.

    Args:
        clips: those to learn from; None in a plan for clips that are not there yet.
        held_out: those to be measured on; None: nothing is.
        config: the settings of the stage.
        vit_dim: keeps the first channels of the image encoder's hidden states only.
        patch_size_t: latent frames of a frame of tokens.
        noise_sharing: the share of the noise's variance that is the same in all frames of tokens.
    """

    def __init__(
        self,
        clips: EncodedClips | None,
        held_out: EncodedClips | None,
        config: DiffusionConfig,
        *,
        vit_dim: int | None,
        patch_size_t: int | None,
        noise_sharing: float,
    ) -> None:
        if config.clip_frames is not None and clips is not None:
            _check_pieces(config.clip_frames, clips, patch_size_t)
        self._clips = clips
        self.held_out = held_out
        self.config = config
        self._vit_dim, self._patch_size_t, self._noise_sharing = vit_dim, patch_size_t, noise_sharing
        self._order: SampleOrder | None = None
        self._moving: list[int] = []
        self._cursors: list[int] | None = None

    @property
    def clips(self) -> EncodedClips:
        """The clips to learn from."""
        assert self._clips is not None
        return self._clips

    def draw(self, position: StepPosition) -> Sequence[ClipBatch]:
        """This process's clips, or images while the run trains on those.

        A single picture among the clips is one of the images; once the run has gone on to clips, pictures are no
        longer drawn where there is anything else.

        Raises:
            UserInputError: if the processes cannot have equal shares of a step.
        """
        if self._order is None:
            buckets = self.clips.buckets()
            clip_ids = [entry.clip_id for entry in self.clips.entries]
            self._order = SampleOrder(list(buckets.values()), clip_ids, seed=position.seed, cursors=self._cursors)
            self._moving = [index for index, (num_frames, *_) in enumerate(buckets) if num_frames > 1]
        is_image = position.progress < self.config.image_share
        batch_size = self.config.image_batch_size if is_image else self.config.batch_size
        among = self._moving or None if self.config.image_share > 0 and not is_image else None
        draws = share(
            self._order.draw(batch_size, among=among), index=position.process_index, count=position.num_processes
        )
        return [self.read(piece, is_image=is_image) for piece in self._pieces(draws)]

    def _pieces(self, draws: Sequence[SampleDraw]) -> list[Sequence[SampleDraw]]:
        """Clips in the numbers that are computed at once."""
        size = self.config.micro_batch_size or len(draws)
        return [draws[first : first + size] for first in range(0, len(draws), size)]

    def read(self, draws: Sequence[SampleDraw], *, held_out: bool = False, is_image: bool = False) -> ClipBatch:
        """Reads clips, with the conditions that were drawn for them; held-out ones keep their captions."""
        clips = self.held_out if held_out else self.clips
        assert clips is not None
        return draw_batch(
            clips,
            draws,
            caption_drop=0.0 if held_out else self.config.caption_drop,
            supervision=self.config.supervision,
            reference_source=self.config.reference_source,
            vit_dim=self._vit_dim,
            is_image=is_image,
            num_frames=None if held_out else self.config.clip_frames,
            patch_size_t=self._patch_size_t,
            noise_sharing=self._noise_sharing,
        )

    def held_out_batches(self) -> Iterator[list[ClipBatch]]:
        """The batches that are looked at, in pieces; of the buckets in turns, none where one has no more clips."""
        if self.held_out is None:
            return
        clip_ids = [entry.clip_id for entry in self.held_out.entries]
        buckets = list(self.held_out.buckets().values())
        for index in range(self.config.num_validation_batches):
            turn, bucket = divmod(index, len(buckets))
            first = turn * self.config.batch_size
            if chosen := buckets[bucket][first : first + self.config.batch_size]:
                draws = fixed_draws(chosen, clip_ids, seed=index)
                yield [self.read(piece, held_out=True) for piece in self._pieces(draws)]

    def describe(self, batches: Sequence[ClipBatch]) -> str:
        """The clips' names."""
        return ", ".join(draw.clip_id for batch in batches for draw in batch.draws)

    def state(self) -> dict[str, Any]:
        """Where in the order of the clips the run is."""
        assert self._order is not None
        return {"cursors": list(self._order.cursors), "num_clips": len(self.clips), "clips": self.clips.digest}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on where a run was.

        Raises:
            UserInputError: if there are other clips now.
        """
        if not state:
            return
        if state["num_clips"] != len(self.clips):
            raise UserInputError(
                f"The run was trained on {state['num_clips']} clips, and now there are {len(self.clips)}: it "
                "cannot go on bit for bit; start without --resume, or give it the clips that it had."
            )
        if state.get("clips", self.clips.digest) != self.clips.digest:  # older checkpoints do not say
            raise UserInputError(
                f"The run was trained on {state['num_clips']} other clips, or on the same in another order: it cannot "
                "go on bit for bit; start without --resume, or give it the folders that it had, in their order."
            )
        self._cursors = list(state["cursors"])


def _check_pieces(num_frames: int, clips: EncodedClips, patch_size_t: int | None) -> None:
    """Refuses pieces that would begin otherwise than their clips, whose frames of tokens they could not have.

    Raises:
        UserInputError: if they would.
    """
    for length in {length for length, *_ in clips.buckets() if length > num_frames}:
        if front_padding(num_frames, patch_size_t) != front_padding(length, patch_size_t):
            fitting = num_frames - (num_frames - length) % (patch_size_t or 1)
            raise UserInputError(
                f"Pieces of {num_frames} latent frames do not share the frames of tokens of clips of {length}, which "
                f"are of {patch_size_t} latent frames; set stage.clip_frames to {max(fitting, 1)}, or to "
                f"{fitting + (patch_size_t or 1)}."
            )
