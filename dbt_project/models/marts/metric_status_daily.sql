-- grain: shop_id x metric_date x metric
{% set touched = {"by": "int_touched__shop_days", "key": ["shop_id"], "from": "metric_date"} %}
{%- do ref(touched.by) if not execute %}
{{ config(materialized="incremental", meta={"touched": touched}) }}
{% set numerators = {
    "nrr": "negative_review_orders",
    "nrr_seller": "seller_negative_review_orders",
    "nrr_product": "product_negative_review_orders",
    "nrr_service": "service_negative_review_orders",
    "sfrr": "seller_fault_return_orders",
} %}

with days as (
    select d.*
    from {{ ref("shop_metrics_daily") }} as d
    {%- if is_increment() %}
    inner join {{ ref(touched.by) }} as k
        on d.shop_id = k.shop_id and d.metric_date >= k.from_date
    {%- endif %}
),

figures as (
    {% for metric, numerator in numerators.items() -%}
    select
        shop_id,
        metric_date,
        '{{ metric }}' as metric,
        {{ numerator }} as orders,
        delivered_orders,
        {{ metric }} as rate
    from days
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

with_targets as (
    select
        f.*,
        t.target,
        cast(s.value as double) as at_risk_share
    from figures as f
    inner join {{ source("raw", "shops") }} as h
        on f.shop_id = h.shop_id
    left join {{ ref("stg_settings__metric_targets") }} as t
        on h.region = t.region and f.metric = t.metric and {{ in_force("t", "f.metric_date") }}
    left join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'at_risk_share_of_target' and {{ in_force("s", "f.metric_date") }}
),

statuses as (
    select
        shop_id,
        metric_date,
        metric,
        orders,
        delivered_orders,
        rate,
        target,
        case
            when target is null then 'no_target'
            when rate is null then 'unknown'
            when rate >= target then 'breach'
            when rate >= at_risk_share * target then 'at_risk'
            else 'ok'
        end as status
    from with_targets
)

select * from statuses
