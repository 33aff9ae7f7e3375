"""The metrics of a shop, with the column of `shop_metrics_daily` that each one's numerator is."""

NUMERATORS = {
    "nrr": "negative_review_orders",
    "nrr_seller": "seller_negative_review_orders",
    "nrr_product": "product_negative_review_orders",
    "nrr_service": "service_negative_review_orders",
    "sfrr": "seller_fault_return_orders",
}
