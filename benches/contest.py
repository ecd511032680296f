"""What a comparison is made of: who takes part, what they are held to, and the places and programs that they need."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from common import DATA, call, tell
from measure import Failed

HERE = Path(__file__).resolve().parent
VENV = Path(os.environ.get("BENCH_VENV", "/tmp/bench-venv"))
LIMIT_TARGET = Path(os.environ.get("BENCH_TARGET", "/tmp/bench-target"))
# What the peers and the generator need; the version is the one that BENCHDIR was measured with.
PACKAGES = ["numpy", "duckdb==2.0.0"]


@dataclass
class Contestant:
    """Who takes part in a job: what to run, what to do before and what to look at after each run."""

    name: str
    command: list
    before: object = lambda: None
    after: object = lambda output: None
    codes: tuple = (0,)
    folder: Path = None
    measures: list = field(default_factory=list)

    def seconds(self):
        return median(measure.seconds for measure in self.measures)

    def peak_mb(self):
        return max(measure.peak_mb for measure in self.measures)


@dataclass
class Job:
    """One line of the table. What is allowed is None where the job is only measured."""

    title: str
    wharf: Contestant
    limit: Contestant = None
    peer: Contestant = None
    allowed_ratio: float = None
    at_least: float = None
    allowed_mb: int = None
    allowed_seconds: float = None
    files_per_second: int = None
    # A server works for it, so that what others use says nothing.
    has_server: bool = False
    # It may take so many times as long as another job of Wharf.
    slower_than: object = None
    at_most_times: float = None
    # Long jobs run fewer times, and not once more for warming up.
    most_runs: int = None

    def contestants(self):
        return [one for one in (self.wharf, self.limit, self.peer) if one]


class Bench:
    """The places and programs that the jobs are made of."""

    def __init__(self, folder, wharf, work):
        self.folder, self.wharf, self.work = folder.resolve(), wharf, work
        self.limit = LIMIT_TARGET / "release" / "lim"
        self.python = VENV / "bin" / "python"
        self.mapping = self.folder / "mappings" / "orders.toml"
        # What is to be looked at when all is measured, and what is to be stopped in the end.
        self.afterwards, self.closing = [], []

    def prepare(self):
        """Makes what is missing: the peers and the limit."""
        if not self.python.exists():
            tell("installing the peers")
            call(sys.executable, "-m", "venv", VENV)
            call(self.python, "-m", "pip", "install", "-q", *PACKAGES)
        if not self.limit.exists():
            tell("building the limit")
            copy = self.work / "limits"
            shutil.copytree(self.folder / "limits", copy, copy_function=shutil.copyfile)
            call("bash", copy / "build.sh", environment={"CARGO_TARGET_DIR": str(LIMIT_TARGET)})
        if not shutil.which("sqlite3"):
            raise Failed("the program sqlite3 is missing: apt-get install sqlite3")

    def orders(self, name, rows, *options):
        """The orders file of this name, made if it is missing, and its answer key."""
        key = DATA / f"{name}.key.json"
        if not key.exists():
            tell(f"making {name}.csv")
            generator = self.folder / "gen.py"
            call(self.python, generator, "--rows", rows, "--out", DATA / name, "--formats", "csv", *options)
        return DATA / f"{name}.csv", json.loads(key.read_text(encoding="utf-8"))

    def made(self, name, *arguments):
        """A folder made by inputs.py."""
        folder = DATA / name
        if not (folder / ".complete").exists():
            tell(f"making {name}")
            call(sys.executable, HERE / "inputs.py", *arguments, folder)
        return folder

    def load(self, site, files, mapping, *options, after, fresh=False, folder=None):
        def before():
            if fresh:
                shutil.rmtree(site, ignore_errors=True)
                site.mkdir()

        command = [self.wharf, "--site", site, "--json", "load", "--mapping", mapping, *options, *files]
        # 2: loaded, and some records were rejected.
        return Contestant("wharf", command, before, after, (0, 2), folder)

    def validate(self, file, after):
        site, reports = self.work / "validate-site", self.work / "validate-reports"

        def before():
            for folder in (site, reports):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()

        command = [self.wharf, "--site", site, "--json", "validate", "--mapping", self.mapping, "--reports", reports, file]
        return Contestant("wharf", command, before, after, (0, 2))

    def limit_load(self, file, name, fresh):
        database = self.work / f"{name}.db"
        before = (lambda: remove_database(database)) if fresh else (lambda: None)
        return Contestant("limit", [self.limit, "e2e", "sqlite", file, database, self.work / f"{name}.rejects"], before)

    def limit_validate(self, file):
        return Contestant("limit", [self.limit, "validate", file, 2, self.work / "limit-validate.csv"])

    def score(self, name, report):
        """What the scorer says of a report of errors: (all found and nothing else, its words)."""
        script = self.folder / "peers" / "score.py"
        said = subprocess.run(
            [sys.executable, script, DATA / name, report, "line", "column"], capture_output=True, text=True, check=True
        ).stdout
        line = next(line for line in said.splitlines() if line.startswith("id=physical line"))
        found, expected, false = map(int, re.search(r"found (\d+)/(\d+) rows, false (\d+)", line).groups())
        columns = all(hit == column == all_of for hit, column, all_of in re.findall(r":(\d+)\((\d+)\)/(\d+)", line))
        return found == expected and false == 0 and columns, " ".join(line.split())


def remove_database(path):
    for end in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def deliveries(output):
    with open(output, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def expect(outcomes, **counts):
    """A look at Wharf's own report: its outcomes are among these, and its tallies come to these counts."""

    def look(output):
        sums = dict.fromkeys(counts, 0)
        for delivery in deliveries(output):
            if delivery["outcome"] not in outcomes:
                raise Failed(f"{delivery['file']} is {delivery['outcome']}: {delivery.get('message')}")
            for name in sums:
                sums[name] += delivery["tally"][name]
        if sums != counts:
            raise Failed(f"wharf counted {sums}, but the answer key says {counts}")

    return look
