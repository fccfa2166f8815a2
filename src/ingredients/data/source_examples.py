"""The clips of a data set as work for an encoder: each checked and read when its turn comes."""

from collections.abc import Iterator

from ingredients.core.errors import UserInputError
from ingredients.core.protocols import FaceDetector
from ingredients.data.clip_check import check_item
from ingredients.data.clip_example import ClipExample
from ingredients.data.clip_source import ClipItem, ClipSource
from ingredients.data.encode_data_set import ReadExample
from ingredients.data.folder_examples import ReadingConfig, read_example
from ingredients.data.record_json import BadRecordError


def source_examples(
    source: ClipSource, config: ReadingConfig, *, detector: FaceDetector | None
) -> Iterator[tuple[str, ReadExample]]:
    """Each clip's name, and what reads it.

    Args:
        source: the data set.
        config: lengths and sizes.
        detector: finds the faces of photos; None leaves photos out.
    """
    for where, record in source:
        name = where if isinstance(record, BadRecordError) else record.clip_id

        def read(item: ClipItem = (where, record)) -> ClipExample:
            return _read(source, item, config, detector)

        yield name, read


def _read(source: ClipSource, item: ClipItem, config: ReadingConfig, detector: FaceDetector | None) -> ClipExample:
    where, record = item
    fatal = [found.problem for found in check_item(source, where, record) if found.is_fatal]
    if isinstance(record, BadRecordError) or fatal:
        raise UserInputError(" ".join(fatal))
    return read_example(record, config, detector=detector)
