-- grain: shop_id, from which day on as-of date or coverage change what the shop's days say; none in a full build
with before as (
    select
        s.shop_id,
        max(case when f.dataset = 'orders' then cast(f.exported_at as date) end) as orders_until,
        max(case when f.dataset = 'reviews' then cast(f.exported_at as date) end) as reviews_until,
        max(case when f.dataset = 'returns' then cast(f.exported_at as date) end) as returns_until,
        max(case when f.dataset = 'complaints' then cast(f.exported_at as date) end) as complaints_until,
        max(case when f.dataset = 'chats' then f.exported_at end) as chats_exported_at
    from {{ source("raw", "shops") }} as s
    left join {{ source("raw", "absorbed_files") }} as f
        on s.shop_id = f.shop_id
    group by s.shop_id
),

moved as (
    select
        a.shop_id,
        least(
            case
                when b.reviews_until is null and a.reviews_until is null then null
                when b.reviews_until is null or a.reviews_until is null then date '1900-01-01'
                when least(b.orders_until, b.reviews_until) <> least(a.orders_until, a.reviews_until)
                    then {{ add_days("least(b.orders_until, b.reviews_until, a.orders_until, a.reviews_until)", 1) }}
            end,
            case
                when b.returns_until is null and a.returns_until is null then null
                when b.returns_until is null or a.returns_until is null then date '1900-01-01'
                when least(b.orders_until, b.returns_until) <> least(a.orders_until, a.returns_until)
                    then {{ add_days("least(b.orders_until, b.returns_until, a.orders_until, a.returns_until)", 1) }}
            end,
            case
                when b.complaints_until is null and a.complaints_until is null then null
                when b.complaints_until is null or a.complaints_until is null then date '1900-01-01'
                when least(b.orders_until, b.complaints_until) <> least(a.orders_until, a.complaints_until)
                    then
                        {{ add_days(
                            "least(b.orders_until, b.complaints_until, a.orders_until, a.complaints_until)", 1
                        ) }}
            end,
            case
                when b.chats_exported_at is null and a.chats_exported_at is null then null
                when b.chats_exported_at is null or a.chats_exported_at is null then date '1900-01-01'
                -- Chats of that very day may have been undecided.
                when b.chats_exported_at <> a.chats_exported_at
                    then cast(least(b.chats_exported_at, a.chats_exported_at) as date)
            end,
            case
                when r.absorbed_as_of <> p.as_of_date
                    then {{ add_days("least(r.absorbed_as_of, p.as_of_date)", 1) }}
            end
        ) as from_date
    from {{ ref("int_shops__coverage") }} as a
    inner join before as b
        on a.shop_id = b.shop_id
    cross join {{ source("raw", "run") }} as r
    cross join {{ ref("int_parameters") }} as p
    where r.absorbed_as_of is not null
)

select * from moved
where from_date is not null
