"""What the server and its workers note, for whoever runs them."""

import logging

from ingredients.core.printable import printable_lines


def log_to_standard_error() -> None:
    """Has what the server notes go to standard error, a line each with the time, fit for a terminal."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PrintableFormatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a line for each broken form says nothing new
    for name, level in (("ingredients", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))
