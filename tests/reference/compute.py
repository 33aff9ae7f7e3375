"""The metric definitions as plain loops: every day looks at every order again.

Nothing here is quick, and nothing is shared with the project's SQL: that is the use of it.
"""

import dataclasses
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from tests.reference.model import (
    Complaint,
    File,
    OrderLine,
    Product,
    Reason,
    ReturnLine,
    Review,
    ReviewOverride,
    Settings,
    ShopCase,
    Version,
)

Key = tuple[Any, ...]
Row = dict[str, Any]
Tables = dict[str, dict[Key, Row]]
AnyVersion = TypeVar("AnyVersion", bound=Version)

UNATTRIBUTED = "unattributed"
"""The product_key in feedback_events of an event that belongs to no product."""

GRAINS: dict[str, tuple[str, ...]] = {
    "shop_metrics_daily": ("shop_id", "metric_date"),
    "product_metrics_daily": ("shop_id", "product_key", "metric_date"),
    "reason_metrics_daily": ("shop_id", "metric_date", "metric", "reason_code"),
    "product_reason_metrics_daily": (
        "shop_id",
        "product_key",
        "metric_date",
        "metric",
        "reason_code",
    ),
    "feedback_events": ("shop_id", "source", "file_id", "row_number"),
}
"""The key columns of each table; file_id and row_number are those of the version that won."""

METRICS = ("nrr", "sfrr")


# ---------------------------------------------------------------- texts


def fold_space(text: str) -> str:
    """Trim, and fold each inner run of white space (Unicode's) to one space."""
    return " ".join(text.split())


def normalised_name(name: str) -> str:
    """Give a product name as product keys hold it: NFC, trimmed, white space folded."""
    return fold_space(unicodedata.normalize("NFC", name))


def match_text(text: str) -> str:
    """Give a reason or status text as it is matched: NFC, case, space and apostrophes folded."""
    folded = unicodedata.normalize("NFC", text)
    for apostrophe in "\u2018\u2019\u201b\u02bc\u2032\uff07`\u00b4":
        folded = folded.replace(apostrophe, "'")
    return unicodedata.normalize("NFC", fold_space(folded).casefold())


def is_blank(text: str | None) -> bool:
    """Tell whether a cell holds nothing but white space."""
    return text is None or text.strip() == ""


def sku_of(sku_id: str | None, seller_sku: str | None) -> str | None:
    """Give the sku of a row: its sku_id, else one made of its seller_sku, else none."""
    if not is_blank(sku_id):
        return sku_id
    if not is_blank(seller_sku):
        return f"seller_sku:{seller_sku}"
    return None


# ---------------------------------------------------------------- versions


def file_rank(version: Version) -> Key:
    """Order versions of all but reviews: exported_at, file_id, row."""
    return (version.file.exported_at, version.file.file_id, version.row_number)


def review_rank(review: Review) -> Key:
    """Order versions of reviews: updated_at, or created_at when blank, before all else."""
    return (review.updated_at or review.created_at, *file_rank(review))


def winner(versions: list[AnyVersion], rank: Callable[[Any], Key]) -> AnyVersion:
    """Give the latest version, with older values only where its layout has no such column."""
    newest_first = sorted(versions, key=rank, reverse=True)
    newest = newest_first[0]
    kept = {}
    for column in newest.missing:
        for older in newest_first[1:]:
            if column not in older.missing:
                kept[column] = getattr(older, column)
                break
    return dataclasses.replace(newest, **kept)


def event_times(version: Version) -> list[Any]:
    """Give the times of the events that a row carries, blanks left out."""
    if isinstance(version, OrderLine):
        times = [version.created_at, version.delivered_at]
    elif isinstance(version, Review):
        times = [version.created_at, version.updated_at]
    elif isinstance(version, ReturnLine):
        times = [version.requested_at, version.refunded_at]
    elif isinstance(version, Complaint):
        times = [version.created_at, version.resolved_at]
    elif isinstance(version, ReviewOverride):
        times = [version.decided_at]
    else:
        times = []
    return [time for time in times if time is not None]


def loaded(versions: Iterable[AnyVersion]) -> list[AnyVersion]:
    """Leave out rows with an event later than their file's exported_at plus one day."""
    accepted = []
    for version in versions:
        limit = version.file.exported_at + timedelta(days=1)
        if all(time <= limit for time in event_times(version)):
            accepted.append(version)
    return accepted


def _grouped(versions: Iterable[AnyVersion], key: Callable[[Any], Key]) -> dict[Key, list[Any]]:
    groups: dict[Key, list[Any]] = {}
    for version in versions:
        groups.setdefault(key(version), []).append(version)
    return groups


def latest_order_lines(case: ShopCase) -> list[OrderLine]:
    """Give the latest version of each order line of a shop."""
    groups = _grouped(
        loaded(case.order_lines),
        lambda line: (line.order_id, sku_of(line.sku_id, line.seller_sku)),
    )
    return [winner(versions, file_rank) for versions in groups.values()]


def latest_return_lines(case: ShopCase) -> list[ReturnLine]:
    """Give the latest version of each return line of a shop."""
    groups = _grouped(
        loaded(case.return_lines),
        lambda line: (
            line.return_order_id,
            line.order_id,
            sku_of(line.sku_id, line.seller_sku),
        ),
    )
    return [winner(versions, file_rank) for versions in groups.values()]


def latest_reviews(case: ShopCase, settings: Settings) -> list[Review]:
    """Give the latest version of each review, with its first rating when that is the basis."""
    reviews = []
    for versions in _grouped(loaded(case.reviews), lambda review: (review.review_id,)).values():
        review = winner(versions, review_rank)
        if settings.rating_basis == "initial":
            first = sorted(versions, key=review_rank)[0]
            review = dataclasses.replace(review, rating=first.rating)
        reviews.append(review)
    return reviews


def latest_complaints(case: ShopCase) -> list[Complaint]:
    """Give the latest version of each complaint of a shop."""
    groups = _grouped(loaded(case.complaints), lambda complaint: (complaint.complaint_id,))
    return [winner(versions, file_rank) for versions in groups.values()]


def latest_overrides(case: ShopCase) -> dict[str, ReviewOverride]:
    """Give the latest decision on each review that anyone decided on."""
    groups = _grouped(loaded(case.overrides), lambda override: (override.review_id,))
    return {review_id: winner(versions, file_rank) for (review_id,), versions in groups.items()}


def latest_products(case: ShopCase) -> dict[str, Product]:
    """Give the latest row of the products export for each sku that it names."""
    groups: dict[str, list[Product]] = {}
    for row in loaded(case.products):
        sku = sku_of(row.sku_id, row.seller_sku)
        if sku is not None:
            groups.setdefault(sku, []).append(row)
    return {sku: winner(rows, file_rank) for sku, rows in groups.items()}


# ---------------------------------------------------------------- products


def sku_names(case: ShopCase) -> dict[str, str]:
    """Give each sku's name: of the latest version of all its order lines, else the catalogue's."""
    names: dict[str, str] = {}
    for sku, product in latest_products(case).items():
        if not is_blank(product.product_name):
            names[sku] = str(product.product_name)
    versions_of_sku: dict[str, list[OrderLine]] = {}
    for line in loaded(case.order_lines):
        sku_of_line = sku_of(line.sku_id, line.seller_sku)
        if sku_of_line is not None:
            versions_of_sku.setdefault(sku_of_line, []).append(line)
    for sku, versions in versions_of_sku.items():
        newest = max(versions, key=file_rank)
        if not is_blank(newest.product_name):
            names[sku] = str(newest.product_name)
    return names


def named_product_ids(case: ShopCase, settings: Settings) -> dict[str, str]:
    """Give the product_id that the products export, else a review, names for a sku."""
    ids: dict[str, str] = {}
    for review in sorted(latest_reviews(case, settings), key=review_rank):
        if not is_blank(review.sku_id) and not is_blank(review.product_id):
            ids[str(review.sku_id)] = str(review.product_id)
    for sku, product in latest_products(case).items():
        if not is_blank(product.product_id):
            ids[sku] = str(product.product_id)
    return ids


def product_keys(case: ShopCase, settings: Settings) -> dict[str, str]:
    """Give the product_key of each sku of a shop that has one."""
    names = sku_names(case)
    ids = named_product_ids(case, settings)
    keys: dict[str, str] = {}
    for sku in set(names) | set(ids):
        if sku in ids:
            keys[sku] = ids[sku]
            continue
        name = normalised_name(names[sku])
        ids_of_name = set()
        for other, other_name in names.items():
            if other in ids and normalised_name(other_name) == name:
                ids_of_name.add(ids[other])
        keys[sku] = ids_of_name.pop() if len(ids_of_name) == 1 else f"name:{name}"
    return keys


def product_names(case: ShopCase, settings: Settings) -> dict[str, set[str]]:
    """Give the normalised names, of orders or catalogue, that each product_key goes by."""
    keys = product_keys(case, settings)
    names: dict[str, set[str]] = {}
    for sku, name in sku_names(case).items():
        names.setdefault(keys[sku], set()).add(normalised_name(name))
    for sku, product in latest_products(case).items():
        if not is_blank(product.product_name):
            names.setdefault(keys[sku], set()).add(normalised_name(str(product.product_name)))
    return names


# ---------------------------------------------------------------- events


@dataclass(frozen=True)
class Event:
    """A review, a return request line or a complaint, judged.

    `is_counted` tells that it is in its metric; a complaint has none.
    """

    metric: str | None
    source: str
    version: Version
    order_id: str | None
    sku_id: str | None
    product_key: str | None
    event_date: date
    rating: int | None
    reason_code: str
    category: str
    fault: str
    is_negative: bool
    is_counted: bool


def reason_on(settings: Settings, reason_code: str, day: date) -> Reason | None:
    """Give the reason's row that is valid on a day."""
    for reason in settings.reasons:
        if reason.reason_code == reason_code and reason.valid_from <= day <= reason.valid_to:
            return reason
    return None


def review_reason(
    settings: Settings, review: Review, override: ReviewOverride | None, day: date
) -> str:
    """Give a review's one reason: a person's, else its issue_type, its text's, or no_comment.

    A person's decision and an issue_type that are no reasons of reviews are passed over.
    """
    for given in (override.reason_code if override else None, review.issue_type):
        if is_blank(given):
            continue
        reason = reason_on(settings, str(given).strip().lower(), day)
        if reason is not None and reason.on_reviews:
            return reason.reason_code
    if is_blank(review.review_text):
        return "no_comment"
    for rule in settings.classification:
        is_valid = rule.valid_from <= day <= rule.valid_to
        if is_valid and match_text(rule.words) in match_text(str(review.review_text)):
            return rule.reason_code
    return "unclassified"


def return_reason(settings: Settings, line: ReturnLine, day: date) -> str:
    """Give a request's reason by its code, else by its whole text, else unmapped."""
    for given in (line.return_reason_code, line.return_reason):
        if is_blank(given):
            continue
        for text in settings.reason_texts:
            is_valid = text.valid_from <= day <= text.valid_to
            if is_valid and match_text(text.text) == match_text(str(given)):
                return text.reason_code
    return "unmapped"


def is_voided(settings: Settings, line: ReturnLine, day: date) -> bool:
    """Tell whether any status column holds a text that voids the request."""
    for status in (line.return_status, line.return_sub_status, line.arbitration_status):
        if is_blank(status):
            continue
        for outcome in settings.outcomes:
            is_valid = outcome.valid_from <= day <= outcome.valid_to
            if is_valid and match_text(outcome.status) == match_text(str(status)):
                if outcome.voids:
                    return True
                break
    return False


def attributed_key(
    order_id: str | None,
    sku: str | None,
    product_id: str | None,
    keys: dict[str, str],
    lines: list[OrderLine],
) -> str | None:
    """Give the product that an event is on: the sku's, else its own, else the order's only one."""
    if sku is not None:
        return keys.get(sku)
    if not is_blank(product_id):
        return product_id
    keys_of_order = set()
    for line in lines:
        if line.order_id == order_id:
            keys_of_order.add(line_key(line, keys))
    return keys_of_order.pop() if len(keys_of_order) == 1 else None


def line_key(line: OrderLine, keys: dict[str, str]) -> str | None:
    """Give the product_key of an order line."""
    sku = sku_of(line.sku_id, line.seller_sku)
    return None if sku is None else keys.get(sku)


def feedback(case: ShopCase, settings: Settings) -> list[Event]:
    """Give every review, return request line and complaint of a shop, latest versions, judged."""
    keys = product_keys(case, settings)
    lines = latest_order_lines(case)
    overrides = latest_overrides(case)
    events = []
    for review in latest_reviews(case, settings):
        day = review.created_at.date()
        override = overrides.get(review.review_id)
        reason = _known(settings, review_reason(settings, review, override, day), day)
        sku = sku_of(review.sku_id, None)
        is_negative = review.rating <= 2
        events.append(
            Event(
                metric="nrr",
                source="review",
                version=review,
                order_id=review.order_id,
                sku_id=sku,
                product_key=attributed_key(review.order_id, sku, review.product_id, keys, lines),
                event_date=day,
                rating=review.rating,
                reason_code=reason.reason_code,
                category=reason.category,
                fault=reason.fault,
                is_negative=is_negative,
                is_counted=is_negative,
            )
        )
    for line in latest_return_lines(case):
        day = line.requested_at.date()
        reason = _known(settings, return_reason(settings, line, day), day)
        sku = sku_of(line.sku_id, line.seller_sku)
        is_negative = not is_voided(settings, line, day)
        events.append(
            Event(
                metric="sfrr",
                source="return",
                version=line,
                order_id=line.order_id,
                sku_id=sku,
                product_key=attributed_key(line.order_id, sku, None, keys, lines),
                event_date=day,
                rating=None,
                reason_code=reason.reason_code,
                category=reason.category,
                fault=reason.fault,
                is_negative=is_negative,
                is_counted=is_negative and reason.fault == "seller",
            )
        )
    for complaint in latest_complaints(case):
        day = complaint.created_at.date()
        reason = _known(settings, "unclassified", day)
        sku = sku_of(complaint.sku_id, None)
        events.append(
            Event(
                metric=None,
                source="complaint",
                version=complaint,
                order_id=complaint.order_id,
                sku_id=sku,
                product_key=attributed_key(complaint.order_id, sku, None, keys, lines),
                event_date=day,
                rating=None,
                reason_code=reason.reason_code,
                category=reason.category,
                fault=reason.fault,
                is_negative=True,
                is_counted=False,
            )
        )
    return events


def _known(settings: Settings, reason_code: str, day: date) -> Reason:
    reason = reason_on(settings, reason_code, day)
    if reason is None:
        raise ValueError(f"reason {reason_code!r} has no row that is valid on {day}")
    return reason


# ---------------------------------------------------------------- one shop, ready to be counted


@dataclass(frozen=True)
class DeliveredOrder:
    """An order with a delivered line, and what is known of it."""

    order_id: str
    delivered_date: date
    delivered_date_of_product: dict[str, date]
    events: list[Event]


@dataclass(frozen=True)
class ShopState:
    """All that one shop's files say, the versions chosen and the events judged."""

    case: ShopCase
    settings: Settings
    delivered: list[DeliveredOrder]
    events: list[Event]


def shop_state(case: ShopCase, settings: Settings) -> ShopState:
    """Choose versions, judge events and find the delivered orders of a shop."""
    keys = product_keys(case, settings)
    lines = latest_order_lines(case)
    events = feedback(case, settings)
    lines_of_order: dict[str, list[OrderLine]] = {}
    for line in lines:
        lines_of_order.setdefault(line.order_id, []).append(line)
    events_of_order: dict[str, list[Event]] = {}
    for event in events:
        if event.order_id is not None:
            events_of_order.setdefault(event.order_id, []).append(event)
    delivered = []
    for order_id, order_lines in lines_of_order.items():
        dates = []
        dates_of_product: dict[str, list[date]] = {}
        for line in order_lines:
            if line.delivered_at is not None:
                dates.append(line.delivered_at.date())
                key = line_key(line, keys)
                if key is not None:
                    dates_of_product.setdefault(key, []).append(line.delivered_at.date())
        if dates:
            first_dates = {key: min(days) for key, days in dates_of_product.items()}
            order_events = events_of_order.get(order_id, [])
            delivered.append(DeliveredOrder(order_id, min(dates), first_dates, order_events))
    return ShopState(case, settings, delivered, events)


def in_window(delivered_date: date, day: date, settings: Settings) -> bool:
    """Tell whether a delivered_date is one of the window's days, of which `day` is the last."""
    return day - timedelta(days=settings.window_days - 1) <= delivered_date <= day


def covered_until(files: Iterable[File], dataset: str) -> date | None:
    """Give the shop day of a dataset's latest exported_at; None when it never had a file."""
    days = [file.exported_at.date() for file in files if file.dataset == dataset]
    return max(days) if days else None


def state_on(case: ShopCase, dataset: str, day: date) -> str:
    """Give the state of the metric that rests on a dataset: ok, not_loaded or stale."""
    covered = covered_until(case.files, dataset)
    if covered is None:
        return "not_loaded"
    orders_covered = covered_until(case.files, "orders")
    if orders_covered is None or day > orders_covered or day > covered:
        return "stale"
    return "ok"


def states_on(case: ShopCase, day: date) -> dict[str, str]:
    """Give the state of both metrics on a shop day."""
    return {"nrr": state_on(case, "reviews", day), "sfrr": state_on(case, "returns", day)}


def rate(numerator: int, denominator: int, state: str) -> float | None:
    """Give a rate, None when nothing was delivered or the state is not ok."""
    if state != "ok" or denominator == 0:
        return None
    return numerator / denominator


# ---------------------------------------------------------------- one day


def shop_day(state: ShopState, day: date) -> Row:
    """Give a shop's row of shop_metrics_daily for one day, key columns left out."""
    delivered = negative = by_seller = by_product = by_service = returned = 0
    for order in state.delivered:
        if not in_window(order.delivered_date, day, state.settings):
            continue
        delivered += 1
        known = [event for event in order.events if event.event_date <= day]
        reviews = [event for event in known if event.metric == "nrr" and event.is_counted]
        if reviews:
            negative += 1
        if any(counts_in_nrr_seller(review, state.settings) for review in reviews):
            by_seller += 1
        if any(review.category == "product" for review in reviews):
            by_product += 1
        if any(review.category == "service" for review in reviews):
            by_service += 1
        if any(event.metric == "sfrr" and event.is_counted for event in known):
            returned += 1
    states = states_on(state.case, day)
    return {
        "delivered_orders": delivered,
        "negative_review_orders": negative,
        "seller_negative_review_orders": by_seller,
        "product_negative_review_orders": by_product,
        "service_negative_review_orders": by_service,
        "seller_fault_return_orders": returned,
        "nrr": rate(negative, delivered, states["nrr"]),
        "nrr_seller": rate(by_seller, delivered, states["nrr"]),
        "nrr_product": rate(by_product, delivered, states["nrr"]),
        "nrr_service": rate(by_service, delivered, states["nrr"]),
        "sfrr": rate(returned, delivered, states["sfrr"]),
        "nrr_state": states["nrr"],
        "sfrr_state": states["sfrr"],
    }


def counts_in_nrr_seller(review: Event, settings: Settings) -> bool:
    """Tell whether a negative review is the seller's: product, service or other."""
    if review.reason_code == "no_comment":
        return settings.no_comment_in_nrr_seller
    return review.category in ("product", "service", "other")


def product_day(state: ShopState, product_key: str, day: date) -> Row:
    """Give a product's row of product_metrics_daily for one day, key columns left out."""
    delivered = negative = returned = 0
    for order in state.delivered:
        if not product_in_window(state, order, product_key, day):
            continue
        delivered += 1
        on_product = [
            event
            for event in order.events
            if event.event_date <= day and event.product_key == product_key
        ]
        if any(event.metric == "nrr" and event.is_counted for event in on_product):
            negative += 1
        if any(event.metric == "sfrr" and event.is_counted for event in on_product):
            returned += 1
    states = states_on(state.case, day)
    return {
        "delivered_orders": delivered,
        "negative_review_orders": negative,
        "seller_fault_return_orders": returned,
        "nrr": rate(negative, delivered, states["nrr"]),
        "sfrr": rate(returned, delivered, states["sfrr"]),
    }


def product_in_window(state: ShopState, order: DeliveredOrder, product_key: str, day: date) -> bool:
    """Tell whether the order's lines of a product were first delivered in the window."""
    delivered_date = order.delivered_date_of_product.get(product_key)
    return delivered_date is not None and in_window(delivered_date, day, state.settings)


@dataclass(frozen=True)
class ReasonCount:
    """The orders with a reason, and what the reason was by the dates of their events."""

    orders: int
    category: str
    fault: str
    is_counted: bool


def reason_counts(
    state: ShopState, day: date, metric: str, product_key: str | None = None
) -> dict[str, ReasonCount]:
    """Count the window's orders per reason of a metric, known by `day`, on a product if given.

    A reason whose fault changed may have counted and uncounted events in one window: its row is
    counted then, and holds the orders with a counted event only.
    """
    events_of_reason: dict[str, list[Event]] = {}
    for order in state.delivered:
        if product_key is None:
            is_in = in_window(order.delivered_date, day, state.settings)
        else:
            is_in = product_in_window(state, order, product_key, day)
        if not is_in:
            continue
        for event in order.events:
            if event.metric != metric or not event.is_negative or event.event_date > day:
                continue
            if product_key is None or event.product_key == product_key:
                events_of_reason.setdefault(event.reason_code, []).append(event)
    counts = {}
    for reason_code, events in events_of_reason.items():
        counted = [event for event in events if event.is_counted]
        taken = counted or events
        latest = max(taken, key=lambda event: event.event_date)
        orders = {event.order_id for event in taken}
        counts[reason_code] = ReasonCount(
            len(orders), latest.category, latest.fault, is_counted=bool(counted)
        )
    return counts


def reason_day(state: ShopState, day: date, metric: str) -> dict[str, Row]:
    """Give a shop's rows of reason_metrics_daily for one day and metric, by reason_code."""
    of_shop = shop_day(state, day)
    delivered = of_shop["delivered_orders"]
    numerator_column = {"nrr": "negative_review_orders", "sfrr": "seller_fault_return_orders"}
    numerator = of_shop[numerator_column[metric]]
    counts = reason_counts(state, day, metric)
    ranking = sorted(
        (code for code, count in counts.items() if count.is_counted),
        key=lambda code: (-counts[code].orders, code),
    )
    rows = {}
    for reason_code, count in counts.items():
        rows[reason_code] = {
            "category": count.category,
            "fault": count.fault,
            "is_counted": count.is_counted,
            "orders": count.orders,
            "delivered_orders": delivered,
            "rate": rate(count.orders, delivered, of_shop[f"{metric}_state"]),
            "share": count.orders / numerator if count.is_counted else None,
            "rank": ranking.index(reason_code) + 1 if count.is_counted else None,
        }
    return rows


# ---------------------------------------------------------------- tables


def default_as_of(cases: Iterable[ShopCase], settings: Settings | None = None) -> date | None:
    """Give the latest shop day of an event of the latest versions, over all shops."""
    settings = settings or Settings()
    days: list[date] = []
    for case in cases:
        versions: list[Version] = [
            *latest_order_lines(case),
            *latest_return_lines(case),
            *latest_reviews(case, settings),
            *latest_complaints(case),
        ]
        for version in versions:
            days.extend(time.date() for time in event_times(version))
    return max(days) if days else None


def calendar(state: ShopState, as_of: date) -> list[date]:
    """Give the shop's metric days: its first delivered_date to as_of, quiet days included."""
    if not state.delivered:
        return []
    first = min(order.delivered_date for order in state.delivered)
    return [first + timedelta(days=step) for step in range((as_of - first).days + 1)]


def compute_shop(case: ShopCase, as_of: date, settings: Settings | None = None) -> Tables:
    """Compute one shop's part of every table: table name -> key -> the other columns."""
    state = shop_state(case, settings or Settings())
    shop_id = case.shop.shop_id
    tables: Tables = {table: {} for table in GRAINS}
    keys = sorted({key for order in state.delivered for key in order.delivered_date_of_product})
    for day in calendar(state, as_of):
        tables["shop_metrics_daily"][shop_id, day] = shop_day(state, day)
        for metric in METRICS:
            for reason_code, row in reason_day(state, day, metric).items():
                tables["reason_metrics_daily"][shop_id, day, metric, reason_code] = row
        for key in keys:
            of_product = product_day(state, key, day)
            if of_product["delivered_orders"] == 0:
                continue
            tables["product_metrics_daily"][shop_id, key, day] = of_product
            for metric in METRICS:
                for reason_code, count in reason_counts(state, day, metric, key).items():
                    tables["product_reason_metrics_daily"][
                        shop_id, key, day, metric, reason_code
                    ] = {"is_counted": count.is_counted, "orders": count.orders}
    for event in state.events:
        file_id, row_number = event.version.file.file_id, event.version.row_number
        tables["feedback_events"][shop_id, event.source, file_id, row_number] = {
            "order_id": event.order_id,
            "product_key": UNATTRIBUTED if event.product_key is None else event.product_key,
            "event_date": event.event_date,
            "rating": event.rating,
            "reason_code": event.reason_code,
            "category": event.category,
            "fault": event.fault,
            "is_negative": event.is_negative,
        }
    return tables


def compute(
    cases: Iterable[ShopCase], as_of: date | None = None, settings: Settings | None = None
) -> Tables:
    """Compute every table for many shops; as_of is the default one when not given."""
    cases = list(cases)
    last_day = as_of or default_as_of(cases, settings)
    tables: Tables = {table: {} for table in GRAINS}
    for case in cases:
        for table, rows in compute_shop(case, last_day or date.min, settings).items():
            tables[table].update(rows)
    return tables
