"""The made-up sellers of the sample, one per country layout: wares, buyers' places, habits.

The rates are shares of delivered orders, a little above what a shop shows on its last day,
because reviews and requests on the newest deliveries are still to come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rates:
    """How often buyers complain, as shares of delivered orders.

    `negative` orders end with a review of 1 or 2 stars; `seller_fault` ones with a counted
    request; `requests` is the share with any request at all.
    """

    negative: float
    seller_fault: float
    requests: float = 0.073


@dataclass(frozen=True, slots=True)
class Screen:
    """A rate that Seller Center shows, nrr or sfrr, over so many days; sellers may note it."""

    metric: str
    window_days: int
    is_window_noted: bool = True


@dataclass(frozen=True, slots=True)
class Ware:
    """A product of a shop; `price` in the currency's smallest unit that the exports show."""

    name: str
    category: str
    price: int
    variations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A country's seller, buyers and logistics."""

    code: str
    shop_slug: str
    shop_name: str
    timezone: str
    currency: str
    language: str
    rates: Rates
    screen: Screen | None
    wares: tuple[Ware, ...]
    price_step: int
    shipping_fee: int
    fees: Mapping[str, int]
    tax_percent: int
    has_product_export: bool
    given_names: tuple[str, ...]
    country: str
    places: tuple[tuple[str, ...], ...]
    place_columns: tuple[str, ...]
    street: str
    extra_address: str
    phone: str
    carriers: tuple[str, ...]
    tracking_prefix: str
    warehouse: str
    delivery_option: str
    payment_methods: tuple[str, ...]


CASH_ON_DELIVERY: Final = "Cash on delivery"

REGIONS: Final = (
    Region(
        code="ID",
        shop_slug="batik-house",
        shop_name="Batik House",
        timezone="Asia/Jakarta",
        currency="IDR",
        language="id",
        rates=Rates(negative=0.0060, seller_fault=0.0135),
        screen=Screen("sfrr", window_days=60, is_window_noted=False),
        wares=(
            Ware("Kemeja Batik Pria Parang", "Menswear", 189_000, ("M", "L", "XL")),
            Ware('Daster "Mega Mendung", lengan panjang', "Womenswear", 95_000, ("Merah", "Biru")),
            Ware("Kain Batik Tulis 2 m", "Fabric", 325_000, ("Sogan", "Indigo")),
            Ware("Blouse Batik Kerja", "Womenswear", 149_000, ("S", "M", "L")),
            Ware("Sarung Pria Pekalongan", "Menswear", 79_000, ("Hijau", "Cokelat")),
            Ware("Tas Anyaman Batik", "Bags", 129_000, ("Kecil", "Besar")),
            Ware("Syal Sutra Batik", "Accessories", 110_000, ("Default",)),
            Ware("Masker Kain Batik isi 3", "Accessories", 25_000, ("Campur",)),
        ),
        price_step=500,
        shipping_fee=9_000,
        fees={"Buyer Service Fee": 1_000, "Handling Fee": 1_500},
        tax_percent=0,
        has_product_export=True,
        given_names=("Siti", "Budi", "Dewi", "Agus", "Rina", "Putri", "Eko", "Wahyu"),
        country="Indonesia",
        places=(
            ("Jawa Barat", "Kota Bandung", "Coblong", "Dago", "40135"),
            ("DKI Jakarta", "Jakarta Selatan", "Tebet", "Tebet Barat", "12810"),
            ("Jawa Timur", "Kota Surabaya", "Wonokromo", "Darmo", "60241"),
            ("Bali", "Kota Denpasar", "Denpasar Selatan", "Sanur", "80228"),
        ),
        place_columns=("Province", "Regency and City", "Districts", "Villages", "Zipcode"),
        street="Jl. Melati No. {number}, Gang {token}, RT 03/RW 05",
        extra_address="pagar hijau, sebelah warung {token}",
        phone="(+62)8{shop:02d}-{high:04d}-{low:04d}",
        carriers=("J&T Express", "JNE", "SiCepat"),
        tracking_prefix="JX",
        warehouse="Gudang Pekalongan",
        delivery_option="Standard shipping",
        payment_methods=("GoPay", "Bank transfer", CASH_ON_DELIVERY),
    ),
    Region(
        code="VN",
        shop_slug="saigon-beauty",
        shop_name="Saigon Beauty",
        timezone="Asia/Ho_Chi_Minh",
        currency="VND",
        language="vi",
        rates=Rates(negative=0.0054, seller_fault=0.0090),
        screen=Screen("nrr", window_days=30),
        wares=(
            Ware("Kem chống nắng SPF50+ 60ml", "Skincare", 189_000, ("60ml",)),
            Ware(
                "Son kem lì Hương Mai", "Makeup", 129_000, ("01 Đỏ gạch", "02 Hồng đất", "03 Cam")
            ),
            Ware("Sữa rửa mặt trà xanh", "Skincare", 99_000, ("100ml", "200ml")),
            Ware("Serum vitamin C 15%", "Skincare", 249_000, ("30ml",)),
            Ware("Xịt khoáng hoa hồng", "Skincare", 82_912, ("100ml", "150ml")),
            Ware("Mặt nạ giấy, hộp 10 miếng", "Skincare", 119_000, ("Nha đam", "Mật ong")),
            Ware("Dầu gội bồ kết", "Hair care", 145_000, ("300ml", "500ml")),
            Ware("Nước hoa khô", "Fragrance", 69_000, ("Nhài", "Sen")),
        ),
        price_step=1,
        shipping_fee=16_500,
        fees={},
        tax_percent=0,
        has_product_export=True,
        given_names=("Lan", "Minh", "Hương", "Tuấn", "Ngọc", "Phương", "Đức", "Thảo"),
        country="Vietnam",
        places=(
            ("Hồ Chí Minh", "Quận 3", "Phường Võ Thị Sáu"),
            ("Hà Nội", "Quận Cầu Giấy", "Phường Dịch Vọng"),
            ("Đà Nẵng", "Quận Hải Châu", "Phường Thạch Thang"),
            ("Cần Thơ", "Quận Ninh Kiều", "Phường Xuân Khánh"),
        ),
        place_columns=("Province", "District", "Commune"),
        street="{number} đường Hoa Sứ, hẻm {token}",
        extra_address="cạnh quán {token}",
        phone="(+84)9{shop:02d}-{high:04d}-{low:04d}",
        carriers=("SPX Express", "J&T Express VN", "GHN"),
        tracking_prefix="SPXVN",
        warehouse="Kho Tân Bình",
        delivery_option="Vận chuyển tiêu chuẩn",
        payment_methods=("MoMo", "ZaloPay", CASH_ON_DELIVERY),
    ),
    Region(
        code="TH",
        shop_slug="siam-snacks",
        shop_name="Siam Snacks",
        timezone="Asia/Bangkok",
        currency="THB",
        language="th",
        rates=Rates(negative=0.0155, seller_fault=0.0275, requests=0.075),
        screen=None,
        wares=(
            Ware("มะม่วงอบแห้ง 500 กรัม", "Snacks", 24_900, ("500 กรัม", "1 กก.")),
            Ware("ทุเรียนทอดกรอบ", "Snacks", 18_900, ("รสดั้งเดิม", "รสเกลือ")),
            Ware("สาหร่ายอบกรอบ แพ็ค 12", "Snacks", 12_900, ("รสต้มยำ", "รสหวาน")),
            Ware("กล้วยตาก, กล่องของขวัญ", "Snacks", 15_900, ("กล่อง",)),
            Ware("น้ำพริกหนุ่ม", "Condiments", 8_900, ("เผ็ดน้อย", "เผ็ดมาก")),
            Ware("ชาไทยผง 400 กรัม", "Drinks", 11_500, ("400 กรัม",)),
            Ware("ข้าวแต๋นน้ำแตงโม", "Snacks", 6_900, ("ถุงเล็ก", "ถุงใหญ่")),
            Ware("ชุดของฝากเชียงใหม่", "Gift sets", 129_000, ("ชุดใหญ่",)),
        ),
        price_step=100,
        shipping_fee=3_800,
        fees={},
        tax_percent=0,
        has_product_export=True,
        given_names=("สมชาย", "สมหญิง", "ณัฐ", "พิมพ์", "อนันต์", "กมล", "ปรีชา", "วันดี"),
        country="Thailand",
        places=(
            ("กรุงเทพมหานคร", "เขตบางรัก", "10500"),
            ("เชียงใหม่", "อำเภอเมืองเชียงใหม่", "50200"),
            ("ขอนแก่น", "อำเภอเมืองขอนแก่น", "40000"),
            ("ภูเก็ต", "อำเภอกะทู้", "83120"),
        ),
        place_columns=("Province", "District", "Zipcode"),
        street="{number} ซอย {token} ถนนมะลิ",
        extra_address="ข้างร้าน {token}",
        phone="(+66)8{shop:02d}-{high:04d}-{low:04d}",
        carriers=("Flash Express", "J&T Express TH", "Kerry"),
        tracking_prefix="THX",
        warehouse="คลังบางนา",
        delivery_option="การจัดส่งแบบมาตรฐาน",
        payment_methods=("PromptPay", "TrueMoney", CASH_ON_DELIVERY),
    ),
    Region(
        code="US",
        shop_slug="sunny-home",
        shop_name="Sunny Home",
        timezone="America/Los_Angeles",
        currency="USD",
        language="en",
        rates=Rates(negative=0.0095, seller_fault=0.0115),
        screen=Screen("nrr", window_days=60),
        wares=(
            Ware("String Lights, 48 ft", "Home", 2_300, ("Warm White", "Multicolor")),
            Ware('Wall Hooks 3/4", 4 pack', "Home", 1_299, ("Gray", "Beige", "Black")),
            Ware("Bamboo Drawer Organizer", "Kitchen", 2_699, ("Small", "Large")),
            Ware("LED Closet Light", "Home", 1_899, ("2 pack", "4 pack")),
            Ware("Cotton Throw Blanket", "Home", 3_450, ("Sand", "Sage")),
            Ware("Picnic Mat", "Outdoor", 2_850, ("Plaid",)),
            Ware("Insulated Tumbler 40 oz", "Kitchen", 3_199, ("Rose", "Teal", "White")),
            Ware("Folding Camp Table", "Outdoor", 104_900, ("Default",)),
        ),
        price_step=1,
        shipping_fee=499,
        fees={},
        tax_percent=8,
        has_product_export=False,
        given_names=("Emma", "Liam", "Olivia", "Noah", "Ava", "Mason", "Sofia", "Lucas"),
        country="United States",
        places=(
            ("California", "San Diego", "92101"),
            ("Texas", "Austin", "73301"),
            ("Ohio", "Columbus", "43004"),
            ("Florida", "Tampa", "33601"),
        ),
        place_columns=("State", "City", "Zipcode"),
        street="{number} {token} Avenue",
        extra_address="Apt {token}",
        phone="(+1)2{shop:02d}-{high:04d}-{low:04d}",
        carriers=("USPS", "UPS", "FedEx"),
        tracking_prefix="USX",
        warehouse="Ontario CA 1",
        delivery_option="Standard Shipping",
        payment_methods=("Credit card", "PayPal", "Apple Pay"),
    ),
)
"""In the order in which `write_sample` takes them; TH stands out, VN is close to its target."""
