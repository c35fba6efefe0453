"""Drawings of Spark, Delta and Airflow: one function per drawing."""

from itertools import pairwise

from images.drawing import GREY, INK, RED, Drawing, Place


def plan() -> str:
    """Driver, plan, stages, tasks, partitions, executors."""
    picture = Drawing(
        "A plan and its tasks",
        "The notebook builds a plan, and nothing is read. An action makes the driver turn the plan into "
        "stages. The first stage has a task for each of four partitions, which reads, parses and counts. A "
        "shuffle brings equal categories together, and the two tasks of the second stage add up.",
        440,
    )
    picture.text(24, 32, "A DataFrame is a plan", bold=True)
    code = picture.box(
        Place(24, 46, 330, 76),
        "",
        "lines = spark.read.text(folder)",
        'pins = parse(lines, "pin")',
        'n = pins.groupBy("category").count()',
        code=True,
    )
    picture.label(24, 140, "nothing has been read yet")
    action = picture.box(Place(24, 160, 330, 34), "", "n.show()", look="new", code=True)
    picture.label(24, 212, "an action: now the plan is carried out")
    driver = picture.box(
        Place(24, 244, 330, 108),
        "driver",
        "optimises the plan, cuts it into stages,",
        "one task for each partition,",
        "hands tasks to executors,",
        "collects the result",
    )
    picture.arrow((280, code.bottom + 1), (280, action.y - 3))
    picture.arrow((280, action.bottom + 1), (280, driver.y - 3), colour=RED)
    first = picture.frame(Place(412, 46, 300, 306), "stage 1: four partitions of the input")
    second = picture.frame(Place(790, 46, 228, 306), "stage 2: two partitions")
    inputs = [
        picture.box(
            Place(428, 76 + 68 * nth, 268, 54),
            f"task {nth + 1} on executor {nth // 2 + 1}",
            f"partition {nth + 1}: read, parse, count",
        )
        for nth in range(4)
    ]
    outputs = [
        picture.box(
            Place(806, 110 + 136 * nth, 196, 72),
            f"task {nth + 5} on executor {nth + 1}",
            "adds up the counts of",
            "some categories",
        )
        for nth in range(2)
    ]
    for one in inputs:
        for other in outputs:
            picture.arrow(
                (one.right + 1, one.middle[1]),
                (other.x - 3, other.middle[1] + (one.middle[1] - 200) / 8),
                colour=GREY,
            )
    picture.label(751, 60, "shuffle", anchor="middle")
    picture.arrow((driver.right + 1, 298), (first.x - 3, 298), colour=RED)
    picture.arrow(
        (second.middle[0], second.bottom + 1), (second.middle[0], 372), (189, 372), (189, driver.bottom + 3)
    )
    picture.label(600, 366, "result")
    picture.notes(
        24,
        402,
        "An executor runs one task per core at a time. On Databricks executors are on several machines;",
        "on a laptop driver and executor are one process, which runs two tasks at once on two cores.",
    )
    return picture.svg()


def delta_log() -> str:
    """A Delta table: Parquet files and a log of commits."""
    picture = Drawing(
        "A Delta table is a folder of Parquet files and a log",
        "Three commits. Version 0 creates the table and has no files. Version 1, an overwrite, adds the "
        "files a and b. Version 2, another overwrite, removes a and b and adds c. The files a and b stay "
        "in the "
        "folder until VACUUM deletes them.",
        424,
    )
    picture.text(24, 32, "The log: one small JSON file for each commit", bold=True)
    picture.label(320, 32, "_delta_log/")
    commits = (
        ("version 0: CREATE TABLE", "00000000000000000000.json", ("metaData: the columns", "", "")),
        ("version 1: overwrite", "00000000000000000001.json", ("add     a.parquet", "add     b.parquet", "")),
        (
            "version 2: overwrite",
            "00000000000000000002.json",
            ("remove  a.parquet", "remove  b.parquet", "add     c.parquet"),
        ),
    )
    lefts = (24, 364, 704)
    for x, (title, name, lines) in zip(lefts, commits, strict=True):
        look = "new" if x == lefts[-1] else "plain"
        picture.box(Place(x, 48, 314, 98), title, name, *lines, look=look, code=True)
    for one in lefts[:-1]:
        picture.arrow((one + 315, 97), (one + 337, 97))
    picture.text(24, 188, "The data: Parquet files, written once and never changed", bold=True)
    files = ((364, "a.parquet", "gone"), (528, "b.parquet", "gone"), (774, "c.parquet", "new"))
    for x, name, look in files:
        picture.box(
            Place(x, 204, 150, 44),
            "",
            name,
            "in version 2" if look == "new" else "removed, still there",
            look=look,
        )
    picture.arrow((439, 147), (439, 201))
    picture.arrow((603, 147), (603, 201))
    picture.arrow((849, 147), (849, 201), colour=RED)
    picture.text(24, 288, "What a reader gets", bold=True)
    rows = (
        ("SELECT … FROM pins", "version 2, the newest: c", RED),
        ("SELECT … FROM pins VERSION AS OF 1", "a and b: the table as it was", INK),
        ("SELECT … FROM pins VERSION AS OF 0", "no rows", INK),
    )
    for nth, (query, gets, colour) in enumerate(rows):
        picture.text(24, 312 + 20 * nth, query, size=12, code=True)
        picture.text(330, 312 + 20 * nth, "→  " + gets, colour=colour)
    picture.notes(
        24,
        380,
        "A commit file is there or not: a reader sees a whole version or the one before.",
        "If two writers try to make version 3, one of them succeeds, and the other has to try again.",
        "VACUUM deletes files that were removed more than seven days ago. Versions that need them are lost "
        "then.",
    )
    return picture.svg()


def day() -> str:
    """Airflow's day: logical date, schedule, catch-up, scheduler, worker, operator."""
    picture = Drawing(
        "A DAG's days",
        "A schedule of every midnight. The DAG is switched on on Wednesday at ten: with catchup off it gets "
        "a run for the last midnight, Wednesday's, then one for each midnight to come; with catchup on "
        "also those that were missed. Below: the scheduler queues a task, a worker runs its operator, "
        "which starts "
        "a notebook on Databricks and waits for its end.",
        486,
    )
    picture.text(24, 32, 'schedule="@daily", catchup=False: a run for each midnight (UTC)', bold=True)
    days, left, step, line = ("Mon", "Tue", "Wed", "Thu", "Fri"), 114, 200, 172
    on = left + step * 2 + 84
    picture.arrow((24, line), (1020, line))
    picture.arrow((24, line), (on, line), colour=GREY, head=False)
    for nth, name in enumerate(days):
        x = left + step * nth
        picture.arrow((x, line - 6), (x, line + 6), head=False)
        picture.text(x, line + 24, f"{name} 00:00", anchor="middle")
        look, words = (
            ("gone", "only with catchup=True")
            if nth < 2
            else ("new" if nth == 2 else "plain", f"logical date {name} 00:00")
        )
        box = picture.box(Place(x - 88, 56, 176, 44), "run" if nth >= 2 else "", words, look=look)
        start = on if nth == 2 else x
        color = RED if nth == 2 else GREY if nth < 2 else INK
        if nth != 2:
            picture.arrow((x, line - 8), (x, box.bottom + 3), colour=color, dashed=nth < 2)
        else:
            picture.arrow((start, line - 8), (start, 124), (x, 124), (x, box.bottom + 3), colour=color)
    picture.arrow((on, line - 6), (on, line + 6), head=False, colour=RED)
    picture.label(
        on,
        line + 42,
        "switched on, Wed 10:00: one run, for the midnight that has passed last",
        colour=RED,
        anchor="middle",
    )
    picture.label(26, line - 10, "paused")
    picture.notes(
        24,
        240,
        "The logical date is the moment that a run stands for. In Airflow 3 the data interval of a daily run "
        "begins and ends then.",
        "In Airflow 2 that of the run at Wed 00:00 was the whole Tuesday, and its logical date Tue 00:00.",
    )
    picture.text(24, 296, "What happens in a run", bold=True)
    chain = (
        (24, "DAG file", "in S3, read by the", "DAG processor"),
        (226, "scheduler", "makes the run when it", "is due, queues its tasks"),
        (446, "worker", "takes a queued task,", "runs its operator"),
        (646, "operator", "starts the notebook,", "asks until it has ended"),
        (866, "Databricks", "runs notebook", "09, then 10"),
    )
    widths = (158, 176, 156, 176, 152)
    places = [
        picture.box(Place(x, 312, wide, 72), *words) for (x, *words), wide in zip(chain, widths, strict=True)
    ]
    for one, other in pairwise(places):
        picture.arrow((one.right + 1, 348), (other.x - 3, 348))
    clean = picture.box(Place(226, 424, 120, 34), "clean", look="new")
    answer = picture.box(Place(390, 424, 120, 34), "answer", look="new")
    picture.arrow((clean.right + 1, 441), (answer.x - 3, 441), colour=RED)
    picture.label(24, 446, "the DAG: two tasks, in order")
    picture.label(530, 438, "A task that fails is tried again, two more times, five minutes apart;")
    picture.label(530, 455, "after the last try the run has failed, and answer is not started.")
    return picture.svg()


def micro_batch() -> str:
    """Micro-batch, checkpoint, trigger, crash."""
    picture = Drawing(
        "A micro-batch and its checkpoint",
        "A query reads a stream in micro-batches. For batch 7 it first notes the range in offsets/7, then "
        "processes and merges the rows, then notes the end in commits/7. After a crash between the first and "
        "the last note the same range is read again as batch 7.",
        436,
    )
    picture.text(24, 32, "The stream, read one micro-batch after the other", bold=True)
    left, cell = 36, 78
    for x, count, words, look in (
        (0, 4, "batch 6: done", "soft"),
        (4, 5, "batch 7: now", "new"),
        (9, 3, "waiting", "plain"),
    ):
        picture.frame(Place(left + cell * x, 46, cell * count - 8, 70), words, look=look)
        for nth in range(x, x + count):
            picture.box(Place(left + cell * nth + 8, 72, cell - 24, 34), "", f"{nth + 41}", look=look)
    steps = (
        (24, "1  note the range", "checkpoint: offsets/7", "records 45 to 49"),
        (374, "2  process it", "foreachBatch: clean,", "MERGE into the table"),
        (724, "3  note the end", "checkpoint: commits/7", "batch 7 is done"),
    )
    places = [picture.box(Place(x, 164, 250, 72), *words, look="new") for x, *words in steps]
    for one, other in pairwise(places):
        picture.arrow((one.right + 1, 200), (other.x - 3, 200), colour=RED)
    picture.arrow((420, 117), (420, 128), (149, 128), (149, 161), colour=RED)
    end = places[2]
    picture.arrow((end.right + 1, 200), (1008, 200), (1008, 140), (212, 140), (212, 161))
    picture.label(
        996,
        134,
        "the trigger starts batch 8: after a time (processingTime), or at once while records wait "
        "(availableNow)",
        anchor="end",
    )
    for x, words in ((324, "crash"), (674, "crash")):
        picture.arrow((x, 206), (x, 268), (212, 268), (212, 239), colour=GREY, dashed=True)
        picture.text(x, 190, words, size=12, colour=GREY, anchor="middle")
    picture.label(222, 262, "restart")
    picture.text(24, 304, "After a crash", bold=True)
    rows = (
        (
            "offsets/7 is there, commits/7 is not",
            "the same range again, as batch 7; merging a row twice leaves it as it is",
        ),
        ("commits/7 is there", "it goes on with batch 8"),
        (
            "the checkpoint is lost",
            "all that the stream still keeps, from batch 0; a merge by key makes even that harmless",
        ),
    )
    for nth, (found, then) in enumerate(rows):
        picture.text(24, 328 + 20 * nth, found)
        picture.text(270, 328 + 20 * nth, "→", colour=RED)
        picture.text(294, 328 + 20 * nth, then)
    picture.notes(24, 404, "One checkpoint for each query, outside the table's folder, shared by nobody.")
    return picture.svg()


def catalog() -> str:
    """Unity Catalog: catalog, schema, table, volume, external location, storage credential, bucket."""
    picture = Drawing(
        "Unity Catalog",
        "A metastore holds the catalog main with the schema default, in which a table and the volume raw "
        "are, "
        "and beside the catalog the external location pinterest and the storage credential pinterest_role. "
        "The "
        "credential is an AWS role that may read the bucket; location and volume are paths in the bucket.",
        460,
    )
    picture.text(24, 32, "Unity Catalog (Databricks)", bold=True)
    picture.text(806, 32, "your AWS account", bold=True)
    picture.frame(Place(24, 46, 720, 284), "metastore: one per region, holds everything below", look="soft")
    picture.frame(Place(40, 74, 330, 240), "catalog main")
    picture.frame(Place(54, 102, 302, 198), "schema default")
    picture.box(Place(70, 130, 270, 66), "table", "main.default.…_pin_table", "files in managed storage")
    volume = picture.box(
        Place(70, 216, 270, 68), "volume", "/Volumes/main/default/raw", "is the folder topics/", look="new"
    )
    location = picture.box(
        Place(448, 196, 278, 76),
        "external location",
        "pinterest: s3://user-…-bucket",
        "a path and a credential",
        look="new",
    )
    credential = picture.box(
        Place(448, 92, 278, 60), "storage credential", "pinterest_role: a role, no keys", look="new"
    )
    role = picture.box(Place(806, 92, 212, 60), "IAM role", "Databricks may assume it")
    bucket = picture.frame(Place(806, 184, 212, 130), "bucket user-…-bucket", dashed=False)
    topics = picture.box(Place(822, 222, 180, 40), "", "topics/", look="plain")
    picture.label(822, 290, "other folders")
    picture.arrow((volume.right + 1, 250), (location.x - 3, 250), colour=RED)
    picture.label(376, 242, "lies in")
    picture.label(766, 204, "opens", anchor="middle")
    picture.arrow((587, location.y), (587, credential.bottom + 3), colour=RED)
    picture.label(597, 178, "uses")
    picture.arrow((credential.right + 1, 122), (role.x - 3, 122), colour=RED)
    picture.label(766, 114, "names", anchor="middle")
    picture.arrow((location.right + 1, 212), (bucket.x - 3, 212))
    picture.arrow((912, role.bottom + 1), (912, bucket.y - 3), colour=RED)
    picture.label(920, 172, "may read")
    picture.arrow(
        (340, 276), (394, 276), (394, 322), (770, 322), (770, 246), (topics.x - 3, 246), dashed=True
    )
    picture.text(24, 358, "Who may read what", bold=True)
    grants = (
        ("SELECT on the table", "read main.default.…_pin_table"),
        ("READ VOLUME on the volume", "read /Volumes/main/default/raw/…"),
        ("READ FILES on the external location", "read s3://user-…-bucket/…, outside the volume's folder"),
    )
    for nth, (right, what) in enumerate(grants):
        picture.text(24, 380 + 20 * nth, right)
        picture.text(270, 380 + 20 * nth, "→", colour=RED)
        picture.text(294, 380 + 20 * nth, what)
    picture.notes(24, 444, "The first two also need USE CATALOG on main and USE SCHEMA on default.")
    return picture.svg()
