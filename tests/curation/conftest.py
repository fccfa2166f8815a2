from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def undisturbed(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of a module's films, made without a disturbance."""
    from tests.curation.test_engine import run

    folder = tmp_path_factory.mktemp("undisturbed")
    run(films, folder)
    return folder
