"""What happens in the shops of the benchmarks, as SQL: every order follows from its number.

An order is (shop_number, day_index, k): the k-th of that shop and day. All that is known of it
comes from a hash of these and the seed, so any part of any history can be made alone, and the
orders of a smaller history are orders of the larger one too. Times ending in `_s` are seconds
since 1970 of naive shop time. Wares, reasons and texts are those of the sample
(`dagster_project/lib/sample`). DuckDB's hash may change with its version, and with it the data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import duckdb
import pyarrow as pa

from dagster_project.lib.sample import layouts, texts
from dagster_project.lib.sample.generate import sample_shop
from dagster_project.lib.sample.layouts import LAYOUTS
from dagster_project.lib.sample.regions import REGIONS, Region
from dagster_project.lib.sample.returns import OTHER_REASONS, SELLER_FAULTS
from dagster_project.lib.sample.reviews import LOW_CODES
from dagster_project.lib.shops import Shop
from dagster_project.lib.sql import literal

LINES_PER_ORDER = 1.1
DELIVERED_SHARE = 0.95
REVIEWED_SHARE = 0.10
REQUESTED_SHARE = 0.04
COMPLAINED_SHARE = 0.005
ARRIVES_WITHIN_DAYS = 8
"""Longest time from an order's day to its last delivery, and from a request to its last state."""

# The last days before an increment have at least so many lines, whatever the size of the history:
# what an increment of the usual size touches is then there in all of them.
RECENT_DAYS = 9
_RECENT_LINES = 7_200
_OLDER_LINES = 1_200
_MOST_RECENT_SHARE = 0.2

_DAY = 86_400
# What is drawn for what, of an order's hash.
_AT, _CANCELLED, _ARRIVAL, _CLOCK, _LINES, _SKU, _SPLIT, _CANCELLED_AFTER = range(1, 9)
_QUANTITY, _DISCOUNT = 20, 30


@dataclass(frozen=True)
class History:
    """The size of a history: `lines` is about how many order lines it has, `products` is per shop.

    `increments` are the order lines of each day laid after it, in order.
    """

    lines: int
    shops: int = 200
    products: int = 100
    days: int = 730
    last_day: date = date(2026, 10, 31)
    seed: int = 7
    increments: tuple[int, ...] = ()

    def day(self, index: int) -> date:
        """The calendar day of a day's index; 0 is the first of the history."""
        return self.last_day + timedelta(days=index - self.days + 1)

    def lines_of(self, index: int) -> tuple[float, float]:
        """Order lines placed on a day, and how many of them are in larger histories too."""
        if index >= self.days:
            lines = self.increments[index - self.days] / 2
            return lines, lines
        even = self.lines / self.days
        recent_days = min(RECENT_DAYS, self.days)
        recent = max(even, min(_RECENT_LINES, _MOST_RECENT_SHARE * self.lines / recent_days))
        if index >= self.days - recent_days:
            return recent, min(recent, _RECENT_LINES)
        older = (self.lines - recent * recent_days) / (self.days - recent_days)
        return older, min(older, _OLDER_LINES)

    def cast(self) -> list[tuple[Shop, Region]]:
        """The shops and their regions; shop number n is the n-th, from 1."""
        return [sample_shop(index) for index in range(self.shops)]


def seconds(moment: datetime | date) -> int:
    """Seconds since 1970 of a naive moment, or of the start of a day."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment - datetime(1970, 1, 1)) // timedelta(seconds=1)


def create_world(con: duckdb.DuckDBPyConnection, history: History) -> None:
    """Make the macros and the tables `shops`, `days`, `skus`, `states`, `moods` and `labels`."""
    con.execute(
        "create or replace macro part(h, salt) as "
        "(hash(xor(h, salt::ubigint)) >> 11)::double / 9007199254740992.0"
    )
    con.execute(
        "create or replace macro pick(names, share) as names[1 + floor(share * len(names))::int]"
    )
    # prefix, four digits of the shop, eight of a running number, four at the end
    con.execute(
        "create or replace macro numbered(prefix, shop, running, ending) as cast("
        "prefix * 10000000000000000::bigint + shop * 1000000000000::bigint "
        "+ running * 10000::bigint + ending::bigint as varchar)"
    )
    con.execute("create or replace macro moment(s) as make_timestamp(s * 1000000)")
    con.execute(
        "create or replace macro known(s, now) as "
        "case when s <= now then make_timestamp(s * 1000000) end"
    )
    skus = [row for number, (_, region) in enumerate(history.cast(), 1)
            for row in _skus(history, number, region)]  # fmt: skip
    _table(con, "shops", _shops(history, skus))
    _table(con, "skus", skus)
    _table(con, "days", _days(history))
    _table(
        con,
        "states",
        [
            {"region": code, "state": name, "order_status": words[0], "order_substatus": words[1]}
            for code, layout in LAYOUTS.items()
            for name, state in _STATES.items()
            for words in [layout.statuses[state]]
        ],
    )
    _table(
        con,
        "moods",
        [
            {"language": language, "mood": mood, "sentences": list(sentences)}
            for language, moods in texts.REVIEW_TEXTS.items()
            for mood, sentences in moods.items()
        ],
    )
    _table(
        con,
        "labels",
        [
            {"language": region.language, "code": code}
            | {
                name: list(texts.return_reason_labels(region.language, code, is_local=is_local))
                for name, is_local in (("local", True), ("english", False))
            }
            for region in REGIONS
            for code in (*SELLER_FAULTS, *OTHER_REASONS)
        ],
    )


_STATES = {
    "cancelled": layouts.CANCELED,
    "completed": layouts.COMPLETED,
    "delivered": layouts.DELIVERED,
    "in_transit": layouts.IN_TRANSIT,
    "awaiting": layouts.AWAITING_SHIPMENT,
}


def _table(con: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    con.register("_rows", pa.Table.from_pylist([dict(row) for row in rows]))
    con.execute(f"create or replace temp table {name} as select * from _rows")
    con.unregister("_rows")


def _shops(history: History, skus: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Large shops and small ones: the largest has some ten times the orders of the smallest."""
    weights = [1 / number**0.5 for number in range(1, history.shops + 1)]
    return [
        {
            "shop_number": number,
            "shop_id": shop.shop_id,
            "region": region.code,
            "language": region.language,
            "weight": weight / sum(weights),
            "skus": sum(sku["shop_number"] == number for sku in skus),
            "scale": 1 if region.code in ("ID", "VN") else 100,
            "price_step": region.price_step,
            "charges": region.shipping_fee + sum(region.fees.values()),
        }
        for number, ((shop, region), weight) in enumerate(
            zip(history.cast(), weights, strict=True), start=1
        )
    ]


def _skus(history: History, shop_number: int, region: Region) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for place in range(history.products):
        ware = region.wares[place % len(region.wares)]
        for number, variation in enumerate(ware.variations, start=1):
            step = region.price_step
            rows.append(
                {
                    "shop_number": shop_number,
                    "product_id": f"173{shop_number:04d}{place + 1:08d}{place * 7919 % 10_000:04d}",
                    "sku_id": f"172{shop_number:04d}{place + 1:08d}{number:04d}",
                    "seller_sku": f"{region.code}-{place + 1:03d}-{number}",
                    "product_name": f"{ware.name} {place // len(region.wares) + 1}",
                    "product_category": ware.category,
                    "variation": variation,
                    "price": ware.price + step * round(ware.price * 0.1 * (number - 1) / step),
                }
            )
    random.Random(f"{history.seed}/{shop_number}").shuffle(rows)  # noqa: S311 - made-up data
    return [row | {"sku_index": index} for index, row in enumerate(rows)]


def _days(history: History) -> list[dict[str, object]]:
    days: list[dict[str, object]] = []
    for index in range(history.days + len(history.increments)):
        lines, shared = history.lines_of(index)
        days.append(
            {
                "day_index": index,
                "day_s": seconds(history.day(index)),
                "orders": lines / LINES_PER_ORDER,
                "shared_orders": shared / LINES_PER_ORDER,
            }
        )
    return days


def orders_sql(
    history: History, days: tuple[int, int], shops: tuple[int, int], *, shared: bool = False
) -> str:
    """SQL of the orders placed on days by shops, both ends included; `slot` and `shift` are 0.

    Columns: shop_number, day_index, k, slot (which event of the order), shift (days by which its
    delivery moved). `shared` ones are in histories of every size from a million lines on.
    """
    orders = "d.shared_orders" if shared else "d.orders"
    return f"""
        select shop_number, day_index, unnest(range(orders)) as k, 0 as slot, 0 as shift
        from (
            select
                s.shop_number,
                d.day_index,
                floor(
                    {orders} * s.weight
                    + part(hash({history.seed}, s.shop_number, d.day_index), 1)
                )::bigint as orders
            from shops as s
            cross join days as d
            where d.day_index between {days[0]} and {days[1]}
                and s.shop_number between {shops[0]} and {shops[1]}
        )"""


def facts_sql(history: History, orders: str) -> str:
    """SQL of what happens to orders: order_id, created_s, cancelled_s, delivered_s, n_lines.

    `h` is the order's own hash and `h_slot` that of the event of its slot; `is_split` says that the
    last line comes a day later. Other columns of `orders` pass through.
    """
    return f"""
        select
            *,
            numbered(57, shop_number, day_index * 10000 + k, h % 10000) as order_id,
            day_s + 25200 + (part(h, {_AT}) * 59000)::bigint as created_s,
            case when part(h, {_CANCELLED}) < 0.03
                then created_s + 900 + (part(h, {_CANCELLED_AFTER}) * 7200)::bigint
            end as cancelled_s,
            case when part(h, {_CANCELLED}) >= {1 - DELIVERED_SHARE}
                then day_s
                    + (1 + floor({ARRIVES_WITHIN_DAYS - 1} * pow(part(h, {_ARRIVAL}), 1.6)))::bigint
                        * {_DAY}
                    + shift * {_DAY} + 28800 + (part(h, {_CLOCK}) * 46000)::bigint
            end as delivered_s,
            case
                when part(h, {_LINES}) < 0.005 then 3 when part(h, {_LINES}) < 0.095 then 2 else 1
            end as n_lines,
            n_lines > 1 and part(h, {_SPLIT}) < 0.25 as is_split,
            floor(skus * pow(part(h, {_SKU}), 1.7))::bigint as first_sku
        from (
            select o.*, d.day_s, s.shop_id, s.region, s.language, s.skus, s.scale, s.price_step,
                s.charges,
                hash(hash({history.seed}, o.shop_number, o.day_index, o.k)) as h,
                hash(xor(h, (1000 + o.slot)::ubigint)) as h_slot
            from ({orders}) as o
            inner join days as d using (day_index)
            inner join shops as s using (shop_number)
        )"""


def lines_sql(facts: str) -> str:
    """SQL of the lines of orders: sku, quantity, amounts in shop currency, line_delivered_s."""
    return f"""
        select
            l.*,
            p.product_id,
            p.sku_id,
            p.seller_sku,
            p.product_name,
            p.product_category,
            p.variation,
            p.price,
            case when part(h, {_QUANTITY} + line) < 0.86 then 1
                when part(h, {_QUANTITY} + line) < 0.97 then 2 else 3 end as quantity,
            p.price * quantity as subtotal,
            subtotal * pick([0, 5, 10, 15], part(h, {_DISCOUNT} + line)) // 100
                // price_step * price_step as discount,
            subtotal - discount as paid,
            charges + sum(paid) over (partition by l.shop_number, l.day_index, l.k, l.slot)
                as amount,
            delivered_s + case when is_split and line = n_lines - 1 then {_DAY} else 0 end
                as line_delivered_s
        from (select *, unnest(range(n_lines)) as line from ({facts})) as l
        inner join skus as p
            on p.shop_number = l.shop_number and p.sku_index = (l.first_sku + l.line * 11) % l.skus
        """


def natural_reviews_sql(history: History, orders: str) -> str:
    """SQL of the reviews that orders get: facts with written_s, edited_s (or null), is_flipped."""
    facts = facts_sql(history, f"select * from ({orders})")
    return f"""
        select
            *,
            delivered_s + case when part(h_slot, 11) < 0.75
                then 8640 + least(-ln(1 - part(h_slot, 12)) * 3, 20) * {_DAY}
                else (4 + 26 * part(h_slot, 12)) * {_DAY}
            end::bigint as written_s,
            case when part(h_slot, 13) < 0.05
                then written_s + (43200 + part(h_slot, 14) * 12 * {_DAY})::bigint
            end as edited_s,
            false as is_flipped
        from ({facts})
        where delivered_s is not null and part(h, 40) < {REVIEWED_SHARE}"""


def natural_requests_sql(history: History, orders: str) -> str:
    """SQL of the return requests that orders get: facts with requested_s."""
    return f"""
        select
            *,
            delivered_s + case when part(h_slot, 11) < 0.88
                then 4320 + least(-ln(1 - part(h_slot, 12)) * 2.5, 14) * {_DAY}
                else (5 + 23 * part(h_slot, 12)) * {_DAY}
            end::bigint as requested_s
        from ({facts_sql(history, orders)})
        where delivered_s is not null and part(h, 41) < {REQUESTED_SHARE / DELIVERED_SHARE}"""


def natural_complaints_sql(history: History, orders: str) -> str:
    """SQL of the complaints that orders get: facts with complained_s."""
    return f"""
        select *, delivered_s + 3600 + (part(h_slot, 11) * 10 * {_DAY})::bigint as complained_s
        from ({facts_sql(history, orders)})
        where delivered_s is not null and part(h, 42) < {COMPLAINED_SHARE}"""


def order_rows_sql(history: History, orders: str, now: int, extras: str) -> str:
    """SQL of the rows of an orders export made at `now`; `extras` are more columns of it."""
    return f"""
        select
            l.shop_number,
            row_number() over (
                partition by l.shop_number order by l.day_index, l.k, l.line
            ) as row_number,
            l.order_id,
            l.sku_id,
            l.seller_sku,
            l.product_name,
            l.variation,
            w.order_status,
            w.order_substatus,
            l.quantity,
            cast(l.paid / l.scale as decimal(18, 2)) as sku_subtotal_after_discount,
            cast(l.amount / l.scale as decimal(18, 2)) as order_amount,
            moment(l.created_s) as created_time,
            known(l.line_delivered_s, {now}) as delivered_time,
            known(l.cancelled_s, {now}) as cancelled_time,
            l.product_category
            {extras}
        from (
            select
                *,
                case
                    when cancelled_s <= {now} then 'cancelled'
                    when line_delivered_s + {7 * _DAY} <= {now} then 'completed'
                    when line_delivered_s <= {now} then 'delivered'
                    when created_s + {2 * _DAY} <= {now} then 'in_transit'
                    else 'awaiting'
                end as state
            from ({lines_sql(facts_sql(history, orders))})
        ) as l
        inner join states as w using (region, state)
        where l.created_s <= {now}"""


def review_rows_sql(reviews: str, since: int, now: int) -> str:
    """SQL of the rows of a reviews export made at `now`: what was written or edited after `since`.

    `reviews` are as `natural_reviews_sql` gives them. About 3 % of them are negative. An edited one
    was often better or worse before; one that `is_flipped` always was.
    """
    codes = _weighted(LOW_CODES)
    return f"""
        with versions as (
            select
                *,
                coalesce(edited_s <= {now}, false) as is_edited,
                case when is_edited then edited_s else written_s end as version_s,
                case
                    when part(h_slot, 1) < 0.03 then pick([1, 1, 1, 2, 2], part(h_slot, 2))
                    when part(h_slot, 2) < 0.86 then 5
                    when part(h_slot, 2) < 0.96 then 4
                    else 3
                end as last_rating,
                case
                    when edited_s is null then last_rating
                    when is_flipped then if(last_rating <= 2, 5, 2)
                    when last_rating <= 2 then 5
                    when part(h_slot, 3) < 0.2 then 2
                    else last_rating
                end as first_rating,
                if(is_edited or edited_s is null, last_rating, first_rating) as rating,
                rating <= 2 as is_low,
                case when is_low and part(h_slot, 4) < 0.62
                    then pick({codes}, part(h_slot, 5)) end as issue_type,
                case
                    when issue_type is not null then if(part(h_slot, 6) < 0.9, issue_type, null)
                    when is_low then if(part(h_slot, 4) < 0.85, '{texts.VAGUE}', null)
                    when part(h_slot, 6) < 0.65 then if(rating = 3, '{texts.FAIR}', '{texts.GOOD}')
                end as mood
            from ({reviews})
            where written_s <= {now}
        )

        select
            r.shop_number,
            row_number() over (
                partition by r.shop_number order by r.written_s, r.order_id, r.slot
            ) as row_number,
            numbered(
                750, r.shop_number, r.day_index * 10000 + r.k, r.slot * 1000 + r.h_slot % 1000
            ) as review_id,
            r.order_id,
            if(part(r.h_slot, 7) < 0.8, p.product_id, null) as product_id,
            if(part(r.h_slot, 8) < 0.7, p.sku_id, null) as sku_id,
            r.rating,
            pick(m.sentences, part(r.h_slot, 9)) as review_text,
            moment(r.written_s) as created_at,
            if(r.is_edited, moment(r.edited_s), null) as updated_at,
            r.issue_type
        from versions as r
        inner join skus as p on p.shop_number = r.shop_number and p.sku_index = r.first_sku
        left join moods as m on m.language = r.language and m.mood = r.mood
        where r.version_s > {since}"""


def request_rows_sql(requests: str, since: int, now: int, extras: str) -> str:
    """SQL of the rows of a returns export made at `now`: the requests made after `since`.

    `requests` are as `natural_requests_sql` gives them.
    """
    asked = f"select * from ({requests}) where requested_s > {since} and requested_s <= {now}"
    seller, other = _weighted(SELLER_FAULTS), _weighted(OTHER_REASONS)
    return f"""
        with steps as (
            select
                *,
                pick(if(part(h_slot, 1) < 0.6, {seller}, {other}), part(h_slot, 2)) as code,
                requested_s + (17280 + part(h_slot, 3) * {_DAY})::bigint as soon_s,
                soon_s + (25920 + part(h_slot, 4) * 6 * {_DAY})::bigint as later_s,
                case
                    when part(h_slot, 5) < 0.60 then 'completed'
                    when part(h_slot, 5) < 0.80 then 'rejected'
                    when part(h_slot, 5) < 0.95 then 'cancelled'
                    when part(h_slot, 5) < 0.98 then 'open'
                end as outcome
            from ({lines_sql(asked)})
            where line = 0 or part(h_slot, 6) < 0.35
        )

        select
            r.shop_number,
            row_number() over (
                partition by r.shop_number order by r.requested_s, r.order_id, r.slot, r.line
            ) as row_number,
            numbered(
                403, r.shop_number, r.day_index * 10000 + r.k, r.slot * 1000 + r.h_slot % 1000
            ) as return_order_id,
            r.order_id,
            r.sku_id,
            r.seller_sku,
            cast(r.amount / r.scale as decimal(18, 2)) as order_amount,
            pick(['Return and refund', 'Return and refund', 'Refund only', null],
                part(r.h_slot, 7)) as return_type,
            moment(r.requested_s) as time_requested,
            pick(if(part(r.h_slot, 8) < 0.75, w.local, w.english), part(r.h_slot, 9))
                as return_reason,
            cast(r.paid / r.scale as decimal(18, 2)) as return_unit_price,
            r.quantity as return_quantity,
            case
                when r.outcome is null then null
                when r.soon_s > {now} then 'To process'
                when r.later_s > {now} or r.outcome = 'open' then 'In process'
                when r.outcome = 'completed' then 'Completed'
                when r.outcome = 'cancelled' then 'Canceled'
                else if(part(r.h_slot, 10) < 0.1, 'Rejected', 'Refund rejected')
            end as return_status,
            if(r.outcome = 'cancelled' and r.later_s <= {now}, 'Request Canceled', null)
                as return_sub_status,
            if(r.outcome = 'completed', known(r.later_s, {now}), null) as refund_time
            {extras}
        from steps as r
        inner join labels as w using (language, code)"""


def complaint_rows_sql(complaints: str, since: int, now: int) -> str:
    """SQL of the rows of a complaints file made at `now`: the complaints made after `since`."""
    return f"""
        select
            c.shop_number,
            row_number() over (
                partition by c.shop_number order by c.complained_s, c.order_id, c.slot
            ) as row_number,
            numbered(
                81, c.shop_number, c.day_index * 10000 + c.k, c.slot * 1000 + c.h_slot % 1000
            ) as complaint_id,
            c.order_id,
            p.sku_id,
            pick(['After Sale', 'Complaint', 'Fulfillment & Delivery'], part(c.h_slot, 1))
                as complaint_type,
            pick(m.sentences, part(c.h_slot, 2)) as complaint_detail,
            moment(c.complained_s) as created_at,
            if(settled_s <= {now}, 'Resolved', 'Open') as status,
            known(settled_s, {now}) as resolved_at
        from (
            select *,
                complained_s + (43200 + part(h_slot, 3) * 4 * {_DAY})::bigint as settled_s
            from ({complaints})
        ) as c
        inner join skus as p on p.shop_number = c.shop_number and p.sku_index = c.first_sku
        inner join moods as m on m.language = c.language and m.mood = '{texts.VAGUE}'
        where c.complained_s > {since} and c.complained_s <= {now}"""


PRODUCT_ROWS_SQL = """
    select
        shop_number,
        row_number() over (partition by shop_number order by seller_sku) as row_number,
        product_id,
        sku_id,
        seller_sku,
        product_name,
        variation,
        product_category as category
    from skus"""


def _weighted(weights: Mapping[str, int]) -> str:
    """An SQL list in which each name stands as often as it weighs."""
    names = (literal(name) for name, weight in weights.items() for _ in range(weight))
    return f"[{', '.join(names)}]"
