"""What the pages say of files and names is true: links lead somewhere, and tables name what is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "comfyui/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = (ROOT / "src/ingredients", ROOT)


def anchors(page: Path) -> set[str]:
    """As the common renderers make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_are_named_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:\w+/)+\w+\.py)\b", page.read_text()):
        assert any((folder / name).is_file() for folder in FOLDERS), f"{page.name} names {name}"


def test_modules_that_the_code_names_are_there() -> None:
    package = ROOT / "src/ingredients"
    for path in package.rglob("*.py"):
        for name in re.findall(r"`((?:\w+/)*\w+\.py)\b", path.read_text()):
            assert any((folder / name).is_file() for folder in (path.parent, *FOLDERS)), f"{path} names {name}"


def test_the_table_of_equations_names_what_is_defined() -> None:
    """A name behind a file is a class, a function or a method of it; one in backquotes alone is of the file before."""
    table = (ROOT / "docs/README.md").read_text().partition("## From equations to files")[2]
    num_names = 0
    for line in table.splitlines():
        defined: set[str] = set()
        for quoted in re.findall(r"`([^`]+)`", line.split(" | ")[-1]):
            path, _, name = quoted.rpartition(": ") if ": " in quoted else ("", "", quoted)
            if path or quoted.endswith(".py"):
                tree = ast.parse((ROOT / "src/ingredients" / (path or quoted)).read_text())
                defined = set(definitions(tree))
            if not quoted.endswith((".py", "/")) and defined:
                assert name in defined, f"{line} names {name}"
                num_names += 1
    assert num_names > 15


def definitions(tree: ast.AST, prefix: str = "") -> list[str]:
    names = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(prefix + node.name)
            names += definitions(node, f"{prefix}{node.name}.")
    return names


def test_the_first_page_is_short_and_has_a_line_for_each_folder() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 120
    tree = lines[lines.index("## The tree") :]
    named = [name for line in tree for name in re.findall(r"^\| `(\w+)` \|", line)]
    folders = {path.name for path in (ROOT / "src/ingredients").iterdir() if path.is_dir()} - {"__pycache__"}
    assert len(named) == len(set(named))
    assert set(named) == folders
