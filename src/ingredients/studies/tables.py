"""The paper's three tables, as measured in the drawn world, beside the paper's numbers."""

import dataclasses
from collections.abc import Mapping, Sequence

from ingredients.core.markdown import markdown_table
from ingredients.evaluation.statistics import Estimate
from ingredients.studies.comparison import ModelResult, paired_difference


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PaperNumbers:
    """What the paper reports; None where it gives no number that we know."""

    face_similarity: float | None = None
    """Face Sim, per cent."""

    text_relevance: float | None = None
    """CLIP-T, per cent."""

    fid: float | None = None
    """FID of face regions."""


@dataclasses.dataclass(frozen=True, slots=True)
class TableRow:
    """A model in a table."""

    model: str
    """Its key in the results."""

    label: str
    """What the table calls it."""

    paper: PaperNumbers = dataclasses.field(default_factory=PaperNumbers)
    """What the paper says of it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """A table."""

    name: str
    """Name of the command: table1, table2, table3."""

    title: str
    """What it shows."""

    rows: tuple[TableRow, ...]
    """The rows, in the paper's order."""

    better: tuple[tuple[str, str], ...]
    """Pairs (better, worse) by the paper's face similarity, or by its words."""

    note: str = ""
    """What a reader should know."""


_FULL = PaperNumbers(face_similarity=77.1, text_relevance=26.7, fid=106.3)

TABLE_1 = PaperTable(
    name="table1",
    title="Table 1: the method and its baselines",
    rows=(
        TableRow("text_only", "base by text alone (CogVideoX)"),
        TableRow("textual_inversion", "textual inversion, tuned for each pair"),
        TableRow("lora", "LoRA, tuned for each pair"),
        TableRow("full", "Ingredients", _FULL),
    ),
    better=(("full", "lora"), ("full", "textual_inversion"), ("full", "text_only")),
    note="Of the baselines we know the paper's words (4.2: those that are tuned for each pair struggle to keep people "
    "apart), not its numbers.",
)
TABLE_2 = PaperTable(
    name="table2",
    title="Table 2: initialisation, canvas, routing supervision",
    rows=(
        TableRow("t2v", "T2V, masks, before the VAE", PaperNumbers(face_similarity=58.1, text_relevance=26.5)),
        TableRow(
            "after", "I2V, masks, after the VAE", PaperNumbers(face_similarity=65.5, text_relevance=25.9, fid=119.2)
        ),
        TableRow("i2v", "I2V, masks, before the VAE", _FULL),
        TableRow(
            "box", "boxes, aligned as shipped", PaperNumbers(face_similarity=74.3, text_relevance=26.7, fid=110.4)
        ),
        TableRow("full", "masks, aligned as shipped", _FULL),
    ),
    better=(("i2v", "t2v"), ("i2v", "after"), ("full", "box")),
    note="The first three rows have short alignments of their own, the last two start from the one inside the model "
    "that ships: rows of one kind compare with each other. The paper's full method stands beside either kind.",
)
TABLE_3 = PaperTable(
    name="table3",
    title="Table 3: routing loss",
    rows=(
        TableRow("no_loss", "no routing loss", PaperNumbers(face_similarity=62.2)),
        TableRow("mse", "mean squared error", PaperNumbers(face_similarity=72.5)),
        TableRow("full", "cross-entropy", _FULL),
    ),
    better=(("full", "mse"), ("mse", "no_loss"), ("full", "no_loss")),
)
TABLE_LAMBDA = PaperTable(
    name="lambda",
    title="Lambda of Eq. 5, which the paper does not give",
    rows=(
        TableRow("lambda_0.01", "0.01"),
        TableRow("full", "0.1"),
        TableRow("lambda_1", "1"),
    ),
    better=(),
)
TABLE_REFERENCES = PaperTable(
    name="references",
    title="Reference faces from the same clip, as in the paper, or from other photos",
    rows=(
        TableRow("same_clip", "a frame of the same clip"),
        TableRow("i2v", "other photos"),
    ),
    better=(),
)
TABLE_SCALES = PaperTable(
    name="scales",
    title="Multi-scale features of the recognition backbone (3.2), or of the image encoder alone, as published",
    rows=(
        TableRow("recognition_maps", "both"),
        TableRow("i2v", "the image encoder's"),
    ),
    better=(),
)
TABLES = {table.name: table for table in (TABLE_1, TABLE_2, TABLE_3, TABLE_LAMBDA, TABLE_REFERENCES, TABLE_SCALES)}

_COLUMNS = (
    ("paper_face_similarity", "Face Sim, %", 100.0),
    ("dual_encoder_text", "text, %", 100.0),
    ("judge_frechet_distance", "Frechet", 1.0),
    ("normalised_similarity", "similarity", 1.0),
    ("right_person_rate", "right person, %", 100.0),
    ("all_present_rate", "all present, %", 100.0),
    ("router_accuracy", "router, %", 100.0),
    ("copy_paste", "copy-paste", 1.0),
)


def table_markdown(table: PaperTable, results: Mapping[str, ModelResult]) -> str:
    """A table with intervals, the paper's numbers beside ours; models that were not run have no row."""
    header = ["", *(f"{label}" for _, label, _ in _COLUMNS), "paper: Face Sim", "CLIP-T", "FID", "cases x seeds"]
    rows = []
    for row in table.rows:
        result = results.get(row.model)
        if result is None:
            continue
        paper = (row.paper.face_similarity, row.paper.text_relevance, row.paper.fid)
        rows.append(
            [
                row.label,
                *(_cell(result.metric(metric), scale) for metric, _, scale in _COLUMNS),
                *("-" if number is None else f"{number:g}" for number in paper),
                f"{result.num_cases} x {len(result.seeds)}",
            ]
        )
    parts = [f"## {table.title}", *([table.note] if table.note else []), markdown_table(header, rows)]
    if verdicts := verdict_lines(table, results):
        parts.append("\n".join(verdicts))
    return "\n\n".join(parts)


def verdict_lines(table: PaperTable, results: Mapping[str, ModelResult]) -> list[str]:
    """For each pair that the paper orders, whether the order holds here, by the difference case by case."""
    labels = {row.model: row.label for row in table.rows}
    lines = []
    for better, worse in table.better:
        if better in results and worse in results:
            difference = paired_difference(results[better], results[worse])
            lines.append(
                f"- {labels[better]} against {labels[worse]}: {difference.value:+.3f} "
                f"({difference.low:+.3f} to {difference.high:+.3f}) in similarity over "
                f"{_counted(difference.num_cases, 'case')} and {_counted(difference.num_seeds, 'seed')}, "
                f"{_verdict(difference)}."
            )
    return lines


def seeds_markdown(results: Sequence[ModelResult]) -> str:
    """The similarity of each seed, for models with several."""
    rows = [
        [result.name, *(f"{value:.3f}" for value in result.of_seeds("normalised_similarity"))]
        for result in results
        if len(result.seeds) > 1
    ]
    width = max((len(row) for row in rows), default=0)
    header = ["similarity by seed", *(str(seed) for seed in range(width - 1))]
    return markdown_table(header, [row + ["-"] * (width - len(row)) for row in rows]) if rows else ""


def _verdict(difference: Estimate) -> str:
    if difference.low > 0:
        return "as in the paper"
    if difference.high < 0:
        return "the other way round"
    return "undecided: the interval holds 0"


def _counted(number: int | None, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cell(estimate: Estimate | None, scale: float) -> str:
    if estimate is None:
        return "-"
    digits = 1 if scale == 100 else 3
    value, low, high = (number * scale for number in (estimate.value, estimate.low, estimate.high))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
