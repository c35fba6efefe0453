"""Fetch and build what the JVM parts need: a Java runtime, jars from Maven Central, our own Java classes.

Everything lands in TOOLS and is made once: a stamp beside the result holds the hash of what it was made from.
Pip and a Java runtime are enough: PySpark carries Ivy, which reads a pom.xml, and a compiler comes as a jar.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from local_cloud.java_runtime import ToolError, java, java_home, locked, trust_options
from local_cloud.state import TOOLS

__all__ = ["JARS", "ToolError", "ensure_jars", "ensure_java_classes", "java", "java_home"]

HERE = Path(__file__).parent
# Class path -> pom.xml. Separate poms, because each is its own class path with its own versions.
JARS = {name: HERE / "jvm" / name / "pom.xml" for name in ("spark", "kafka", "s3_sink", "build")}
Progress = Callable[[str], None]


def stamp_of(files: list[Path]) -> str:
    """A hash over the names and contents of files."""
    made = hashlib.sha256()
    for file in sorted(files):
        made.update(file.name.encode() + file.read_bytes())
    return made.hexdigest()


def is_made(folder: Path, stamp: str) -> bool:
    """True when the folder was completely made from what the stamp stands for."""
    mark = folder / ".stamp"
    return mark.exists() and mark.read_text() == stamp


@contextlib.contextmanager
def making(folder: Path, stamp: str) -> Iterator[Path]:
    """A scratch folder that takes the place of `folder` only when it is complete."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    (part / ".stamp").write_text(stamp)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def library(jar: str) -> str:
    """The library's name in a jar's file name: everything before the version."""
    return re.sub(r"-\d[\w.-]*\.jar$", "", jar)


def pyspark_jars() -> Path:
    """The folder of jars that PySpark ships."""
    spec = find_spec("pyspark")
    if not spec or not spec.origin:
        raise ToolError("PySpark is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent / "jars"


def proxies() -> list[str]:
    """The proxies of the environment as Java options: it reads no variables."""
    found = []
    for scheme in ("http", "https"):
        place = urlsplit(getproxies().get(scheme, ""))
        if place.hostname:
            found += [f"-D{scheme}.proxyHost={place.hostname}", f"-D{scheme}.proxyPort={place.port or 80}"]
    return found


def fetch(name: str, pom: Path, into: Path, options: list[str]) -> None:
    """Copy the jars that a pom names and those they need into a folder; a new try resumes from the cache."""
    ivy = next(pyspark_jars().glob("ivy-*.jar"))
    patience = [f"-Dsun.net.client.default{kind}Timeout=30000" for kind in ("Connect", "Read")]
    command = [str(java()), *options, *patience, *proxies(), "-jar", str(ivy)]
    command += ["-cache", str(TOOLS / "ivy" / name), "-ivy", str(pom)]
    command += ["-confs", "runtime", "-types", "jar", "bundle", "-retrieve"]
    command += [f"{into}/[artifact]-[revision](-[classifier]).[ext]"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, cwd=into, check=False)
        if done.returncode == 0:
            return
    said = done.stdout + done.stderr
    log = TOOLS / f"ivy-{name}.log"
    log.write_text(said)
    why = re.search(r"[\w.]+Exception: [^)\n]*", said) or re.search(r"not found: .*", said)
    raise ToolError(
        f"The jars of '{name}' could not be fetched from Maven Central: {why[0] if why else ''}\n"
        "Check the network (behind a proxy, set https_proxy) "
        f"and run the same command again; what has arrived is kept. Log: {log}"
    )


def ensure_jars(progress: Progress = print, names: Iterable[str] = JARS) -> None:
    """Have TOOLS/jars/{spark,kafka,s3_sink,build} complete; fetch the missing ones side by side."""
    with locked("jars"):
        wanted = {name: JARS[name] for name in names}
        missing = {n: pom for n, pom in wanted.items() if not is_made(TOOLS / "jars" / n, stamp_of([pom]))}
        if not missing:
            return
        java()
        options = trust_options()

        def make(name: str) -> None:
            with making(TOOLS / "jars" / name, stamp_of([JARS[name]])) as part:
                fetch(name, JARS[name], part, options)
                if name == "spark":  # two versions of one library on Spark's class path would clash
                    shipped = {library(jar.name) for jar in pyspark_jars().glob("*.jar")}
                    for jar in [jar for jar in part.glob("*.jar") if library(jar.name) in shipped]:
                        jar.unlink()
            shutil.rmtree(TOOLS / "ivy" / name, ignore_errors=True)  # only a download that broke off needs it
            progress(f"jars/{name}: {len(list((TOOLS / 'jars' / name).glob('*.jar')))} files")

        progress(f"fetching the jars of {', '.join(missing)} from Maven Central (about 2 minutes, once)")
        with ThreadPoolExecutor(len(missing)) as pool:
            list(pool.map(make, missing))


def compile_java(sources: Path, class_path: list[Path], jar: Path) -> None:
    """Compile a tree of .java files into one jar, with every other file of the tree as a resource."""
    classes = jar.parent / "classes"
    compiler = next((TOOLS / "jars" / "build").glob("ecj-*.jar"))
    command = [str(java()), "-jar", str(compiler), "-source", "17", "-target", "17", "-encoding", "UTF-8"]
    command += ["-proc:none", "-warn:none", "-classpath", os.pathsep.join(map(str, class_path))]
    command += ["-d", str(classes), str(sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{sources} does not compile:\n{done.stdout}{done.stderr}")
    resources = [f for f in sources.rglob("*") if f.is_file() and f.suffix != ".java"]
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, files in ((classes, sorted(classes.rglob("*.class"))), (sources, sorted(resources))):
            for file in files:
                archive.write(file, file.relative_to(root))
    shutil.rmtree(classes)


def ensure_java_classes(progress: Progress = print) -> None:
    """Have the broker's IAM classes in TOOLS/jars/iam and the sink with its jars in TOOLS/plugins/s3-sink."""
    kafka, sink = (sorted((TOOLS / "jars" / name).glob("*.jar")) for name in ("kafka", "s3_sink"))
    for name, folder, beside in (
        ("iam", TOOLS / "jars" / "iam", []),
        ("s3_sink", TOOLS / "plugins" / "s3-sink", sink),
    ):
        sources = HERE / "java" / name
        poms = [JARS[n] for n in ("kafka", "s3_sink", "build")]
        with locked("classes"):
            stamp = stamp_of([*poms, *(f for f in sources.rglob("*") if f.is_file())])
            if is_made(folder, stamp):
                continue
            with making(folder, stamp) as part:
                compile_java(sources, [*kafka, *beside], part / f"workbook-{name}.jar")
                for jar in beside:
                    shutil.copy(jar, part)
            progress(f"compiled {sources.name}")


if __name__ == "__main__":  # `python -m local_cloud.tools spark` fetches these jars alone
    try:
        ensure_jars(names=sys.argv[1:])
    except ToolError as problem:
        sys.exit(str(problem))
