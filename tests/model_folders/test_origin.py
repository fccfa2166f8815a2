"""Where models are from, and under which terms."""

from pathlib import Path

import pytest

from ingredients.faces.face_stack_names import ANTELOPE_FOLDER
from ingredients.model_folders.find_model import default_model_path
from ingredients.model_folders.origin import (
    RESEARCH_ONLY,
    model_origin,
    read_card_metadata,
    terms_of_base,
    terms_of_faces,
)

PARTS = ["transformer", "vae", "text_encoder", "tokenizer"]


@pytest.mark.parametrize(
    ("model", "name", "repo_id", "known"),
    [
        (None, "small-world", None, "small-world"),
        ("small-world", "small-world", None, "small-world"),
        ("cogvideox-5b", "cogvideox-5b", "zai-org/CogVideoX-5b", "cogvideox-5b"),
        ("zai-org/CogVideoX-5b-I2V@v1", "zai-org/CogVideoX-5b-I2V", "zai-org/CogVideoX-5b-I2V", "cogvideox-5b-i2v"),
        ("someone/mine", "someone/mine", "someone/mine", None),
        ("../no/longer/here", "here", None, None),
    ],
)
def test_names(model: str | None, name: str, repo_id: str | None, known: str | None) -> None:
    origin = model_origin(model)
    assert origin.name == name
    assert (origin.hub_model.repo_id if origin.hub_model else None) == repo_id
    assert (origin.known.name if origin.known else None) == known


def test_a_folder_goes_by_its_name_even_if_the_hub_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "someone/mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for model in ("someone/mine", str(tmp_path / "someone/mine"), "someone/mine/."):
        origin = model_origin(model)
        assert origin.name == "mine"
        assert origin.hub_model is None
    assert model_origin(default_model_path()).is_small_world


def test_terms_of_what_is_known() -> None:
    (ours,) = terms_of_base(model_origin(None), PARTS)
    assert ours.terms == "Apache-2.0"
    cogvideox, t5 = terms_of_base(model_origin("cogvideox-5b"), PARTS)
    assert cogvideox.part == "`transformer/`, `vae/`"
    assert "CogVideoX licence" in cogvideox.terms
    assert (t5.part, t5.terms) == ("`text_encoder/`, `tokenizer/`", "Apache-2.0")
    published, _ = terms_of_base(model_origin("feizhengcong/Ingredients"), PARTS)
    assert "the paper's authors" in published.origin
    (unknown,) = terms_of_base(model_origin("someone/mine"), PARTS)
    assert unknown.terms == "those of `someone/mine`: see its page"


def test_photographs_are_read_by_networks_for_research_only(tmp_path: Path) -> None:
    (tmp_path / ANTELOPE_FOLDER).mkdir(parents=True)
    networks, tower = terms_of_faces(model_origin(None), tmp_path)
    assert (networks.origin, networks.terms) == ("InsightFace", RESEARCH_ONLY)
    assert tower.terms == "MIT"
    (drawn,) = terms_of_faces(model_origin(None), default_model_path() / "face_encoder")
    assert drawn.terms == "Apache-2.0"


def test_a_card_may_say_its_licence(tmp_path: Path) -> None:
    assert read_card_metadata(default_model_path())["license"] == "apache-2.0"
    assert read_card_metadata(tmp_path) == {}
    for text in ("# mine", "---\nlicense: [\n---\n", "---\nlicense: mit\n", "---\n- 1\n---\n"):
        (tmp_path / "README.md").write_text(text)
        assert read_card_metadata(tmp_path) == {}
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_link: LICENSE\n---\n---\nno: more\n")
    assert read_card_metadata(tmp_path) == {"license": "other", "license_link": "LICENSE"}
