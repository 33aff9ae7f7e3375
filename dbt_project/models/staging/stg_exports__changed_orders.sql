-- grain: order_key, the orders of which an export brought or took lines; none in a full build
with changed as (
    select distinct {{ number_of(["order_id"]) }} as order_key
    from {{ source("raw_changed", "orders") }}
)

select * from changed
