-- grain: shop_id x metric_date x metric x window_days as read off the screen, up to the as-of date
{{ config(materialized="incremental") }}
{% set series = "shop_id, metric, window_days" %}
{% set base_first = "case variant when metric then 0 else 1 end asc nulls last, variant asc nulls last" %}

with spellings as (
    select
        s.shop_id,
        s.metric_date,
        lower(s.metric) as metric,
        s.window_days,
        s.platform_value,
        row_number() over (
            partition by s.shop_id, s.metric_date, lower(s.metric), s.window_days
            order by s.exported_at desc, s.file_id desc, s.row_number desc
        ) as version_rank
    from {{ ref("stg_exports__platform_metrics") }} as s
    cross join {{ ref("int_parameters") }} as p
    where s.metric_date <= p.as_of_date
),

readings as (
    select
        r.shop_id,
        r.metric_date,
        r.metric,
        r.window_days,
        r.platform_value,
        cast(s.value as decimal(18, 12)) as rounding
    from spellings as r
    left join {{ ref("stg_settings__metric_settings") }} as s
        on s.setting = 'platform_rounding' and {{ in_force("s", "r.metric_date") }}
    where r.version_rank = 1
),

{#- Distances are decimals: their sums do not depend on the order of the rows. #}
compared as (
    select
        r.shop_id,
        r.metric_date,
        r.metric,
        r.window_days,
        m.variant,
        m.rate,
        cast(greatest(r.platform_value - m.rate, m.rate - r.platform_value) as decimal(18, 12)) as distance
    from readings as r
    inner join {{ ref("metric_variants_daily") }} as m
        on r.shop_id = m.shop_id and r.metric_date = m.metric_date and r.metric = m.metric
    inner join {{ ref("stg_settings__metric_variants") }} as v
        on m.variant = v.variant and {{ in_force("v", "m.metric_date") }}
    cross join {{ ref("int_parameters") }} as p
    where
        m.rate is not null
        and (r.window_days is null or r.window_days = coalesce(v.window_days, p.window_days))
),

nearest as (
    select
        *,
        row_number() over (
            partition by {{ series }}, metric_date
            order by distance asc nulls last, {{ base_first }}
        ) as distance_rank
    from compared
),

fits as (
    select
        {{ series }},
        variant,
        count(*) as days,
        cast(sum(distance) as double) / nullif(count(*), 0) as mean_difference,
        sum(distance) as distance
    from compared
    group by {{ series }}, variant
),

ranked_fits as (
    select
        *,
        row_number() over (
            partition by {{ series }}
            order by days desc, distance asc nulls last, {{ base_first }}
        ) as fit_rank
    from fits
),

reconciled as (
    select
        r.shop_id,
        r.metric_date,
        r.metric,
        r.window_days,
        r.platform_value,
        o.rate,
        r.platform_value - o.rate as difference,
        n.variant as nearest_variant,
        n.rate as nearest_rate,
        r.platform_value - n.rate as nearest_difference,
        f.variant as explained_by,
        e.rate as explained_by_rate,
        f.mean_difference as explained_by_mean_difference,
        f.days as explained_by_days,
        e.distance * 2 <= r.rounding as is_explained
    from readings as r
    left join {{ ref("metric_status_daily") }} as o
        on r.shop_id = o.shop_id and r.metric_date = o.metric_date and r.metric = o.metric
    left join nearest as n
        on
            r.shop_id = n.shop_id
            and r.metric_date = n.metric_date
            and r.metric = n.metric
            and r.window_days is not distinct from n.window_days
            and n.distance_rank = 1
    left join ranked_fits as f
        on
            r.shop_id = f.shop_id
            and r.metric = f.metric
            and r.window_days is not distinct from f.window_days
            and f.fit_rank = 1
    left join compared as e
        on
            r.shop_id = e.shop_id
            and r.metric_date = e.metric_date
            and r.metric = e.metric
            and r.window_days is not distinct from e.window_days
            and f.variant = e.variant
)

select * from reconciled
