"""The sample exports: their bytes, their layouts, and their truth recounted from the files."""

from __future__ import annotations

import csv
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from python_calamine import CalamineWorkbook

from dagster_project.lib.sample import DayTruth, SampleTruth, write_sample
from dagster_project.lib.sample.generate import EXPORT_EVERY
from dagster_project.lib.sample.layouts import LAYOUTS, OLD_RETURN_COLUMNS, RETURN_COLUMNS
from dagster_project.lib.sample.regions import REGIONS
from dagster_project.lib.sample.returns import SETTLES_WITHIN
from dagster_project.lib.sample.texts import FAIR, GOOD, REVIEW_TEXTS, VAGUE
from dagster_project.lib.sample.truth import TruthBook
from dagster_project.lib.sample.world import ARRIVES_WITHIN, World

LAST_DAY = date(2026, 10, 31)
SIZE = {"shops": 5, "days": 70, "orders_per_day": 7}

ORDER_TIMES = (
    "Created Time",
    "Paid Time",
    "RTS Time",
    "Shipped Time",
    "Delivered Time",
    "Cancelled Time",
)

pytestmark = pytest.mark.slow
PERSONAL_COLUMNS = {
    *("Buyer Username", "Buyer Nickname", "Recipient", "Phone #", "Email", "Zipcode"),
    *("Country", "Province", "State", "City", "Regency and City", "District", "Districts"),
    *("Commune", "Villages", "Detail Address", "Additional address information"),
    *("Address Line 1", "Address Line 2", "Delivery Instruction", "Shipping Information"),
    *("Buyer Message", "Buyer Note", "Tracking ID", "Return Logistics Tracking ID"),
}
WINDOW = timedelta(days=30)
DESCRIPTIONS = ("Platform unique order ID.", "รหัสคำสั่งซื้อ")

# The reader's own reading of the metric definitions, apart from the generator's.
PRODUCT_CODES = {
    *("defective_or_low_quality", "not_as_described", "misleading_listing"),
    "suspected_counterfeit",
}
SERVICE_CODES = {"wrong_item", "missing_item", "slow_chat_reply", "rude_service"}
LOGISTICS_CODES = {"late_delivery", "courier_issue"}
NOT_THE_SELLERS_TYPES = {"Fulfillment & Delivery", "Payments"}
SERVICE_LABELS = {
    *("wrong product sent", "wrong product was sent", "wrong item was sent", "empty parcel"),
    *("received parcel, but some items were missing", "missing product or accessories"),
    *("package received but missing item", "paket sudah diterima, tetapi isinya tidak lengkap"),
    *("สินค้าไม่ถูกต้อง/ส่งสินค้าผิด", "ได้รับพัสดุแต่มีสินค้าขาดหาย"),
}
SELLER_FAULT_LABELS = {
    *("product doesn't match description", "wrong product sent", "wrong product was sent"),
    *("wrong item was sent", "poor quality", "package or product is damaged"),
    *("damaged item or packaging", "product is defective or doesn't work", "defective item"),
    *("received parcel, but some items were missing", "missing product or accessories"),
    *("package received but missing item", "suspected counterfeit", "empty parcel"),
    *("product is expired/spoiled", "produk tidak sesuai deskripsi", "kemasan atau produk rusak"),
    *("paket sudah diterima, tetapi isinya tidak lengkap", "สินค้าไม่ตรงกับคำอธิบาย"),
    *("สินค้าไม่ถูกต้อง/ส่งสินค้าผิด", "สินค้ามีตำหนิหรือใช้งานไม่ได้"),
    *("ได้รับพัสดุแต่มีสินค้าขาดหาย", "พัสดุหรือสินค้าเสียหาย", "บรรจุภัณฑ์เสียหาย"),
    *("สงสัยว่าเป็นของปลอม", "สินค้าหมดอายุ"),
}
VOIDING = {"Canceled", "Cancelled", "Refund rejected", "Rejected", "Request Canceled"}


@dataclass
class Export:
    """One file, read back: cells by column, without tabs and description row."""

    shop_id: str
    dataset: str
    exported_at: datetime
    header: list[str]
    rows: list[dict[str, str]]

    def moment(self, column: str, text: str) -> datetime | None:
        if not text:
            return None
        if self.dataset in ("reviews", "complaints", "chats"):
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                return moment
            return moment.astimezone(ZoneInfo("America/Los_Angeles")).replace(tzinfo=None)
        if self.dataset == "orders" and self.shop_id.startswith("us-"):
            return datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p")
        return datetime.strptime(text, "%d/%m/%Y %H:%M:%S")


@dataclass
class Sample:
    out: Path
    truth: SampleTruth
    exports: list[Export]

    def of(self, dataset: str, shop: str = "") -> list[Export]:
        return [e for e in self.exports if e.dataset == dataset and e.shop_id.startswith(shop)]


def raw_rows(path: Path) -> list[list[str]]:
    if path.suffix == ".xlsx":
        sheet = CalamineWorkbook.from_path(path).get_sheet_by_name("OrderSKUList")
        return [[str(cell) for cell in row] for row in sheet.to_python()]
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def read_exports(out: Path) -> Iterator[Export]:
    for path in sorted((out / "landing").glob("*/*/*")):
        header, *rows = raw_rows(path)
        rows = [[cell.strip("\t") for cell in row] for row in rows if row[0] not in DESCRIPTIONS]
        stamp = re.search(r"(\d{4})-(\d\d)-(\d\d)(?:-(\d\d)_(\d\d))?\.", path.name)
        assert stamp, path.name
        parts = [int(part) for part in stamp.groups(default="-1")]
        clock = parts[3:] if parts[3] >= 0 else [23, 59]
        yield Export(
            shop_id=path.parts[-3],
            dataset=path.parts[-2],
            exported_at=datetime(*parts[:3], *clock),
            header=header,
            rows=[dict(zip(header, row, strict=True)) for row in rows],
        )


def file_bytes(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    out = tmp_path_factory.mktemp("sample")
    truth = write_sample(out, **SIZE)
    return Sample(out, truth, list(read_exports(out)))


# --- bytes ------------------------------------------------------------------------------------


def test_same_arguments_give_the_same_bytes_and_the_same_truth(tmp_path: Path) -> None:
    size = {"shops": 4, "days": 21, "orders_per_day": 3}
    first = write_sample(tmp_path / "a", **size)
    second = write_sample(tmp_path / "b", **size)
    assert file_bytes(tmp_path / "a") == file_bytes(tmp_path / "b")
    assert first == second


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    size = {"shops": 2, "days": 10, "orders_per_day": 3}
    write_sample(tmp_path / "a", **size)
    write_sample(tmp_path / "b", **size, seed=8)
    first, second = file_bytes(tmp_path / "a"), file_bytes(tmp_path / "b")
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first if "/orders/" in name)


def test_a_shop_does_not_depend_on_how_many_others_there_are(sample: Sample, tmp_path: Path):
    write_sample(tmp_path, **(SIZE | {"shops": 1}))
    alone = file_bytes(tmp_path / "landing")
    assert alone.items() <= file_bytes(sample.out / "landing").items()


def test_it_refuses_a_directory_that_has_shops_or_files(tmp_path: Path) -> None:
    (tmp_path / "shops.csv").write_text("shop_id\n")
    with pytest.raises(FileExistsError, match="empty directory"):
        write_sample(tmp_path, shops=1, days=1, orders_per_day=1)


@pytest.mark.parametrize("wrong", [{"shops": 0}, {"shops": 1000}, {"days": 0}])
def test_it_refuses_sizes_out_of_range(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        write_sample(tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_one_day_of_one_order_is_a_sample_too(tmp_path: Path) -> None:
    truth = write_sample(tmp_path, shops=4, days=1, orders_per_day=1)
    assert truth.daily == {}
    assert all(e.rows for e in read_exports(tmp_path) if e.dataset == "orders")


# --- layouts ----------------------------------------------------------------------------------


def test_shops_take_turns_in_the_four_layouts(sample: Sample) -> None:
    with (sample.out / "shops.csv").open(encoding="utf-8", newline="") as file:
        shops = list(csv.DictReader(file))
    assert [shop["region"] for shop in shops] == ["ID", "VN", "TH", "US", "ID"]
    assert [shop["shop_id"] for shop in shops] == [
        "id-batik-house",
        "vn-saigon-beauty",
        "th-siam-snacks",
        "us-sunny-home",
        "id-batik-house-2",
    ]


def test_orders_have_the_columns_of_their_country(sample: Sample) -> None:
    widths = {e.shop_id[:2]: len(e.header) for e in sample.of("orders")}
    assert widths == {"id": 65, "vn": 54, "th": 55, "us": 57}
    for export in sample.of("orders"):
        assert len(set(export.header)) == len(export.header)
        assert "Product ID" not in export.header


def test_returns_have_25_columns_but_19_in_the_first_weeks_of_the_indonesian_shop(
    sample: Sample,
) -> None:
    assert (len(RETURN_COLUMNS), len(OLD_RETURN_COLUMNS)) == (25, 19)
    widths = defaultdict(list)
    for export in sample.of("returns"):
        widths[export.shop_id].append(len(export.header))
    assert widths["id-batik-house"] == [19] * 3 + [25] * 7
    assert set(widths["vn-saigon-beauty"] + widths["us-sunny-home"]) == {25}


def test_order_files_show_the_quirks_of_their_country(sample: Sample) -> None:
    folders = {p.parent.name[:2]: p for p in (sample.out / "landing").glob("*/orders")}
    indonesian = sorted(folders["id"].iterdir())
    assert indonesian[-1].read_bytes().startswith(b"\xef\xbb\xbfOrder ID,")
    assert [raw_rows(p)[1][0] == DESCRIPTIONS[0] for p in indonesian[:3]] == [True, False, True]
    last = raw_rows(indonesian[-1])
    for column in ("Order ID", "SKU ID", "Zipcode", *ORDER_TIMES):
        cells = {row[last[0].index(column)] for row in last[2:]}
        assert all(cell.endswith("\t") for cell in cells), column
    assert "\t" in {row[last[0].index("Cancelled Time")] for row in last}
    thai = [raw_rows(p)[1][0] for p in sorted(folders["th"].iterdir())]
    assert DESCRIPTIONS[1] in thai
    assert any(first_cell not in DESCRIPTIONS for first_cell in thai)
    vietnamese = sorted(folders["vn"].iterdir())
    assert {p.suffix for p in vietnamese} == {".xlsx"}
    assert all(raw_rows(p)[1][0] == DESCRIPTIONS[0] for p in vietnamese)
    with zipfile.ZipFile(vietnamese[0]) as book:
        assert b'<dimension ref="A1:A1"/>' in book.read("xl/worksheets/sheet1.xml")
    assert not any(raw_rows(p)[1][0] in DESCRIPTIONS for p in folders["us"].iterdir())


def test_values_are_written_as_their_country_writes_them(sample: Sample) -> None:
    patterns = {
        "id": (r"Rp\d{1,3}(\.\d{3})*", r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"),
        "vn": (r"\d{1,3}(\.\d{3})*₫", r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"),
        "th": (r"฿\d{1,3}(,\d{3})*\.\d\d", r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"),
        "us": (r"\$\d{1,3}(,\d{3})*\.\d\d", r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d [AP]M"),
    }
    for export in sample.of("orders"):
        money, moment = patterns[export.shop_id[:2]]
        for row in export.rows:
            assert re.fullmatch(money, row["Order Amount"])
            assert re.fullmatch(moment, row["Created Time"])
    for export in sample.of("returns", "us-"):
        assert all(re.fullmatch(patterns["th"][1], row["Time Requested"]) for row in export.rows)


def test_statuses_are_in_the_language_of_the_country(sample: Sample) -> None:
    words = {"id": "Selesai", "vn": "Đã hoàn tất", "th": "เสร็จสมบูรณ์", "us": "Completed"}
    for export in sample.of("orders"):
        if export.exported_at.date() == LAST_DAY:
            statuses = {row["Order Status"] for row in export.rows}
            assert words[export.shop_id[:2]] in statuses


def test_shipped_orders_can_be_delivered_already(sample: Sample) -> None:
    rows = [row for export in sample.of("orders", "us-") for row in export.rows]
    delivered = [row for row in rows if row["Order Substatus"] == "Delivered"]
    assert delivered
    assert all(row["Order Status"] == "Shipped" and row["Delivered Time"] for row in delivered)


def test_identifiers_have_18_or_19_digits_and_belong_to_one_thing_of_one_shop(
    sample: Sample,
) -> None:
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for export in sample.exports:
        for row in export.rows:
            for column in ("Order ID", "SKU ID", "Return Order ID", "Package ID"):
                if column in row:
                    owners[row[column]].add((export.shop_id, column))
            if export.dataset in ("reviews", "products"):
                owners[row["product_id"]].add((export.shop_id, "product"))
            for column in ("review_id", "complaint_id", "conversation_id"):
                if column in row:
                    owners[row[column]].add((export.shop_id, column))
    owners.pop("")
    assert all(re.fullmatch(r"\d{18,19}", identifier) for identifier in owners)
    assert all(len(owner) == 1 for owner in owners.values())


def test_the_amount_of_an_order_is_repeated_on_its_lines_and_covers_each(sample: Sample) -> None:
    for export in sample.exports:
        amounts: dict[str, set[str]] = defaultdict(set)
        part = {"orders": "SKU Subtotal After Discount", "returns": "Return unit price"}
        for row in export.rows:
            if export.dataset in part:
                amounts[row["Order ID"]].add(row["Order Amount"])
                assert number(row[part[export.dataset]]) <= number(row["Order Amount"])
        assert all(len(amount) == 1 for amount in amounts.values())


def number(money: str) -> int:
    return int(re.sub(r"\D", "", money))


def test_products_are_exported_by_all_shops_but_the_american_one(sample: Sample) -> None:
    shops = {export.shop_id for export in sample.of("products")}
    assert shops == {e.shop_id for e in sample.exports if not e.shop_id.startswith("us-")}
    reviewed = {row["product_id"] for e in sample.of("reviews", "us-") for row in e.rows}
    assert 1 < len(reviewed) < len(REGIONS[3].wares)  # blank, and not every product


# --- the course of things ---------------------------------------------------------------------


def test_exports_come_weekly_and_the_last_one_on_the_last_day(sample: Sample) -> None:
    for dataset in ("orders", "returns", "reviews"):
        days = [e.exported_at.date() for e in sample.of(dataset, "th-")]
        assert days == [LAST_DAY - n * EXPORT_EVERY for n in reversed(range(10))]


def test_complaints_and_chats_are_one_file_each_of_the_last_day_with_every_kind(
    sample: Sample,
) -> None:
    for dataset in ("complaints", "chats"):
        assert [e.exported_at.date() for e in sample.of(dataset)] == [LAST_DAY] * SIZE["shops"]
    types = {row["complaint_type"] for e in sample.of("complaints") for row in e.rows}
    assert types >= {"After Sale", "Fulfillment & Delivery"}
    chats = [row for e in sample.of("chats") for row in e.rows]
    assert {row["initiated_by"] for row in chats} == {"buyer", "seller"}
    assert {row["is_automated_reply"] for row in chats} == {"true", "false", ""}


def test_no_event_is_dated_later_than_its_export(sample: Sample) -> None:
    columns = {
        "orders": ORDER_TIMES,
        "returns": ("Time Requested", "Refund Time"),
        "reviews": ("created_at", "updated_at"),
        "complaints": ("created_at", "resolved_at"),
        "chats": ("started_at", "first_reply_at"),
        "products": (),
        "platform_metrics": (),
    }
    last_export = {e.shop_id: e.exported_at for e in sample.of("orders")}
    for export in sample.exports:
        limit = min(export.exported_at, last_export[export.shop_id])
        for row in export.rows:
            for column in columns[export.dataset]:
                moment = export.moment(column, row.get(column, ""))
                assert moment is None or moment <= limit, (export.shop_id, column, row)


def test_every_record_stays_in_the_exports_until_it_has_settled() -> None:
    for layout in LAYOUTS.values():
        assert layout.reach > EXPORT_EVERY + max(ARRIVES_WITHIN, SETTLES_WITHIN)


def test_a_delivery_is_blank_until_it_has_happened(sample: Sample) -> None:
    seen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for export in sample.of("orders"):
        for row in export.rows:
            seen[row["Order ID"], row["SKU ID"]].append(row["Delivered Time"])
    changed = [values for values in seen.values() if values[0] == "" and values[-1]]
    assert len(changed) > 100
    for values in seen.values():
        first = next((n for n, value in enumerate(values) if value), len(values))
        assert len(set(values[first:])) <= 1


def test_a_request_cancelled_later_was_in_process_first(sample: Sample) -> None:
    states: dict[str, list[str]] = defaultdict(list)
    for export in sample.of("returns"):
        for row in export.rows:
            states[row["Return Order ID"]].append(row["Return Status"])
    cancelled = [s for s in states.values() if s[-1] in ("Canceled", "Cancelled")]
    assert any(s[0] == "In process" for s in cancelled)
    assert {s[0] for s in cancelled} <= {"In process", "Canceled", "Cancelled"}
    assert any(s[-1] == "Refund rejected" for s in states.values())


def test_late_split_lost_and_unlike_things_all_happen(sample: Sample) -> None:
    lines = latest_orders(sample)
    days: dict[str, set[date]] = defaultdict(set)
    waits = []
    lost = 0
    for (_, order_id, _), (export, row) in lines.items():
        created = export.moment("Created Time", row["Created Time"])
        delivered = export.moment("Delivered Time", row["Delivered Time"])
        assert created
        if delivered:
            days[order_id].add(delivered.date())
            waits.append(delivered - created)
        elif created.date() < LAST_DAY - ARRIVES_WITHIN and not row["Cancelled Time"]:
            lost += 1
    assert any(len(dates) > 1 for dates in days.values()), "split parcels"
    assert timedelta(days=10) < max(waits) <= ARRIVES_WITHIN
    assert lost
    reviews = latest_reviews(sample)
    assert any(row["updated_at"] for _, row in reviews.values())
    ratings = [row["rating"] for _, row in reviews.values()]
    assert ratings.count("5") > 0.7 * len(ratings)
    reasons = {row["Return Reason"] for e in sample.of("returns", "th-") for row in e.rows}
    assert any(re.search("[\u0e00-\u0e7f]", reason) for reason in reasons)


def test_american_reviews_carry_an_offset_and_follow_the_delivery_once_converted(
    sample: Sample,
) -> None:
    delivered: dict[str, datetime] = {}
    for (_, order_id, _), (export, row) in latest_orders(sample).items():
        moment = export.moment("Delivered Time", row["Delivered Time"])
        if moment:
            delivered[order_id] = min(moment, delivered.get(order_id, moment))
    lags: dict[bool, list[timedelta]] = {True: [], False: []}
    has_other_day_in_utc = False
    for export, row in latest_reviews(sample).values():
        is_american = export.shop_id.startswith("us-")
        assert row["created_at"].endswith("+00:00") == is_american
        written = export.moment("created_at", row["created_at"])
        assert written
        if is_american:
            has_other_day_in_utc |= row["created_at"][:10] != str(written.date())
        if row["rating"] == "5":
            lags[is_american].append(written - delivered[row["order_id"]])
    assert has_other_day_in_utc
    assert timedelta(hours=2) < min(lags[True]) < timedelta(hours=7)
    assert timedelta(days=30) < max(lags[True] + lags[False]) <= timedelta(days=80)


def test_each_shop_has_days_without_any_order(sample: Sample) -> None:
    busy: dict[str, set[date]] = defaultdict(set)
    for (shop_id, _, _), (export, row) in latest_orders(sample).items():
        created = export.moment("Created Time", row["Created Time"])
        assert created
        busy[shop_id].add(created.date())
    for days in busy.values():
        assert len(days) <= SIZE["days"] - 2
        assert LAST_DAY in days


# --- what must not leak -----------------------------------------------------------------------


def test_personal_strings_are_all_there_and_only_in_personal_columns(sample: Sample) -> None:
    personal, other = [], []
    for export in sample.exports:
        for row in export.rows:
            for column, cell in row.items():
                (personal if column in PERSONAL_COLUMNS else other).append(cell)
    planted = {line for cell in set(personal) for line in cell.splitlines()}
    assert sample.truth.personal_strings <= planted
    elsewhere = "\n".join(set(other))
    assert not [text for text in sample.truth.personal_strings if text in elsewhere]


def test_personal_columns_hold_nothing_but_personal_strings_and_place_names(
    sample: Sample,
) -> None:
    places = {name for region in REGIONS for place in region.places for name in place}
    places |= {region.country for region in REGIONS}
    for export in sample.exports:
        for row in export.rows:
            for column in PERSONAL_COLUMNS & row.keys():
                lines = set(row[column].splitlines()) - places
                assert lines <= sample.truth.personal_strings, column


def test_contacts_to_mask_stand_in_review_texts(sample: Sample) -> None:
    contacts = sample.truth.masked_strings
    text = "\n".join({row["review_text"] for e in sample.of("reviews") for row in e.rows})
    assert contacts
    assert all(contact in text for contact in contacts)
    assert any("@" in contact for contact in contacts)
    assert any("https://" in contact for contact in contacts)
    assert any(contact.startswith("+") for contact in contacts)


# --- the truth --------------------------------------------------------------------------------


def latest_orders(sample: Sample) -> dict[tuple[str, str, str], tuple[Export, dict[str, str]]]:
    latest = {}
    for export in sample.of("orders"):  # in order of export within a shop
        for row in export.rows:
            latest[export.shop_id, row["Order ID"], row["SKU ID"]] = (export, row)
    return latest


def latest_reviews(sample: Sample) -> dict[tuple[str, str], tuple[Export, dict[str, str]]]:
    latest = {}
    for export in sample.of("reviews"):
        for row in export.rows:
            latest[export.shop_id, row["review_id"]] = (export, row)
    return latest


def issue_of(text: str) -> str:
    """What a comment of the sample is about, by the texts it is made of; blank when it is vague."""
    for texts in REVIEW_TEXTS.values():
        for code in texts.keys() - {GOOD, FAIR, VAGUE}:
            if text.startswith(texts[code]):
                return code
    return ""


def recount(sample: Sample) -> dict[tuple[str, date], DayTruth]:
    """The truth once more, from the files alone."""
    delivered: dict[tuple[str, str], date] = {}
    for (shop_id, order_id, _), (export, row) in latest_orders(sample).items():
        moment = export.moment("Delivered Time", row["Delivered Time"])
        if moment:
            key = shop_id, order_id
            delivered[key] = min(delivered.get(key, date.max), moment.date())

    # Events by kind: reviews of any category, the seller's, on product and service, requests,
    # complaints, and all three, of any category, on product and on service.
    events: list[dict[tuple[str, str], list[date]]] = [defaultdict(list) for _ in range(9)]
    for (shop_id, _), (export, row) in latest_reviews(sample).items():
        if int(row["rating"]) > 2:
            continue
        created = export.moment("created_at", row["created_at"])
        assert created
        code = row["issue_type"] or issue_of(row["review_text"])
        is_product, is_service = code in PRODUCT_CODES, code in SERVICE_CODES
        kinds = (True, code not in LOGISTICS_CODES, is_product, is_service, False, False)
        kinds = (*kinds, True, is_product, is_service)
        for kind in (n for n, applies in enumerate(kinds) if applies):
            events[kind][shop_id, row["order_id"]].append(created.date())
    requests: dict[tuple[str, ...], tuple[Export, dict[str, str]]] = {}
    for export in sample.of("returns"):
        for row in export.rows:
            key = (export.shop_id, row["Return Order ID"], row["Order ID"], row["SKU ID"])
            _, earlier = requests.get(key, (export, {}))
            requests[key] = (export, earlier | row)
    for (shop_id, _, order_id, _), (export, row) in requests.items():
        reason = row["Return Reason"].replace("\u2019", "'").casefold()
        is_void = {row["Return Status"], row.get("Return Sub Status", "")} & VOIDING
        if reason in SELLER_FAULT_LABELS and not is_void:
            requested = export.moment("Time Requested", row["Time Requested"])
            assert requested
            is_service = reason in SERVICE_LABELS
            for kind in (4, 6, 8 if is_service else 7):
                events[kind][shop_id, order_id].append(requested.date())
    for export in sample.of("complaints"):
        for row in export.rows:
            created = export.moment("created_at", row["created_at"])
            assert created
            subtype = row["complaint_subtype"]
            if row["complaint_type"] not in NOT_THE_SELLERS_TYPES:
                about = {"": (), "Product quality": (7,)}.get(subtype, (8,))
                for kind in (5, 6, *about):
                    events[kind][export.shop_id, row["order_id"]].append(created.date())

    result = {}
    for shop_id in {shop_id for shop_id, _ in delivered}:
        own = {order: day for (shop, order), day in delivered.items() if shop == shop_id}
        day = min(own.values())
        while day <= LAST_DAY:
            window = [o for o, on in own.items() if day - timedelta(days=29) <= on <= day]
            counts = [
                sum(any(on <= day for on in kind.get((shop_id, o), ())) for o in window)
                for kind in events
            ]
            result[shop_id, day] = DayTruth(len(window), *counts, *chats_of(sample, shop_id, day))
            day += timedelta(days=1)
    return result


def chats_of(sample: Sample, shop_id: str, day: date) -> tuple[int, int]:
    """The chats of the window and those replied to in time, as of the end of a day."""
    (export,) = sample.of("chats", f"{shop_id}")[:1]
    assert export.shop_id == shop_id
    end = datetime.combine(day, datetime.max.time())
    in_time = decided = 0
    for row in export.rows:
        started = export.moment("started_at", row["started_at"])
        replied = export.moment("first_reply_at", row["first_reply_at"])
        assert started
        due = started + timedelta(hours=12)
        if row["initiated_by"] == "seller" or not timedelta(0) <= day - started.date() < WINDOW:
            continue
        if replied and replied <= min(end, due):
            in_time += 1
        elif due <= end and (replied or due <= export.exported_at):
            decided += 1
    return in_time + decided, in_time


def test_the_truth_is_what_the_files_say(sample: Sample) -> None:
    counted = recount(sample)
    assert counted.keys() == sample.truth.daily.keys()
    wrong = {
        k: (v, sample.truth.daily[k]) for k, v in counted.items() if v != sample.truth.daily[k]
    }
    assert not wrong
    last = [truth for (_, day), truth in counted.items() if day == LAST_DAY]
    assert sum(truth.negative_review_orders for truth in last) > 0
    assert sum(truth.seller_fault_return_orders for truth in last) > 0
    assert sum(truth.complaint_orders for truth in last) > 0
    assert all(0 < truth.chats_replied_in_time < truth.chats for truth in last)


def test_by_default_one_shop_is_near_its_target_and_one_is_clearly_above() -> None:
    rates = {}
    for number, region in enumerate(REGIONS, start=1):
        book = TruthBook(LAST_DAY, datetime(2026, 10, 31, 20 + number % 3, number * 7))
        world = World(
            region,
            number,
            orders_per_day=30,
            first_day=LAST_DAY - timedelta(days=83),
            horizon=datetime(2026, 10, 31, 20 + number % 3, number * 7),
            seed=f"7:{region.code.lower()}-{region.shop_slug}",
        )
        for offset in range(84):
            for order in world.orders_of(LAST_DAY - timedelta(days=83 - offset)):
                book.add(order)
        truth = book.days()[LAST_DAY]
        rates[region.code] = (
            truth.negative_review_orders / truth.delivered_orders,
            truth.seller_fault_return_orders / truth.delivered_orders,
        )
    assert 0.004 < rates["VN"][0] < 0.005
    assert rates["TH"][0] > 0.010
    assert rates["TH"][1] > 0.020
    assert all(sfrr < 0.015 for region, (_, sfrr) in rates.items() if region != "TH")
