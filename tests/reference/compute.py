"""The metric definitions as plain loops: every day looks at every order again.

Nothing here is quick, and nothing is shared with the project's SQL: that is the use of it.
"""

import dataclasses
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, TypeVar

from tests.reference.comments import matching_rule
from tests.reference.model import (
    Chat,
    Complaint,
    File,
    OrderLine,
    Outcome,
    PlatformMetric,
    Product,
    Reason,
    ReturnLine,
    Review,
    ReviewOverride,
    Settings,
    ShopCase,
    Variant,
    Version,
)
from tests.reference.money import CURRENCIES, cost_rows, line_amount, paid
from tests.reference.outlook import forecast_rows, status_rows
from tests.reference.watch import watch_rows

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
    "complaint_metrics_daily": ("shop_id", "metric_date", "complaint_type", "reason_code"),
    "feedback_events": ("shop_id", "source", "file_id", "row_number"),
    "metric_status_daily": ("shop_id", "metric_date", "metric"),
    "shop_forecast": ("shop_id", "metric", "horizon_days"),
    "feedback_costs": ("shop_id", "product_key", "metric", "reason_code", "is_counted"),
    "watchlist": ("shop_id", "product_key", "metric"),
    "metric_variants_daily": ("shop_id", "metric_date", "variant"),
    "reconciliation": ("shop_id", "metric_date", "metric", "window_days"),
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
    elif isinstance(version, Chat):
        times = [version.started_at, version.first_reply_at]
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


def latest_chats(case: ShopCase) -> list[Chat]:
    """Give the latest version of each chat of a shop."""
    groups = _grouped(loaded(case.chats), lambda chat: (chat.conversation_id,))
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

    `is_counted` tells that it is in its metric; only a complaint has a `complaint_type`.
    """

    metric: str
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
    complaint_type: str | None = None
    reason_rule: str | None = None


def reason_on(settings: Settings, reason_code: str, day: date) -> Reason | None:
    """Give the reason's row that is valid on a day."""
    for reason in settings.reasons:
        if reason.reason_code == reason_code and reason.valid_from <= day <= reason.valid_to:
            return reason
    return None


def review_reason(
    settings: Settings, review: Review, override: ReviewOverride | None, day: date
) -> tuple[str, str]:
    """Give a review's one reason, and what gave it: a person, its issue_type, a rule, nothing.

    A person's decision and an issue_type that are no reasons of reviews are passed over. Rules
    read low ratings only.
    """
    given_by = {"override": override.reason_code if override else None}
    given_by["issue_type"] = review.issue_type
    for name, given in given_by.items():
        if is_blank(given):
            continue
        reason = reason_on(settings, str(given).strip().lower(), day)
        if reason is not None and reason.on_reviews:
            return reason.reason_code, name
    if is_blank(review.review_text):
        return "no_comment", "no_comment"
    if review.rating > 2:
        return "unclassified", "rating_above_2"
    valid = [rule for rule in settings.classification if rule.valid_from <= day <= rule.valid_to]
    rule = matching_rule(str(review.review_text), valid)
    if rule is not None:
        reason = reason_on(settings, rule.reason_code, day)
        if reason is not None and reason.on_reviews:
            return rule.reason_code, rule.rule_id
    return "unclassified", "no_rule_fits"


def return_reason(settings: Settings, line: ReturnLine, day: date) -> tuple[str, str]:
    """Give a request's reason by its code, else by its whole text, else unmapped; and by which."""
    given_by = {"return_reason_code": line.return_reason_code}
    given_by["return_reason_text"] = line.return_reason
    for name, given in given_by.items():
        if is_blank(given):
            continue
        for text in settings.reason_texts:
            is_valid = text.valid_from <= day <= text.valid_to
            if is_valid and match_text(text.text) == match_text(str(given)):
                return text.reason_code, name
    return "unmapped", "unmapped"


def complaint_reason(settings: Settings, complaint: Complaint, day: date) -> str:
    """Give what the complaint's type and subtype stand for, else its type, else unclassified."""
    for subtype in (complaint.complaint_subtype, None):
        for row in settings.complaint_types:
            if not row.valid_from <= day <= row.valid_to:
                continue
            if match_text(row.type) != type_key(complaint):
                continue
            if match_text(row.subtype or "") == match_text(subtype or ""):
                return row.reason_code
    return "unclassified"


def type_key(complaint: Complaint) -> str:
    """Give the complaint's type as it is matched."""
    return (
        "(blank)"
        if is_blank(complaint.complaint_type)
        else match_text(str(complaint.complaint_type))
    )


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
        reason_code, reason_rule = review_reason(settings, review, override, day)
        reason = _known(settings, reason_code, day)
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
                reason_rule=reason_rule,
            )
        )
    for line in latest_return_lines(case):
        day = line.requested_at.date()
        reason_code, reason_rule = return_reason(settings, line, day)
        reason = _known(settings, reason_code, day)
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
                reason_rule=reason_rule,
            )
        )
    for complaint in latest_complaints(case):
        day = complaint.created_at.date()
        reason = _known(settings, complaint_reason(settings, complaint, day), day)
        sku = sku_of(complaint.sku_id, None)
        events.append(
            Event(
                metric="complaint_rate",
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
                is_counted=reason.fault in ("seller", "unknown"),
                complaint_type=type_key(complaint),
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
    chats: list[Chat]


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
    chats = [chat for chat in latest_chats(case) if match_text(chat.initiated_by or "") != "seller"]
    return ShopState(case, settings, delivered, events, chats)


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
    """Give the state of each metric on a shop day.

    Negative feedback rests on reviews and returns, and on complaints once there was a file of them.
    """
    chats_covered = covered_until(case.files, "chats")
    states = {
        "nrr": state_on(case, "reviews", day),
        "sfrr": state_on(case, "returns", day),
        "complaint": state_on(case, "complaints", day),
        "chat": "ok" if chats_covered is not None and day <= chats_covered else "stale",
    }
    if chats_covered is None:
        states["chat"] = "not_loaded"
    if "not_loaded" in (states["nrr"], states["sfrr"]):
        states["negative_feedback"] = "not_loaded"
    elif "stale" in (states["nrr"], states["sfrr"], states["complaint"]):
        states["negative_feedback"] = "stale"
    else:
        states["negative_feedback"] = "ok"
    return states


def rate(numerator: int, denominator: int, state: str) -> float | None:
    """Give a rate, None when nothing was delivered or the state is not ok."""
    if state != "ok" or denominator == 0:
        return None
    return numerator / denominator


# ---------------------------------------------------------------- one day


def shop_day(state: ShopState, day: date) -> Row:
    """Give a shop's row of shop_metrics_daily for one day, key columns left out."""
    delivered = negative = by_seller = by_product = by_service = returned = 0
    complained = unhappy = unhappy_with_product = unhappy_with_service = 0
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
        if any(event.metric == "complaint_rate" and event.is_counted for event in known):
            complained += 1
        counted = [event for event in known if event.is_counted]
        if counted:
            unhappy += 1
        if any(event.category == "product" for event in counted):
            unhappy_with_product += 1
        if any(event.category == "service" for event in counted):
            unhappy_with_service += 1
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
        "complaint_orders": complained,
        "negative_feedback_orders": unhappy,
        "product_negative_feedback_orders": unhappy_with_product,
        "service_negative_feedback_orders": unhappy_with_service,
        "complaint_rate": rate(complained, delivered, states["complaint"]),
        "negative_feedback_rate": rate(unhappy, delivered, states["negative_feedback"]),
        "product_negative_feedback_rate": rate(
            unhappy_with_product, delivered, states["negative_feedback"]
        ),
        "service_negative_feedback_rate": rate(
            unhappy_with_service, delivered, states["negative_feedback"]
        ),
        "complaint_state": states["complaint"],
        "negative_feedback_state": states["negative_feedback"],
        **chat_figures(state, day, states["chat"]),
    }


def costs(state: ShopState, as_of: date, *, all_reasons: bool = False) -> dict[Key, Row]:
    """Give a shop's rows of feedback_costs; see cost_rows."""
    case = state.case
    keys = product_keys(case, state.settings)
    amounts: dict[tuple[str, str | None], Decimal] = {}
    for line in latest_order_lines(case):
        if line.delivered_at is not None:
            place = (line.order_id, line_key(line, keys))
            amounts[place] = amounts.get(place, Decimal(0)) + line_amount(line.order_id)
    paid_for = {
        key: paid(versions)
        for key, versions in _grouped(
            loaded(case.return_lines),
            lambda r: (r.return_order_id, r.order_id, sku_of(r.sku_id, r.seller_sku)),
        ).items()
    }
    currency = CURRENCIES[case.shop.region]
    return cost_rows(state, amounts, paid_for, as_of, currency, all_reasons=all_reasons)


def remaining(state: ShopState, as_of: date) -> dict[int, Row]:
    """Give, by days ahead, the as-of date's row over the orders still in the window then."""
    found = {}
    for days in range(1, state.settings.window_days + 1):
        first_day = as_of + timedelta(days=days + 1 - state.settings.window_days)
        still = [order for order in state.delivered if order.delivered_date >= first_day]
        found[days] = shop_day(dataclasses.replace(state, delivered=still), as_of)
    return found


def chat_figures(state: ShopState, day: date, chat_state: str) -> Row:
    """Give the reply figures of one day, of the chats that began in its window.

    What is known by the day's end decides: a reply that came by then, or that none came although
    the time for it was over, by then and by the latest export of chats.
    """
    end_of_day = datetime.combine(day + timedelta(days=1), datetime.min.time())
    exported = max(
        (file.exported_at for file in state.case.files if file.dataset == "chats"),
        default=datetime.min,
    )
    chats = in_time = 0
    times: list[Fraction] = []
    for chat in state.chats:
        if not in_window(chat.started_at.date(), day, state.settings):
            continue
        due_at = chat.started_at + timedelta(hours=state.settings.chat_reply_hours)
        replied_at = chat.first_reply_at
        if replied_at is not None and replied_at < end_of_day:
            waited = max(replied_at - chat.started_at, timedelta(0))
            times.append(Fraction(waited // timedelta(microseconds=1), 3_600_000_000))
            chats += 1
            in_time += replied_at <= due_at
        elif due_at < end_of_day and (replied_at is not None or due_at <= exported):
            chats += 1
    is_known = chat_state == "ok"
    return {
        "chats": chats,
        "chats_replied_in_time": in_time,
        "chat_reply_rate": rate(in_time, chats, chat_state),
        "median_reply_hours": float(median(times)) if times and is_known else None,
        "p90_reply_hours": float(percentile_90(times)) if times and is_known else None,
        "chat_state": chat_state,
    }


def median(numbers: list[Fraction]) -> Fraction:
    """Give the middle number, or the mean of the middle two."""
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile_90(numbers: list[Fraction]) -> Fraction:
    """Give the smallest number that at least nine in ten do not exceed."""
    for number in sorted(numbers):
        if sum(other <= number for other in numbers) * 10 >= len(numbers) * 9:
            return number
    raise ValueError("no numbers")


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


# ---------------------------------------------------------------- other definitions


@dataclass(frozen=True)
class AnyOrder:
    """An order, delivered or not, with the feedback on it."""

    order_id: str
    created_date: date
    delivered_date: date | None
    events: list[Event]


def all_orders(state: ShopState) -> list[AnyOrder]:
    """Give all orders of a shop."""
    lines_of_order = _grouped(latest_order_lines(state.case), lambda line: (line.order_id,))
    orders = []
    for (order_id,), lines in lines_of_order.items():
        deliveries = [line.delivered_at.date() for line in lines if line.delivered_at is not None]
        orders.append(
            AnyOrder(
                order_id,
                min(line.created_at.date() for line in lines),
                min(deliveries) if deliveries else None,
                [event for event in state.events if event.order_id == order_id],
            )
        )
    return orders


def is_negative_for(state: ShopState, variant: Variant, event: Event) -> bool:
    """Tell whether a variant takes a review or request for negative feedback."""
    if event.metric != ("sfrr" if variant.metric == "sfrr" else "nrr"):
        return False
    if isinstance(event.version, ReturnLine):
        return event.fault == "seller" and not is_voided_for(state, variant, event)
    assert isinstance(event.version, Review)
    if stars_for(state, variant, event) > 2:
        return False
    if variant.empty_comments == "out" and is_blank(event.version.review_text):
        return False
    if variant.metric == "nrr_seller":
        if variant.empty_comments == "in":
            return event.category in ("product", "service", "other")
        return counts_in_nrr_seller(event, state.settings)
    category_of_metric = {"nrr_product": "product", "nrr_service": "service"}
    return variant.metric == "nrr" or event.category == category_of_metric[variant.metric]


def stars_for(state: ShopState, variant: Variant, event: Event) -> int:
    """Give the stars of a review that a variant goes by."""
    assert isinstance(event.version, Review)
    assert event.rating is not None
    versions = [
        review
        for review in loaded(state.case.reviews)
        if review.review_id == event.version.review_id
    ]
    if variant.rating == "initial":
        return min(versions, key=review_rank).rating
    if variant.rating == "latest":
        return max(versions, key=review_rank).rating
    return event.rating


def is_voided_for(state: ShopState, variant: Variant, event: Event) -> bool:
    """Tell whether the outcome of a request voids it in a variant."""
    assert isinstance(event.version, ReturnLine)
    outcomes = outcomes_of(state.settings, event.version, event.event_date)
    if variant.rejected == "in":
        return any(outcome.voids and not outcome.is_rejection for outcome in outcomes)
    if variant.rejected == "out" and any(outcome.is_rejection for outcome in outcomes):
        return True
    return any(outcome.voids for outcome in outcomes)


def outcomes_of(settings: Settings, line: ReturnLine, day: date) -> list[Outcome]:
    """Give what the settings know of the states of a request."""
    found = []
    for status in (line.return_status, line.return_sub_status, line.arbitration_status):
        for outcome in settings.outcomes:
            is_valid = outcome.valid_from <= day <= outcome.valid_to
            is_given = is_valid and not is_blank(status)
            if is_given and match_text(outcome.status) == match_text(str(status)):
                found.append(outcome)
                break
    return found


@dataclass(frozen=True)
class VariantOrder:
    """What decides on which days an order counts in a variant."""

    order_date: date
    negative_dates: list[date]


def variant_orders(
    state: ShopState, variant: Variant, orders: list[AnyOrder]
) -> list[VariantOrder]:
    """Give the orders that a variant counts by some day; feedback before it counts from it on."""
    found = []
    for order in orders:
        day = order.created_date if variant.denominator == "created" else order.delivered_date
        if day is None:
            continue
        negative = [
            max(day, event.event_date)
            for event in order.events
            if is_negative_for(state, variant, event)
        ]
        found.append(VariantOrder(day, negative))
    return found


def variant_day(variant: Variant, orders: list[VariantOrder], day: date, window: int) -> Row:
    """Count a variant's orders on one day."""
    first = day - timedelta(days=window - 1)
    numerator = denominator = 0
    for order in orders:
        is_in = first <= order.order_date <= day
        denominator += is_in
        if variant.anchor == "period":
            numerator += any(first <= negative <= day for negative in order.negative_dates)
        else:
            numerator += is_in and any(negative <= day for negative in order.negative_dates)
    return {"metric": variant.metric, "numerator": numerator, "denominator": denominator}


def variants_daily(state: ShopState, as_of: date) -> dict[Key, Row]:
    """Give the shop's part of metric_variants_daily."""
    rows = {}
    orders = all_orders(state)
    for variant in state.settings.variants:
        counted = variant_orders(state, variant, orders)
        window = variant.window_days or state.settings.window_days
        for day in calendar(state, as_of):
            if variant.valid_from <= day <= variant.valid_to:
                row = variant_day(variant, counted, day, window)
                metric_state = states_on(state.case, day)[
                    "sfrr" if variant.metric == "sfrr" else "nrr"
                ]
                row["rate"] = rate(row["numerator"], row["denominator"], metric_state)
                rows[state.case.shop.shop_id, day, variant.code] = row
    return rows


# ---------------------------------------------------------------- what the platform shows


def latest_platform_metrics(case: ShopCase, as_of: date) -> list[PlatformMetric]:
    """Give the figures as they were last noted, up to a day; the metric's case does not matter."""
    groups = _grouped(
        loaded(case.platform_metrics),
        lambda noted: (noted.metric_date, noted.metric.lower(), noted.window_days),
    )
    return [
        dataclasses.replace(winner(versions, file_rank), metric=metric)
        for (metric_date, metric, _), versions in groups.items()
        if metric_date <= as_of
    ]


def distance(value: float, other: float) -> Decimal:
    """Give how far two rates are apart, to twelve places."""
    return Decimal(abs(value - other)).quantize(Decimal("1e-12"), ROUND_HALF_UP)


def reconciliation(
    state: ShopState, as_of: date, shop_days: dict[Key, Row], variants: dict[Key, Row]
) -> dict[Key, Row]:
    """Give the shop's part of reconciliation."""
    shop_id = state.case.shop.shop_id
    series: dict[Key, list[PlatformMetric]] = {}
    for noted in latest_platform_metrics(state.case, as_of):
        series.setdefault((noted.metric, noted.window_days), []).append(noted)
    rows = {}
    for (metric, window_days), figures in series.items():
        distances: dict[str, dict[date, Decimal]] = {}
        for variant in state.settings.variants:
            length = variant.window_days or state.settings.window_days
            if variant.metric != metric or window_days not in (None, length):
                continue
            for noted in figures:
                day = noted.metric_date
                if not variant.valid_from <= day <= variant.valid_to:
                    continue
                row = variants.get((shop_id, day, variant.code))
                if row is not None and row["rate"] is not None:
                    of_variant = distances.setdefault(variant.code, {})
                    of_variant[day] = distance(noted.value, row["rate"])
        ranking = sorted(
            distances,
            key=lambda code: (
                -len(distances[code]),
                sum(distances[code].values()),
                code != metric,
                code,
            ),
        )
        best = ranking[0] if ranking else None
        for noted in figures:
            day = noted.metric_date
            rows[shop_id, day, metric, window_days] = reconciled_day(
                noted.value,
                shop_days.get((shop_id, day), {}).get(metric),
                {code: days[day] for code, days in distances.items() if day in days},
                {
                    code: variants[shop_id, day, code]["rate"]
                    for code in distances
                    if (shop_id, day, code) in variants
                },
                metric,
                best,
                state.settings.platform_rounding,
            ) | {
                "explained_by_mean_difference": (
                    None
                    if best is None
                    else float(sum(distances[best].values())) / len(distances[best])
                ),
                "explained_by_days": None if best is None else len(distances[best]),
            }
    return rows


def reconciled_day(
    value: float,
    own_rate: float | None,
    distances: dict[str, Decimal],
    rates: dict[str, float | None],
    metric: str,
    best: str | None,
    rounding: Decimal,
) -> Row:
    """Set a figure of the platform beside the rates of one day; `distances` has the candidates."""
    near = min(distances, key=lambda code: (distances[code], code != metric, code), default=None)
    near_rate = None if near is None else rates[near]
    is_known = best is not None and best in distances
    return {
        "platform_value": value,
        "rate": own_rate,
        "difference": None if own_rate is None else value - own_rate,
        "nearest_variant": near,
        "nearest_rate": near_rate,
        "nearest_difference": None if near_rate is None else value - near_rate,
        "explained_by": best,
        "explained_by_rate": rates[best] if best is not None and is_known else None,
        "is_explained": distances[best] * 2 <= rounding if best is not None and is_known else None,
    }


def complaint_day(state: ShopState, day: date) -> dict[tuple[str, str], Row]:
    """Give a shop's rows of complaint_metrics_daily for one day, by type and reason."""
    of_shop = shop_day(state, day)
    orders: dict[tuple[str, str], set[str]] = {}
    latest: dict[tuple[str, str], Event] = {}
    for order in state.delivered:
        if not in_window(order.delivered_date, day, state.settings):
            continue
        for event in order.events:
            if event.source != "complaint" or event.event_date > day:
                continue
            key = (str(event.complaint_type), event.reason_code)
            orders.setdefault(key, set()).add(order.order_id)
            latest[key] = event
    return {
        key: {
            "category": latest[key].category,
            "fault": latest[key].fault,
            "is_counted": latest[key].is_counted,
            "orders": len(ids),
            "delivered_orders": of_shop["delivered_orders"],
            "rate": rate(len(ids), of_shop["delivered_orders"], of_shop["complaint_state"]),
        }
        for key, ids in orders.items()
    }


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
            *latest_chats(case),
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
        for (complaint_type, reason_code), row in complaint_day(state, day).items():
            tables["complaint_metrics_daily"][shop_id, day, complaint_type, reason_code] = row
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
    shop_days = {day: row for (_, day), row in tables["shop_metrics_daily"].items()}
    tables["metric_status_daily"].update(status_rows(case.shop, shop_days, state.settings))
    if as_of in shop_days:
        tables["feedback_costs"] = costs(state, as_of)
        tables["shop_forecast"] = forecast_rows(
            case.shop, as_of, tables["metric_status_daily"], remaining(state, as_of), state.settings
        )
        money = {
            (product, metric): row
            for (_, product, metric, _, counted), row in costs(
                state, as_of, all_reasons=True
            ).items()
            if counted
        }
        categories = {reason.reason_code: reason.category for reason in state.settings.reasons}
        tables["watchlist"] = watch_rows(shop_id, as_of, tables, money, categories)
    tables["metric_variants_daily"] = variants_daily(state, as_of)
    tables["reconciliation"] = reconciliation(
        state, as_of, tables["shop_metrics_daily"], tables["metric_variants_daily"]
    )
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
            "complaint_type": event.complaint_type,
            "reason_rule": event.reason_rule,
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
