"""How the models of the tables are trained: the drawn world's recipes, cut to minutes a model.

What differs from the paper's own recipe is what a small base needs: the alignment tunes it in full, by Muon, and faces
weigh three times as much in the diffusion loss. There is no identity loss, and no guidance by likeness: the paper has
neither.
"""

from ingredients.models.presets import SMALL_WORLDS, base_of
from ingredients.training.loop.settings import TrainerConfig
from ingredients.training.runs.configuration import AlignRunConfig, BaseRunConfig, ModelConfig, RouteRunConfig
from ingredients.training.small_world.settings import SmallWorldName
from ingredients.training.stages.settings import AlignmentConfig, BaseConfig, BaseTask, RouterConfig

_IMAGES, _CLIPS = 24, 12


def base_recipe(task: BaseTask, num_steps: int, *, model: SmallWorldName) -> BaseRunConfig:
    """The recipe of a common base; the image-to-video one never trains on images, which would be its first frames.

    Args:
        task: what it makes a video of.
        num_steps: the length of the training.
        model: whose base is built; image-to-video goes on with what text-to-video was built as.
    """
    if task == "t2v":
        return BaseRunConfig(
            model=ModelConfig(transformer=base_of(SMALL_WORLDS[model]())),
            stage=BaseConfig(image_batch_size=_IMAGES, batch_size=_CLIPS, image_share=0.7),
            trainer=_loop(num_steps, optimizer="muon", learning_rate=2e-3, muon_learning_rate=4e-3, ema_decay=0.99),
        )
    return BaseRunConfig(
        stage=BaseConfig(image_batch_size=_IMAGES, batch_size=_CLIPS),
        trainer=_loop(num_steps, optimizer="muon", learning_rate=1e-3, muon_learning_rate=1.5e-3, ema_decay=0.98),
    )


def align_recipe(num_steps: int, *, seed: int) -> AlignRunConfig:
    """The recipe of an alignment."""
    return AlignRunConfig(
        stage=AlignmentConfig(
            tuning="full",
            image_batch_size=_IMAGES,
            batch_size=_CLIPS,
            image_share=0.8,
            face_weight=3.0,
        ),
        trainer=_loop(
            num_steps, seed=seed, optimizer="muon", learning_rate=1.2e-3, muon_learning_rate=2.5e-3, ema_decay=0.98
        ),
    )


def route_recipe(num_steps: int, *, seed: int) -> RouteRunConfig:
    """The recipe of a router stage."""
    return RouteRunConfig(
        stage=RouterConfig(
            image_batch_size=_IMAGES,
            batch_size=_CLIPS,
            image_share=0.7,
            face_weight=3.0,
            lora_rank=32,
            base_learning_rate_scale=0.5,
        ),
        trainer=_loop(num_steps, seed=seed, learning_rate=2e-3, ema_decay=0.97),
    )


def _loop(num_steps: int, *, seed: int = 0, **settings: object) -> TrainerConfig:
    return TrainerConfig(
        num_steps=num_steps,
        seed=seed,
        schedule="trapezoid",
        num_warmup_steps=20,
        checkpoint_every=50,
        keep_checkpoints=1,
        log_every=5,
        precision="auto",
        spike_factor=10.0,
        **settings,  # type: ignore[arg-type]
    )
