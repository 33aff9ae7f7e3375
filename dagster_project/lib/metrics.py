"""The metrics of a shop, as columns and rows of the marts name them."""

# The rates of delivered orders, with the column of `shop_metrics_daily` that is the numerator.
REVIEW_AND_RETURN_RATES = {
    "nrr": "negative_review_orders",
    "nrr_seller": "seller_negative_review_orders",
    "nrr_product": "product_negative_review_orders",
    "nrr_service": "service_negative_review_orders",
    "sfrr": "seller_fault_return_orders",
}
NUMERATORS = REVIEW_AND_RETURN_RATES | {
    "complaint_rate": "complaint_orders",
    "negative_feedback_rate": "negative_feedback_orders",
    "product_negative_feedback_rate": "product_negative_feedback_orders",
    "service_negative_feedback_rate": "service_negative_feedback_orders",
}
# Where a rate's events come from; negative feedback comes from all three.
EVENT_SOURCES = {
    "nrr": "review",
    "nrr_seller": "review",
    "nrr_product": "review",
    "nrr_service": "review",
    "sfrr": "return",
    "complaint_rate": "complaint",
}
# Which of the events that count a rate counts that is a part of another; a condition in SQL.
COUNTED_PARTS = {
    "nrr_seller": "is_sellers_part",
    "nrr_product": "category = 'product'",
    "nrr_service": "category = 'service'",
    "product_negative_feedback_rate": "category = 'product'",
    "service_negative_feedback_rate": "category = 'service'",
}
# What no setting knows of an event, and what becomes of that, by the event's source.
UNMAPPED = {
    "review": ("reason of an override", "passed over"),
    "return": ("return reason", "not counted"),
    "complaint": ("type of complaint", "counted as unclassified"),
}
# The share of chats answered in time, of which more is better.
CHAT_RATE = "chat_reply_rate"
