"""Runs a command as a whole process and takes its wall time and peak memory."""

import os
import subprocess
import time
from dataclasses import dataclass

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Waiting for the machine to be quiet ends after this long, and the measurement is taken all the same.
QUIET_SECONDS = float(os.environ.get("BENCH_QUIET", "25"))
# How much of a core others may use on a machine that counts as quiet.
QUIET_CORES = 0.2


class Failed(Exception):
    """A command did not do its work, so that its time says nothing."""


@dataclass
class Measure:
    """One run: wall time, peak memory of the largest process, and the cores that others used meanwhile."""

    seconds: float
    peak_mb: float
    others_cores: float


def busy_seconds():
    """CPU seconds that all processes of the machine have used so far."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, *rest = (int(field) for field in stat.readline().split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS_PER_SECOND


def wait_until_quiet():
    """Lets earlier writes reach the disk and other people's work end."""
    os.sync()
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(0.25)
        if busy_seconds() - before <= 0.25 * QUIET_CORES:
            return


def run(command, output, codes=(0,), folder=None):
    """Runs `command` in `folder`; what it prints goes to the file `output`, errors to that name with `.err`.

    Raises Failed when it ends with none of `codes`.
    """
    errors = f"{output}.err"
    wait_until_quiet()
    busy = busy_seconds()
    with open(output, "wb") as out, open(errors, "wb") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        with open(errors, encoding="utf-8", errors="replace") as err:
            said = err.read(2_000).strip()
        shown = " ".join(str(part) for part in command[:6])
        raise Failed(f"`{shown} ...` ended with {process.returncode}: {said}")
    own = usage.ru_utime + usage.ru_stime
    others = max(0.0, busy_seconds() - busy - own) / max(seconds, 0.1)
    return Measure(seconds, usage.ru_maxrss / 1024, others)
