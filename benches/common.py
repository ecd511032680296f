"""What the benchmarks share: words on standard error, a release build of Wharf, a table as text."""

import json
import os
import subprocess
import sys
from pathlib import Path

DATA = Path(os.environ.get("BENCH_DATA", "/tmp/bench-data"))
ROOT = Path(__file__).resolve().parent.parent


def tell(text):
    print(f"{Path(sys.argv[0]).name}: {text}", file=sys.stderr, flush=True)


def call(*command, environment=None):
    command = [str(part) for part in command]
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, **(environment or {})})


def build_wharf():
    """Makes a release build, and gives its path."""
    tell("building wharf")
    manifest = ROOT / "Cargo.toml"
    call("cargo", "build", "--release", "--locked", "--manifest-path", manifest)
    asked = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--manifest-path", str(manifest)]
    said = subprocess.run(asked, check=True, capture_output=True).stdout
    return Path(json.loads(said)["target_directory"]) / "release" / "wharf"


def lay_out(header, rows):
    """Rows of cells as a table of text."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
