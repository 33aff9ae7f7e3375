{#- The metrics of a shop that may have a target, with the column of their numerator. -#}
{% macro shop_metrics() -%}
    {{ return({
        "nrr": "negative_review_orders",
        "nrr_seller": "seller_negative_review_orders",
        "nrr_product": "product_negative_review_orders",
        "nrr_service": "service_negative_review_orders",
        "sfrr": "seller_fault_return_orders",
    }) }}
{%- endmacro %}

{#- How a rate stands to its target, which it meets while it is below it. -#}
{% macro status_of(rate, target, at_risk_share) -%}
    case
        when {{ target }} is null then 'no_target'
        when {{ rate }} is null then 'unknown'
        when {{ rate }} >= {{ target }} then 'breach'
        when {{ rate }} >= {{ at_risk_share }} * {{ target }} then 'at_risk'
        else 'ok'
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
