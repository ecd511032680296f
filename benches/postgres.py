"""The jobs of PostgreSQL: loads into a real server, made for the comparison and gone with it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from common import tell
from contest import Contestant, Job, expect
from measure import Failed

VERSIONS = Path("/usr/lib/postgresql")
OWNER = "bench"
# The limit writes quantities as four bytes; the table is what its file is made for.
TABLE = """CREATE TABLE orders(order_no text PRIMARY KEY, customer_no text NOT NULL, order_date date NOT NULL,
    due_date date NOT NULL, status text NOT NULL, quantity {quantity} NOT NULL, unit_price numeric(12,4) NOT NULL,
    currency text NOT NULL, email text NOT NULL, note text)"""
# Who has which database, with its type of quantities. The peer's script names its own.
PEERS_OWN = "bench"
DATABASES = {"wharf": "bigint", "anti": "integer", "split": "integer", PEERS_OWN: "integer"}
# How often it is looked whether somebody holds the table, in seconds.
GLANCE = 0.01
# Locks under which nobody else can write to a table.
SHUTS_WRITERS_OUT = "'ShareLock','ShareRowExclusiveLock','ExclusiveLock','AccessExclusiveLock'"
LONGEST_START = 60.0


class Cluster:
    """A server with default durability, on a spare port of the loopback."""

    def __init__(self, folder):
        self.folder = folder / "cluster"
        programs = [each / "bin" for each in VERSIONS.glob("*") if (each / "bin" / "postgres").exists()]
        if not programs:
            raise Failed("PostgreSQL is missing: apt-get install postgresql")
        self.programs = max(programs, key=lambda each: int(each.parent.name))
        with socket.socket() as spare:
            spare.bind(("127.0.0.1", 0))
            self.port = spare.getsockname()[1]
        self.server = None

    def start(self):
        tell("starting PostgreSQL")
        initdb = ["initdb", "-D", self.folder, "-A", "trust", "-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(self._as_somebody(*initdb), check=True, stdout=subprocess.DEVNULL)
        sockets = f"unix_socket_directories={self.folder}"
        command = ["postgres", "-D", self.folder, "-p", self.port, "-c", "listen_addresses=127.0.0.1", "-c", sockets]
        with open(f"{self.folder}.log", "wb") as log:
            self.server = subprocess.Popen(self._as_somebody(*command), stdout=log, stderr=log)
        end = time.monotonic() + LONGEST_START
        while subprocess.run(self._psql("postgres", "-c", "select 1"), capture_output=True).returncode != 0:
            if self.server.poll() is not None or time.monotonic() > end:
                raise Failed(f"PostgreSQL does not start: see {self.folder}.log")
            time.sleep(0.1)
        for name, quantity in DATABASES.items():
            self.sql("postgres", f"CREATE DATABASE {name}")
            self.sql(name, TABLE.format(quantity=quantity))

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _as_somebody(self, program, *arguments):
        """The server refuses to run as root: it is somebody else in a world of its own, and ends with it."""
        world = ["unshare", "--user", "--map-user=1", "--map-group=1", "--pid", "--fork", "--kill-child"]
        return [*world, str(self.programs / program), *map(str, arguments)]

    def _psql(self, database, *arguments):
        host = ["-h", "127.0.0.1", "-p", str(self.port), "-U", OWNER, "-d", database]
        return ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *host, *arguments]

    def sql(self, database, *statements):
        said = [part for statement in statements for part in ("-c", statement)]
        return subprocess.run(self._psql(database, *said), check=True, capture_output=True, text=True).stdout.strip()

    def url(self, database):
        return f"postgres://{OWNER}@127.0.0.1:{self.port}/{database}"

    def words(self, database):
        return f"host=127.0.0.1 port={self.port} user={OWNER} dbname={database}"

    def empty(self, database):
        """An empty table; what earlier runs left to be written is not billed to the next."""
        self.sql(database, "DROP TABLE IF EXISTS orders", TABLE.format(quantity=DATABASES[database]), "CHECKPOINT")

    def keep(self, database):
        self.sql(database, "VACUUM ANALYZE orders", "CHECKPOINT")

    def remember(self, database):
        """Takes a copy of a database as it is now, for `put_back`."""
        self.sql("postgres", f"DROP DATABASE IF EXISTS {database}_then", f"CREATE DATABASE {database}_then TEMPLATE {database}")

    def put_back(self, database):
        self.sql("postgres", f"DROP DATABASE {database}", f"CREATE DATABASE {database} TEMPLATE {database}_then", "CHECKPOINT")

    def updates(self, database):
        """Rows of the table that were written over since the server counts."""
        return int(self.sql(database, "SELECT coalesce(sum(n_tup_upd), 0) FROM pg_stat_user_tables WHERE relname = 'orders'"))

    def shut_seconds(self, command, codes):
        """Runs a command of Wharf; for how long nobody else could have written to the table, and for how long it ran."""
        watched = f"""SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND granted
            AND mode IN ({SHUTS_WRITERS_OUT}) \\watch {GLANCE}"""
        with subprocess.Popen(
            self._psql("wharf"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as watcher:
            watcher.stdin.write(watched + "\n")
            watcher.stdin.flush()
            began = time.perf_counter()
            code = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, check=False).returncode
            seconds = time.perf_counter() - began
            os.killpg(watcher.pid, signal.SIGTERM)
            glances = [line.strip() for line in watcher.stdout.read().splitlines() if line.strip().isdigit()]
        if code not in codes or not glances:
            raise Failed(f"wharf ended with {code} while its locks were watched")
        return sum(glance != "0" for glance in glances) * seconds / len(glances), seconds


class Loads:
    """Loads of one file after the other into the databases of a cluster."""

    def __init__(self, bench):
        self.bench = bench
        self.cluster = Cluster(bench.work)
        bench.closing.append(self.cluster.stop)
        self.cluster.start()
        self.mapping = bench.work / "orders_postgres.toml"
        text = bench.mapping.read_text(encoding="utf-8")
        self.mapping.write_text(text.replace("[target]\n", '[target]\nconnection = "server"\n'), encoding="utf-8")
        self.site = bench.work / "site-postgres"
        self.site.mkdir()
        settings = f'[connections.server]\nurl = "{self.cluster.url("wharf")}"\n'
        (self.site / "wharf.toml").write_text(settings, encoding="utf-8")

    def wharf(self, file, look, before):
        load = self.bench.load(self.site, [file], self.mapping, "--again", after=look)
        load.before = lambda: before("wharf")
        return load

    def limit(self, file, before, how, name="anti"):
        rejects = self.bench.work / f"{name}.rejects"
        command = [self.bench.limit, "e2e", "pg", file, self.cluster.words(name), rejects, *how]
        return Contestant(f"limit {name}", command, lambda: before(name))

    def psql(self, file, before):
        port = f"PGPORT={self.cluster.port}"
        command = ["env", port, "bash", self.bench.folder / "peers" / "p_psql.sh", file]
        return Contestant("psql copy + upsert", command, lambda: before(PEERS_OWN))

    def filled(self, file, names):
        """What has a database hold the rows of a file, whatever it held before."""
        filled = []

        def put_back(database):
            if not filled:
                for name in names:
                    self.cluster.empty(name)
                    one = self.wharf(file, None, None) if name == "wharf" else self.limit(file, None, [], name)
                    subprocess.run([str(part) for part in one.command], check=True, stdout=subprocess.DEVNULL)
                    self.cluster.keep(name)
                    self.cluster.remember(name)
                filled.extend(names)
            self.cluster.put_back(database)

        return put_back


def first_and_reload(loads, name, rows, **more):
    """A first load into an empty table, and the same file again."""
    bench, cluster = loads.bench, loads.cluster
    file, key = bench.orders(name, rows)
    accepted, rejected = key["expected_accepted"], key["expected_rejected"]
    millions = f"{rows // 10**6} M rows"
    first_look = expect(["loaded_with_rejects"], read=rows, inserted=accepted, rejected=rejected)
    the_same = expect(["loaded_with_rejects"], read=rows, unchanged=accepted, rejected=rejected)

    def unchanged(output):
        the_same(output)
        if (updates := cluster.updates("wharf")) != 0:
            raise Failed(f"{updates} rows of an unchanged reload were written over")

    first = Job(
        f"CSV to PostgreSQL, first load, {millions}",
        loads.wharf(file, first_look, cluster.empty),
        loads.limit(file, cluster.empty, []),
        **({"allowed_ratio": 1.5, "has_server": True} | more),
    )
    reload = Job(
        f"CSV to PostgreSQL, unchanged reload, {millions}",
        loads.wharf(file, unchanged, cluster.keep),
        loads.limit(file, cluster.keep, ["compare"]),
        **({"allowed_ratio": 1.6, "has_server": True} | more),
    )
    return first, reload


def jobs(bench):
    loads = Loads(bench)
    cluster = loads.cluster
    first, reload = first_and_reload(loads, "orders_1m", 10**6, allowed_mb=150)

    clean, _ = bench.orders("clean_1m", 10**6, "--bad-rate", "0")
    changed, _ = bench.orders("clean_1m_chg", 10**6, "--bad-rate", "0", "--change-rate", "0.01")
    new = bench.made("new_keys", "new-keys", clean) / "new_keys.csv"
    all_in = expect(["loaded"], read=10**6, inserted=10**6)
    against_peer = Job(
        "CSV to PostgreSQL, first load, 1 M rows without rejects",
        loads.wharf(clean, all_in, cluster.empty),
        loads.limit(clean, cluster.empty, []),
        loads.psql(clean, cluster.empty),
        at_least=2.2,
        allowed_mb=150,
        has_server=True,
    )
    filled = loads.filled(clean, ["wharf", "anti", "split"])

    def populated(title, file, look):
        return Job(
            f"CSV to PostgreSQL, 1 M rows in the table, {title}",
            loads.wharf(file, look, filled),
            loads.limit(file, filled, ["compare"]),
            loads.limit(file, filled, ["split"], "split"),
            allowed_mb=150,
            has_server=True,
        )

    some = expect(["loaded"], read=10**6, inserted=0)
    all_jobs = [
        first,
        reload,
        against_peer,
        populated("1 % of them changed", changed, some),
        populated("1 M new keys", new, all_in),
    ]
    bench.afterwards.append(lambda: locks(loads, all_jobs))
    return all_jobs


def big_jobs(bench):
    """Ten million rows, beside one million in the same run: what grows faster than the file shows in the rate."""
    loads = Loads(bench)
    some = first_and_reload(loads, "orders_1m", 10**6, allowed_ratio=None, most_runs=1)
    first, reload = first_and_reload(loads, "orders_10m", 10**7, allowed_ratio=None, allowed_mb=300, most_runs=1)
    reload.slower_than, reload.at_most_times = some[1], 10 / (2 / 3)
    return [*some, first, reload]


def locks(loads, all_jobs):
    """How long each load keeps others from writing to the table: run once more, with its locks watched, and not timed."""
    for job in all_jobs:
        job.wharf.before()
        shut, seconds = loads.cluster.shut_seconds(job.wharf.command, job.wharf.codes)
        yield f"{job.title}: nobody else could write to the table for {shut:.2f} of {seconds:.2f} s"
