-- grain: order_key, the orders whose lines or products changed; none in a full build
-- depends_on: {{ ref("int_skus__products") }}
with remapped_skus as (
    {%- if is_increment() %}
    select
        shop_id,
        sku_id,
        product_key
    from {{ changes_of("int_skus__products") }}
    where not is_added
    except
    select
        shop_id,
        sku_id,
        product_key
    from {{ changes_of("int_skus__products") }}
    where is_added
    {%- else %}
    select
        shop_id,
        sku_id,
        product_key
    from {{ ref("int_skus__products") }}
    where false
    {%- endif %}
),

touched as (
    select order_key from {{ ref("stg_exports__changed_orders") }}
    union
    select l.order_key
    from {{ ref("stg_exports__order_lines") }} as l
    inner join remapped_skus as s
        on l.shop_id = s.shop_id and l.sku_id = s.sku_id
)

select * from touched
