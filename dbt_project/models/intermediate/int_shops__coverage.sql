-- grain: shop_id; until which shop day each dataset is covered, null = never loaded
with coverage as (
    select
        s.shop_id,
        max(case when f.dataset = 'orders' then cast(f.exported_at as date) end) as orders_until,
        max(case when f.dataset = 'reviews' then cast(f.exported_at as date) end) as reviews_until,
        max(case when f.dataset = 'returns' then cast(f.exported_at as date) end) as returns_until,
        max(case when f.dataset = 'complaints' then cast(f.exported_at as date) end) as complaints_until,
        max(case when f.dataset = 'chats' then cast(f.exported_at as date) end) as chats_until,
        max(case when f.dataset = 'chats' then f.exported_at end) as chats_exported_at
    from {{ source("raw", "shops") }} as s
    left join {{ source("raw", "files") }} as f
        on s.shop_id = f.shop_id and f.status = 'loaded'
    group by s.shop_id
)

select * from coverage
