"""Data for the benchmarks at scale: a history of 0.1 to 100 million order lines, and days after it.

    python -m benchmarks.scale_data history DIR --lines 10_000_000        # raw store and ledger
    python -m benchmarks.scale_data history DIR --lines 100_000 --files   # exports in landing/
    python -m benchmarks.scale_data increment DIR --lines 13_700          # one more day in landing/

200 shops in the layouts of four countries, 20,000 products, 730 days. An order has 1.1 lines; 95 %
are delivered. Of these 10 % are reviewed (3 % of the reviews negative) and 0.5 % complained about;
4 % of all orders have a request. Each shop exports monthly what was placed, asked or written in
the month and in the eight days before (reviews: three), as it stands at the month's end.

Both ways of laying out a history come from the same rows. The fast one writes what ingest would:
Parquet batches and the ledger's files, a batch per month (several above a million lines a month).
Only the ids of files with rows differ: they are the sha-256 of bytes that the fast way never makes.

An increment is one day's exports of each shop. Of its order lines half are placed on that day, 45 %
were placed in the eight days before and delivered on it, 5 % are late: deliveries of the last forty
days dated anew, and old orders that no export had. Reviews and requests are on orders delivered in
the last forty days, 5 % of them dated earlier, some of them edits of what the history has. On
histories of a million lines or more the same increment has the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import itertools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks import scale_world as world
from benchmarks.scale_world import ARRIVES_WITHIN_DAYS, History
from dagster_project.lib.contracts import load_datasets
from dagster_project.lib.landing import LandingFile, exported_at
from dagster_project.lib.ledger import FileEntry, Ledger
from dagster_project.lib.loader import reader_version
from dagster_project.lib.paths import DataDir
from dagster_project.lib.raw_store import batch_path
from dagster_project.lib.readers.header import find_header
from dagster_project.lib.sample.layouts import (
    DAY_FIRST,
    LAYOUTS,
    ORDER_MONEY,
    PRODUCT_COLUMNS,
    RETURN_COLUMNS,
    REVIEW_COLUMNS,
    TABBED,
    Layout,
    description_row,
)
from dagster_project.lib.sample.regions import Region
from dagster_project.lib.shops import COLUMNS as SHOP_COLUMNS
from dagster_project.lib.shops import Shop
from dagster_project.lib.sql import identifier, literal

DAILY_LINES = 13_700
"""1/730 of ten million."""

_MEMORY = "2500MB"
_CHUNK_LINES = 1_000_000
_EXPORT_TIME = time(23, 59)
_REVIEW_OVERLAP_DAYS = 3
_DAY = 86_400
_COMPLAINT_COLUMNS = (
    "complaint_id",
    "order_id",
    "sku_id",
    "complaint_type",
    "complaint_detail",
    "created_at",
    "status",
    "resolved_at",
)
# Placed on the day, delivered on it, dated anew, exported late: shares of an increment's lines.
_PLACED, _DELIVERED, _DATED_ANEW, _EXPORTED_LATE = 0.50, 0.45, 0.03, 0.02
_LATE, _EDITED, _SETTLED = 0.05, 0.03, 0.10
_LOOK_BACK_DAYS = 40
_LATE_K = 9_000  # numbers that no history gives


def write_history(root: Path, history: History, *, as_files: bool = False) -> None:
    """Lay out a new data directory: raw store and ledger, or `landing/` when `as_files`.

    Raises FileExistsError when there is one already.
    """
    data = DataDir(root)
    if data.shops_csv.exists():
        raise FileExistsError(f"{root} already has a data directory; name an empty one")
    root.mkdir(parents=True, exist_ok=True)
    with data.shops_csv.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SHOP_COLUMNS)
        writer.writerows([getattr(s, c) for c in SHOP_COLUMNS] for s, _ in history.cast())
    with _database() as con:
        world.create_world(con, history)
        out = Landing(data, con, history) if as_files else RawStore(data, con, history)
        for number, (first, last) in enumerate(_months(history)):
            for shops in _shop_groups(history, first, last):
                _export_month(con, history, (first, last), shops, as_files=as_files)
                datasets = ["orders", "returns", "reviews", "complaints"]
                out.write([*datasets, *(["products"] if number == 0 else [])], shops, last, number)
    _remember(data, history)


def write_increment(root: Path, lines: int = DAILY_LINES) -> date:
    """Lay one more day's exports of about so many order lines into `landing/`; returns the day."""
    data = DataDir(root)
    history = read_history(root)
    index = history.days + len(history.increments)
    history = replace(history, increments=(*history.increments, lines))
    shops = (1, history.shops)
    with _database() as con:
        world.create_world(con, history)
        _export_day(con, history, index, lines)
        number = len(_months(history)) + len(history.increments)
        out = Landing(data, con, history)
        out.write(["orders", "returns", "reviews", "complaints"], shops, index, number)
    _remember(data, history)
    return history.day(index)


def read_history(root: Path) -> History:
    """What was laid out in a data directory."""
    facts = json.loads((root / "history.json").read_text())
    return History(
        **facts
        | {
            "last_day": date.fromisoformat(facts["last_day"]),
            "increments": tuple(facts["increments"]),
        }
    )


def _remember(data: DataDir, history: History) -> None:
    (data.root / "history.json").write_text(json.dumps(asdict(history), default=str) + "\n")


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory() as folder:
        con = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": folder})
        try:
            yield con
        finally:
            con.close()


def _months(history: History) -> list[tuple[int, int]]:
    """The first and last day's index of each calendar month of a history."""
    days = range(history.days)
    months = itertools.groupby(days, key=lambda i: history.day(i).replace(day=1))
    return [(indices[0], indices[-1]) for _, group in months for indices in [list(group)]]


def _shop_groups(history: History, first: int, last: int) -> list[tuple[int, int]]:
    """First and last number of the shops that are done together, by the lines of a month."""
    lines = sum(
        history.lines_of(i)[0] for i in range(max(0, first - ARRIVES_WITHIN_DAYS), last + 1)
    )
    groups = max(1, round(lines / _CHUNK_LINES))
    weights = [1 / number**0.5 for number in range(1, history.shops + 1)]
    placed = list(itertools.accumulate(weights, initial=0.0))
    group = [min(int(before / placed[-1] * groups), groups - 1) for before in placed[:-1]]
    numbered = itertools.groupby(range(1, history.shops + 1), key=lambda n: group[n - 1])
    return [(numbers[0], numbers[-1]) for _, found in numbered for numbers in [list(found)]]


def _now(history: History, index: int) -> int:
    return world.seconds(datetime.combine(history.day(index), _EXPORT_TIME))


def _fill(con: duckdb.DuckDBPyConnection, dataset: str, rows: str) -> None:
    con.execute(f"create or replace temp table {dataset}_rows as {rows}")


def _export_month(
    con: duckdb.DuckDBPyConnection,
    history: History,
    days: tuple[int, int],
    shops: tuple[int, int],
    *,
    as_files: bool,
) -> None:
    """Make `<dataset>_rows` of what the shops export at the end of the days."""
    first, last = days
    now, start = _now(history, last), world.seconds(history.day(first))

    def orders(back: int) -> str:
        return world.orders_sql(history, (first - back, last), shops)

    order_extras, request_extras = (_ORDER_EXTRAS, _REQUEST_EXTRAS) if as_files else ("", "")
    overlap = ARRIVES_WITHIN_DAYS
    since = start - overlap * _DAY
    _fill(con, "orders", world.order_rows_sql(history, orders(overlap), now, order_extras))
    requests = world.natural_requests_sql(history, orders(overlap + 40))
    _fill(con, "returns", world.request_rows_sql(requests, since, now, request_extras))
    reviews = world.natural_reviews_sql(history, orders(_REVIEW_OVERLAP_DAYS + 55))
    since_reviews = start - _REVIEW_OVERLAP_DAYS * _DAY
    _fill(con, "reviews", world.review_rows_sql(reviews, since_reviews, now))
    complaints = world.natural_complaints_sql(history, orders(overlap + 20))
    _fill(con, "complaints", world.complaint_rows_sql(complaints, since, now))
    _fill(con, "products", world.PRODUCT_ROWS_SQL)


def _export_day(con: duckdb.DuckDBPyConnection, history: History, index: int, lines: int) -> None:
    """Make `<dataset>_rows` of an increment."""
    shops = (1, history.shops)
    start, now = world.seconds(history.day(index)), _now(history, index)
    history_end = world.seconds(history.day(history.days))
    turn = index - history.days
    slot = 1 + turn % 9
    orders = lines / world.LINES_PER_ORDER
    reviewed = orders * world.DELIVERED_SHARE * world.REVIEWED_SHARE
    requested = orders * world.REQUESTED_SHARE
    complained = orders * world.DELIVERED_SHARE * world.COMPLAINED_SHARE

    def shared(back: int, until: int) -> str:
        days = (max(0, index - back), index - until)
        return world.orders_sql(history, days, shops, shared=True)

    def some(name: str, facts: str, condition: str, count: float, salt: int) -> None:
        """A table of orders drawn by chance from facts."""
        con.execute(
            f"create or replace temp table {name} as select * from ({facts}) where {condition} "
            f"order by part(h, {1000 * salt + turn}), order_id limit {round(count)}"
        )

    arrived = world.facts_sql(history, shared(ARRIVES_WITHIN_DAYS, 1))
    recent = world.facts_sql(history, shared(_LOOK_BACK_DAYS, 1))
    older = world.facts_sql(history, shared(_LOOK_BACK_DAYS, world.RECENT_DAYS))
    pairs = (history.shops * (min(_LOOK_BACK_DAYS, index) - world.RECENT_DAYS + 1)) or 1
    unknown = world.facts_sql(
        history,
        f"select s.shop_number, d.day_index, {_LATE_K} + {turn} % 100 * 10 + n.n as k, 0 as slot, "
        f"0 as shift from shops as s cross join days as d cross join range(10) as n(n) "
        f"where d.day_index between {max(0, index - _LOOK_BACK_DAYS)} "
        f"and {index - world.RECENT_DAYS} and n.n <= {orders * _EXPORTED_LATE * 2 // pairs}",
    )
    within = f"delivered_s >= {start} and delivered_s < {start + _DAY}"
    some("arrived", arrived, within, orders * _DELIVERED, 1)
    some("dated_anew", older, f"delivered_s < {start - 4 * _DAY}", orders * _DATED_ANEW, 2)
    some("late", unknown, "delivered_s is not null", orders * _EXPORTED_LATE, 3)
    keys = "shop_number, day_index, k, slot"
    chosen = (
        f"{world.orders_sql(history, (index, index), shops)} "
        f"union all select {keys}, 0 as shift from arrived "
        f"union all select {keys}, 1 + (h % 3)::int as shift from dated_anew "
        f"union all select {keys}, 0 as shift from late"
    )
    _fill(con, "orders", world.order_rows_sql(history, chosen, now, _ORDER_EXTRAS))

    delivered = f"delivered_s < {start}"
    long_ago = f"delivered_s < {start - 15 * _DAY}"
    today = f"{start} + 28800 + (part(h_slot, 20) * 50000)::bigint"
    earlier = f"{today} - (2 + (h % 8)::int) * {_DAY}"

    def events(name: str, moment: str) -> str:
        """Facts of the drawn orders with a new event of each at a moment."""
        drawn = f"select shop_number, day_index, k, {slot} as slot, 0 as shift from {name}"
        return f"select *, {moment} from ({world.facts_sql(history, drawn)})"

    some("reviewed", recent, delivered, reviewed * (1 - _LATE - _EDITED), 4)
    some("reviewed_late", recent, long_ago, reviewed * _LATE, 5)
    natural = world.natural_reviews_sql(history, shared(_LOOK_BACK_DAYS, world.RECENT_DAYS))
    unedited = f"edited_s is null and written_s < {min(start, history_end)}"
    some("edited", natural, unedited, reviewed * _EDITED, 6)
    tail = "null::bigint as edited_s, false as is_flipped"
    reviews = (
        f"{events('reviewed', f'{today} as written_s, {tail}')} union all by name "
        f"{events('reviewed_late', f'{earlier} as written_s, {tail}')} union all by name "
        f"select * replace ({today} as edited_s, true as is_flipped) from edited"
    )
    _fill(con, "reviews", world.review_rows_sql(reviews, 0, now))

    some("asked", recent, delivered, requested * (1 - _LATE - _SETTLED), 7)
    some("asked_late", recent, long_ago, requested * _LATE, 8)
    natural = world.natural_requests_sql(history, shared(_LOOK_BACK_DAYS, 1))
    settling = f"requested_s between {start - 7 * _DAY} and {min(start, history_end) - 1}"
    some("settling", natural, settling, requested * _SETTLED, 9)
    requests = (
        f"{events('asked', f'{today} as requested_s')} union all by name "
        f"{events('asked_late', f'{earlier} as requested_s')} union all by name "
        "select * from settling"
    )
    _fill(con, "returns", world.request_rows_sql(requests, 0, now, _REQUEST_EXTRAS))

    some("complained", recent, delivered, complained, 10)
    complaints = events("complained", f"{today} as complained_s")
    _fill(con, "complaints", world.complaint_rows_sql(complaints, 0, now))


# --- files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Export:
    """One export file: its name, and the bytes and rows before its first data row."""

    shop_number: int
    shop: Shop
    dataset: str
    file_name: str
    columns: tuple[str, ...]
    head: bytes
    head_rows: int
    rows: int


def _exports(
    con: duckdb.DuckDBPyConnection,
    history: History,
    dataset: str,
    shops: tuple[int, int],
    day: date,
    number: int,
) -> list[Export]:
    """The files of a dataset, `number` since the first; a shop without complaints has no file."""
    counts: dict[int, int] = dict(
        con.execute(f"select shop_number, count(*) from {dataset}_rows group by all").fetchall()
    )
    exports = []
    for shop_number, (shop, region) in enumerate(history.cast(), start=1):
        rows = counts.get(shop_number, 0)
        if not shops[0] <= shop_number <= shops[1] or (dataset == "complaints" and not rows):
            continue
        layout = LAYOUTS[region.code]
        columns = _columns(dataset, layout)
        head = [list(columns)]
        every = layout.described_every
        if dataset == "orders" and every and number % every == 0:
            head.append(description_row(layout))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(head)
        has_mark = layout.has_bom and dataset in ("orders", "returns")
        exports.append(
            Export(
                shop_number,
                shop,
                dataset,
                _file_name(dataset, datetime.combine(day, _EXPORT_TIME)),
                columns,
                text.getvalue().encode("utf-8-sig" if has_mark else "utf-8"),
                len(head),
                rows,
            )
        )
    return exports


def _columns(dataset: str, layout: Layout) -> tuple[str, ...]:
    return {
        "orders": layout.order_columns,
        "returns": RETURN_COLUMNS,
        "reviews": REVIEW_COLUMNS,
        "complaints": _COMPLAINT_COLUMNS,
        "products": PRODUCT_COLUMNS,
    }[dataset]


def _file_name(dataset: str, at: datetime) -> str:
    if dataset == "orders":
        return f"All order-{at:%Y-%m-%d-%H_%M}.csv"
    if dataset == "returns":
        return f"Return order-{at:%Y-%m-%d-%H_%M}.csv"
    return f"{dataset}-{at:%Y-%m-%d}.csv"


class Landing:
    """Writes exports as CSV files into `landing/`."""

    def __init__(self, data: DataDir, con: duckdb.DuckDBPyConnection, history: History) -> None:
        self._data = data
        self._con = con
        self._history = history

    def write(self, datasets: list[str], shops: tuple[int, int], day: int, number: int) -> None:
        """Write the rows of the datasets as the files of the shops, exported on the day."""
        regions = {shop.shop_id: region for shop, region in self._history.cast()}
        for dataset in datasets:
            last_day = self._history.day(day)
            for export in _exports(self._con, self._history, dataset, shops, last_day, number):
                region = regions[export.shop.shop_id]
                path = self._data.landing / export.shop.shop_id / dataset / export.file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                body = b""
                if export.rows:
                    cells = _cells(dataset, region)
                    columns = ", ".join(cells.get(c, "null") for c in export.columns)
                    self._con.execute(
                        f"copy (select {columns} from {dataset}_rows "
                        f"where shop_number = {export.shop_number} order by row_number) "
                        f"to {literal(str(path))} (format csv, header false)"
                    )
                    body = path.read_bytes()
                path.write_bytes(export.head + body)


class RawStore:
    """Writes exports as ingest leaves them: a batch of Parquet files, and the ledger's entries."""

    def __init__(self, data: DataDir, con: duckdb.DuckDBPyConnection, history: History) -> None:
        self._data = data
        self._con = con
        self._history = history
        self._datasets = load_datasets()

    def write(self, datasets: list[str], shops: tuple[int, int], day: int, number: int) -> None:
        """Write the rows of the datasets as one batch of the shops' files, exported on the day."""
        last_day = self._history.day(day)
        ingested_at = datetime.combine(last_day + timedelta(days=1), time(6), UTC)
        ingested_at += timedelta(seconds=shops[0])
        digest = hashlib.sha256(f"{self._history.seed}/{number}/{shops}".encode()).hexdigest()
        batch_id = f"{ingested_at:%Y%m%dT%H%M%S}-{digest[:6]}"
        entries: list[FileEntry] = []
        for dataset in datasets:
            exports = _exports(self._con, self._history, dataset, shops, last_day, number)
            files = [self._entry(export, batch_id, ingested_at) for export in exports]
            if files:
                self._write_parquet(dataset, exports, files, batch_id)
            entries += files
        with Ledger.open(self._data.ledger) as ledger:
            ledger.commit_batch(entries, [])

    def _entry(self, export: Export, batch_id: str, ingested_at: datetime) -> FileEntry:
        """The ledger's entry; the id of a file without rows is that of its very bytes."""
        shop, dataset = export.shop, self._datasets[export.dataset]
        place = f"{self._history.seed}/{shop.shop_id}/{export.dataset}/{export.file_name}"
        content = place.encode() if export.rows else export.head
        file_id = hashlib.sha256(content).hexdigest()
        present = find_header([export.columns], dataset).positions
        file = LandingFile(Path(export.file_name), shop.shop_id, export.dataset, file_id)
        return FileEntry(
            file_id=file_id,
            shop_id=shop.shop_id,
            dataset=export.dataset,
            file_name=export.file_name,
            sheet="",
            exported_at=exported_at(export.file_name),
            rows_read=export.rows,
            rows_loaded=export.rows,
            rows_rejected=0,
            status="loaded",
            message="",
            layout=",".join(c.name for c in dataset.columns if c.name in present),
            batch_id=batch_id,
            reader=reader_version(file, shop, None),
            ingested_at=ingested_at,
        )

    def _write_parquet(
        self, name: str, exports: list[Export], files: list[FileEntry], batch_id: str
    ) -> None:
        dataset = self._datasets[name]
        lacking = [
            "".join(f",{c.name}" for c in dataset.columns if c.name not in entry.layout.split(","))
            for entry in files
        ]
        origins = pa.table(
            {
                "shop_number": [export.shop_number for export in exports],
                "shop_id": [entry.shop_id for entry in files],
                "head_rows": [export.head_rows for export in exports],
                "_file_id": [entry.file_id for entry in files],
                "_exported_at": pa.array([e.exported_at for e in files], pa.timestamp("us")),
                "_missing_columns": [f"{columns}," for columns in lacking],
            }
        )
        self._con.register("_origins", origins)
        known = {row[0] for row in self._con.execute(f"describe {name}_rows").fetchall()}
        columns = ", ".join(
            f"cast({identifier(c.name) if c.name in known else 'null'} as {c.type}) "
            f"as {identifier(c.name)}"
            for c in dataset.columns
        )
        path = batch_path(self._data.raw, name, batch_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._con.execute(
            f"copy (select shop_id, {columns}, _file_id, row_number + head_rows as _row_number, "
            f"_exported_at, _missing_columns from {name}_rows join _origins using (shop_number) "
            f"order by shop_number, row_number) to {literal(str(path))} "
            "(format parquet, compression zstd)"
        )
        self._con.unregister("_origins")


# --- cells --------------------------------------------------------------------------------------

# What only files show of an order line, and of a request line.
_ORDER_EXTRAS = """,
    l.h,
    cast(l.price / l.scale as decimal(18, 2)) as unit_price,
    cast(l.subtotal / l.scale as decimal(18, 2)) as subtotal,
    cast(l.discount / l.scale as decimal(18, 2)) as seller_discount,
    moment(l.created_s + 600) as paid_time,
    moment(l.created_s) + interval 12 hour as ready_time,
    known(coalesce(l.line_delivered_s - 10800, l.created_s + 90000), created_s + 50000)
        as shipped_time"""
_REQUEST_EXTRAS = ", r.h, r.product_name, r.variation"


def _cells(dataset: str, region: Region) -> dict[str, str]:
    """SQL of the text in each column that has any, by header."""
    if dataset == "orders":
        return _order_cells(region)
    if dataset == "returns":
        return _request_cells(region)
    return {c: identifier(c) for c in _columns(dataset, LAYOUTS[region.code])}


def _money(amount: str, region: str) -> str:
    """SQL of an amount as the country writes it."""
    whole = f"replace(format('{{:,}}', {amount}::bigint), ',', '.')"
    cents = f"format('{{:,.2f}}', {amount}::double)"
    return {
        "ID": f"'Rp' || {whole}",
        "VN": f"{whole} || '₫'",
        "TH": f"'฿' || {cents}",
        "US": f"'$' || {cents}",
    }[region]


def _tabbed(cells: dict[str, str], layout: Layout) -> dict[str, str]:
    if not layout.has_tabs:
        return cells
    empty = dict.fromkeys(TABBED, "chr(9)")
    return empty | {
        column: f"coalesce({cell}, '') || chr(9)" if column in TABBED else cell
        for column, cell in cells.items()
    }


def _order_cells(region: Region) -> dict[str, str]:
    layout = LAYOUTS[region.code]

    def shown(moment: str) -> str:
        return f"strftime({moment}, {literal(layout.order_time)})"

    def one_of(names: tuple[str, ...], salt: int) -> str:
        return f"pick([{', '.join(map(literal, names))}], part(h, {salt}))"

    places = {
        column: one_of(tuple(place[at] for place in region.places), 70)
        for at, column in enumerate(region.place_columns)
    }
    money = {
        "SKU Unit Original Price": "unit_price",
        "SKU Subtotal Before Discount": "subtotal",
        "SKU Seller Discount": "seller_discount",
        "SKU Subtotal After Discount": "sku_subtotal_after_discount",
        "Order Amount": "order_amount",
    }
    cells = dict.fromkeys(ORDER_MONEY, literal(layout.money(0)))
    cells |= {column: _money(amount, region.code) for column, amount in money.items()}
    cells |= {
        "Order ID": "order_id",
        "Order Status": "order_status",
        "Order Substatus": "order_substatus",
        "Cancelation/Return Type": "if(cancelled_time is null, null, 'Cancel')",
        "Normal or Pre-order": "'Normal'",
        "SKU ID": "sku_id",
        "Seller SKU": "seller_sku",
        "Product Name": "product_name",
        "Variation": "variation",
        "Quantity": "quantity",
        "Sku Quantity of return": "0",
        "Created Time": shown("created_time"),
        "Paid Time": shown("paid_time"),
        "RTS Time": shown("ready_time"),
        "Shipped Time": shown("shipped_time"),
        "Delivered Time": shown("delivered_time"),
        "Cancelled Time": shown("cancelled_time"),
        "Fulfillment Type": "'Fulfillment by seller'",
        "Warehouse Name": literal(region.warehouse),
        "Tracking ID": f"{literal(region.tracking_prefix)} || (h % 10000000000)",
        "Delivery Option": literal(region.delivery_option),
        "Shipping Provider Name": one_of(region.carriers, 71),
        "Buyer Username": "'buyer' || (h % 10000000)",
        "Buyer Nickname": one_of(region.given_names, 72),
        "Recipient": f"{one_of(region.given_names, 72)} || ' ' || (h % 10000000)",
        "Phone #": "'(+00)' || (h % 1000000000)",
        "Country": literal(region.country),
        "Detail Address": "(h % 250) || ' Invented Street'",
        "Address Line 1": "(h % 250) || ' Invented Street'",
        "Payment Method": one_of(region.payment_methods, 73),
        "Weight(kg)": "'0.20'",
        "Product Category": "product_category",
        "Package ID": "'11' || (h % 10000000000000000)",
        "Purchase Channel": "'TikTok'",
        "Order Channel": "'TikTok Shop'",
    } | places  # fmt: skip
    return _tabbed(cells, layout)


def _request_cells(region: Region) -> dict[str, str]:
    def shown(moment: str) -> str:
        return f"strftime({moment}, {literal(DAY_FIRST)})"

    cells = {
        "Return Order ID": "return_order_id",
        "Order ID": "order_id",
        "Order Amount": _money("order_amount", region.code),
        "SKU ID": "sku_id",
        "Seller SKU": "seller_sku",
        "Product Name": "product_name",
        "SKU Name": "variation",
        "Buyer Username": "'buyer' || (h % 10000000)",
        "Return Type": "return_type",
        "Time Requested": shown("time_requested"),
        "Return Reason": "return_reason",
        "Return unit price": _money("return_unit_price", region.code),
        "Return Quantity": "return_quantity",
        "Return Status": "return_status",
        "Return Sub Status": "return_sub_status",
        "Refund Time": shown("refund_time"),
    }
    return _tabbed(cells, LAYOUTS[region.code])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    laid = commands.add_parser("history", help="lay out a new data directory")
    laid.add_argument("root", type=Path)
    laid.add_argument("--lines", type=int, default=1_000_000)
    laid.add_argument("--seed", type=int, default=7)
    laid.add_argument("--files", action="store_true", help="exports in landing/, to be ingested")
    more = commands.add_parser("increment", help="lay one more day's exports into landing/")
    more.add_argument("root", type=Path)
    more.add_argument("--lines", type=int, default=DAILY_LINES)
    arguments = parser.parse_args()
    if arguments.command == "history":
        history = History(arguments.lines, seed=arguments.seed)
        write_history(arguments.root, history, as_files=arguments.files)
    else:
        print(write_increment(arguments.root, arguments.lines))


if __name__ == "__main__":
    main()
