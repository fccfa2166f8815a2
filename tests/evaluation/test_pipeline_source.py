"""The whole evaluation on a pipeline of tiny real parts, 9 frames of 32 x 40 pixels, two steps."""

import dataclasses
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ingredients
from ingredients.casebook.cases import make_cases
from ingredients.core.arrays import UInt8Array
from ingredients.core.errors import UserInputError
from ingredients.core.protocols import Face
from ingredients.evaluation.assessment import ClipAssessment, PersonAssessment, SimilarityScale
from ingredients.evaluation.case_record import CaseRecord
from ingredients.evaluation.compare import compare_results
from ingredients.evaluation.evaluate import choose_metrics, evaluate, open_folder
from ingredients.evaluation.judge import Judge
from ingredients.evaluation.judges import Judges
from ingredients.evaluation.metrics.registry import METRICS
from ingredients.evaluation.modules import evaluate_modules, forced_routing_moves, module_variants
from ingredients.evaluation.parts import BOTH, GLOBAL_ONLY, MODULE_VARIANTS
from ingredients.evaluation.pipeline_source import (
    GenerationSettings,
    PipelineSource,
    VideoRequest,
    assign_tokens,
    balanced_recall,
    generate_videos,
    model_fingerprint,
    probe_router,
)
from ingredients.evaluation.placings import PLACINGS
from ingredients.model_folders.speed_defaults import SpeedDefaults
from ingredients.pipelines.execution.speed_options import SpeedOptions
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.video_shape import VideoShape
from ingredients.world.scenes import render_scene
from tests.evaluation.stand_ins import MeanColourRecogniser, make_face, make_trait_judges
from tests.faces.tiny_faces import classifier_that_says
from tests.pipelines.stand_ins import make_pipeline, make_seeing_face_stack, make_transformer
from tests.ways import named_in_order

SETTINGS = GenerationSettings(num_inference_steps=2, guidance_scale=2.0, height=32, width=40)
ALL_ADDITIONS = dataclasses.replace(
    SETTINGS,
    layout_share=0.5,
    identity_guidance_scale=3.0,
    likeness_guidance_scale=0.7,
    perturbed_attention_scale=1.5,
)


class HalvesDetector:
    """Sees one face in the left half of every picture and one in the right."""

    def detect(self, image: UInt8Array) -> list[Face]:
        height, width = image.shape[:2]
        return [make_face(0, 0, width / 2, height), make_face(width / 2, 0, width, height)]


class BlindDetector:
    """Sees no face anywhere."""

    def detect(self, image: UInt8Array) -> list[Face]:
        return []


@pytest.fixture(scope="module")
def pipeline() -> IngredientsPipeline:
    return make_pipeline(face_encoder=make_seeing_face_stack())


@pytest.fixture
def judge() -> Judge:
    return Judge(
        detector=HalvesDetector(),
        recogniser=MeanColourRecogniser(),
        scale=SimilarityScale(same_person_mean=1.0, stranger_mean=0.0),
    )


def evaluate_model(pipeline, judge, output, *, num_cases, metrics=None, save_videos=False, progress=None, **options):
    source = PipelineSource(pipeline, make_cases(num_cases), **options)
    judges = named(judge)
    return evaluate(source, judges, output, metrics=metrics, save_videos=save_videos, progress=progress)


def named(judge: Judge) -> Judges:
    acting, attributes = make_trait_judges()
    return Judges(judge=judge, judge_name="colour", detector_name="halves", acting=acting, attributes=attributes)


def run(pipeline, judge, output, **options):
    return evaluate_model(
        pipeline, judge, output, **({"num_cases": 2, "num_distractors": 4, "settings": SETTINGS} | options)
    )


def test_evaluation_gives_every_metric_with_an_interval(pipeline, judge, tmp_path):
    progress: list[tuple[int, int]] = []
    result = run(
        pipeline, judge, tmp_path, save_videos=True, progress=lambda done, total: progress.append((done, total))
    )
    written = json.loads((tmp_path / "result.json").read_text())
    assert written == json.loads(json.dumps(result.to_json()))
    # networks, roles, an order
    lacking = {"paper_clip_text", "paper_fid", "fid", "who_does_what", "actions_exchanged", "placed_rate"}
    expected = [name for name in METRICS if name not in lacking]
    assert list(result.metrics) == expected
    unknown = {name for name in expected if written[name]["value"] is None}
    # the halves stand still in real clips; bare heads; no face beyond those asked for
    assert unknown <= {"landmark_motion", "hat_colour_right", "extra_taken_rate"}
    for name in set(expected) - unknown:
        value, low, high = (written[name][key] for key in ("value", "low", "high"))
        assert low <= value <= high, name
    assert written["num_cases"] == len(written["cases"]) == 2
    assert written["num_errors"] == 0
    assert np.shape(written["router_table"]["recall_by_block"]) == (2, 3)  # 2 routed blocks, 3 timesteps
    assert progress[0] == (0, 2)
    assert progress[-1] == (2, 2)
    assert len(list((tmp_path / "videos").rglob("*.mp4"))) == 2
    report = (tmp_path / "report.md").read_text()
    for name in expected:
        assert f"| {name} |" in report


def test_a_video_goes_through_the_files_that_the_page_names_in_its_order_each_once(
    pipeline, judge, tmp_path, monkeypatch
):
    """Followed by itself, and then by its record; left out are what hands it to the others and where it is from."""
    package, looked, passed = Path(ingredients.__file__).parent / "evaluation", [], []
    stations = [
        name.removeprefix("evaluation/") for name in named_in_order("evaluation.md", "A video passes ten files")
    ]
    assert len(stations) == 10
    stations = [name for name in stations if name not in ("pipeline_source.py", "measure.py")]
    look = Judge.look
    monkeypatch.setattr(Judge, "look", lambda self, frames: (looked.append(frames), look(self, frames))[1])

    def follow(frame, event, _):
        code = frame.f_code
        if event != "call" or not looked or not code.co_filename.startswith(str(package)):
            return
        given = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]]
        given += [each for some in given if isinstance(some, list) for each in some]
        # the real clip was looked at first, the video itself next
        if any(isinstance(each, CaseRecord) or (len(looked) > 1 and each is looked[1]) for each in given):
            passed.append(Path(code.co_filename).relative_to(package).as_posix())

    sys.setprofile(follow)
    try:
        run(pipeline, judge, tmp_path, num_cases=1)
    finally:
        sys.setprofile(None)
    assert len(looked) == 3  # the last one is the real clip through the VAE
    assert all((one != other).any() for one, other in itertools.combinations(looked, 2))
    seen = [name for name, _ in itertools.groupby(each for each in passed if each in stations)]
    assert seen == ["judge.py", "text_encoders.py", "traits.py", "evaluation_folder.py", "metrics/registry.py"]
    assert [stations.index(name) for name in seen] == sorted(stations.index(name) for name in seen)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(pipeline, judge, tmp_path):
    whole = run(pipeline, judge, tmp_path)
    files = sorted((tmp_path / "cases" / "whole").iterdir())
    files[1].write_text("{")  # damaged
    kept = files[0].stat().st_mtime_ns
    again = run(pipeline, judge, tmp_path)
    assert files[0].stat().st_mtime_ns == kept
    assert again.metrics == whole.metrics
    files[1].unlink()
    assert run(pipeline, judge, tmp_path).metrics == whole.metrics
    longer = run(pipeline, judge, tmp_path, num_cases=3)
    assert files[0].stat().st_mtime_ns == kept
    assert longer.records[0] == again.records[0]


def test_people_who_are_asked_for_different_things_are_called_by_their_names(pipeline, judge, tmp_path):
    cases = make_cases(2, style="each-own")
    source = PipelineSource(pipeline, cases, settings=SETTINGS, num_distractors=4, batch_size=2)
    assert [case.ordered for case in source.cases] == [False, True]  # by name, by place
    result = evaluate(source, named(judge), tmp_path, metrics=["action_right", "who_does_what", "actions_exchanged"])
    assert [record.error for record in result.records] == [None, None]
    assert result.metrics["who_does_what"].chance == pytest.approx(1 / 100)
    for record, case in zip(result.records, cases, strict=True):
        assert record.traits is not None
        assert [truth["action"] for truth in record.traits.truth] == [role.action for role in case.roles]


@pytest.mark.parametrize("placing", PLACINGS)
def test_everybody_is_told_the_place_by_which_the_video_is_judged(pipeline, judge, monkeypatch, placing):
    asked = []
    call = type(pipeline).__call__

    def noting(self, *args, **options):
        asked.append(options["places"])
        return call(self, *args, **options)

    monkeypatch.setattr(type(pipeline), "__call__", noting)
    settings = dataclasses.replace(SETTINGS, placing=placing, layout_share=0.5)
    source = PipelineSource(pipeline, make_cases(2), settings=settings, batch_size=2)
    assert [case.ordered for case in source.cases] == [placing != "boxes"] * 2
    without = PipelineSource(pipeline, make_cases(2), settings=dataclasses.replace(SETTINGS, placing=None))
    assert not any(case.places or case.ordered for case in without.cases)
    known = source.know_people(named(judge))
    assert len(list(source.videos(source.cases, known))) == 2
    for case, places in zip(source.cases, asked, strict=True):
        assert places == dict(zip([person.name for person in case.people], case.places, strict=True))


def test_several_videos_at_once_change_no_number(pipeline, judge, tmp_path):
    one_by_one = run(pipeline, judge, tmp_path / "one")
    together = run(pipeline, judge, tmp_path / "two", batch_size=2)
    for name, estimate in one_by_one.metrics.items():
        assert together.metrics[name].value == pytest.approx(estimate.value, abs=2e-3, nan_ok=True), name


def open_again(pipeline, judge, output, *, num_people=2, **options):
    source = PipelineSource(pipeline, make_cases(1, num_people=num_people), **({"settings": SETTINGS} | options))
    return open_folder(source, named(judge), output)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 5}, "seed"),
        ({"num_people": 3}, "number of people"),
        ({"settings": GenerationSettings(num_inference_steps=3)}, "settings"),
    ],
)
def test_a_folder_of_another_evaluation_is_refused(pipeline, judge, tmp_path, changes, named):
    open_again(pipeline, judge, tmp_path)
    open_again(pipeline, judge, tmp_path)
    with pytest.raises(UserInputError, match=f"differs in {named}; choose another"):
        open_again(pipeline, judge, tmp_path, **changes)


def test_other_weights_are_another_model(pipeline, judge, tmp_path):
    open_again(pipeline, judge, tmp_path)
    before = model_fingerprint(pipeline)
    weight = next(pipeline.transformer.parameters())
    with torch.no_grad():
        weight[0, 0] += 1
    try:
        assert model_fingerprint(pipeline) != before
        with pytest.raises(UserInputError, match="differs in model"):
            open_again(pipeline, judge, tmp_path)
    finally:
        with torch.no_grad():
            weight[0, 0] -= 1


def test_people_whose_photos_show_no_face_count_as_missing(pipeline, judge, tmp_path):
    detector = pipeline.facial_extractor.detector
    pipeline.facial_extractor.detector = BlindDetector()
    try:
        result = run(pipeline, judge, tmp_path, num_cases=2)
    finally:
        pipeline.facial_extractor.detector = detector
    assert result.num_errors == 2
    assert result.metrics["normalised_similarity"].value == 0
    assert result.metrics["all_present_rate"].value == 0
    assert "router_accuracy" not in result.metrics
    assert "No face" in result.records[0].error


def test_the_cases_own_people_are_never_refused(pipeline, judge, tmp_path, monkeypatch):
    """The world drew them: what looks like a photograph to the face networks is a drawing all the same."""
    monkeypatch.setattr(pipeline.facial_extractor, "picture_kind", classifier_that_says((0.01, 0.01, 0.98)))
    assert run(pipeline, judge, tmp_path, num_cases=1, metrics=["normalised_similarity"]).num_errors == 0


def test_metrics_that_the_model_cannot_have_are_named(judge):
    base = make_pipeline(face_encoder=None, identity_modules=False, in_channels=3)
    source, judges = PipelineSource(base, make_cases(1)), named(judge)
    names = [metric.name for metric in choose_metrics(source, judges)]
    assert "router_accuracy" not in names
    assert "text_relevance" not in names
    with pytest.raises(UserInputError, match="router_accuracy needs identity modules"):
        choose_metrics(source, judges, ["router_accuracy"])


def test_parts_are_measured_without_what_the_paper_does_not_have(pipeline, monkeypatch):
    """Layout, identity guidance and likeness guidance would lend their merit to the part measured with them."""
    asked: list[dict[str, object]] = []
    call = type(pipeline).__call__

    def listen(self, *arguments, **options):
        asked.append(options)
        return call(self, *arguments, **options | {"likeness_guidance_scale": 0.0})  # the stand-ins have no gradient

    monkeypatch.setattr(type(pipeline), "__call__", listen)
    case = make_cases(1)[0]
    people = pipeline.extract_identities({str(index): photo.image for index, photo in enumerate(case.portraits())})
    request = VideoRequest(prompt=case.prompt, seed=1, canvas_people=people, local_people=people)
    led = {}
    for variant in MODULE_VARIANTS:
        generate_videos(pipeline, [request], parts=variant, settings=ALL_ADDITIONS)
        options = asked[-1]
        led[variant.name] = tuple(
            options[name]
            for name in (
                "layout_share",
                "identity_guidance_scale",
                "likeness_guidance_scale",
                "perturbed_attention_scale",
            )
        )
    assert led.pop("whole") == (0.5, 3.0, 0.7, 1.5)
    assert led.pop("with_layout") == (0.5, 1.0, 0.0, 0.0)
    assert led.pop("with_identity_guidance") == (0.0, 3.0, 0.0, 0.0)
    assert led.pop("with_likeness_guidance") == (0.0, 1.0, 0.7, 0.0)
    assert led.pop("with_perturbed_attention") == (0.0, 1.0, 0.0, 1.5)
    assert len(led) == 9
    assert set(led.values()) == {(0.0, 1.0, 0.0, 0.0)}


def test_an_addition_that_nobody_asks_for_has_no_row():
    names = {variant.name for variant in module_variants(SETTINGS)}
    assert not names & {"whole", "with_layout", "with_identity_guidance", "with_likeness_guidance"}
    planned = {variant.name for variant in module_variants(dataclasses.replace(SETTINGS, layout_share=0.3))}
    assert planned - names == {"whole", "with_layout"}
    assert module_variants(ALL_ADDITIONS) == list(MODULE_VARIANTS)


def test_a_folder_of_an_earlier_version_is_that_of_settings_it_did_not_know():
    described = SETTINGS.as_described()
    assert "perturbed_attention_scale" not in described
    assert (described["likeness_guidance_scale"], described["height"]) == (0.0, 32)
    assert ALL_ADDITIONS.as_described()["perturbed_attention_scale"] == 1.5
    assert "precision" not in described["speed"]
    assert described["speed"]["step_cache"] is None
    quick = dataclasses.replace(SETTINGS, speed=SpeedOptions(precision="bfloat16")).as_described()
    assert quick["speed"] == described["speed"] | {"precision": "bfloat16"}


def test_a_precision_of_the_models_own_is_noted_and_single_precision_goes_without_saying():
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    pipeline.speed_defaults = SpeedDefaults(precision="bfloat16")
    source = PipelineSource(pipeline, make_cases(1), settings=SETTINGS)
    assert source.settings.as_described()["speed"]["precision"] == "bfloat16"
    asked = dataclasses.replace(SETTINGS, speed=SpeedOptions(precision="float32"))
    source = PipelineSource(pipeline, make_cases(1), settings=asked)
    assert source.settings.as_described() == SETTINGS.as_described()


def test_modules_run_every_variant_on_the_same_cases(pipeline, judge, tmp_path):
    planned = dataclasses.replace(SETTINGS, layout_share=0.5)
    result = evaluate_modules(pipeline, named(judge), tmp_path, num_cases=1, num_distractors=4, settings=planned)
    written = json.loads((tmp_path / "modules.json").read_text())
    assert list(written["variants"]) == [variant.name for variant in module_variants(planned)]
    assert 0 <= written["forced_routing_moves"]["value"] <= 1
    assert math.isfinite(result.conflict_local_similarity.value)
    report = (tmp_path / "modules.md").read_text()
    assert "| text_only |" in report
    assert set(written["differences_from_both"]) == set(written["variants"]) - {"both"}
    for name, metrics in written["differences_from_both"].items():
        ours, theirs = (written["variants"][each]["normalised_similarity"]["value"] for each in (name, "both"))
        assert metrics["normalised_similarity"]["value"] == pytest.approx(ours - theirs, abs=2e-5), name
    assert len(result.to_summary().splitlines()) == len(written["variants"]) + 3
    whole = (tmp_path / "cases" / "whole" / "0000.json").stat().st_mtime_ns
    run(pipeline, judge, tmp_path, num_cases=1, metrics=["normalised_similarity"], settings=planned)
    assert (tmp_path / "cases" / "whole" / "0000.json").stat().st_mtime_ns == whole  # shared, not made again


def test_what_an_evaluation_writes_can_be_compared(pipeline, judge, tmp_path):
    """The numbers of each case average to the metrics, and a result does not differ from itself."""
    options = {"num_cases": 2, "num_distractors": 4}
    result = evaluate_model(pipeline, judge, tmp_path / "a", settings=SETTINGS, **options)
    other = dataclasses.replace(SETTINGS, face_scale=3.0)
    evaluate_model(pipeline, judge, tmp_path / "b", settings=other, **options)
    compared = compare_results(tmp_path / "a", tmp_path / "b")
    names = {each.name for each in compared.metrics}
    assert {"normalised_similarity", "right_person_rate", "router_accuracy", "text_relevance_action"} <= names
    assert not {"judge_frechet_distance", "motion_amount", "variety"} & names  # no means over cases
    for each in compared.metrics:
        assert each.first == pytest.approx(result.metrics[each.name].value, abs=2e-5), each.name
    with_itself = compare_results(tmp_path / "a", tmp_path / "a")
    assert {each.difference.value for each in with_itself.metrics} == {0.0}
    assert {each.verdict for each in with_itself.metrics} == {"undecided"}


def test_tokens_are_assigned_in_columns():
    left_right = assign_tokens("left_right", (3, 2, 6), num_people=2, seed=0)
    assert left_right.shape == (3, 2, 6)
    assert left_right[1, 1].tolist() == [0, 0, 0, 1, 1, 1]
    assert assign_tokens("right_left", (3, 2, 6), num_people=3, seed=0)[0, 0].tolist() == [2, 2, 1, 1, 0, 0]
    random = assign_tokens("random", (3, 20, 20), num_people=2, seed=1)
    assert 0.45 < random.float().mean() < 0.55
    assert (random == assign_tokens("random", (3, 20, 20), num_people=2, seed=1)).all()


def at(*horizontal: float | None) -> ClipAssessment:
    people = tuple(
        PersonAssessment(found=centre is not None, similarity=0.5, centre=None if centre is None else (centre, 0.5))
        for centre in horizontal
    )
    return ClipAssessment(people=people, num_tracks=2, greedy_minimum=0.5, blended=False, doubled=False)


def test_forced_routing_moves_people_only_if_both_sides_obey():
    left_right = [at(0.2, 0.8), at(0.2, 0.8), at(0.8, 0.2), at(0.2, None), at(0.3, 0.7)]
    right_left = [at(0.8, 0.2), at(0.2, 0.8), at(0.8, 0.2), at(0.8, 0.2), at(0.6, 0.4)]
    assert forced_routing_moves(left_right, right_left).value == pytest.approx(2 / 5)


def test_balanced_recall_weighs_people_not_tokens():
    targets = np.array([0, 0, 0, 0, 1, -1, -1])
    assert balanced_recall(targets.clip(0), targets, num_identities=2) == 1.0
    assert balanced_recall(np.zeros(7, dtype=np.int64), targets, num_identities=2) == 0.5
    assert balanced_recall(1 - targets.clip(0), targets, num_identities=2) == 0.0
    # A permutation of the identities, in what is chosen and in what is shown, changes nothing.
    chosen = np.array([0, 1, 0, 2, 1, 2, 0])
    order = np.array([2, 0, 1])
    permuted = np.where(targets < 0, -1, order[targets])
    assert balanced_recall(order[chosen], permuted, num_identities=3) == balanced_recall(
        chosen, targets, num_identities=3
    )


def test_a_clip_in_which_no_face_covers_a_token_has_no_recall(pipeline):
    case = make_cases(1)[0]
    people = pipeline.extract_identities({str(index): photo.image for index, photo in enumerate(case.portraits())})
    scene = render_scene(case.scene(), height=32, width=40, num_frames=9)
    seen = probe_router(pipeline, people, scene, seed=0, timesteps=(100, 500))
    assert np.shape(seen.balanced_recall) == (2, 2)
    hidden = dataclasses.replace(scene, face_masks=np.zeros_like(scene.face_masks))
    assert probe_router(pipeline, people, hidden, seed=0, timesteps=(100, 500)) == dataclasses.replace(
        seen, balanced_recall=()
    )


def test_a_router_is_probed_under_noise_that_frames_share_as_it_was_trained(pipeline, monkeypatch):
    transformer = make_transformer(noise_sharing=1.0).eval()
    monkeypatch.setattr(pipeline, "transformer", transformer)
    case = make_cases(1)[0]
    people = pipeline.extract_identities({str(index): photo.image for index, photo in enumerate(case.portraits())})
    scene = render_scene(case.scene(), height=32, width=40, num_frames=9)
    given: list[torch.Tensor] = []
    transformer.register_forward_hook(
        lambda module, args, kwargs, output: given.append(kwargs["hidden_states"]), with_kwargs=True
    )
    for seed in (0, 1):
        probe_router(pipeline, people, scene, seed=seed, timesteps=(500,))
    between = (given[0] - given[1])[0, :, : given[0].shape[2] // 2]  # of two noises on one clip
    assert between.abs().mean() > 0.1
    torch.testing.assert_close(between, between[:1].expand_as(between), atol=1e-4, rtol=0)


def test_frames_of_a_temporal_patch_are_judged_as_made_together(pipeline, monkeypatch):
    (case,) = PipelineSource(pipeline, make_cases(1), settings=SETTINGS).cases
    ratio = pipeline.geometry.temporal_ratio
    assert case.temporal_ratio == ratio
    monkeypatch.setattr(pipeline, "transformer", make_transformer(patch_size_t=2))
    (case,) = PipelineSource(pipeline, make_cases(1), settings=SETTINGS).cases
    assert case.temporal_ratio == 2 * ratio


def test_a_router_of_temporal_patches_is_probed_in_padded_latents(pipeline, monkeypatch):
    """Three latent frames are four with a copy of the first in front, as in a video: two frames of tokens."""
    transformer = make_transformer(patch_size_t=2).eval()
    monkeypatch.setattr(pipeline, "transformer", transformer)
    case = make_cases(1)[0]
    people = pipeline.extract_identities({str(index): photo.image for index, photo in enumerate(case.portraits())})
    scene = render_scene(case.scene(), height=32, width=40, num_frames=9)
    given: list[torch.Tensor] = []
    hook = transformer.register_forward_hook(
        lambda module, args, kwargs, output: given.append(kwargs["hidden_states"]), with_kwargs=True
    )
    seen = probe_router(pipeline, people, scene, seed=0, timesteps=(100, 500))
    hook.remove()
    channels = given[0].shape[2] // 2
    canvas = given[0][:, :, channels:]
    assert given[0].shape[1] == 4
    assert torch.equal(canvas[:, 1], canvas[:, 0])
    assert not canvas[:, 2:].any()
    assert np.shape(seen.balanced_recall) == (2, 2)


def test_a_router_that_goes_by_the_order_of_the_people_has_no_merit(pipeline, monkeypatch):
    """The first person of a case stands left: tokens of the left half go to whoever is first in the probe's order."""
    case = make_cases(1)[0]
    people = pipeline.extract_identities({str(index): photo.image for index, photo in enumerate(case.portraits())})
    scene = render_scene(case.scene(), height=32, width=40, num_frames=9)
    masks = np.zeros_like(scene.face_masks)
    masks[:, 0, :, :16], masks[:, 1, :, 24:] = True, True
    scene = dataclasses.replace(scene, face_masks=masks)
    given: list[torch.Tensor] = []
    prepare = pipeline.transformer.prepare_identities

    def listen(id_embeds, *rest):
        given.append(id_embeds)
        return prepare(id_embeds, *rest)

    monkeypatch.setattr(pipeline.transformer, "prepare_identities", listen)

    def route_by_order(module, inputs, output):
        grid = pipeline.geometry.token_grid(VideoShape(height=32, width=40, num_frames=9))
        is_right = torch.arange(grid[2]) >= grid[2] / 2
        by_order = torch.stack([~is_right, is_right], dim=-1).float().repeat(grid[0] * grid[1], 1)
        output.routing_logits = tuple(by_order.expand(len(logits), -1, -1) for logits in output.routing_logits)
        return output

    hook = pipeline.transformer.register_forward_hook(route_by_order)
    try:
        recalls = {}
        for seed in range(6):
            recalls[seed] = np.mean(probe_router(pipeline, people, scene, seed=seed).balanced_recall)
            is_straight = torch.equal(given[-1][0].cpu(), people.id_embeds)
            assert is_straight or torch.equal(given[-1][0].cpu(), people.id_embeds.flip(0))
            assert recalls[seed] == float(is_straight)  # right by luck, or wrong throughout
    finally:
        hook.remove()
    assert set(recalls.values()) == {0.0, 1.0}


def test_the_canvas_alone_is_shown_to_a_model_whose_faces_are_joined_after_the_vae():
    portraits = make_cases(1)[0].portraits()
    made = {}
    for placement in ("before", "after"):
        pipeline = make_pipeline(face_encoder=make_seeing_face_stack(), canvas_placement=placement)
        people = pipeline.extract_identities({str(index): photo.image for index, photo in enumerate(portraits)})
        request = VideoRequest(prompt="Two people wave.", seed=1, canvas_people=people, local_people=people)
        for variant in (GLOBAL_ONLY, BOTH):
            (made[placement, variant.name],) = generate_videos(pipeline, [request], parts=variant, settings=SETTINGS)
    assert len({video.tobytes() for video in made.values()}) == 4
