{#- The rates of delivered orders: the event that puts an order into the numerator (its count is
    `<event>_orders`, the order is in it from `first_<event>_date`) and the column of the state. Those
    that are `optional` have rows of their own once files were loaded. -#}
{% macro shop_metrics() -%}
    {%- set feedback = {"state": "negative_feedback_state", "optional": true} -%}
    {{ return({
        "nrr": {"event": "negative_review", "state": "nrr_state"},
        "nrr_seller": {"event": "seller_negative_review", "state": "nrr_state"},
        "nrr_product": {"event": "product_negative_review", "state": "nrr_state"},
        "nrr_service": {"event": "service_negative_review", "state": "nrr_state"},
        "sfrr": {"event": "seller_fault_return", "state": "sfrr_state"},
        "complaint_rate": {"event": "complaint", "state": "complaint_state", "optional": true},
        "negative_feedback_rate": dict(feedback, event="negative_feedback"),
        "product_negative_feedback_rate": dict(feedback, event="product_negative_feedback"),
        "service_negative_feedback_rate": dict(feedback, event="service_negative_feedback"),
    }) }}
{%- endmacro %}

{#- Their numerators, each with the column of the day from which an order is in it. -#}
{% macro negative_orders() -%}
    {%- set found = {} -%}
    {%- for metric in shop_metrics().values() -%}
        {%- do found.update({metric.event ~ "_orders": "first_" ~ metric.event ~ "_date"}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- The metrics that are about reviews: the NRR and its parts. -#}
{% macro review_metrics() -%}'nrr', 'nrr_seller', 'nrr_product', 'nrr_service'{%- endmacro %}

{#- How a rate stands to its target, which it meets while it is below it; where `higher_is_better`
    holds, while it is above it, and how close it is shows in what is missing to 1. -#}
{% macro status_of(rate, target, at_risk_share, higher_is_better="false") -%}
    case
        when {{ target }} is null then 'no_target'
        when {{ rate }} is null then 'unknown'
        when {{ rate }} = {{ target }} or ({{ rate }} > {{ target }}) <> {{ higher_is_better }} then 'breach'
        when {{ higher_is_better }} and 1 - {{ rate }} < {{ at_risk_share }} * (1 - {{ target }}) then 'ok'
        when not {{ higher_is_better }} and {{ rate }} < {{ at_risk_share }} * {{ target }} then 'ok'
        else 'at_risk'
    end
{%- endmacro %}

{#- The rows of a relation (shop_id, metric and a day) with the target and the settings in force on
    that day: `target`, `target_confidence`, `at_risk_share`, `min_delivered_orders`. A shop's own
    target comes before its region's. -#}
{% macro join_targets(relation, day) -%}
    select
        f.*,
        coalesce(o.target, t.target) as target,
        case when o.target is null then t.confidence else coalesce(o.confidence, 'house') end as target_confidence,
        cast(s.value as double) as at_risk_share,
        cast(m.value as bigint) as min_delivered_orders
    from {{ relation }} as f
    inner join {{ source("raw", "shops") }} as h
        on f.shop_id = h.shop_id
    left join {{ ref("stg_settings__metric_targets") }} as t
        on
            h.region = t.region
            and f.metric = t.metric
            and t.shop_id is null
            and {{ in_force("t", "f." ~ day) }}
    left join {{ ref("stg_settings__metric_targets") }} as o
        on
            h.region = o.region
            and f.metric = o.metric
            and f.shop_id = o.shop_id
            and {{ in_force("o", "f." ~ day) }}
    left join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'at_risk_share_of_target' and {{ in_force("s", "f." ~ day) }}
    left join {{ ref("stg_settings__metric_settings") }} as m
        on m.setting = 'min_delivered_orders' and {{ in_force("m", "f." ~ day) }}
{%- endmacro %}
