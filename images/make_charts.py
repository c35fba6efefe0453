"""Copy two charts of lesson 10 from its committed outputs: `python -m images.make_charts`."""

import base64
import json
from pathlib import Path

HERE = Path(__file__).parent
LESSON = HERE.parent / "notebooks" / "10_answer_questions.ipynb"
CHARTS = ("posts_by_year.png", "followers_by_age.png")  # in the order of the lesson


def charts() -> dict[str, bytes]:
    """File name -> PNG, as the lesson shows them."""
    cells = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    pictures = [base64.b64decode(one["image/png"]) for one in data if "image/png" in one]
    return dict(zip(CHARTS, pictures, strict=False))


def main() -> None:
    """Write the pictures beside this program."""
    for name, picture in charts().items():
        (HERE / name).write_bytes(picture)


if __name__ == "__main__":
    main()
