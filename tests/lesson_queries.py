"""The SQL of lesson 10 as its cells have it, so that tests and benchmarks ask the very same questions."""

import ast
import json
from pathlib import Path

LESSON = Path(__file__).resolve().parents[1] / "notebooks" / "10_answer_questions.ipynb"
QUERIES = ("q1", "q2", "q2_top", "q3", "q3_country", "q4", "q5", "q6", "q7", "q8", "q9")
PIECES = ("AGE_GROUP", "PEOPLE")


def queries() -> dict[str, str]:
    """Name -> statement over the views pin, geo and users; KeyError when a cell lacks one."""
    cells = [cell for cell in json.loads(LESSON.read_text())["cells"] if cell["cell_type"] == "code"]
    found: dict[str, str] = {}
    for cell in cells:
        for statement in ast.parse("".join(cell["source"])).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                if name in QUERIES + PIECES:
                    code = compile(ast.Expression(statement.value), "10_answer_questions", "eval")
                    found[name] = eval(code, dict(found))
    return {name: found[name] for name in QUERIES}
