"""Take the picture of Airflow's own page in lesson 11: `python -m images.take_airflow_grid`.

Run it by hand, after the lesson, on the local cloud. It needs `chromium` on PATH, which nothing else does.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from PIL import Image

from helpers import config

PICTURE = Path(__file__).with_name("airflow_grid.png")
SIZE = (1500, 560)
RUN = "t1"  # the run that the lesson lets fail
COLOURS = 48
LOADING = 20_000  # ms of the browser's own clock for a page to load and draw


def browse(profile: str, url: str, *what: str) -> None:
    """Open one page in a browser without a window."""
    size = f"--window-size={SIZE[0]},{SIZE[1]}"
    quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size)
    where = (f"--user-data-dir={profile}", f"--virtual-time-budget={LOADING}")
    subprocess.run(["chromium", *quiet, *where, *what, url], check=True, capture_output=True, timeout=120)


def main() -> None:
    """Enter by a web login token, take the picture, make it small."""
    if not shutil.which("chromium"):
        sys.exit("chromium is not on PATH")
    cloud = config.use_target()
    door = boto3.client("mwaa").create_web_login_token(Name=cloud.names.environment)
    host, token = door["WebServerHostname"], door["WebToken"]
    with tempfile.TemporaryDirectory() as profile:
        browse(profile, cloud.airflow_page(host, token), "--dump-dom")  # leaves the cookie
        page = cloud.airflow_page(host, token).partition("/aws_mwaa")[0]
        shot = Path(profile, "shot.png")
        browse(profile, f"{page}/dags/{cloud.names.dag}/runs/{RUN}", f"--screenshot={shot}")
        with Image.open(shot) as taken:
            taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
