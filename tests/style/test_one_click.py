"""The dev container and the cell for Colab name what the project has; neither can be run here."""

import json
import re

from helpers.java import MINIMUM
from local_cloud import tools
from local_cloud.state import PORTS
from tests.style.notebook_rules import ROOT
from tests.style.test_project import packages, targets

FOLDER = ROOT / ".devcontainer"
CONTAINER = json.loads((FOLDER / "devcontainer.json").read_text(encoding="utf-8"))
JUPYTER = "8888"
NOTEBOOKS_ALONE = {"ipykernel", "jupyterlab", "nbval"}  # Colab has its own, and its page needs that one


def cell() -> list[str]:
    """The lines of the cell for Colab."""
    found = re.search(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1].splitlines()


def test_every_port_of_the_cloud_has_its_name() -> None:
    assert set(CONTAINER["portsAttributes"]) == {*map(str, PORTS.values()), JUPYTER}
    labels = [port["label"] for port in CONTAINER["portsAttributes"].values()]
    assert len(set(labels)) == len(labels)


def test_the_container_has_the_pinned_python_and_java() -> None:
    assert re.search(r"/python:\d+\.\d+-3\.11-", CONTAINER["image"])
    [java] = [value for name, value in CONTAINER["features"].items() if "/java:" in name]
    assert java["version"] == f"{MINIMUM}"


def test_the_set_up_is_the_step_that_is_kept() -> None:
    assert CONTAINER["updateContentCommand"].removeprefix("make ") in targets()


def test_the_cell_leaves_out_the_notebooks_own_packages_alone() -> None:
    [line] = [line for line in cell() if "requirements.txt >" in line]
    pattern = re.search(r'"(.*)"', line)
    assert pattern
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    left_out = [one for one in lines if re.search(pattern[1], one)]
    assert (
        {one.partition("==")[0] for one in left_out}
        == NOTEBOOKS_ALONE
        <= set(packages(ROOT / "requirements.txt"))
    )


def test_the_cell_fetches_the_jars_and_names_the_samples() -> None:
    [command] = [line for line in cell() if "local_cloud.tools" in line]
    assert command.split()[-1] in tools.JARS
    [setting] = [line for line in cell() if line.startswith("%env RAW_PATH=")]
    assert (ROOT / setting.partition("=")[2] / "pin").is_dir()
