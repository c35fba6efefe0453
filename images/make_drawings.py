"""Draw the ideas of the lessons: `python -m images.make_drawings`.

A test compares the files with what this program draws.
"""

from pathlib import Path

from images import ideas_aws, ideas_scale, ideas_spark, network, teardown

IDEAS = (
    ideas_aws.log,
    ideas_aws.shards,
    ideas_aws.request,
    ideas_aws.template,
    ideas_aws.guarantee,
    ideas_spark.plan,
    ideas_spark.catalog,
    ideas_spark.delta_log,
    ideas_spark.day,
    ideas_spark.micro_batch,
    ideas_scale.limits,
    teardown.teardown,
)


def drawings() -> dict[str, str]:
    """Every file name with its content."""
    grown = {f"network_{lesson:02d}.svg": network.draw(lesson) for lesson in network.LESSONS}
    return grown | {f"{idea.__name__}.svg": idea() for idea in IDEAS}


if __name__ == "__main__":
    for name, content in drawings().items():
        (Path(__file__).parent / name).write_text(content, encoding="utf-8")
