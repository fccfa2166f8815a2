"""JSON that is written never holds NaN or Infinity, which no other reader takes: every place says so."""

import ast
from pathlib import Path

import ingredients

PACKAGE = Path(ingredients.__file__).parent


def test_no_place_writes_json_that_is_none() -> None:
    loose = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("dump", "dumps") and getattr(node.func.value, "id", "") == "json":
                strict = [word for word in node.keywords if word.arg == "allow_nan"]
                if not strict or getattr(strict[0].value, "value", True) is not False:
                    loose.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert not loose
