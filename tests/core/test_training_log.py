from pathlib import Path

import pytest

from ingredients.core.json_yaml import BadFileError
from ingredients.core.training_log import read_metrics_file, read_training_log


def test_half_a_last_line_is_left_out_and_any_other_named(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": null, "precision": "no"}\n{"step": 3, "lo')
    assert list(read_training_log(log)) == [(1, {"loss": 0.5}), (2, {"precision": "no"})]
    for line, complaint in (
        ('{"step": 3, "lo', "line 3, column|line 1, column"),
        ('{"step": 3, "loss": NaN}', "it holds NaN"),
        ('{"step": 3, "loss": [1]}', "'loss' must be a number or a text, not a list of 1"),
        ('{"step": 2.5, "loss": 1}', "its step must be a whole number, not 2.5"),
        ('{"step": true, "loss": 1}', "'step' must be a number"),
        ("[" * 5000, "within each other"),
        ("7", "must hold names and numbers, not 7"),
    ):
        log.write_text(f'{{"step": 1, "loss": 0.5}}\n{{"step": 2}}\n{line}\n')
        with pytest.raises(
            BadFileError, match=rf"log\.jsonl cannot be read: it is no training log \(line 3: .*({complaint})"
        ):
            list(read_training_log(log))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("[]", "not an empty list"), ('{"loss": {}}', "'loss' must be"), ("{", "line 1, column 2"), ("", "line 1")],
)
def test_damaged_metrics_are_named(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(BadFileError, match=rf"metrics\.json is damaged \(.*{complaint}"):
        read_metrics_file(path)
