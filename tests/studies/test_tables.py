from typing import Any

import pytest

from ingredients.studies.comparison import ModelResult, paired_difference
from ingredients.studies.tables import TABLE_3, TABLES, seeds_markdown, table_markdown, verdict_lines


def result(name: str, *seeds: list[float], **metrics: float) -> ModelResult:
    def of_seed(similarities: list[float]) -> dict[str, Any]:
        mean = sum(similarities) / len(similarities)
        return {
            "num_cases": len(similarities),
            "cases": [{"people": [{"similarity": each - 0.1}, {"similarity": each + 0.1}]} for each in similarities],
            "normalised_similarity": {"value": mean, "low": mean - 0.1, "high": mean + 0.2},
            **{key: {"value": value, "low": value, "high": value} for key, value in metrics.items()},
        }

    return ModelResult(name=name, seeds=tuple(of_seed(similarities) for similarities in seeds))


def test_a_metric_is_the_mean_over_seeds() -> None:
    model = result("full", [0.4, 0.6], [0.6, 0.8], router_accuracy=0.9)
    estimate = model.metric("normalised_similarity")
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.6, 0.5, 0.8))
    assert model.of_seeds("normalised_similarity") == pytest.approx([0.5, 0.7])
    assert model.metric("nothing") is None
    assert model.similarities().tolist() == pytest.approx([0.5, 0.7])


def test_models_are_compared_case_by_case() -> None:
    better, worse = result("full", [0.9, 0.5, 0.7, 0.8]), result("mse", [0.7, 0.4, 0.5, 0.6])
    difference = paired_difference(better, worse)
    assert difference.value == pytest.approx(0.175)
    assert difference.low > 0  # although the cases differ more than the models
    assert paired_difference(better, result("mse", [0.7, 0.4])).value == pytest.approx(0.15)
    twice = result("full", [0.9, 0.5, 0.7, 0.8], [0.1, 0.1, 0.1, 0.1])  # a seed that the other lacks does not count
    assert paired_difference(twice, worse).value == pytest.approx(0.175)


def test_verdicts_count_the_seeds() -> None:
    """Cross-entropy less MSE by seed is 0.02, 0.01 and 0.00, in every case alike: cases alone would be certain."""
    full = result("full", *([0.5 + shift + case for case in (0.0, 0.1, 0.2)] for shift in (0.02, 0.01, 0.0)))
    mse = result("mse", *([0.5 + case for case in (0.0, 0.1, 0.2)] for _ in range(3)))
    difference = paired_difference(full, mse)
    half = 4.302653 * 0.01 / 3**0.5  # Student's t with two degrees of freedom
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.01, 0.01 - half, 0.01 + half))
    (line,) = verdict_lines(TABLE_3, {"full": full, "mse": mse})
    assert "in similarity over 3 cases and 3 seeds, undecided" in line


def test_the_verdict_says_whether_the_papers_order_holds() -> None:
    results = {
        "full": result("full", [0.9, 0.8, 0.9]),
        "mse": result("mse", [0.5, 0.4, 0.6]),
        "no_loss": result("no_loss", [0.6, 0.3, 0.6]),
    }
    lines = verdict_lines(TABLE_3, results)
    assert len(lines) == 3
    assert lines[0].startswith("- cross-entropy against mean squared error: +0.367")
    assert lines[0].endswith("in similarity over 3 cases and 1 seed, as in the paper.")
    assert lines[1].endswith("undecided: the interval holds 0.")
    assert verdict_lines(TABLE_3, {"full": results["mse"], "mse": results["full"]})[0].endswith("other way round.")


def test_a_table_stands_beside_the_papers_numbers_and_leaves_out_what_was_not_run() -> None:
    text = table_markdown(TABLE_3, {"full": result("full", [0.9, 0.8]), "mse": result("mse", [0.5, 0.4], [0.3, 0.4])})
    assert "no routing loss" not in text
    assert "| mean squared error | - | - | - | 0.400 (0.300 to 0.600) |" in text
    assert "| 72.5 | - | - | 2 x 2 |" in text
    assert "| 77.1 | 26.7 | 106.3 | 2 x 1 |" in text


def test_seeds_are_told_apart() -> None:
    text = seeds_markdown([result("full", [0.9], [0.7]), result("mse", [0.5])])
    assert text.splitlines()[-1] == "| full | 0.900 | 0.700 |"
    assert seeds_markdown([result("mse", [0.5])]) == ""


def test_every_model_of_a_table_exists() -> None:
    from ingredients.studies.variants import VARIANTS

    known = {variant.name for variant in VARIANTS} | {"text_only", "textual_inversion", "lora"}
    for table in TABLES.values():
        assert {row.model for row in table.rows} <= known
        assert {name for pair in table.better for name in pair} <= {row.model for row in table.rows}


def test_the_claims_about_routing_are_read_off_the_recalls_case_by_case() -> None:
    import numpy as np

    from ingredients.studies.routing_claims import claims_of_section_4_4

    cases = np.linspace(-0.05, 0.05, 5)[:, None, None]
    clear = np.array([[0.6] * 7, [0.7] * 7, [0.9] * 7]) + cases
    vague = np.full((3, 7), 0.6) + cases
    first, second = claims_of_section_4_4(clear, vague)
    assert "0.73 with it and 0.60 without, +0.13 (+0.13 to +0.13): so here" in first
    assert "0.60 in the first block and 0.90 in the last, +0.30 (+0.30 to +0.30): so here" in second
    first, second = claims_of_section_4_4(vague, clear)
    assert "-0.13 (-0.13 to -0.13): the other way round here" in first
    assert "+0.00 (+0.00 to +0.00): undecided" in second
