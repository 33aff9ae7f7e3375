"""The digest in words, for an owner without statistics: orders first, percentages after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from dagster_project.lib.attention import OLD_AFTER_DAYS, WORST_FIRST, Concern
from dagster_project.lib.digest.figures import (
    REVIEW_METRICS,
    WEEK_DAYS,
    Restated,
    ShopFigures,
    Standing,
    Watched,
)
from dagster_project.lib.status import Coverage
from dagster_project.lib.text import day_words, printable

METRICS = {
    "nrr": "Bad reviews (1 or 2 stars)",
    "nrr_seller": "Bad reviews, without those about the courier",
    "nrr_product": "Bad reviews about the product",
    "nrr_service": "Bad reviews about the service",
    "sfrr": "Returns and refunds for the shop's fault",
    "complaint_rate": "Complaints",
    "negative_feedback_rate": "Negative feedback of any kind",
    "product_negative_feedback_rate": "Negative feedback about the product",
    "service_negative_feedback_rate": "Negative feedback about the service",
}
_STATUSES = {
    "breach": "over the target",
    "at_risk": "close to the target",
    "ok": "under the target",
    "no_target": "no target known",
    "unknown": "not known",
}
_CAUSES = {
    "code": "the program was improved",
    "setting": "a setting was changed",
    "file": "newer exports came in",
}
_UNCLEAR = {"unclassified": "comment without a clear reason", "no_comment": "stars without comment"}
_FAMILY = {"nrr": "bad reviews", "sfrr": "returns"}


@dataclass(frozen=True)
class Row:
    """A row of a table, coloured by the status `tone`; a chart goes into its last cell."""

    cells: tuple[str, ...]
    tone: str
    chart: Chart | None = None


@dataclass(frozen=True)
class Chart:
    """A picture; `svg` is markup of our own."""

    title: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A heading with a verdict, a table, pictures and sentences, any of which may be missing."""

    title: str
    lead: str = ""
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True)
class Page:
    """One digest: the same for HTML and for plain text."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)


def share(orders: int | float | None, of: int | None, rate: float | None) -> str:
    """Orders before the rate: `6 of 901 orders (0.67%)`."""
    if orders is None or of is None or rate is None:
        return "not known"
    return f"{orders:,.0f} of {of:,} orders ({rate:.2%})"


def shop_page(
    shop: ShopFigures,
    name: str,
    due: Sequence[Coverage],
    today: date,
    charts: Sequence[Chart] = (),
) -> Page:
    """The digest of one shop; `due` are its exports to download now."""
    told = (
        _in_short(shop),
        Section("How it went", charts=tuple(charts)),
        Section("What changed in a week", lines=tuple(_changes(shop))),
        Section("Why", lines=tuple(_whys(shop))),
        Section("What to do", lines=tuple(_advice(shop.watched))),
        Section("What comes next", lines=tuple(_outlook(shop))),
        Section("How far to trust this", lines=(*_age(shop.last_day, today), *_doubts(shop))),
        Section("Exports to download now", lines=tuple(_due(due))),
    )
    return Page(
        f"{printable(name)}: week to {day_words(shop.last_day)}",
        f"Written on {day_words(today)}. Every figure is of the orders delivered in the window "
        f"that ends on {day_words(shop.last_day)}; percentages are shares of these orders.",
        tuple(s for s in told if s.lines or s.rows or s.charts),
        _NOTES,
    )


def all_shops_page(
    shops: Mapping[str, ShopFigures],
    names: Mapping[str, str],
    concerned: Sequence[Concern],
    due: Sequence[Coverage],
    today: date,
    lines: Mapping[str, Chart],
) -> Page:
    """The digest of all shops: who needs attention, how each stands, what is missing."""
    newest = max((shop.last_day for shop in shops.values()), default=today)
    statuses = {shop_id: shop.status for shop_id, shop in shops.items()}
    told = (
        Section("In short", lines=tuple(_counted(statuses.values()))),
        Section(
            "Look here first",
            lines=tuple(concern_line(it, _name(names, it.shop_id)) for it in concerned),
        ),
        Section(
            "All shops",
            columns=("Shop", "Bad reviews", "A week before", "Returns", "A week before", "Stands"),
            rows=tuple(
                _overview(shops[shop_id], _name(names, shop_id), lines.get(shop_id))
                for shop_id in sorted(shops, key=lambda s: (WORST_FIRST.index(statuses[s]), s))
            ),
        ),
        Section(
            "How far to trust this",
            lines=(
                *_age(newest, today),
                *(
                    f"{_name(names, shop_id)}: {line}"
                    for shop_id, shop in shops.items()
                    for line in (
                        *(_age(shop.last_day, today) if shop.last_day < newest else ()),
                        *_doubts(shop, briefly=True),
                    )
                ),
            ),
        ),
        Section("Exports to download now", lines=tuple(_due_by_shop(due, names))),
    )
    return Page(
        f"All shops: week to {day_words(newest)}",
        f"Written on {day_words(today)}. Every figure is of the orders delivered in the window "
        "that ends on the day named; percentages are shares of these orders.",
        tuple(s for s in told if s.lines or s.rows),
        _NOTES,
    )


_NOTES = (
    "Bad reviews: orders with a review of 1 or 2 stars. Returns: orders with a return or refund "
    "asked for a reason that is the shop's, such as a wrong or broken item; what the buyer took "
    "back or the platform turned down is left out. Each order counts once.",
)


def _in_short(shop: ShopFigures) -> Section:
    columns = ("What", "Now", "A week before", "Target", "Stands")
    rows = tuple(
        Row(
            (
                METRICS[s.metric],
                share(s.orders, s.delivered_orders, s.rate),
                _before(s),
                f"below {s.target:.2%}" if s.target is not None else "none known",
                _stands(s),
            ),
            s.status,
        )
        for s in shop.standings
    )
    return Section("In short", _verdict(shop), columns=columns, rows=rows)


def _verdict(shop: ShopFigures) -> str:
    """What the owner has to know if nothing else is read."""
    worst = [s for s in shop.standings if s.status == shop.status]
    names = "; ".join(METRICS[s.metric].lower() for s in worst)
    is_sure = any(s.is_reliable for s in worst)
    doubt = "" if is_sure else ", with few orders to judge by"
    return {
        "breach": f"{'Act now, over' if is_sure else 'Over'} the target{doubt}: {names}.",
        "at_risk": f"{'Be careful, close' if is_sure else 'Close'} to the target{doubt}: {names}.",
        "ok": "Under every target that is known here.",
        "no_target": "No target of the platform is known here; watch how the shares move.",
        "unknown": f"Not known at present: {names}; see below which exports are missing.",
    }[shop.status]


def _before(s: Standing) -> str:
    return share(s.before_orders, s.before_delivered_orders, s.before_rate)


def _stands(s: Standing) -> str:
    if s.rate is None:
        return _STATUSES["unknown"]
    words = _STATUSES[s.status]
    if s.breach_since:
        words += f" since {day_words(s.breach_since)} ({_days(s.days_in_breach or 0)})"
    if s.metric_date < s.last_day:
        words += f", as of {day_words(s.metric_date)}"
    return words


def _changes(shop: ShopFigures) -> Iterable[str]:
    for s in shop.standings:
        if s.rate is None or s.before_rate is None or s.before_orders is None:
            continue
        was, now = s.before_status, s.status
        if was != now and "unknown" not in (was, now) and "no_target" not in (was, now):
            turned = f"now {_STATUSES[now]}, a week before {_STATUSES[was or now]}"
            yield f"{METRICS[s.metric]}: {turned}."
        if s.metric in _FAMILY:
            yield f"{METRICS[s.metric]}: {_moved(s, s.before_orders, s.before_rate, s.rate)}."
    grown = [r for r in shop.reasons if r.orders > r.before_orders]
    for r in sorted(grown, key=lambda r: r.before_orders - r.orders)[:3]:
        yield (
            f"More {_FAMILY[r.metric]} because of “{_reason(r.reason_code)}”: "
            f"{_orders(r.orders)}, a week before {r.before_orders}."
        )


def _moved(s: Standing, before_orders: int, before_rate: float, rate: float) -> str:
    difference = s.orders - before_orders
    moved = (
        f"{abs(difference)} {'more' if difference > 0 else 'fewer'} than a week before"
        if difference
        else "as many as a week before"
    )
    change = rate - before_rate
    # told as people see it, both rates being shown with two decimals
    direction = "up" if change > 5e-5 else "down" if change < -5e-5 else "level"
    return (
        f"{share(s.orders, s.delivered_orders, s.rate)}, {moved}; the share is {direction} "
        f"{'at' if direction == 'level' else 'from'} {before_rate:.2%}"
    )


def _whys(shop: ShopFigures) -> Iterable[str]:
    for metric, family in _FAMILY.items():
        found = [r for r in shop.reasons if r.metric == metric]
        standing = shop.standing(metric)
        if found and standing:
            listed = ", ".join(f"{_reason(r.reason_code)} {r.orders}" for r in found)
            yield f"Most common reasons for {family} ({_orders(standing.orders)}): {listed}."
    for w in shop.watched:
        yield _product(w)
    if shop.reasons and not shop.watched:
        yield "No single product stands out."
    for c in shop.comments:
        yield (
            f"{c.rating} {'star' if c.rating == 1 else 'stars'} on {day_words(c.event_date)}: "
            f"“{printable(c.text, 200)}”"
        )


def _product(w: Watched) -> str:
    reason = f", {w.top_reason_orders} because of “{_reason(w.top_reason)}”" if w.top_reason else ""
    money = (
        f"; {w.net_refunds:,.2f} {w.currency} asked back" if w.net_refunds and w.currency else ""
    )
    return (
        f"{_product_name(w.product_name)}: {_FAMILY[w.metric]} in {w.orders} of its "
        f"{w.delivered_orders:,} orders{reason}{money}."
    )


def _advice(watched: Sequence[Watched]) -> Iterable[str]:
    """Each advice once, with the products it is for; the platform's steps once."""
    products: dict[str, list[str]] = {}
    for w in watched:
        if w.advice:
            names = products.setdefault(w.advice, [])
            if (name := _product_name(w.product_name)) not in names:
                names.append(name)
    for advice, names in products.items():
        yield f"{', '.join(names)}: {advice}"
    steps = next((w.platform_steps for w in watched if w.platform_steps), None)
    if steps:
        yield f"If nothing changes, the platform may do this, the mildest first: {steps}."


def _outlook(shop: ShopFigures) -> Iterable[str]:
    """Of each metric with a target what it would take; of the most pressing ones what to expect."""
    pressing = (shop.most_pressing(*REVIEW_METRICS), shop.most_pressing("sfrr"))
    for s in shop.standings:
        if not s.is_current:
            continue
        parts = []
        if s.status == "breach":
            parts.append(_way_back(s.recovery_date, s.clean_orders_to_recover))
        elif s.status in ("ok", "at_risk"):
            parts.append(_room(s.orders_to_breach))
        if s.metric in pressing and s.next_orders is not None:
            parts.append(_expected(s))
        if any(parts):
            yield f"{METRICS[s.metric]}: {' '.join(part for part in parts if part)}"


def _way_back(recovery_date: date | None, clean_orders: int | None) -> str:
    clean = f"after {_orders(clean_orders, 'more ')} without trouble" if clean_orders else ""
    if recovery_date is not None:
        until = f"on {day_words(recovery_date)} if nothing bad happens"
        return f"under the target again {until}{f', or {clean}' if clean else ''}."
    return f"not under the target again by waiting alone, but {clean}." if clean else ""


def _room(orders: int | None) -> str:
    if orders is None:
        return ""
    if not orders:
        return "no room left, the next bad order goes over the target."
    fit = "fits" if orders == 1 else "fit"
    return f"{_orders(orders, 'more bad ')} still {fit} under the target."


def _expected(s: Standing) -> str:
    over = s.next_status == "breach" and s.status != "breach"
    expected = s.next_orders or 0
    orders = f"about {_orders(round(expected))}" if expected >= 1 else "fewer than one order"
    return (
        f"If the next {_days(WEEK_DAYS)} are like the last weeks, "
        f"{orders} ({s.next_rate:.2%}) on {day_words(s.next_date)}"
        f"{', which is over the target' if over else ''}; "
        f"if nothing bad happens, {s.next_orders_if_nothing_new}."
    )


def _age(last_day: date, today: date) -> Iterable[str]:
    age = (today - last_day).days
    if age > OLD_AFTER_DAYS:
        yield f"These figures end {_days(age)} ago, and so tell nothing of the days since."


def _doubts(shop: ShopFigures, *, briefly: bool = False) -> Iterable[str]:
    """What an owner must know before believing the figures."""
    if shop.frozen:
        until = (
            f"are those of {day_words(shop.frozen.as_of)}" if shop.frozen.as_of else "are missing"
        )
        yield (
            f"Newer data were held back because they break a check ({shop.frozen.rules}); the "
            f"figures {until}."
        )
    for metric, state in shop.states.items():
        what = _FAMILY[metric]
        if state == "not_loaded":
            yield f"No export of {_EXPORTS[metric]} was ever loaded, so nothing is known of {what}."
        elif state == "stale":
            known = shop.standing(metric)
            shown = (
                f"the last known figure, of {day_words(known.metric_date)}, is shown"
                if known and known.rate is not None
                else "nothing is known yet"
            )
            yield f"The exports end before {day_words(shop.last_day)}; of {what} {shown}."
    main = shop.standing("nrr")
    if main and not main.is_reliable and main.delivered_orders:
        yield (
            f"Only {_orders(main.delivered_orders)} were delivered in the window: a single one "
            f"moves a share by {1 / main.delivered_orders:.2%}. Read the figures as a hint."
        )
    elif main and not main.delivered_orders:
        yield "No order was delivered in the window, so there is no share to speak of."
    for r in shop.restated:
        yield _restated(r)
    if shop.unmapped_lines:
        lines = shop.unmapped_lines
        have = "return line has" if lines == 1 else "return lines have"
        yield f"{lines} {have} a reason that no setting knows yet, and so counts for nothing."
    if shop.refused_files:
        count = shop.refused_files
        yield (
            f"{_files(count)} of the last {_days(WEEK_DAYS)} could not be used and "
            f"{'is' if count == 1 else 'are'} left out."
        )
    if shop.rejected_rows:
        yield f"{shop.rejected_rows:,} rows of the exports could not be read and are left out."
    if briefly:
        return
    without = [s for s in shop.standings if s.target is None and s.metric in _FAMILY]
    if without:
        names = " and ".join(_FAMILY[s.metric] for s in without)
        yield (
            f"For {names} no published target of the platform is known in this country; compare "
            "with the weeks before."
        )


_EXPORTS = {"nrr": "reviews", "sfrr": "returns"}


def _restated(r: Restated) -> str:
    became = (
        "is no longer published"
        if r.new_numerator is None
        else f"became {r.new_numerator} of {r.new_denominator:,} orders"
    )
    return (
        f"Earlier figures of {_FAMILY[r.metric]} were corrected for {_days(r.days)} because "
        f"{_CAUSES.get(r.cause, r.cause)}; on {day_words(r.metric_date)}, for example, "
        f"{r.old_numerator} of {r.old_denominator:,} {became}."
    )


def _due(due: Sequence[Coverage]) -> Iterable[str]:
    """Each export with its days and where it comes from."""
    for c in due:
        if c.download:
            first, last = c.download
            until = (
                f"what is here ends on {day_words(c.covered_until)}"
                if c.covered_until
                else "none is here yet"
            )
            yield (
                f"{_dataset(c)}: {day_words(first)} to {day_words(last)} ({until}). "
                f"Where: {c.dataset.export_from}."
            )


def _due_by_shop(due: Sequence[Coverage], names: Mapping[str, str]) -> Iterable[str]:
    """A line for each shop, exports of the same days together."""
    by_shop: dict[str, dict[tuple[date, date], list[str]]] = {}
    for c in due:
        if c.download:
            periods = by_shop.setdefault(c.shop.shop_id, {})
            periods.setdefault(c.download, []).append(_dataset(c).lower())
    for shop_id, periods in by_shop.items():
        parts = [
            f"{', '.join(datasets)} ({day_words(first)} to {day_words(last)})"
            for (first, last), datasets in periods.items()
        ]
        yield f"{_name(names, shop_id)}: {'; '.join(parts)}"


def _dataset(c: Coverage) -> str:
    return c.dataset.name.replace("_", " ").capitalize()


def _counted(statuses: Iterable[str]) -> Iterable[str]:
    found = list(statuses)
    for status in WORST_FIRST:
        if count := found.count(status):
            yield f"{count} of {_shops(len(found))}: {_STATUSES[status]}"


def concern_line(it: Concern, name: str) -> str:
    """A shop's concern in a few sentences: what, since when, why, what to do, what then."""
    since = f" since {day_words(it.breach_since)}" if it.breach_since else ""
    as_of = f", as of {day_words(it.metric_date)}" if it.is_frozen else ""
    now = share(it.orders, it.delivered_orders, it.rate)
    parts = [
        f"{name}: {METRICS[it.metric].lower()} in {now}, target below {it.target:.2%}; "
        f"{_STATUSES[it.status]}{since}{as_of}."
    ]
    if it.product_orders:
        reason = (
            f", {it.top_reason_orders} because of “{_reason(it.top_reason)}”"
            if it.top_reason
            else ""
        )
        parts.append(
            f"Look first at {_product_name(it.product_name)}: "
            f"in {it.product_orders} of these orders{reason}."
        )
    elif it.watched_as:
        parts.append("No single product stands out.")
    if it.advice:
        parts.append(f"To do: {it.advice}")
    then = (
        _way_back(it.recovery_date, it.clean_orders_to_recover)
        if it.breach_since
        else _room(it.orders_to_breach)
    )
    if then:
        parts.append(then[0].upper() + then[1:])
    return " ".join(parts)


def _overview(shop: ShopFigures, name: str, line: Chart | None) -> Row:
    cells = [name]
    for metric in _FAMILY:
        s = shop.standing(metric)
        cells += [share(s.orders, s.delivered_orders, s.rate), _before(s)] if s else ["", ""]
    return Row((*cells, _STATUSES[shop.status]), shop.status, line)


def _name(names: Mapping[str, str], shop_id: str) -> str:
    return printable(names.get(shop_id) or shop_id)


def _product_name(name: str | None) -> str:
    return printable(name or "a product without name", 60)


def _reason(code: str | None) -> str:
    return _UNCLEAR.get(code or "", (code or "not known").replace("_", " "))


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"


def _orders(count: int | None, which: str = "") -> str:
    return f"{count:,} {which}order{'' if count == 1 else 's'}" if count is not None else "orders"


def _shops(count: int) -> str:
    return f"{count} shop" if count == 1 else f"{count} shops"


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
