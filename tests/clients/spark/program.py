"""Runs inside a Spark environment: use the lake as a Spark job does, and write down what was seen.

`python program.py FACTS CASE ..` runs the cases in order in one session and writes to the JSON file
FACTS what each saw; the tests judge it. ANABRANCH_CASES is a JSON object with the two endpoints and
their keys. Every case works on a branch of its own, made from `main` as it then is.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from lakefs_client import Configuration, models
from lakefs_client.client import LakeFSClient
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.utils import AnalysisException

REPOSITORY = "example3"
ROWS = 1_000


class Lake:
    """The three ways in: Spark over s3a, the lakeFS SDK, boto3 on the raw store."""

    def __init__(self) -> None:
        places = json.loads(os.environ["ANABRANCH_CASES"])
        self.tapes: dict[str, str] = places["tapes"]
        self.secure_url: str = places["secure"]["url"]
        configuration = Configuration()
        configuration.host = places["api"]["url"]
        configuration.username = places["api"]["access_key"]
        configuration.password = places["api"]["secret_key"]
        self.client = LakeFSClient(configuration)
        self.raw = boto3.client(
            "s3",
            endpoint_url=places["raw"]["url"],
            aws_access_key_id=places["raw"]["access_key"],
            aws_secret_access_key=places["raw"]["secret_key"],
            region_name="us-east-1",
        )
        self.spark = SparkSession.builder.master("local[2]").appName("cases").getOrCreate()
        self.spark.sparkContext.setLogLevel("ERROR")

    @contextmanager
    def configured(self, properties: Mapping[str, str]) -> Iterator[None]:
        """Set Hadoop properties for the block; file systems are opened anew with them."""
        context = self.spark.sparkContext
        configuration = context._jsc.hadoopConfiguration()
        before = {name: configuration.get(name) for name in properties}
        for name, value in properties.items():
            configuration.set(name, value)
        context._jvm.org.apache.hadoop.fs.FileSystem.closeAll()
        try:
            yield
        finally:
            for name, old in before.items():
                configuration.unset(name) if old is None else configuration.set(name, old)
            context._jvm.org.apache.hadoop.fs.FileSystem.closeAll()

    @contextmanager
    def recorded(self, name: str) -> Iterator[None]:
        """Let s3a go where requests are taken down under this name."""
        with self.configured({"fs.s3a.endpoint": self.tapes[name]}):
            yield

    def url(self, ref: str, path: str) -> str:
        return f"s3a://{REPOSITORY}/{ref}/{path}"

    def read(self, ref: str, path: str) -> DataFrame:
        return self.spark.read.parquet(self.url(ref, path))

    def write(self, frame: DataFrame, ref: str, path: str, mode: str = "overwrite") -> None:
        frame.write.mode(mode).parquet(self.url(ref, path))

    def rows(self, first: int, count: int = ROWS) -> DataFrame:
        """Return rows that a later run makes again, in one partition."""
        numbers = self.spark.range(first, first + count, numPartitions=1)
        name = f.concat(f.lit("name "), f.col("id"))
        return numbers.withColumn("name", name).withColumn("half", f.col("id") / 2)

    def branch(self, name: str, source: str = "main") -> str:
        creation = models.BranchCreation(name=name, source=source)
        return str(self.client.branches.create_branch(REPOSITORY, creation))

    def empty_branch(self, name: str) -> None:
        """Make a branch that holds nothing: what s3a asks first depends on what is there."""
        first = self.client.refs.log_commits(REPOSITORY, "main").results[-1]
        self.branch(name, first.id)

    def commit(self, branch: str, message: str) -> dict[str, Any]:
        creation = models.CommitCreation(message=message, metadata={"by": "spark"})
        found = self.client.commits.commit(REPOSITORY, branch, creation)
        return {"id": found.id, "parents": found.parents, "metadata": found.metadata}

    def listed(self, ref: str, prefix: str = "") -> list[dict[str, Any]]:
        page = self.client.objects.list_objects(REPOSITORY, ref, prefix=prefix, amount=1000)
        return [
            {
                "path": each.path,
                "size": each.size_bytes,
                "address": each.physical_address.rpartition("/")[2],
                "checksum": each.checksum,
            }
            for each in page.results
        ]

    def uncommitted(self, branch: str) -> list[tuple[str, str]]:
        page = self.client.branches.diff_branch(REPOSITORY, branch)
        return [(each.type, each.path) for each in page.results]

    def raw_objects(self) -> dict[str, int]:
        pages = self.raw.get_paginator("list_objects_v2").paginate(Bucket=REPOSITORY)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}


def branching(lake: Lake) -> dict[str, Any]:
    """Overwrite, commit, branch, append, diff, merge, overwrite what is being read."""
    facts: dict[str, Any] = {"raw": {}, "listed": {}, "rows": {}, "uncommitted": {}}

    def see(moment: str, *branches: str) -> None:
        facts["raw"][moment] = lake.raw_objects()
        for branch in branches:
            facts["listed"][f"{moment}, {branch}"] = lake.listed(branch, "events/")
            facts["uncommitted"][f"{moment}, {branch}"] = lake.uncommitted(branch)

    see("start", "main")
    lake.write(lake.rows(0), "main", "events")
    see("written", "main")
    facts["first"] = lake.commit("main", "first")
    see("committed", "main")
    facts["branched"] = lake.branch("more")
    see("branched", "main", "more")
    lake.write(lake.rows(ROWS, 500), "more", "events", "append")
    see("appended", "main", "more")
    facts["second"] = lake.commit("more", "second")
    see("committed more", "more")
    facts["rows"]["before"] = [lake.read(ref, "events").count() for ref in ("main", "more")]
    between = lake.client.refs.diff_refs(REPOSITORY, "main", "more")
    facts["between"] = [(each.type, each.path) for each in between.results]
    merged = lake.client.refs.merge_into_branch(REPOSITORY, "more", "main")
    facts["merge"] = {"reference": merged.reference, "summary": dict(merged.get("summary", {}))}
    see("merged", "main", "more")
    refs = ("main", "more", facts["first"]["id"])
    facts["rows"]["after"] = [lake.read(ref, "events").count() for ref in refs]
    lake.branch("narrow")
    narrow = lake.read("narrow", "events").drop("half").cache()
    facts["rows"]["narrow"] = narrow.count()
    lake.write(narrow, "narrow", "events")
    see("overwritten", "main", "narrow")
    facts["columns"] = [lake.read(ref, "events").columns for ref in ("main", "narrow")]
    log = lake.client.refs.log_commits(REPOSITORY, "main").results
    facts["log"] = [each.id for each in log]
    return facts


def multipart(lake: Lake) -> dict[str, Any]:
    """One file of several parts, then a rename of its folder."""
    facts = _big_file(lake, "multipart")
    jvm = lake.spark.sparkContext._jvm
    old, new = (
        jvm.org.apache.hadoop.fs.Path(lake.url("multipart", path)) for path in ("big", "new")
    )
    files = old.getFileSystem(lake.spark.sparkContext._jsc.hadoopConfiguration())
    facts["renamed"] = files.rename(old, new)
    facts["left"] = lake.listed("multipart", "big/")
    facts["moved"] = lake.listed("multipart", "new/")
    facts["moved rows"] = lake.read("multipart", "new").count()
    return facts


def checksums(lake: Lake) -> dict[str, Any]:
    """CRC32C over small and large bodies, sent after them."""
    facts = _big_file(lake, "checksums")
    lake.write(lake.rows(0), "checksums", "small")
    facts["small rows"] = lake.read("checksums", "small").count()
    return facts


def _big_file(lake: Lake, branch: str) -> dict[str, Any]:
    lake.branch(branch)
    rows = 120_000
    frame = lake.spark.range(0, rows, numPartitions=1).withColumn(
        "digest", f.sha2(f.col("id").cast("string"), 512)
    )
    lake.write(frame, branch, "big")
    found = lake.read(branch, "big")
    return {
        "rows": [rows, found.count()],
        "sum": [rows * (rows - 1) // 2, found.agg(f.sum("id")).first()[0]],
        "same": frame.join(found, ["id", "digest"]).count(),
        "listed": lake.listed(branch, "big/"),
    }


def markers(lake: Lake) -> dict[str, Any]:
    """Directory markers stay beside the objects that they lead to."""
    lake.branch("markers")
    lake.write(lake.rows(0), "markers", "deep/er/table")
    lake.write(lake.rows(0, 700), "markers", "deep/er/table")
    listed = [each["path"] for each in lake.listed("markers", "deep/")]
    return {"listed": listed, "rows": lake.read("markers", "deep/er/table").count()}


def algorithm2(lake: Lake) -> dict[str, Any]:
    """The committer that moves files once."""
    lake.empty_branch("algorithm2")
    before = lake.raw_objects()
    with lake.recorded("algorithm2"):
        lake.write(lake.rows(0), "algorithm2", "demo/table")
    after = lake.raw_objects()
    facts = {
        "new": sorted(size for key, size in after.items() if key not in before),
        "listed": lake.listed("algorithm2", "demo/table/"),
        "rows": lake.read("algorithm2", "demo/table").count(),
    }
    lake.write(lake.rows(0, 700), "algorithm2", "demo/table")
    facts["overwritten"] = lake.read("algorithm2", "demo/table").count()
    facts["uncommitted"] = lake.uncommitted("algorithm2")
    return facts


def algorithm1(lake: Lake) -> dict[str, Any]:
    """The committer that moves files twice, which is what Spark does unless told otherwise."""
    lake.empty_branch("algorithm1")
    with lake.recorded("algorithm1"):
        lake.write(lake.rows(0), "algorithm1", "demo/table")
    return {"uncommitted": lake.uncommitted("algorithm1")}


VALUES = ("plain", "a b", "a/b", "50%", "a+b", "x=y", "é and 雪", "?#&", "'\"", "~.-_", "*:<>|")


def partitions(lake: Lake) -> dict[str, Any]:
    """Folders whose names hold what has to be quoted somewhere on the way."""
    lake.branch("partitions")
    # Made of columns alone: Python rows need a Spark that knows this Python.
    value = f.element_at(f.array(*map(f.lit, VALUES)), f.col("n") + 1)
    numbers = f.col("id").cast("int").alias("n")
    frame = lake.spark.range(0, len(VALUES)).select(numbers).withColumn("v", value)
    target = lake.url("partitions", "by value")
    frame.coalesce(1).write.mode("overwrite").partitionBy("v").parquet(target)
    found = lake.read("partitions", "by value")
    # A filter by the folder's name makes Spark list and read that folder alone.
    selected = [found.where(f.col("v") == value).count() for value in VALUES[1:4]]
    return {
        "rows": sorted((row.n, row.v) for row in found.collect()),
        "selected": selected,
        "listed": [each["path"] for each in lake.listed("partitions", "by value/")],
    }


def magic(lake: Lake) -> dict[str, Any]:
    """The committer that leaves uploads open until the job is known to be done."""
    lake.empty_branch("magic")
    context = lake.spark.sparkContext
    with lake.recorded("magic"):
        _save(lake, context.parallelize([("a", "line")], 1), "table")
    # Two files of two parts each.
    wide = "x" * 130_000
    pairs = context.parallelize([(str(n), f"{n} {wide}") for n in range(100)], 2)
    _save(lake, pairs, "lines")
    facts: dict[str, Any] = {"listed": lake.listed("magic", "lines/")}
    facts["rows"] = lake.spark.read.text(lake.url("magic", "lines")).count()

    def fail_late(pair: tuple[str, str]) -> tuple[str, str]:
        if pair[0] == "99":
            raise ValueError("this row is not to be had")
        return pair

    facts["failure"] = _failure(lambda: _save(lake, pairs.map(fail_late), "failed"))
    facts["uncommitted"] = lake.uncommitted("magic")
    return facts


def _save(lake: Lake, pairs: Any, path: str) -> None:
    pairs.saveAsNewAPIHadoopFile(
        lake.url("magic", path),
        "org.apache.hadoop.mapreduce.lib.output.TextOutputFormat",
        "org.apache.hadoop.io.Text",
        "org.apache.hadoop.io.Text",
    )


def _failure(call: Callable[[], object]) -> str:
    """Return what a user reads of a call that has to fail."""
    try:
        call()
    except (Py4JJavaError, AnalysisException) as error:
        return str(error)
    raise AssertionError("not refused")


def files(lake: Lake) -> dict[str, Any]:
    """Hadoop's own verbs on files and folders, without a committer."""
    lake.branch("files")
    context = lake.spark.sparkContext
    hadoop, configuration = context._jvm.org.apache.hadoop, context._jsc.hadoopConfiguration()

    def path(name: str) -> Any:
        return hadoop.fs.Path(lake.url("files", name))

    store = path("").getFileSystem(configuration)

    def create(name: str, text: str) -> None:
        stream = store.create(path(name), True)
        stream.write(bytearray(text.encode()))
        stream.close()

    def read(name: str, start: int = 0) -> str:
        stream = store.open(path(name))
        stream.seek(start)
        text = context._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        stream.close()
        return str(text)

    store.mkdirs(path("d/e"))
    for name in ("d/one", "d/e/two", "d/e/f/three", "kept/é b+%"):
        create(name, f"first {name}")
        create(name, f"then {name}")
    facts: dict[str, Any] = {"read": [read("kept/é b+%"), read("d/one", 5)]}
    hadoop.fs.FileUtil.copy(store, path("d/one"), store, path("kept/copy"), False, configuration)
    store.rename(path("d/e/two"), path("kept/moved"))
    store.rename(path("d/e"), path("kept/e"))
    facts["levels"] = sorted(each.getPath().getName() for each in store.listStatus(path("kept")))
    found = store.listFiles(path("kept"), True)
    facts["deep"] = []
    while found.hasNext():
        facts["deep"].append(found.next().getPath().getName())
    store.delete(path("kept/moved"), False)
    store.delete(path("d"), True)
    facts["left"] = store.exists(path("d"))
    facts["listed"] = {one["path"]: one["checksum"] for one in lake.listed("files", "kept/")}
    facts["uncommitted"] = lake.uncommitted("files")
    lake.client.tags.create_tag(REPOSITORY, models.TagCreation(id="fixed", ref="main"))
    facts["tag"] = _failure(lambda: lake.write(lake.rows(0), "fixed", "table"))
    facts["absent"] = _failure(lambda: lake.read("files", "never"))
    return facts


def secure(lake: Lake) -> dict[str, Any]:
    """The same over TLS, to another server that the trust store's authority vouches for."""
    target = lake.url("main", "spark/secure")
    frame = lake.spark.range(0, 60_000, numPartitions=1).withColumn(
        "digest", f.sha2(f.col("id").cast("string"), 512)
    )
    switched = {"fs.s3a.endpoint": lake.secure_url, "fs.s3a.connection.ssl.enabled": "true"}
    with lake.configured(switched):
        frame.write.mode("overwrite").parquet(target)
        found = lake.spark.read.parquet(target)
        return {"rows": found.count(), "sum": found.agg(f.sum("id")).first()[0]}


def formats(lake: Lake) -> dict[str, Any]:
    """Text formats, several files a folder."""
    lake.branch("formats")
    rows = {}
    for name in ("json", "csv"):
        frame = lake.rows(0, 300).repartition(2)
        frame.write.mode("overwrite").format(name).save(lake.url("formats", name))
        found = lake.spark.read.format(name).load(lake.url("formats", name))
        rows[name] = found.count()
    lake.commit("formats", "many formats")
    return {"rows": rows, "uncommitted": lake.uncommitted("formats")}


CASES: dict[str, Callable[[Lake], dict[str, Any]]] = {
    "branching": branching,
    "partitions": partitions,
    "formats": formats,
    "markers": markers,
    "multipart": multipart,
    "algorithm1": algorithm1,
    "algorithm2": algorithm2,
    "files": files,
    "secure": secure,
    "checksums": checksums,
    "magic": magic,
}

PARTS = {"fs.s3a.multipart.size": "5M", "fs.s3a.multipart.threshold": "5M"}

PROPERTIES: dict[str, dict[str, str]] = {
    "markers": {"fs.s3a.directory.marker.retention": "keep"},
    "multipart": PARTS,
    "secure": PARTS,
    "algorithm2": {"mapreduce.fileoutputcommitter.algorithm.version": "2"},
    "checksums": {
        **PARTS,
        "fs.s3a.checksum.generation": "true",
        "fs.s3a.create.checksum.algorithm": "CRC32C",
    },
    "magic": {
        **PARTS,
        "mapreduce.outputcommitter.factory.scheme.s3a": (
            "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"
        ),
        "fs.s3a.committer.name": "magic",
    },
}


def main(facts_path: Path, names: list[str]) -> None:
    """Run the cases called `names`; a case that raises ends the program after the facts so far."""
    lake = Lake()
    facts: dict[str, Any] = {}
    try:
        for name in names:
            started = time.monotonic()
            with lake.configured(PROPERTIES.get(name, {})):
                facts[name] = CASES[name](lake)
            print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)
    finally:
        facts_path.write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
