"""The jobs of the embedded database: validating, loading into SQLite, and what a mapping may add to it."""

import csv
import json
import shutil
import subprocess

from contest import Contestant, Job, expect, remove_database

FILES = 10_000
FILE_ROWS = 200_000
WIDE_ROWS = 50_000


def validate_job(bench, name, rows, **more):
    file, key = bench.orders(name, rows)
    look = expect(["loaded_with_rejects"], read=rows, rejected=key["expected_rejected"])
    return Job(f"validate {rows // 10**6} M rows, with reports", bench.validate(file, look), bench.limit_validate(file), **more)


def load_job(bench, name, rows, **more):
    file, key = bench.orders(name, rows)
    look = expect(
        ["loaded_with_rejects"], read=rows, inserted=key["expected_accepted"], rejected=key["expected_rejected"]
    )
    wharf = bench.load(bench.work / f"site-{name}", [file], bench.mapping, after=look, fresh=True)
    limit = bench.limit_load(file, f"limit-{name}", fresh=True)
    return Job(f"CSV to SQLite, first load, {rows // 10**6} M rows", wharf, limit, **more)


def validate_jobs(bench):
    job = validate_job(bench, "orders_1m", 10**6, allowed_ratio=2.5, at_least=3.0, allowed_mb=150)
    file, _ = bench.orders("orders_1m", 10**6)
    script = bench.folder / "peers" / "v_duckdb.py"
    job.peer = Contestant("DuckDB types + SQL", [bench.python, script, file, bench.work / "duckdb.csv"])
    return [job]


def load_jobs(bench):
    first = load_job(bench, "orders_1m", 10**6, allowed_ratio=1.5, allowed_mb=150)
    file, key = bench.orders("orders_1m", 10**6)
    site = bench.work / "site-orders_1m"

    same = expect(["duplicate"])
    duplicate = Job(
        "the same bytes again, 1 M rows", bench.load(site, [file], bench.mapping, after=same), allowed_seconds=0.2
    )

    unchanged = expect(
        ["loaded_with_rejects"], read=10**6, unchanged=key["expected_accepted"], rejected=key["expected_rejected"]
    )
    again = Job(
        "CSV to SQLite, unchanged reload, 1 M rows",
        bench.load(site, [file], bench.mapping, "--again", after=unchanged),
        bench.limit_load(file, "limit-orders_1m", fresh=False),
        allowed_ratio=1.6,
        allowed_mb=150,
    )

    clean, _ = bench.orders("clean_1m", 10**6, "--bad-rate", "0")
    all_in = expect(["loaded"], read=10**6, inserted=10**6)
    database = bench.work / "sqlite3.db"
    import_script = bench.folder / "peers" / "s_sqlite3.sh"
    against_peer = Job(
        "CSV to SQLite, first load, 1 M rows without rejects",
        bench.load(bench.work / "site-clean", [clean], bench.mapping, after=all_in, fresh=True),
        bench.limit_load(clean, "limit-clean", fresh=True),
        Contestant("sqlite3 .import + upsert", ["bash", import_script, clean, database], lambda: remove_database(database)),
        at_least=1.0,
        allowed_mb=150,
    )
    return [first, duplicate, again, against_peer]


# What a mapping may add to the bench file's rules, and what it may cost.
RULES = """
[columns.total]
value = "quantity * unit_price"
type = "decimal(16,4)"

[columns.days_to_pay]
value = "due_date - order_date"
type = "integer"

[checks.due_after_order]
check = "due_date >= order_date"

[checks.paid_has_price]
check = "status <> 'PAID' OR unit_price > 0"

[checks.mail_is_lower]
check = "email = lower(email)"
"""
LOOKUP = 'lookup = { file = "customers.csv", key = "customer_no" }, '
MIRROR = 'mode = "mirror"\nvanished = "delete"\n'


def mapping_jobs(bench):
    """Wharf with something against Wharf without: what rules, a lookup, a mirror and a preview cost."""
    file, _ = bench.orders("clean_1m", 10**6, "--bad-rate", "0")
    work = bench.work / "mapping"
    lookups = work / "site" / "mappings" / "lookups"
    lookups.mkdir(parents=True)
    customers(file, lookups / "customers.csv")
    text = bench.mapping.read_text(encoding="utf-8")

    def variant(name, text):
        path = work / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    plain = variant("plain", text)
    rules = variant("rules", text + RULES)
    lookup = variant("lookup", text.replace("customer_no = { ", "customer_no = { " + LOOKUP))
    mirror = variant("mirror", text.replace("[target]\n", "[target]\n" + MIRROR))
    good = expect(["loaded"], read=10**6)
    all_in = expect(["loaded"], read=10**6, inserted=10**6)
    the_same = expect(["loaded"], read=10**6, unchanged=10**6)

    def call(name, after, *words):
        return Contestant(name, [bench.wharf, "--site", work / "site", "--json", *words], after=after)

    def validate(name, mapping):
        return call(name, good, "validate", "--mapping", mapping, file)

    def load(name, mapping, look, *options, site, fresh=False):
        loading = bench.load(work / site, [file], mapping, *options, after=look, fresh=fresh)
        loading.name = name
        return loading

    def preview(look, site):
        (work / site).mkdir(exist_ok=True)
        command = [bench.wharf, "--site", work / site, "--json", "preview", "--mapping", plain, file]
        return Contestant("wharf", command, after=look)

    return [
        Job("validate, with three checks and two computed columns", validate("wharf", rules), validate("plain", plain), allowed_ratio=1.4),
        Job("validate, with a lookup of 200,000 keys", validate("wharf", lookup), validate("plain", plain), allowed_ratio=1.25),
        Job(
            "first load, as a mirror",
            load("wharf", mirror, all_in, site="mirror", fresh=True),
            load("plain", plain, all_in, site="plain", fresh=True),
        ),
        Job(
            "unchanged reload, as a mirror",
            load("wharf", mirror, the_same, "--again", site="mirror"),
            load("plain", plain, the_same, "--again", site="plain"),
            allowed_ratio=1.6,
        ),
        Job(
            "preview of a first load",
            preview(all_in, "nothing"),
            load("first load", plain, all_in, site="first", fresh=True),
            allowed_ratio=1.3,
        ),
        Job(
            "preview of an unchanged reload",
            preview(the_same, "plain"),
            load("reload", plain, the_same, "--again", site="plain"),
            allowed_ratio=1.3,
        ),
        Job("infer from 114 MB", call("wharf", lambda output: None, "infer", file), allowed_seconds=2, allowed_mb=100),
        replay_job(bench),
    ]


def customers(orders, path):
    """The customers of the orders, as a lookup."""
    with open(orders, encoding="utf-8", newline="") as source:
        rows = csv.reader(source)
        next(rows)
        names = sorted({row[1] for row in rows})
    path.write_text("customer_no\n" + "".join(f"{name}\n" for name in names), encoding="utf-8")


def replay_job(bench):
    """The open rejects of a load, some 10,000, run again under the same mapping: all are rejected again."""
    file, key = bench.orders("orders_1m", 10**6)
    site = bench.work / "site-replay"
    mapping = site / "mappings" / "inbound" / "orders.toml"
    mapping.parent.mkdir(parents=True)
    shutil.copyfile(bench.mapping, mapping)
    rejected = key["expected_rejected"]
    look = expect(["loaded_with_rejects"], read=rejected, rejected=rejected)
    replay = Contestant("wharf", [bench.wharf, "--site", site, "--json", "replay", None], after=look, codes=(2,))

    def before():
        if replay.command[-1] is None:
            load = [bench.wharf, "--site", site, "--json", "load", file]
            said = subprocess.run(load, capture_output=True, text=True, check=False).stdout
            replay.command[-1] = json.loads(said)["delivery"]

    replay.before = before
    return Job(f"replay of {rejected:,} rejects", replay, allowed_seconds=1)


def files_jobs(bench):
    orders, _ = bench.orders("orders_1m", 10**6)
    folder = bench.made("many", "many", orders)
    names = [f"orders_{number:05}.csv" for number in range(1, FILES + 1)]
    look = expect(["loaded", "loaded_with_rejects"], read=FILE_ROWS)
    site = bench.work / "site-files"
    wharf = bench.load(site, names, bench.mapping, after=look, fresh=True, folder=folder)
    return [Job("10,000 files of 20 rows in one load", wharf, files_per_second=300, most_runs=3)]


def wide_jobs(bench):
    folder = bench.made("wide", "wide")
    look = expect(["loaded_with_rejects"], read=WIDE_ROWS, rejected=WIDE_ROWS // 100)
    site = bench.work / "site-wide"
    wharf = bench.load(site, [folder / "wide.csv"], folder / "wide.toml", after=look, fresh=True)
    return [Job("first load, 50,000 rows of 200 columns", wharf, most_runs=3)]


def rejects_jobs(bench):
    file, key = bench.orders("allbad_1m", 10**6, "--bad-rate", "1")
    look = expect(["loaded_with_rejects"], read=10**6, rejected=key["expected_rejected"])
    wharf = bench.load(bench.work / "site-rejects", [file], bench.mapping, after=look, fresh=True)
    return [Job("first load, 1 M rows, all rejected but one", wharf, most_runs=3)]


def big_jobs(bench):
    return [
        validate_job(bench, "orders_10m", 10**7, allowed_mb=300, most_runs=1),
        load_job(bench, "orders_10m", 10**7, allowed_mb=300, most_runs=1),
    ]
