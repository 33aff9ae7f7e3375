-- The four core marts by hand, as fast as DuckDB allows: the floor the dbt models are measured by.
-- floor.py names the statements by their comment, and gives: the batches as <dataset>_batches, the
-- warehouse's raw and own_settings schemas, the seeds as seed_<name>, and the target as schema main.

-- macros
create temp macro fold_space(t) as
    trim(regexp_replace(t, '[\s\p{Z}\x{1c}-\x{1f}\x{85}\x{200b}]+', ' ', 'g'));
create temp macro fold_text(t) as
    fold_space(lower(translate(t, '’‘‛ʼ′＇´`', '''''''''''''''''')));
create temp macro day_of(t) as cast(t as date) - date '1970-01-01';
create temp macro has(missing, col) as missing not like '%,' || col || ',%';
-- a version's place: file, then row; the row takes the low 24 bits
create temp macro place(file_no, row_no) as (file_no << 24) | row_no;

-- settings
create temp table metric_settings as
select * from own_settings.metric_settings
union all by name
select * from seed_metric_settings
where setting not in (select setting from own_settings.metric_settings);
create temp table reasons as
select * from own_settings.reasons
union all by name
select * from seed_reasons
where reason_code not in (select reason_code from own_settings.reasons);
create temp table reason_texts as
with own as (
    select fold_text(reason_text) as folded, * from own_settings.return_reason_texts
)
select * from own
union all by name
select fold_text(reason_text) as folded, * from seed_return_reason_texts
where fold_text(reason_text) not in (select folded from own);
create temp table outcomes as
with own as (
    select fold_text(status_text) as folded, * from own_settings.outcome_policy
)
select * from own
union all by name
select s.* from (select fold_text(status_text) as folded, * from seed_outcome_policy) as s
anti join own on s.status_column = own.status_column and s.folded = own.folded;

-- files
create temp table shops as
select
    cast(row_number() over () as integer) as shop_no,
    f.shop_id,
    case when s.shop_id is not null then f.orders_until end as orders_until,
    case when s.shop_id is not null then f.reviews_until end as reviews_until,
    case when s.shop_id is not null then f.returns_until end as returns_until
from (
    select
        shop_id,
        day_of(max(exported_at) filter (where dataset = 'orders')) as orders_until,
        day_of(max(exported_at) filter (where dataset = 'reviews')) as reviews_until,
        day_of(max(exported_at) filter (where dataset = 'returns')) as returns_until
    from raw.files
    where status = 'loaded'
    group by shop_id
) as f
left join raw.shops as s on f.shop_id = s.shop_id;
create temp table files as
select
    f.file_id,
    f.exported_at,
    f.shop_id,
    s.shop_no,
    f.dataset,
    case
        when f.rows_read >= 1 << 24 then error('a file has too many rows to pack its row numbers')
        else row_number() over (order by f.exported_at, f.file_id)
    end as file_no
from raw.files as f
inner join shops as s using (shop_id)
where f.status = 'loaded';

-- skus of orders
create temp table order_skus as
select cast(row_number() over () as integer) as sku_no, *
from (
    select s.shop_no, r.shop_id, r.sku_id
    from (select distinct shop_id, sku_id from orders_batches) as r
    inner join shops as s using (shop_id)
);

-- order rows
create temp table order_rows as
select
    hash(r.shop_id, r.order_id) as order_key,
    s.sku_no,
    place(f.file_no, r._row_number) << 16
    | coalesce(cast(r.delivered_time as date) - date '1970-01-01', 0) as version
from orders_batches as r
inner join files as f
    on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
inner join order_skus as s on r.shop_id = s.shop_id and r.sku_id = s.sku_id
where f.dataset = 'orders';

-- orders by key
create temp table order_keys as
select
    order_key,
    min(sku_no) as sku_no,
    max(sku_no) as last_sku_no,
    max(version) as version
from order_rows
group by order_key;

-- lines of orders with several skus
create temp table multi_lines as
select order_key, sku_no, cast(nullif(max(version) & 65535, 0) as integer) as delivered
from order_rows
semi join (select order_key from order_keys where sku_no <> last_sku_no) as m using (order_key)
group by order_key, sku_no;

-- names of skus
create temp table sku_versions as
select sku_no, max(version >> 16) as place
from order_rows
group by sku_no;
create temp table sku_names as
select v.sku_no, v.place, fold_space(r.product_name) as product_name
from sku_versions as v
inner join files as f on f.file_no = v.place >> 24
inner join orders_batches as r
    on
        f.file_id = r._file_id
        and f.shop_id = r.shop_id
        and f.exported_at = r._exported_at
        and r._row_number = v.place & 16777215;

-- catalogue
create temp table catalogue as
with versions as (
    select r.*, place(f.file_no, r._row_number) as place
    from products_batches as r
    inner join files as f
        on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
    where f.dataset = 'products'
)
select
    shop_id,
    sku_id,
    arg_max_null(product_id, place) filter (where has(_missing_columns, 'product_id')) as product_id,
    fold_space(
        arg_max_null(product_name, place) filter (where has(_missing_columns, 'product_name'))
    ) as product_name
from versions
group by shop_id, sku_id;

-- review versions
-- the low 3 bits are the stars; a version's time decides before its place
create temp table review_keys as
with versions as (
    select
        hash(r.shop_id, r.review_id) as review_key,
        (epoch_us(coalesce(r.updated_at, r.created_at))::hugeint << 64)
        | (place(f.file_no, r._row_number) << 3)
        | r.rating as version,
        r._missing_columns
    from reviews_batches as r
    inner join files as f
        on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
    where f.dataset = 'reviews'
)
select
    review_key,
    max(version) as version,
    cast(min(version) & 7 as tinyint) as initial_rating,
    min(_missing_columns) <> max(_missing_columns) as has_layouts
from versions
group by review_key;
