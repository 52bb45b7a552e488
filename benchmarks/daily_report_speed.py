"""What a daily report costs, and what people's listings cost, by the number of files of the day and in the ledger.

    python -m benchmarks.daily_report_speed [--files 1000 10000] [--postgres]

Each file is of one of 20 owners, with all of its stages, a transcript, an ending, and a language model's call; three
quarters of the files are of other days. Prints processor seconds of this process (and, on SQLite, so of the database),
and growth of memory; `--postgres` starts a server of its own, whose own seconds are in the wall time alone.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import psutil
from sqlalchemy import Engine, make_url, text

from tests.operations.daily_report.activity import DAY, Call, End, File, Run, Version, record
from tests.servers.postgres import postgres_server
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.files import list_files
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.daily_report.collecting import daily_report
from transcribe_pipeline.operations.daily_report.filing import files
from transcribe_pipeline.stage import STAGES

OWNERS = 20
OTHER_DAYS = (-48.0, -24.0, 24.0)


def recorded(number: int, seed: int = 7) -> Iterator[File]:
    chosen = random.Random(seed)
    for position in range(number):
        begin = chosen.uniform(0, 22) + (OTHER_DAYS[position % 4] if position % 4 < len(OTHER_DAYS) else 0.0)
        runs = [
            Run(stage, begin + 0.1 + place * 0.01, share * chosen.uniform(0.5, 1.5), cpu_seconds=share)
            for place, (stage, share) in enumerate(STAGES.items())
        ]
        yield File(
            f"owner-{chosen.randrange(OWNERS)}",
            begin,
            runs=runs,
            versions=[Version(begin + 0.3, audio_seconds=chosen.uniform(10, 3600))],
            ends=[End(begin + 0.5) if position % 20 else End(begin + 0.5, Status.ERROR, "NO_AUDIO")],
            calls=[Call(begin + 0.4)],
        )


def populate(engine: Engine, number: int) -> None:
    batch: list[File] = []
    for file in recorded(number):
        batch.append(file)
        if len(batch) == 1_000:
            record(engine, batch)
            batch = []
    record(engine, batch)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def measure(name: str, work: Callable[[], object]) -> None:
    work()  # connections, compiled statements
    before = psutil.Process().memory_info().rss
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = psutil.Process().memory_info().rss - before
    print(f"  {name:<42} {cpu:7.3f} s CPU  {wall:7.3f} s  {grown / 1e6:+7.1f} MB")


def measure_all(engine: Engine, number: int) -> None:
    populate(engine, number)
    print(f"{engine.dialect.name}, {number:,} files, a quarter of them on the day:")
    measure("report of a day", lambda: daily_report(engine, DAY))
    measure("report of a day, one owner", lambda: daily_report(engine, DAY, owner="owner-3"))
    measure("report of a day on which nothing happened", lambda: daily_report(engine, DAY + timedelta(days=90)))
    report = daily_report(engine, DAY)
    measure("its markdown, CSV, JSON and picture", lambda: files(report))
    measure("ls: the newest 100", lambda: list_files(engine, limit=101))
    measure("ls: of one owner", lambda: list_files(engine, owner="owner-3", limit=101))
    measure("ls: that failed", lambda: list_files(engine, status=Status.ERROR, limit=101))


@contextmanager
def ledger(server: str | None, folder: Path) -> Iterator[Engine]:
    if server is None:
        url = f"sqlite:///{folder / 'ledger.db'}"
    else:
        admin = connect(server).execution_options(isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("DROP DATABASE IF EXISTS daily WITH (FORCE)"))
            connection.execute(text("CREATE DATABASE daily"))
        admin.dispose()
        url = make_url(server).set(database="daily").render_as_string(hide_password=False)
    engine = connect(url)
    migrate(engine)
    yield engine
    engine.dispose()


def main(numbers: Sequence[int], *, postgres: bool) -> None:
    with postgres_server() if postgres else nullcontext() as server:
        for number in numbers:
            with tempfile.TemporaryDirectory() as folder, ledger(server, Path(folder)) as engine:
                measure_all(engine, number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server instead of SQLite")
    arguments = parser.parse_args()
    main(arguments.files, postgres=arguments.postgres)
