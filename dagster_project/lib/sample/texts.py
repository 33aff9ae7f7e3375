"""What buyers of the sample write: reviews, return reasons and messages, by language.

Return reasons are the platform's own fixed labels. Everything else is free text. A low rating
says what it is about in words that the bundled rules read as the sample means them, or nothing that
a rule could hold on to (`VAGUE`): a test holds both, so that the sample's truth stays true.
"""

from collections.abc import Mapping
from typing import Final

GOOD: Final = "good"
FAIR: Final = "fair"
VAGUE: Final = "vague"

REVIEW_TEXTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "id": {
        GOOD: (
            "Bagus banget, sesuai harapan 😍",
            "Mantap, pasti beli lagi.",
            "Bahannya adem, jahitannya rapi.",
            'Kata ibu saya: "cantik sekali". Terima kasih kak!',
            "Recommended,\nsuka sekali sama motifnya.",
            "Pas di badan, warnanya cakep.",
        ),
        FAIR: ("Lumayan untuk harga segini.", "Biasa saja, oke lah."),
        VAGUE: ("Kecewa banget.", "Tidak puas sama sekali.", "Nggak akan beli lagi."),
        "defective_or_low_quality": (
            "Kainnya tipis dan jahitannya lepas setelah dipakai sekali.",
            "Resletingnya rusak waktu pertama dicoba.",
        ),
        "not_as_described": (
            "Warnanya beda jauh dari foto.",
            "Ukurannya tidak sesuai deskripsi, panjangnya kurang 10 cm.",
        ),
        "misleading_listing": ("Di video kelihatan tebal, aslinya menerawang.",),
        "suspected_counterfeit": ("Sepertinya bukan batik tulis asli, ini printing.",),
        "wrong_item": (
            "Pesan ukuran L, yang datang ukuran S.",
            "Salah kirim motif, saya pesan parang.",
        ),
        "missing_item": ("Pesan dua, yang datang cuma satu.", "Bonus tas kainnya tidak ada."),
        "slow_chat_reply": ("Chat saya baru dibalas setelah tiga hari.",),
        "rude_service": ("Adminnya jutek, ditanya malah marah-marah.",),
        "late_delivery": ("Paketnya lama sekali sampai.", "Telat seminggu dari perkiraan."),
        "courier_issue": ("Kurirnya melempar paket ke teras.",),
    },
    "vi": {
        GOOD: (
            "Sản phẩm rất tốt, thơm nhẹ dễ chịu.",
            "Dùng thích lắm, sẽ mua thêm 💖",
            "Đóng gói cẩn thận, shop tư vấn nhiệt tình.",
            'Em gái mình bảo "xịn lắm chị ơi".',
            "Da mềm hẳn sau một tuần.\nCảm ơn shop!",
            "Chất son mịn, lên màu đẹp.",
        ),
        FAIR: ("Tạm ổn trong tầm giá.", "Dùng cũng bình thường."),
        VAGUE: ("Thất vọng quá.", "Không hài lòng.", "Chắc không mua lần nữa đâu."),
        "defective_or_low_quality": (
            "Vòi xịt bị hỏng, không dùng được.",
            "Kem bị tách nước, chất lượng kém.",
        ),
        "not_as_described": ("Màu son khác xa hình trên shop.", "Dung tích nhỏ hơn so với mô tả."),
        "misleading_listing": ("Quảng cáo trắng da sau 3 ngày nhưng không có tác dụng gì.",),
        "suspected_counterfeit": ("Nghi là hàng giả, quét mã không ra.",),
        "wrong_item": ("Giao nhầm màu, mình đặt số 03.", "Shop gửi sai sản phẩm."),
        "missing_item": ("Thiếu một tuýp trong combo.", "Không có quà tặng kèm như đã ghi."),
        "slow_chat_reply": ("Nhắn tin hai ngày shop mới trả lời.",),
        "rude_service": ("Nhân viên trả lời cộc lốc, thái độ tệ.",),
        "late_delivery": ("Giao hàng quá chậm.", "Đợi hơn hai tuần mới nhận được."),
        "courier_issue": ("Bưu tá ném hàng trước cửa.",),
    },
    "th": {
        GOOD: (
            "อร่อยมาก กรอบกำลังดี 😋",
            "แพ็คมาดี ของครบ ประทับใจค่ะ",
            "รสชาติเข้มข้น จะสั่งอีกแน่นอน",
            'ลูกบอกว่า "อร่อยที่สุด" เลยครับ',
            "คุ้มราคา\nแนะนำเลย",
            "หอมมาก กินเพลินเลย",
        ),
        FAIR: ("พอใช้ได้", "รสชาติธรรมดา เฉย ๆ ค่ะ"),
        VAGUE: ("ผิดหวังมาก", "ไม่ประทับใจเลย", "คงไม่ซื้ออีกแล้ว"),
        "defective_or_low_quality": ("ขนมแตกละเอียดทั้งถุง คุณภาพแย่", "เหม็นหืน กินไม่ได้เลย"),
        "not_as_described": ("ปริมาณน้อยกว่าที่เขียนไว้", "รสไม่ตรงกับที่บอกในรายละเอียด"),
        "misleading_listing": ("ในรูปถุงใหญ่มาก ของจริงเล็กนิดเดียว",),
        "suspected_counterfeit": ("ซองไม่เหมือนของแท้ สงสัยว่าเป็นของปลอม",),
        "wrong_item": ("สั่งรสต้มยำ ได้รสหวานมา", "ส่งของผิดค่ะ"),
        "missing_item": ("สั่ง 3 ถุง ได้แค่ 2 ถุง", "ของแถมไม่มีมาให้"),
        "slow_chat_reply": ("ทักแชทไปสองวันกว่าจะตอบ",),
        "rude_service": ("แอดมินพูดจาไม่ดีเลย",),
        "late_delivery": ("ส่งช้ามาก รอเป็นอาทิตย์", "ของมาไม่ทันงาน ช้าไปห้าวัน"),
        "courier_issue": ("ไรเดอร์โยนกล่องข้ามรั้ว",),
    },
    "en": {
        GOOD: (
            "Love it! Looks great on the patio.",
            "Exactly what I wanted 🙌",
            "Sturdy and easy to set up.",
            'My neighbor asked "where did you get that?"',
            "Great value,\nwill order again.",
            "Works perfectly, five stars.",
        ),
        FAIR: ("It's okay for the price.", "Decent, nothing special."),
        VAGUE: ("Not happy with this purchase.", "Would not buy again.", "Regret buying it."),
        "defective_or_low_quality": (
            "One string of lights stopped working after a day.",
            "Flimsy plastic, the hinge broke right away.",
        ),
        "not_as_described": (
            "Much smaller than the listing says.",
            "The color is nothing like the photo.",
        ),
        "misleading_listing": ("Video shows solar charging, this one only has a plug.",),
        "suspected_counterfeit": ("Pretty sure this is a knockoff, the logo is misspelled.",),
        "wrong_item": ("Ordered gray, got beige.", "They sent me the wrong size."),
        "missing_item": ("Only three of the four hooks were in the box.", "No remote included."),
        "slow_chat_reply": ("Took the shop four days to answer my message.",),
        "rude_service": ("Customer service was rude to me.",),
        "late_delivery": (
            "Arrived nearly two weeks late.",
            "Missed the party, shipping took forever.",
        ),
        "courier_issue": ("The driver left it in the rain.",),
    },
}
"""language -> reason code or mood -> sentences."""

CONTACT_SENTENCES: Final[Mapping[str, str]] = {
    "id": "Info lebih lanjut: {contact}",
    "vi": "Liên hệ mình: {contact}",
    "th": "ติดต่อ {contact}",
    "en": "Reach me: {contact}",
}
"""How a buyer adds a phone number, an e-mail address or a link to a review."""

RETURN_REASONS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "not_as_described": (
            "Product doesn't match description",
            "Product doesn\u2019t match description",
        ),
        "wrong_item": ("Wrong product sent", "Wrong product was sent", "Wrong item was sent"),
        "poor_quality": ("Poor quality",),
        "damaged": ("Package or product is damaged", "Damaged item or packaging"),
        "defective": ("Product is defective or doesn't work", "Defective item"),
        "missing_item": (
            "Received parcel, but some items were missing",
            "Missing product or accessories",
            "Package received but missing item",
        ),
        "suspected_counterfeit": ("Suspected counterfeit",),
        "empty_parcel": ("Empty parcel",),
        "expired": ("Product is expired/spoiled",),
        "not_received": ("Did not receive parcel", "Package wasn't received"),
        "late_delivery": ("Missed estimated delivery date", "Package didn't arrive on time"),
        "no_longer_needed": (
            "No longer needed",
            "No longer needed (Item must be in sealed/original condition)",
        ),
        "change_of_mind": ("Change of mind", "Does not suit me"),
        "size_unsuitable": ("Item too big or too small", "Ordered incorrect size"),
        "free_sample_refund": ("Congrats on meeting your refundable sample criteria!",),
        "unmapped": ("Colour bleeds after the first wash",),
    },
    "id": {
        "not_as_described": ("Produk tidak sesuai deskripsi",),
        "damaged": ("Kemasan atau produk rusak",),
        "missing_item": ("Paket sudah diterima, tetapi isinya tidak lengkap",),
    },
    "th": {
        "not_as_described": ("สินค้าไม่ตรงกับคำอธิบาย",),
        "wrong_item": ("สินค้าไม่ถูกต้อง/ส่งสินค้าผิด",),
        "defective": ("สินค้ามีตำหนิหรือใช้งานไม่ได้",),
        "missing_item": ("ได้รับพัสดุแต่มีสินค้าขาดหาย",),
        "damaged": ("พัสดุหรือสินค้าเสียหาย", "บรรจุภัณฑ์เสียหาย"),
        "not_received": ("ไม่ได้รับพัสดุ",),
        "suspected_counterfeit": ("สงสัยว่าเป็นของปลอม",),
        "expired": ("สินค้าหมดอายุ",),
        "no_longer_needed": ("ไม่ต้องการอีกต่อไป",),
        "cancel_before_shipment": (
            "ต้องการเปลี่ยนวิธีการชำระเงิน",
            "จำเป็นต้องเปลี่ยนที่อยู่จัดส่ง",
            "มีราคาที่ดีกว่า",
        ),
        "unmapped": ("รสชาติไม่ถูกปาก",),
    },
    "vi": {},
}
"""language -> reason code -> labels. The `unmapped` labels are on no list of known reasons."""

BUYER_MESSAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("Tolong kirim sebelum Jumat", "Untuk kado, jangan lupa bungkus"),
    "vi": ("Giao giờ hành chính giúp mình", "Nhớ gói quà giúp em"),
    "th": ("ฝากป้อมยามได้เลยค่ะ", "ขอใบกำกับภาษีด้วย"),
    "en": ("Please leave it with the neighbor", "This is a gift, no receipt please"),
}

BUYER_NOTES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("Mohon segera diproses", 'Sudah chat admin, katanya "tunggu"'),
    "vi": ("Mong shop xử lý sớm", 'Shop hẹn "mai trả lời"'),
    "th": ("รบกวนรีบดำเนินการด้วย", 'ทางร้านบอกว่า "รอก่อน"'),
    "en": ("Please process this soon", 'The shop said "wait a week"'),
}

CANCEL_REASONS: Final = (
    "Need to change delivery address",
    "Better price available",
    "Out of stock",
    "Buyer overdue to pay",
)
FAILED_DELIVERY: Final = "Package delivery failed"


def return_reason_labels(language: str, code: str, *, is_local: bool) -> tuple[str, ...]:
    """Labels of a return reason in `language` or in English, whichever of the two has some."""
    local, english = RETURN_REASONS[language].get(code), RETURN_REASONS["en"].get(code)
    preferred, other = (local, english) if is_local else (english, local)
    return preferred or other or ()
