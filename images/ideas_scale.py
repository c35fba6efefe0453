"""The drawing of lesson 16: what each stage counts, and what makes it carry more."""

from images.drawing import LINE, RED, Drawing, Place

Column = tuple[tuple[str, str], tuple[str, ...], tuple[str, ...]]
KAFKA: tuple[Column, ...] = (
    (("API Gateway", "lesson 05"), ("requests",), ("records per request,", "a higher quota")),
    (("REST proxy", "lesson 04"), ("requests and records",), ("more machines behind", "the load balancer")),
    (("Kafka", "lesson 02"), ("bytes, partitions",), ("bigger brokers,", "then more of them")),
    (("connector", "lesson 06"), ("records",), ("partitions first,", "then tasks and workers")),
    (("S3", "lesson 06"), ("requests, not bytes",), ("more records", "in an object")),
    (("Spark, daily", "lesson 09"), ("records, files",), ("fewer files,", "only what is new")),
)
KINESIS: tuple[Column, ...] = (
    (("Kinesis", "lesson 12"), ("records and bytes",), ("more shards,", "and a key that spreads")),
    (("Spark, always on", "lesson 14"), ("records and files",), ("appends, and a view", "of the latest")),
)
WIDE, STEP, LEFT = 154, 168, 24


def limits() -> str:
    """What each stage counts, and what moves its limit."""
    picture = Drawing(
        "What each stage counts",
        "Two ways from the phones to the tables. API Gateway counts requests, the REST proxy requests and "
        "records, Kafka bytes and partitions, the connector records, S3 requests, Spark records and files; "
        "Kinesis counts records and bytes. Below each stage stands what makes it carry more.",
        392,
    )
    _row(picture, 30, KAFKA, first=0)
    _row(picture, 222, KINESIS, first=1)
    picture.arrow((LEFT + WIDE / 2, 184), (LEFT + WIDE / 2, 246), (LEFT + STEP - 3, 246), colour=RED)
    picture.notes(
        LEFT + 3 * STEP,
        246,
        "A load is given in posts per second. One post is three records, and",
        "each stage counts something else: divide what a stage can do by what",
        "one post uses of it. The stage with the smallest result is the first",
        "that is full, and only there does more capacity carry more posts.",
    )
    return picture.svg()


def _row(picture: Drawing, y: float, columns: tuple[Column, ...], first: int) -> None:
    """A row of stages; under each what it counts, and what moves its limit."""
    for nth, (title, counts, moves) in enumerate(columns, first):
        x = LEFT + STEP * nth
        picture.box(Place(x, y, WIDE, 48), *title, look="new")
        if nth > first:
            picture.arrow((x - STEP + WIDE + 1, y + 24), (x - 3, y + 24), colour=RED)
        picture.label(x, y + 70, "counts")
        for line, words in enumerate(counts):
            picture.text(x, y + 87 + LINE * line, words)
        picture.label(x, y + 112, "carries more with")
        for line, words in enumerate(moves):
            picture.text(x, y + 129 + LINE * line, words)
