"""What the judge says of each model of the studies: evaluations on the benchmark's first cases."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ingredients.core import config
from ingredients.core.config import config_to_dict
from ingredients.core.progress import show_progress
from ingredients.evaluation.names import RESULT_NAME
from ingredients.studies.lab import Lab
from ingredients.studies.steps import Step
from ingredients.studies.variants import Variant

if TYPE_CHECKING:  # a plan needs no PyTorch
    from ingredients.evaluation.case_record import CaseRecord
    from ingredients.evaluation.parts import Parts
    from ingredients.evaluation.pipeline_source import VideoMaker
    from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
    from ingredients.studies.pair_tuning import TuningMethod

TEXT_ALONE = "text_only"
TUNED: tuple[TuningMethod, ...] = ("textual_inversion", "lora")

_NUM_PEOPLE = 2
_LEARNING_RATES: dict[TuningMethod, float] = {"textual_inversion": 5e-2, "lora": 2e-3}

# Seconds, measured on one core of an Intel Xeon with AVX-512 and bfloat16 whose other core was busy.
_SECONDS_A_CASE = 8.0
_SECONDS_A_TUNING_STEP = 0.8


def variant_step(lab: Lab, variant: Variant, seed: int) -> Step:
    """Measures a variant."""
    return _step(
        lab,
        f"{variant.name}-s{seed}",
        needs=f"route-{variant.name}-s{seed}",
        minutes=lab.config.num_cases * _SECONDS_A_CASE / 60,
        run=functools.partial(_measure_variant, lab, variant, seed),
    )


def text_step(lab: Lab) -> Step:
    """Measures the base by text alone."""
    return _step(
        lab,
        TEXT_ALONE,
        needs="base-t2v",
        minutes=lab.config.num_cases * _SECONDS_A_CASE / 60,
        run=functools.partial(_measure_text, lab),
    )


def tuned_step(lab: Lab, method: TuningMethod) -> Step:
    """Tunes for each of some pairs, and measures that."""
    num_steps = _tuning_steps(lab, method)
    return _step(
        lab,
        method,
        needs="base-t2v",
        minutes=lab.config.num_pairs * (_SECONDS_A_CASE + num_steps * _SECONDS_A_TUNING_STEP) / 60,
        run=functools.partial(_measure_tuned, lab, method),
    )


def evaluation_folder(lab: Lab, name: str) -> Path:
    """Folder of a model's evaluation."""
    return lab.folder / "evaluations" / name


def video_file(lab: Lab, name: str, index: int) -> Path:
    """The video of a case, as it was made."""
    return evaluation_folder(lab, name) / "videos" / parts_of(name).name / f"{index:04d}.mp4"


def read_record(lab: Lab, name: str, index: int) -> CaseRecord:
    """All that was measured on a case."""
    from ingredients.evaluation.case_record import CaseRecord

    path = evaluation_folder(lab, name) / "cases" / parts_of(name).name / f"{index:04d}.json"
    return config.read_record(CaseRecord, path, remedy="delete it, and run the study again")


def parts_of(name: str) -> Parts:
    """Which parts of the model make a model's videos: nothing but the text, for a base."""
    from ingredients.evaluation.parts import TEXT_ONLY, WHOLE

    return TEXT_ONLY if name == TEXT_ALONE or name in TUNED else WHOLE


def _step(lab: Lab, name: str, *, needs: str, minutes: float, run: functools.partial[None]) -> Step:
    return Step(
        name=f"evaluate-{name}",
        minutes=minutes,
        result=evaluation_folder(lab, name) / RESULT_NAME,
        run=run,
        needs=(needs,),
    )


def _measure_variant(lab: Lab, variant: Variant, seed: int) -> None:
    pipeline = lab.pipeline(lab.route_folder(variant, seed))
    _measure(lab, f"{variant.name}-s{seed}", pipeline, num_cases=lab.config.num_cases)


def _measure_text(lab: Lab) -> None:
    _measure(lab, TEXT_ALONE, lab.pipeline(lab.base_folder("t2v")), num_cases=lab.config.num_cases)


def _measure_tuned(lab: Lab, method: TuningMethod) -> None:
    from ingredients.studies.baselines import TunedBaseline, tuning_trainer
    from ingredients.studies.pair_tuning import PairTuningConfig

    pipeline = lab.pipeline(lab.base_folder("t2v"))
    maker = TunedBaseline(
        pipeline,
        PairTuningConfig(method=method),
        tuning_trainer(_tuning_steps(lab, method), _LEARNING_RATES[method]),
        lab.folder / "tuning",
    )
    _measure(lab, method, pipeline, num_cases=lab.config.num_pairs, video_maker=maker)


def _tuning_steps(lab: Lab, method: TuningMethod) -> int:
    return lab.config.inversion_steps if method == "textual_inversion" else lab.config.lora_steps


def _measure(
    lab: Lab, name: str, pipeline: IngredientsPipeline, *, num_cases: int, video_maker: VideoMaker | None = None
) -> None:
    from ingredients.casebook.drawn import DRAWN_CASES_VERSION, drawn_cases
    from ingredients.evaluation.evaluate import evaluate
    from ingredients.evaluation.judges import load_judges
    from ingredients.evaluation.pipeline_source import GenerationSettings, PipelineSource

    with show_progress(f"evaluate-{name}", enabled=lab.show) as progress:
        source = PipelineSource(
            pipeline,
            drawn_cases(num_cases, num_people=_NUM_PEOPLE),
            settings=GenerationSettings(**config_to_dict(lab.sampling())),
            parts=parts_of(name),
            cases_version=DRAWN_CASES_VERSION,
            video_maker=video_maker,
        )
        evaluate(
            source,
            load_judges(lab.model_folder, own_videos=True),
            evaluation_folder(lab, name),
            save_videos=True,
            num_report_videos=0,
            progress=progress,
        )
