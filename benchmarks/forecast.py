"""How good is `shop_forecast`? Forecasts of past days beside what those days became.

    python benchmarks/forecast.py [DATA_DIR]

Publishes invented shops, or a copy of the exports in DATA_DIR, up to one past day after the other,
and compares each forecast of NRR and SFRR with the rate of the day it speaks of, and so does the
guess that every day will be as the last one. Prints the mean absolute error in percentage points.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb

from dagster_project.lib.paths import DataDir
from dagster_project.lib.publications import Version

FEEDBACK = Path(sys.executable).with_name("feedback")
HORIZONS = (1, 3, 7, 14, 21, 30)
# A rate of fewer orders is chance.
LEAST_ORDERS = 100


def publish(data: DataDir, as_of: date | None = None) -> Version:
    """Publish up to a day."""
    last = [f"--as-of={as_of}"] if as_of else []
    command = [str(FEEDBACK), "run", "--data-dir", str(data.root), *last]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    return Version((data.published / "current").resolve())


def keep(con: duckdb.DuckDBPyConnection, version: Version) -> None:
    """Keep what a publication says of the days ahead, and of its last day."""
    forecast, status = (version.parquet(t) for t in ("shop_forecast", "metric_status_daily"))
    con.execute(
        f"insert into forecasts select f.shop_id, f.metric, f.horizon_days, f.forecast_date, "
        f"f.expected_rate, f.rate_if_nothing_new, s.rate from {forecast} as f "
        f"inner join {status} as s on f.shop_id = s.shop_id and f.metric = s.metric "
        "and f.as_of_date = s.metric_date"
    )


def table(con: duckdb.DuckDBPyConnection, truth: str) -> str:
    """The errors by horizon, in Markdown."""
    rows = con.execute(
        f"""
        select
            f.metric, f.horizon_days, count(*),
            100 * avg(abs(f.expected_rate - t.rate)),
            100 * avg(abs(f.rate_if_nothing_new - t.rate)),
            100 * avg(abs(f.as_today - t.rate))
        from forecasts as f
        inner join {truth} as t
            on f.shop_id = t.shop_id and f.metric = t.metric and f.forecast_date = t.metric_date
        where t.delivered_orders >= ? and f.metric in ('nrr', 'sfrr')
            and list_contains(?, f.horizon_days) and f.expected_rate is not null
            and t.rate is not null
        group by all order by 1, 2
        """,
        [LEAST_ORDERS, list(HORIZONS)],
    ).fetchall()
    lines = [
        "| metric | days ahead | forecasts | expected_rate | rate_if_nothing_new | as today |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {metric} | {days} | {n} | {expected:.3f} | {nothing:.3f} | {as_today:.3f} |"
        for metric, days, n, expected, nothing, as_today in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Forecast from past days and print the errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, help="exports; default invented shops")
    parser.add_argument("--origins", type=int, default=12, help="days to forecast from")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as con:
        data = DataDir(Path(name) / "data")
        if options.data:
            data.root.mkdir()
            for part in ("shops.csv", "landing"):
                (data.root / part).symlink_to((options.data / part).resolve())
        else:
            command = [str(FEEDBACK), "sample", str(data.root), "--shops", "6", "--days", "180"]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        truth = Path(name) / "truth.parquet"
        shutil.copy(publish(data).folder / "parquet" / "metric_status_daily.parquet", truth)
        ((first, last),) = con.execute(
            "select min(metric_date), max(metric_date) from read_parquet(?) where rate is not null",
            [str(truth)],
        ).fetchall()
        con.execute(
            "create table forecasts (shop_id varchar, metric varchar, horizon_days bigint, "
            "forecast_date date, expected_rate double, rate_if_nothing_new double, as_today double)"
        )
        begin, end = first + timedelta(days=45), last - timedelta(days=max(HORIZONS))
        for number in range(options.origins):
            day = begin + (end - begin) * number // max(1, options.origins - 1)
            keep(con, publish(data, day))
            print(f"… from {day}", file=sys.stderr)
        print(table(con, f"read_parquet('{truth}')"))


if __name__ == "__main__":
    main()
