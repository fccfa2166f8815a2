"""Who is meant by a name in a prompt, and what the text encoder reads in its place."""

import warnings
from typing import Any

import pytest
import torch
from transformers import T5Tokenizer

from ingredients.core.errors import ArgumentError, PromptError
from ingredients.faces.identity_photos import IdentityPhotos
from ingredients.pipelines.inputs import Branches
from ingredients.pipelines.names import NamedPrompt, find_mentions, read_prompt, read_with_notes
from ingredients.pipelines.people import PeopleEmbeds, identity_photos
from ingredients.pipelines.pipeline_ingredients import IngredientsPipeline
from ingredients.pipelines.prompts import PromptWarning
from tests.pipelines.stand_ins import TEXT_TOKENS, make_photo, make_pipeline, make_seeing_face_stack

PLACES = "the person on left right in middle"
NAMES = ("ana", "Ben", "Ana Maria")


def tokenizer_of(words: str) -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    return T5Tokenizer(vocab=special + [(f"\u2581{word}", -2.0) for word in words.split()], extra_ids=0)


def read(
    prompt: str, words: str, *names: str, order: list[int] | None = None, binds: bool = False, planned: bool = True
) -> NamedPrompt:
    return read_prompt(
        tokenizer_of(words),
        prompt,
        names,
        left_to_right=order or list(range(len(names))),
        binds_words=binds,
        is_planned=planned,
    )


def test_notes_are_of_what_is_read_and_not_of_what_was_written() -> None:
    """A name that is read as another word is no unknown word."""

    def notes(prompt: str, *names: str, length: int = 20) -> list[str]:
        return read_with_notes(
            tokenizer_of("Two people The the person on left right waves"),
            prompt,
            names,
            left_to_right=range(len(names)),
            binds_words=False,
            is_planned=True,
            max_sequence_length=length,
        )[1]

    (names,) = notes("Ana waves, Ben waves", "Ana", "Ben")
    assert names.startswith("This model does not know whose name is whose: it reads")
    assert "'yodels'" in notes("Ana yodels, Ben waves", "Ana", "Ben")[1]
    assert "some of the 2 may be missing" in notes("Ana waves", "Ana", "Ben")[0]
    assert "this was cut" in notes("Two people waves on the left", length=4)[0]
    assert notes("Two people waves") == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("@ana waves to Ben.", [("@ana", 0), ("Ben", 1)]),
        ("ANA and ben's dog", [("ANA", 0), ("ben", 1)]),
        ("Ana Maria, then @ana maria and Ana", [("Ana Maria", 2), ("@ana maria", 2), ("Ana", 0)]),
        ("Susana waves bento Ana-Lena", []),
        ("The ana waves, her ben too, but not @ben", [("@ben", 1)]),
    ],
)
def test_whole_words_in_capitals_or_not_are_names(prompt: str, expected: list[tuple[str, int]]) -> None:
    found = find_mentions(prompt, NAMES)
    assert [(prompt[mention.start : mention.end], mention.person) for mention in found] == expected


def test_words_for_people_in_general_are_names_only_behind_an_at() -> None:
    assert find_mentions("A man waves, man and person, on a beach", ("man", "person", "a", "on")) == []
    assert [mention.person for mention in find_mentions("@a waves to @person", ("person", "a"))] == [1, 0]


def test_an_at_before_nobodys_name_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(
        PromptError, match="speaks of @cleo, and no photo has that name; write @ana, @Ben or @Ana Maria"
    ):
        find_mentions("@ana waves to @cleo", NAMES)


def test_a_model_that_binds_words_keeps_the_names_that_its_text_encoder_knows() -> None:
    prompt = read("@ana waves to ben, ana!", "Ana Ben waves to", "ben", "ana", binds=True)
    assert prompt == NamedPrompt(text="Ana waves to Ben, Ana!", phrases=("Ben", "Ana"))


def test_an_unknown_name_takes_an_unused_one_that_the_text_encoder_knows() -> None:
    prompt = read("Xu waves to Yi and Ada", "Ana Ada Adam Alma waves to and", "yi", "xu", "ada", binds=True)
    assert (prompt.text, prompt.phrases) == ("Alma waves to Adam and Ada", ("Adam", "Alma", "Ada"))
    assert prompt.notice == "The text encoder does not know the names yi and xu: it reads Adam for yi and Alma for xu."


def test_people_whom_a_prompt_calls_by_place_are_bound_where_a_layout_puts_them() -> None:
    sentence = "Ana waves, the person on the right nods"
    bound = read(sentence, f"Ana {PLACES}", "ben", "ana", order=[1, 0], binds=True)
    assert bound.phrases == ("the person on the right", "Ana")
    free = read(sentence, f"Ana {PLACES}", "ben", "ana", order=[1, 0], binds=True, planned=False)
    assert free.phrases == (None, "Ana")


@pytest.mark.parametrize("binds", [False, True])
def test_names_become_places_where_words_are_not_bound(binds: bool) -> None:
    prompt = read("@ana waves to cy. Ben nods", PLACES, "ana", "ben", "cy", order=[2, 0, 1], binds=binds)
    ana, cy, ben = "the person in the middle", "the person on the left", "the person on the right"
    assert prompt.text == f"T{ana[1:]} waves to {cy}. T{ben[1:]} nods"
    assert prompt.phrases == ((ana, ben, cy) if binds else (None, None, None))
    assert prompt.needs_layout
    assert prompt.notice is not None
    assert f'"{ana}" for ana, "{ben}" for ben and "{cy}" for cy, and the layout puts them there.' in prompt.notice


def test_a_list_of_everybody_is_a_number_of_people() -> None:
    assert read("At night, Ana, cy and @ben wave", PLACES, "ana", "ben", "cy").text == "At night, three people wave"
    assert read("Ana and cy wave", PLACES, "ana", "ben", "cy").text.startswith("The person on the left and")


def test_a_text_encoder_without_words_for_places_reads_how_many_there_are() -> None:
    prompt = read("@ana waves to ben", "two people waves", "ana", "ben")
    assert prompt.text == "Two people waves to people"
    assert prompt.notice is not None
    assert prompt.notice.endswith("who does what is left to chance.")
    assert not prompt.needs_layout


def test_a_prompt_without_names_stays_as_it_is() -> None:
    assert read("Two people wave", PLACES, "ana", "ben") == NamedPrompt(text="Two people wave", phrases=(None, None))


@pytest.fixture(scope="module")
def binding() -> IngredientsPipeline:
    """Knows the names ana and ben, and binds words."""
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack(), id_phrases=True)
    words = ["Ana", "Ben", "waves", "to", "two", "people"]
    pipeline.tokenizer = tokenizer_of(" ".join(words))
    return pipeline


NO_CANVAS = Branches(use_canvas=False)
PEOPLE = {"ana": make_photo(1), "ben": make_photo(2)}


def latents(pipeline: IngredientsPipeline, prompt: str | list[str], **settings: object) -> torch.Tensor:
    call = {"num_inference_steps": 2, "generator": 7, "output_type": "latent", "branches": NO_CANVAS} | settings
    frames = pipeline(PEOPLE, prompt, **call).frames
    assert isinstance(frames, torch.Tensor)
    return frames


def test_the_words_of_a_name_hear_of_that_persons_photos_and_only_where_the_prompt_is_read(
    binding: IngredientsPipeline,
) -> None:
    given: list[torch.Tensor] = []
    hook = binding.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: given.append(kwargs["identity_features"].phrases), with_kwargs=True
    )
    prompts = ["@ben waves to Ana", "two people ana waves"]
    latents(binding, prompts, num_videos_per_prompt=2, guidance_scale=3.0, identity_guidance_scale=2.0)
    hook.remove()
    phrases = given[0]  # passes: nobody, people, everything, of four videos each
    assert phrases.shape == (12, TEXT_TOKENS, 32)
    assert not phrases[:8].any()
    heard = phrases[8:].abs().sum(dim=-1) > 0
    ben_waves, ana_waves = [[index in tokens for index in range(TEXT_TOKENS)] for tokens in ((0, 3), (2,))]
    assert heard.tolist() == [ben_waves, ben_waves, ana_waves, ana_waves]
    torch.testing.assert_close(phrases[8, 3], phrases[10, 2])  # ana, in either prompt
    assert not torch.allclose(phrases[8, 0], phrases[8, 3])


def test_who_is_called_what_matters_to_a_model_that_binds_words(binding: IngredientsPipeline) -> None:
    first, second = latents(binding, "@ana waves to @ben"), latents(binding, "@ben waves to @ana")
    assert not torch.allclose(first, second)
    exchanged = {"ben": PEOPLE["ana"], "ana": PEOPLE["ben"]}  # the photos in the same order by other names
    settings = {"num_inference_steps": 2, "generator": 7, "output_type": "latent", "branches": NO_CANVAS}
    frames = binding(exchanged, "@ana waves to @ben", **settings).frames
    assert not torch.allclose(frames, first)


def test_identities_may_have_names_and_each_prompt_others(binding: IngredientsPipeline) -> None:
    extracted = binding.extract_identities(PEOPLE)
    settings = {"num_inference_steps": 2, "output_type": "latent", "branches": NO_CANVAS, "layout_share": 0.0}
    prompts = ["Ana waves to Ben", "Ben waves to Ana"]

    def run(names: Any = None, *, id_mask: torch.Tensor | None = None, **changes: object) -> torch.Tensor:
        people = PeopleEmbeds(
            id_embeds=extracted.id_embeds,
            id_vit_hidden_states=extracted.id_vit_hidden_states,
            id_mask=id_mask,
            names=names,
        )
        frames = binding(people, prompts, generator=[7, 7], **settings, **changes).frames
        assert isinstance(frames, torch.Tensor)
        return frames

    named = run(names=["ana", "ben"])
    photos = binding(PEOPLE, prompts, generator=[7, 7], **settings).frames
    assert torch.equal(named, photos)
    exchanged = run(names=[("ana", "ben"), ("ben", "ana")])
    assert torch.equal(exchanged[0], named[0])
    assert not torch.allclose(exchanged[1], named[1])
    assert not torch.allclose(run()[0], named[0])
    for names, message in (
        (["ana"], "must be 2 for each prompt"),
        ([("ana", "ben")] * 3, "for 3 prompts, but there are 2"),
    ):
        with pytest.raises(ValueError, match=message):
            run(names=names)
    with pytest.raises(ValueError, match="go with id_embeds that are all real"):
        run(names=["ana", "ben"], id_mask=torch.tensor([True, False]))
    with pytest.raises(ValueError, match="places need the same people in all videos"):
        run(names=[("ana", "ben"), ("ben", "ana")], places={"ana": "left"})


def test_embeddings_without_an_axis_for_people_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"not the shape \(12,\); of one person, give id_embeds\[None\]"):
        PeopleEmbeds(id_embeds=torch.zeros(12), id_vit_hidden_states=[torch.zeros(4, 3)] * 5, names=["ana"])


@pytest.mark.parametrize("names", ["ana", [1, 2], [("ana", 2)]])
def test_names_that_are_none_are_refused(names: Any) -> None:
    with pytest.raises(ArgumentError, match="names must be a list of names"):
        PeopleEmbeds(id_embeds=torch.zeros(2, 12), id_vit_hidden_states=[torch.zeros(2, 4, 3)] * 5, names=names)


@pytest.mark.parametrize("names", [["ana", "ana"], [("ben", "ana"), ("ana", "ana")]])
def test_two_people_of_one_name_are_refused(names: Any) -> None:
    with pytest.raises(ArgumentError, match="Two people are called ana; give one of them another name"):
        PeopleEmbeds(id_embeds=torch.zeros(2, 12), id_vit_hidden_states=[torch.zeros(2, 4, 3)] * 5, names=names)
    people = [IdentityPhotos(name="ana", images=[make_photo(seed)]) for seed in (1, 2)]
    with pytest.raises(ArgumentError, match="Two people are called ana"):
        identity_photos(people)


def test_names_in_a_model_that_binds_none_put_people_in_columns() -> None:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    pipeline.tokenizer = tokenizer_of(f"{PLACES} waves to and")
    steps: list[bool] = []
    pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: steps.append(kwargs["routing_indices"] is not None), with_kwargs=True
    )
    with pytest.warns(PromptWarning, match="does not know whose name is whose"):
        latents(pipeline, "@ana waves to @ben", num_inference_steps=4)
    assert steps == [True, True, False, False]  # 0.3 of four steps
    steps.clear()
    with pytest.warns(PromptWarning, match="nothing puts them there"):
        latents(pipeline, "@ana waves to @ben", num_inference_steps=4, layout_share=0.0)
    assert not any(steps)


def test_a_prompt_without_names_is_encoded_as_it_was_and_says_nothing() -> None:
    pipeline = make_pipeline(face_encoder=make_seeing_face_stack())
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        named = latents(pipeline, "two people wave")
    embeds, negative = pipeline.encode_prompt("two people wave")
    frames = pipeline(
        list(PEOPLE.values()),
        prompt_embeds=embeds,
        negative_prompt_embeds=negative,
        num_inference_steps=2,
        generator=7,
        output_type="latent",
        branches=NO_CANVAS,
    ).frames
    assert torch.equal(named, frames)
