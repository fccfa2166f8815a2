"""Files that the project itself writes, damaged, and read again: a value or a sentence, soon."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingredients.apps.server.keys import KeyRing, make_key
from ingredients.casebook import benchmark
from ingredients.casebook.benchmark import BenchmarkIdentity, BenchmarkInfo
from ingredients.casebook.cases import Case, Person
from ingredients.core.config import config_to_dict, save_config
from ingredients.core.json_yaml import write_json, write_json_lines
from ingredients.core.output_folders import MARKER_NAME, claim_folder
from ingredients.data.clip_folder import METADATA_NAME, iterate_records, read_clip_folder
from ingredients.data.clip_shards import INDEX_NAME, ShardIndex, read_index, write_index
from ingredients.data.encoded_clips import EMPTY_PROMPT_NAME, EncodedClips, shard_paths
from ingredients.data.encoding_settings import DESCRIPTION_NAME
from ingredients.data.world_folder import write_world_folder
from ingredients.evaluation.assessment import ClipAssessment, PersonAssessment
from ingredients.evaluation.calibration import load_calibration, save_calibration
from ingredients.evaluation.case_record import CaseRecord, MotionRecord, RoutingRecord
from ingredients.evaluation.evaluation_folder import EvaluationFolder, check_description
from ingredients.evaluation.folder_scale import FolderScale, load_folder_scale, save_folder_scale
from ingredients.evaluation.manifest import MANIFEST_NAME, read_manifest, write_manifest
from ingredients.generation.routing_edit import load_routing, save_routing
from ingredients.media.provenance import Provenance, read_provenance
from ingredients.model_folders.origin import read_card_metadata
from ingredients.model_folders.sampling_settings import (
    SAMPLING_DEFAULTS_NAME,
    SamplingSettings,
    load_sampling_defaults,
    save_sampling_defaults,
)
from ingredients.model_folders.speed_defaults import (
    SPEED_DEFAULTS_NAME,
    SpeedDefaults,
    load_speed_defaults,
    save_speed_defaults,
)
from ingredients.pipelines.execution.residual_magnitudes import (
    RESIDUAL_MAGNITUDES_NAME,
    ResidualMagnitudes,
    load_residual_magnitudes,
    save_residual_magnitudes,
)
from ingredients.studies.comparison import read_result
from ingredients.training.loop.checkpoints import BEST_NAME, CHECKPOINTS_FOLDER, Checkpoints
from ingredients.training.loop.trainer import LOG_NAME, METRICS_NAME, _forget_lines
from ingredients.training.runs.configuration import CONFIG_NAME
from ingredients.training.runs.folder import read_metrics, read_run
from ingredients.training.runs.kinds import RUN_KINDS
from ingredients.visualisation.curves import read_log
from tests.apps.tiny_model import make_calibration
from tests.data import drawn_clips
from tests.data.encoding import encode_world
from tests.fuzz.damage import damaged_bytes, damaged_json
from tests.fuzz.harness import empty_folder, fuzzed, value_or_sentence
from tests.models.tiny import tiny_cogvideox_vae


@dataclasses.dataclass(frozen=True)
class OwnFile:
    """A file of one of the project's formats."""

    name: str
    write: Callable[[Path], Any]
    """Makes it, and what must be beside it, in a folder."""
    read: Callable[[Path], Any]
    """Reads the folder, or what is in it."""


PEOPLE = (Person(name="ana", photos=("a.png",)), Person(name="ben", photos=("b.png", "c.png")))
RECORD = CaseRecord(
    index=3,
    prompt="Two people wave",
    people=ClipAssessment(
        people=(PersonAssessment(found=True, similarity=0.5), PersonAssessment(found=False, similarity=0.0)),
        num_tracks=2,
        greedy_minimum=0.25,
        blended=False,
        doubled=False,
    ),
    motion=MotionRecord(generated=0.1),
    routing=RoutingRecord(timesteps=(900, 100), balanced_recall=((0.5, 0.6), (0.7, 0.8))),
)


def write_run(folder: Path) -> None:
    save_config(RUN_KINDS["align"].config_type(), folder / CONFIG_NAME)
    write_json(folder / METRICS_NAME, {"loss": 0.5, "steps": 7, "precision": "no"})
    write_json_lines(folder / LOG_NAME, [{"step": step, "loss": 1 / step} for step in (1, 2, 7)])


def write_best(folder: Path) -> None:
    (folder / CHECKPOINTS_FOLDER).mkdir()
    (folder / CHECKPOINTS_FOLDER / "step-00000007.safetensors").touch()
    write_json(folder / CHECKPOINTS_FOLDER / BEST_NAME, {"step": 7, "measure": "validation_loss", "value": 0.5})


def write_result(folder: Path) -> None:
    people = [{"name": "ana", "similarity": 0.5}, {"name": "ben", "similarity": 0.25}]
    estimate = {"value": 0.5, "low": 0.25, "high": 0.75}
    values = {"normalised_similarity": estimate, "num_cases": 2, "cases": [{"index": 0, "people": people}] * 2}
    write_json(folder / "result.json", values)


def use_result(folder: Path) -> object:
    result = read_result("full", [folder])
    return (
        result.num_cases,
        result.metric("normalised_similarity"),
        result.of_seeds("normalised_similarity"),
        result.similarities(),
    )


OWN_FILES = [
    OwnFile(
        "map.json",
        lambda folder: save_routing(folder / "map.json", np.arange(12).reshape(2, 3, 2) % 3 - 1, ("ana", "ben")),
        lambda folder: load_routing(folder / "map.json", ("ana", "ben"), (2, 3, 2)),
    ),
    OwnFile(
        SAMPLING_DEFAULTS_NAME,
        lambda folder: save_sampling_defaults(SamplingSettings(num_inference_steps=7, layout_share=0.25), folder),
        load_sampling_defaults,
    ),
    OwnFile(
        SPEED_DEFAULTS_NAME,
        lambda folder: save_speed_defaults(SpeedDefaults(precision="auto"), folder),
        load_speed_defaults,
    ),
    OwnFile(
        RESIDUAL_MAGNITUDES_NAME,
        lambda folder: save_residual_magnitudes(
            ResidualMagnitudes(timesteps=(900, 500, 20), log_magnitudes=(0.0, 0.5, 1.5)), folder
        ),
        load_residual_magnitudes,
    ),
    OwnFile(
        "calibration.json",
        lambda folder: save_calibration(make_calibration(), folder / "calibration.json"),
        lambda folder: load_calibration(folder / "calibration.json"),
    ),
    OwnFile(
        "scale.json",
        lambda folder: save_folder_scale(
            FolderScale(
                judge="x", source="photos", same_person_mean=0.9, stranger_mean=0.1, num_same=20, num_strangers=30
            ),
            folder / "scale.json",
        ),
        lambda folder: load_folder_scale(folder / "scale.json", judge="x"),
    ),
    OwnFile(
        MANIFEST_NAME,
        lambda folder: write_manifest(
            folder, [Case(file_name=f"{name}.mp4", prompt="Two people", people=PEOPLE) for name in "ab"]
        ),
        read_manifest,
    ),
    OwnFile(
        "cases/whole/0003.json",
        lambda folder: EvaluationFolder(folder, description={}).save("whole", RECORD),
        lambda folder: EvaluationFolder(folder, description={}).load("whole", 3),
    ),
    OwnFile(
        "evaluation.json",
        lambda folder: check_description(folder, {"model": "abc", "settings": {"seed": 7, "steps": [1, 2]}}),
        lambda folder: check_description(folder, {"model": "abc", "settings": {"seed": 7, "steps": [1, 2]}}),
    ),
    OwnFile(
        benchmark.INFO_NAME,
        lambda folder: benchmark.write_info(
            folder, BenchmarkInfo(name="mine", version="1", num_people=(2, 3), held_out_pairs=(("waves", "beach"),))
        ),
        benchmark.read_info,
    ),
    OwnFile(
        benchmark.IDENTITIES_NAME,
        lambda folder: benchmark.write_lines(
            folder / benchmark.IDENTITIES_NAME,
            [BenchmarkIdentity(id=name, photos=(f"photos/{name}.png",)) for name in ("ana", "ben")],
        ),
        lambda folder: list(benchmark.iterate_lines(folder / benchmark.IDENTITIES_NAME, BenchmarkIdentity)),
    ),
    OwnFile(
        INDEX_NAME,
        lambda folder: write_index(
            folder, ShardIndex(made_from="abc", clips_per_shard=7, shards={"clips-000000.tar": (5, 1024)})
        ),
        read_index,
    ),
    OwnFile(
        METADATA_NAME, lambda folder: None, lambda folder: (list(iterate_records(folder)), read_clip_folder(folder))
    ),
    OwnFile(CONFIG_NAME, write_run, read_run),
    OwnFile(METRICS_NAME, write_run, lambda folder: read_metrics(read_run(folder))),
    OwnFile(LOG_NAME, write_run, lambda folder: read_metrics(read_run(folder), step=5)),
    OwnFile(LOG_NAME, write_run, lambda folder: read_log(folder / LOG_NAME)),
    OwnFile(LOG_NAME, write_run, lambda folder: _forget_lines(folder / LOG_NAME, after=5)),
    OwnFile(f"{CHECKPOINTS_FOLDER}/{BEST_NAME}", write_best, lambda folder: Checkpoints(folder, keep=1).best()),
    OwnFile("result.json", write_result, use_result),
    OwnFile(
        "keys.json",
        lambda folder: make_key(folder / "keys.json", "ana"),
        lambda folder: KeyRing(folder / "keys.json").owner("somebody else's"),
    ),
    OwnFile(
        MARKER_NAME,
        lambda folder: claim_folder(folder, "an evaluation"),
        lambda folder: claim_folder(folder, "an evaluation"),
    ),
]


class Files(dict[str, bytes]):
    """Contents by name."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> list[Files]:
    """The files of each format, by name in the folder, as they were written."""
    clips = tmp_path_factory.mktemp("clips") / "clips"
    write_world_folder(clips, drawn_clips.SEEDS, num_references=1, **drawn_clips.SIZE)
    found = []
    for number, own in enumerate(OWN_FILES):
        folder = tmp_path_factory.mktemp(f"own-{number}")
        if own.name == METADATA_NAME:
            (folder / METADATA_NAME).write_bytes((clips / METADATA_NAME).read_bytes())
        own.write(folder)
        own.read(folder)
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        found.append(Files(files))
    return found


@fuzzed(400)
@given(data=st.data())
def test_a_damaged_file_of_ours_is_read_or_refused(data: st.DataObject, pristine: list[Files]) -> None:
    number = data.draw(st.integers(0, len(OWN_FILES) - 1))
    own, files = OWN_FILES[number], pristine[number]
    make = damaged_bytes if own.name.endswith(".yaml") else damaged_json
    damaged = data.draw(make(files[own.name]))
    with empty_folder() as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(damaged if name == own.name else content)
        value_or_sentence(lambda: own.read(folder))


@fuzzed(60)
@given(damage=st.data())
def test_what_a_file_says_of_itself_is_read_or_refused(damage: st.DataObject) -> None:
    made = Provenance(model="m", seed=3, people=("ana", "ben"), prompt="Two people", version="0.1").to_json().encode()
    text = damage.draw(damaged_json(made)).decode("utf-8", errors="surrogateescape")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingredients.media.provenance.read_video_metadata", lambda path: {"comment": text})
        found = value_or_sentence(lambda: read_provenance("a.mp4"))
    if found is not None:
        assert isinstance(found.seed, int)
        assert all(isinstance(name, str) for name in (found.model, found.version, *found.people))


@fuzzed(60)
@given(damage=st.data())
def test_a_models_card_is_read_or_left_out(damage: st.DataObject) -> None:
    text = damage.draw(damaged_bytes(b"---\nlicense: apache-2.0\nbase_model: THUDM/CogVideoX-5b\n---\n# Card\n"))
    with empty_folder() as folder:
        (folder / "README.md").write_bytes(text)
        assert isinstance(value_or_sentence(lambda: read_card_metadata(folder)) or {}, dict)


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("encoded")
    encode_world(folder, tiny_cogvideox_vae(), number=2)
    return Files({path.name: path.read_bytes() for path in folder.iterdir()})


@fuzzed(60)
@given(damage=st.data())
def test_damaged_encoded_clips_are_refused(damage: st.DataObject, encoded: Files) -> None:
    with empty_folder() as folder:
        for file, content in encoded.items():
            (folder / file).write_bytes(content)
        shard = shard_paths(folder)[0].name
        name = damage.draw(st.sampled_from([shard, shard, EMPTY_PROMPT_NAME, DESCRIPTION_NAME]))
        make = damaged_json if name == DESCRIPTION_NAME else damaged_bytes
        (folder / name).write_bytes(damage.draw(make(encoded[name])))

        def read() -> list[Any]:
            clips = EncodedClips([folder])
            return [clips.entries, clips.empty_prompt_embeds, *(clips.tensor(0, each) for each in ("latents",))]

        value_or_sentence(read)


def test_the_files_are_those_that_the_project_writes(pristine: list[Files]) -> None:
    for own, files in zip(OWN_FILES, pristine, strict=True):
        assert own.name in files
    record = pristine[[own.name for own in OWN_FILES].index("cases/whole/0003.json")]["cases/whole/0003.json"]
    assert json.loads(record) == config_to_dict(RECORD)
