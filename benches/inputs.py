#!/usr/bin/env python3
"""Makes the inputs that the data sets lack. The same call makes the same bytes.

    inputs.py many ORDERS.csv FOLDER      10,000 files of 20 rows each, from the first rows of an orders file
    inputs.py new-keys ORDERS.csv FOLDER  new_keys.csv, the same rows under keys that the file does not have
    inputs.py wide FOLDER                 wide.csv, 50,000 rows of 200 columns, and its mapping wide.toml

A program of its own, because what it takes in memory would count for whatever its caller starts afterwards.
"""

import csv
import itertools
import random
import sys
from datetime import date, timedelta
from pathlib import Path

FILES = 10_000
ROWS_PER_FILE = 20
WIDE_ROWS = 50_000
WIDE_COLUMNS = 200
# One row in so many has a cell that is no number.
WIDE_BAD_EVERY = 100


def many(orders, folder):
    with open(orders, encoding="utf-8", newline="") as source:
        rows = csv.reader(source)
        header = next(rows)
        for number in range(1, FILES + 1):
            with open(folder / f"orders_{number:05}.csv", "w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out, lineterminator="\n")
                writer.writerow(header)
                writer.writerows(itertools.islice(rows, ROWS_PER_FILE))


def new_keys(orders, folder):
    with (
        open(orders, encoding="utf-8", newline="") as source,
        open(folder / "new_keys.csv", "w", encoding="utf-8", newline="") as out,
    ):
        rows, writer = csv.reader(source), csv.writer(out, lineterminator="\n")
        writer.writerow(next(rows))
        writer.writerows(["N" + row[0], *row[1:]] for row in rows)


def wide(folder):
    names = [f"c{number:03}" for number in range(1, WIDE_COLUMNS + 1)]
    kinds = ['{ type = "integer", required = true }', "{ max_length = 20 }", '{ type = "decimal(12,2)" }', '{ type = "date" }']
    columns = "".join(f"{name} = {kinds[at % 4]}\n" for at, name in enumerate(names))
    target = f'[target]\ntable = "wide"\nkey = ["{names[0]}"]\ncreate = true\n'
    mapping = f'match = ["wide.csv"]\n\n[format]\ntype = "csv"\n\n{target}\n[columns]\n{columns}'
    (folder / "wide.toml").write_text(mapping, encoding="utf-8")

    draw = random.Random(42)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=draw.randint(3, 18))).strip() for _ in range(5_000)]
    days = [(date(2024, 1, 1) + timedelta(days)).isoformat() for days in range(900)]
    with open(folder / "wide.csv", "w", encoding="utf-8") as out:
        out.write(",".join(names) + "\n")
        for row in range(1, WIDE_ROWS + 1):
            cells = []
            for _ in range(WIDE_COLUMNS // 4):
                number = draw.getrandbits(30)
                cells += str(number), words[number % 5_000], f"{number // 100}.{number % 100:02}", days[number % 900]
            cells[0] = str(row)
            if row % WIDE_BAD_EVERY == 0:
                cells[4 + 4 * (row % 40)] = "n/a"
            out.write(",".join(cells) + "\n")


def main(arguments):
    match arguments:
        case ["many", orders, folder]:
            make, folder = lambda: many(orders, Path(folder)), Path(folder)
        case ["new-keys", orders, folder]:
            make, folder = lambda: new_keys(orders, Path(folder)), Path(folder)
        case ["wide", folder]:
            make, folder = lambda: wide(Path(folder)), Path(folder)
        case _:
            sys.exit(__doc__)
    folder.mkdir(parents=True, exist_ok=True)
    make()
    # Only now it is whole.
    (folder / ".complete").touch()


if __name__ == "__main__":
    main(sys.argv[1:])
