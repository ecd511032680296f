"""A site made for a benchmark, and `wharf run` in it: what it logs, and what it costs."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime

from measure import TICKS_PER_SECOND, Failed

# What waits longer than this for a line of the log waits in vain.
LONGEST_WAIT = 300.0
# How often it is seen whether the log has grown.
GLANCE_SECONDS = 0.02
LOADED = ("loaded", "loaded_with_rejects")


class Site:
    """A site in a folder of its own; `settings` is its wharf.toml, `mappings` are texts by name."""

    def __init__(self, folder, settings, mappings):
        self.folder, self.inbox, self.staging = folder, folder / "inbox", folder / "staging"
        for each in (self.inbox, self.staging, folder / "mappings" / "inbound"):
            each.mkdir(parents=True)
        (folder / "wharf.toml").write_text(settings, encoding="utf-8")
        for name, text in mappings.items():
            (folder / "mappings" / "inbound" / f"{name}.toml").write_text(text, encoding="utf-8")

    def drop(self, name, text):
        """Puts a file into the inbox, whole at once. Gives the moment from which it could be seen."""
        (self.staging / name).write_text(text, encoding="utf-8")
        return self.move_in(name)

    def move_in(self, name):
        """The same with a file that lies in the staging folder."""
        before = time.time()
        os.rename(self.staging / name, self.inbox / name)
        return before


class Engine:
    """A `wharf run` that is under way."""

    def __init__(self, wharf, site):
        self.log = open(site.folder / "run.log", "w+", encoding="utf-8")
        self.began = time.time()
        command = [str(wharf), "--site", str(site.folder), "--json", "run"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        self.reader = open(self.log.name, encoding="utf-8")
        self.rest = ""

    def news(self):
        """The lines that the log has got since it was read last, as objects."""
        text = self.rest + self.reader.read()
        *lines, self.rest = text.split("\n")
        if not lines and self.process.poll() is not None:
            raise Failed(f"wharf run ended with {self.process.returncode}: see {self.log.name}")
        for line in map(json.loads, lines):
            if line["level"] == "error":
                raise Failed(f"wharf run says: {line['message']}")
            yield line

    def wait_for(self, wanted):
        """The first line from now on for which `wanted` is true."""
        end = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < end:
            for line in self.news():
                if wanted(line):
                    return line
            time.sleep(GLANCE_SECONDS)
        raise Failed(f"a line of the log did not come in {LONGEST_WAIT:.0f} s: see {self.log.name}")

    def cpu_seconds(self):
        """What all its threads have used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def rss_mb(self):
        return self._memory("status", "VmRSS:")

    def pss_mb(self):
        return self._memory("smaps_rollup", "Pss:")

    def _memory(self, file, name):
        with open(f"/proc/{self.process.pid}/{file}", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LONGEST_WAIT)
        if code != 0:
            raise Failed(f"wharf run ended with {code}: see {self.log.name}")

    def clear_away(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.reader.close()


@contextmanager
def running(wharf, site):
    """`wharf run` in the site, until the block is left."""
    engine = Engine(wharf, site)
    try:
        yield engine
        engine.stop()
    finally:
        engine.clear_away()


def moment(line):
    """When a line was logged, in seconds since 1970: the end of its millisecond, so that nothing comes out too short."""
    return datetime.fromisoformat(line["at"].replace("Z", "+00:00")).timestamp() + 0.001


def is_loaded(line):
    return line["message"] in LOADED
