"""Pages of HTML from templates of ours: what others wrote is escaped, and a value that is missing is an error."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def html_page(template: Path, **values: Any) -> str:
    """A page.

    Args:
        template: file of the page, `.html.jinja`.
        values: what it shows, by the names that the template has for them.
    """
    pages = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return pages.get_template(template.name).render(**values)
