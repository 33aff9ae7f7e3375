-- The four core marts by hand, as fast as DuckDB allows: the floor the dbt models are measured by.
-- floor.py names the statements by their comment, and gives: the batches as <dataset>_batches, the
-- warehouse's raw and own_settings schemas, the seeds as seed_<name>, and the target as schema main.

-- macros
create temp macro fold_space(t) as
    trim(regexp_replace(t, '[\s\x{0b}\p{Z}\x{1c}-\x{1f}\x{85}\x{200b}]+', ' ', 'g'));
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
    max(version) >> 16 as place,
    cast(nullif(max(version) & 65535, 0) as integer) as delivered
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

-- review rows
-- those that can matter: low ratings, and those that name a product the catalogue does not know
create temp table review_rows as
with latest as (
    select
        review_key,
        cast((version >> 3) & 17592186044415 as bigint) as place,
        initial_rating,
        has_layouts
    from review_keys
),

rows_read as (
    select
        hash(r.shop_id, r.review_id) as review_key,
        place(f.file_no, r._row_number) as place,
        f.shop_no,
        r.*
    from reviews_batches as r
    inner join files as f
        on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
    where f.dataset = 'reviews'
),

known as (
    select shop_id, sku_id from catalogue where product_id is not null
)

select
    l.has_layouts,
    l.initial_rating,
    l.place,
    (epoch_us(coalesce(r.updated_at, r.created_at))::hugeint << 64) | l.place as version,
    r.review_key,
    r.shop_no,
    r.shop_id,
    r.review_id,
    r.order_id,
    r.product_id,
    r.sku_id,
    cast(r.rating as tinyint) as rating,
    r.review_text is not null as has_text,
    lower(r.issue_type) as issue_type,
    day_of(r.created_at) as review_day
from rows_read as r
inner join latest as l on r.place = l.place
where
    l.has_layouts
    or r.rating <= 2
    or l.initial_rating <= 2
    or (
        r.sku_id is not null
        and r.product_id is not null
        and not exists (
            select 1 from known as k where k.shop_id = r.shop_id and k.sku_id = r.sku_id
        )
    );

-- review rows of several layouts
create temp table review_fills as
with versions as (
    select
        hash(r.shop_id, r.review_id) as review_key,
        (epoch_us(coalesce(r.updated_at, r.created_at))::hugeint << 64)
        | place(f.file_no, r._row_number) as version,
        r.*
    from reviews_batches as r
    inner join files as f
        on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
    semi join (select review_key from review_keys where has_layouts) as k
        on hash(r.shop_id, r.review_id) = k.review_key
    where f.dataset = 'reviews'
)

select
    review_key,
    arg_max_null(product_id, version) filter (where has(_missing_columns, 'product_id')) as product_id,
    arg_max_null(sku_id, version) filter (where has(_missing_columns, 'sku_id')) as sku_id,
    arg_max_null(review_text, version) filter (where has(_missing_columns, 'review_text'))
    is not null as has_text,
    lower(arg_max_null(issue_type, version) filter (where has(_missing_columns, 'issue_type')))
        as issue_type
from versions
group by review_key;
update review_rows as r
set product_id = f.product_id, sku_id = f.sku_id, has_text = f.has_text, issue_type = f.issue_type
from review_fills as f
where r.review_key = f.review_key;

-- products of skus
create temp table sku_products as
with review_products as (
    select shop_id, sku_id, arg_max(product_id, version) as product_id
    from review_rows
    where sku_id is not null and product_id is not null
    group by shop_id, sku_id
),

skus as (
    select shop_id, sku_id from order_skus
    union
    select shop_id, sku_id from catalogue
    union
    select shop_id, sku_id from review_products
),

known as (
    select
        s.shop_id,
        s.sku_id,
        o.sku_no,
        n.place,
        n.product_name as order_name,
        coalesce(c.product_id, r.product_id) as product_id,
        coalesce(n.product_name, c.product_name) as product_name
    from skus as s
    left join order_skus as o using (shop_id, sku_id)
    left join sku_names as n on o.sku_no = n.sku_no
    left join catalogue as c on s.shop_id = c.shop_id and s.sku_id = c.sku_id
    left join review_products as r on s.shop_id = r.shop_id and s.sku_id = r.sku_id
),

products_by_name as (
    select shop_id, product_name, min(product_id) as product_id
    from known
    where product_id is not null and product_name is not null
    group by shop_id, product_name
    having min(product_id) = max(product_id)
)

select
    k.shop_id,
    k.sku_id,
    k.sku_no,
    k.place,
    k.order_name,
    coalesce(k.product_id, n.product_id, 'name:' || coalesce(k.product_name, '')) as product_key
from known as k
left join products_by_name as n using (shop_id, product_name);
create temp table products as
select
    cast(row_number() over () as integer) as product_no,
    s.shop_no,
    p.*
from (
    select shop_id, product_key, arg_max(order_name, place) as product_name
    from sku_products
    where sku_no is not null
    group by shop_id, product_key
) as p
inner join shops as s using (shop_id);
create temp table skus as
select s.shop_id, s.sku_id, s.sku_no, s.product_key, p.product_no
from sku_products as s
left join products as p using (shop_id, product_key);
create temp table order_sku_products as
select sku_no, product_no, p.shop_no
from skus
inner join products as p using (product_no)
where sku_no is not null;

-- return versions
create temp table return_keys as
with versions as (
    select
        hash(r.shop_id, r.return_order_id, r.order_id, r.sku_id) as return_key,
        place(f.file_no, r._row_number) as place,
        r._missing_columns
    from returns_batches as r
    inner join files as f
        on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
    where f.dataset = 'returns'
)
select
    return_key,
    max(place) as place,
    min(_missing_columns) <> max(_missing_columns) as has_layouts
from versions
group by return_key;

-- return rows
create temp table return_rows as
select
    k.return_key,
    k.has_layouts,
    f.shop_no,
    r.shop_id,
    hash(r.shop_id, r.order_id) as order_key,
    r.sku_id,
    day_of(r.time_requested) as request_day,
    r.return_reason_code,
    r.return_reason,
    r.return_status,
    r.return_sub_status,
    r.arbitration_status
from returns_batches as r
inner join files as f
    on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
inner join return_keys as k on place(f.file_no, r._row_number) = k.place
where f.dataset = 'returns';

-- return rows of several layouts
create temp table return_fills as
with versions as (
    select
        hash(r.shop_id, r.return_order_id, r.order_id, r.sku_id) as return_key,
        place(f.file_no, r._row_number) as place,
        r.*
    from returns_batches as r
    inner join files as f
        on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
    semi join (select return_key from return_keys where has_layouts) as k
        on hash(r.shop_id, r.return_order_id, r.order_id, r.sku_id) = k.return_key
    where f.dataset = 'returns'
)

select
    return_key,
    arg_max_null(return_reason_code, place)
        filter (where has(_missing_columns, 'return_reason_code')) as return_reason_code,
    arg_max_null(return_reason, place)
        filter (where has(_missing_columns, 'return_reason')) as return_reason,
    arg_max_null(return_status, place)
        filter (where has(_missing_columns, 'return_status')) as return_status,
    arg_max_null(return_sub_status, place)
        filter (where has(_missing_columns, 'return_sub_status')) as return_sub_status,
    arg_max_null(arbitration_status, place)
        filter (where has(_missing_columns, 'arbitration_status')) as arbitration_status
from versions
group by return_key;
update return_rows as r
set
    return_reason_code = f.return_reason_code,
    return_reason = f.return_reason,
    return_status = f.return_status,
    return_sub_status = f.return_sub_status,
    arbitration_status = f.arbitration_status
from return_fills as f
where r.return_key = f.return_key;

-- return rulings
-- a few texts on some days: ruled once each, not once a row
create temp table return_rulings as
with said as (
    select distinct
        hash(return_reason_code, return_reason, return_status, return_sub_status, arbitration_status)
            as texts_key,
        request_day,
        return_reason_code,
        return_reason,
        return_status,
        return_sub_status,
        arbitration_status
    from return_rows
),

texts as (
    select
        texts_key,
        fold_text(any_value(return_reason_code)) as reason_code_text,
        fold_text(coalesce(any_value(return_reason), any_value(return_reason_code), '(blank)'))
            as reason_text,
        fold_text(any_value(return_status)) as status,
        fold_text(any_value(return_sub_status)) as sub_status,
        fold_text(any_value(arbitration_status)) as arbitration
    from said
    group by texts_key
),

days as (
    select t.*, s.request_day, date '1970-01-01' + cast(s.request_day as integer) as request_date
    from said as s
    inner join texts as t using (texts_key)
),

open_requests as (
    select d.*
    from days as d
    where not exists (
        select 1
        from outcomes as o
        where
            o.is_voided
            and d.request_date >= o.valid_from
            and (o.valid_to is null or d.request_date <= o.valid_to)
            and o.folded = case o.status_column
                when 'return_status' then d.status
                when 'return_sub_status' then d.sub_status
                when 'arbitration_status' then d.arbitration
            end
    )
),

mapped as (
    select d.*, coalesce(g.reason_code, 'unmapped') as reason_code
    from open_requests as d
    left join reason_texts as c
        on
            d.reason_code_text = c.folded
            and d.request_date >= c.valid_from
            and (c.valid_to is null or d.request_date <= c.valid_to)
    left join reason_texts as t
        on
            d.reason_text = t.folded
            and d.request_date >= t.valid_from
            and (t.valid_to is null or d.request_date <= t.valid_to)
    left join reasons as g
        on
            g.reason_code = coalesce(c.reason_code, t.reason_code)
            and g.is_return_reason
            and d.request_date >= g.valid_from
            and (g.valid_to is null or d.request_date <= g.valid_to)
)

select
    d.texts_key,
    d.request_day,
    d.reason_code,
    coalesce(c.category, 'other') as category,
    coalesce(c.fault, 'unknown') as fault
from mapped as d
left join reasons as c
    on
        d.reason_code = c.reason_code
        and d.request_date >= c.valid_from
        and (c.valid_to is null or d.request_date <= c.valid_to);

-- overrides
create temp table overrides as
select
    r.shop_id,
    r.review_id,
    lower(
        arg_max_null(r.reason_code, place(f.file_no, r._row_number))
            filter (where has(r._missing_columns, 'reason_code'))
    ) as reason_code
from review_overrides_batches as r
inner join files as f
    on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
where f.dataset = 'review_overrides'
group by r.shop_id, r.review_id;

-- events
-- negative reviews and requests that are not voided
create temp table ruled_events as
with dated as (
    select *, date '1970-01-01' + cast(review_day as integer) as review_date from review_rows
),

low as (
    select r.*
    from dated as r
    left join metric_settings as s
        on
            s.setting = 'rating_basis'
            and r.review_date >= s.valid_from
            and (s.valid_to is null or r.review_date <= s.valid_to)
    where case when s.value = 'initial' then r.initial_rating else r.rating end <= 2
),

coded as (
    select
        r.*,
        coalesce(
            d.reason_code, g.reason_code, case when r.has_text then 'unclassified' else 'no_comment' end
        ) as reason_code
    from low as r
    left join overrides as o on r.shop_id = o.shop_id and r.review_id = o.review_id
    left join reasons as d
        on
            o.reason_code = d.reason_code
            and d.is_review_reason
            and r.review_date >= d.valid_from
            and (d.valid_to is null or r.review_date <= d.valid_to)
    left join reasons as g
        on
            r.issue_type = g.reason_code
            and g.is_review_reason
            and r.review_date >= g.valid_from
            and (g.valid_to is null or r.review_date <= g.valid_to)
),

categorised as (
    select
        r.*,
        coalesce(c.category, 'other') as category,
        coalesce(c.fault, 'unknown') as fault
    from coded as r
    left join reasons as c
        on
            r.reason_code = c.reason_code
            and r.review_date >= c.valid_from
            and (c.valid_to is null or r.review_date <= c.valid_to)
),

reviews as (
    select
        hash(r.shop_id, r.order_id) as order_key,
        r.shop_no,
        r.shop_id,
        r.sku_id,
        r.product_id,
        r.review_day as day,
        'nrr' as metric,
        r.reason_code,
        r.category,
        r.fault,
        true as is_counted,
        r.category in ('product', 'service')
        or (
            r.category = 'other'
            and (r.reason_code <> 'no_comment' or coalesce(s.value, 'true') = 'true')
        ) as is_sellers_part
    from categorised as r
    left join metric_settings as s
        on
            s.setting = 'no_comment_counts_in_nrr_seller'
            and r.review_date >= s.valid_from
            and (s.valid_to is null or r.review_date <= s.valid_to)
)

select * from reviews
union all
select
    r.order_key,
    r.shop_no,
    r.shop_id,
    r.sku_id,
    null,
    r.request_day,
    'sfrr',
    t.reason_code,
    t.category,
    t.fault,
    t.fault = 'seller',
    false
from return_rows as r
inner join return_rulings as t
    on
        t.texts_key = hash(
            r.return_reason_code,
            r.return_reason,
            r.return_status,
            r.return_sub_status,
            r.arbitration_status
        )
        and r.request_day = t.request_day;

-- reasons of events
create temp table kinds as
select
    cast(row_number() over () as integer) as kind_no,
    cast(dense_rank() over (order by metric, reason_code, is_counted) as integer) as product_kind_no,
    cast(dense_rank() over (order by reason_code) as integer) as reason_no,
    cast(metric = 'nrr' as integer) * 2 + cast(is_counted as integer) as rank_group,
    *
from (select distinct metric, reason_code, category, fault, is_counted from ruled_events);

-- as of
-- no version counts that a newer one took back: the latest day of all versions is only a guess, and
-- where no version that counts has it all versions are read
set variable latest_day = (
    select max(cast(day as date))
    from (
        select greatest(max(created_time), max(delivered_time), max(cancelled_time)) as day
        from orders_batches
        union all
        select greatest(max(created_at), max(updated_at)) from reviews_batches
        union all
        select greatest(max(time_requested), max(refund_time)) from returns_batches
        union all
        select greatest(max(created_at), max(resolved_at)) from complaints_batches
    )
);
set variable is_latest_day_known = (
    (select as_of is not null from raw.run)
    or exists (
        select 1
        from orders_batches as r
        inner join files as f
            on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
        inner join order_keys as k
            on
                hash(r.shop_id, r.order_id) = k.order_key
                and place(f.file_no, r._row_number) = k.place
        where
            f.dataset = 'orders'
            -- ingest rejects events dated later than a day after the export
            and r._exported_at >= getvariable('latest_day') - 1
            and greatest(r.created_time, r.delivered_time, r.cancelled_time)
            >= getvariable('latest_day')
    )
);
set variable as_of_day = (
    with doubted as (
        select * from files where not getvariable('is_latest_day_known')
    ),

    line_days as (
        select greatest(
            arg_max(r.created_time, place(f.file_no, r._row_number)),
            arg_max_null(r.delivered_time, place(f.file_no, r._row_number)),
            arg_max_null(r.cancelled_time, place(f.file_no, r._row_number))
                filter (where has(r._missing_columns, 'cancelled_time'))
        ) as day
        from orders_batches as r
        inner join doubted as f
            on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
        where f.dataset = 'orders'
        group by r.shop_id, r.order_id, r.sku_id
    ),

    review_versions as (
        select
            r.*,
            (epoch_us(coalesce(r.updated_at, r.created_at))::hugeint << 64)
            | place(f.file_no, r._row_number) as version
        from reviews_batches as r
        inner join doubted as f
            on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
        where f.dataset = 'reviews'
    ),

    review_days as (
        select greatest(
            arg_max(created_at, version),
            arg_max_null(updated_at, version) filter (where has(_missing_columns, 'updated_at'))
        ) as day
        from review_versions
        group by shop_id, review_id
    ),

    request_days as (
        select greatest(
            arg_max(r.time_requested, place(f.file_no, r._row_number)),
            arg_max_null(r.refund_time, place(f.file_no, r._row_number))
                filter (where has(r._missing_columns, 'refund_time'))
        ) as day
        from returns_batches as r
        inner join doubted as f
            on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
        where f.dataset = 'returns'
        group by r.shop_id, r.return_order_id, r.order_id, r.sku_id
    ),

    complaint_days as (
        select greatest(
            arg_max(r.created_at, place(f.file_no, r._row_number)),
            arg_max_null(r.resolved_at, place(f.file_no, r._row_number))
                filter (where has(r._missing_columns, 'resolved_at'))
        ) as day
        from complaints_batches as r
        inner join doubted as f
            on r._file_id = f.file_id and r.shop_id = f.shop_id and r._exported_at = f.exported_at
        where f.dataset = 'complaints'
        group by r.shop_id, r.complaint_id
    ),

    days as (
        select day from line_days
        union all
        select day from review_days
        union all
        select day from request_days
        union all
        select day from complaint_days
    )

    select day_of(coalesce(
        (select as_of from raw.run),
        case when getvariable('is_latest_day_known') then getvariable('latest_day') end,
        max(cast(day as date))
    ))
    from days
);
set variable window_days = (
    select cast(value as integer)
    from metric_settings
    where
        setting = 'window_days'
        and date '1970-01-01' + getvariable('as_of_day') >= valid_from
        and (valid_to is null or date '1970-01-01' + getvariable('as_of_day') <= valid_to)
);

-- orders of events
create temp table event_orders as
with keys as (
    select distinct order_key from ruled_events
)

select
    k.order_key,
    k.sku_no = k.last_sku_no as is_single,
    p.product_no,
    k.delivered
from order_keys as k
semi join keys using (order_key)
inner join order_sku_products as p on k.sku_no = p.sku_no;

-- orders of several skus
create temp table multi_products as
select order_key, product_no, any_value(shop_no) as shop_no, min(delivered) as delivered
from multi_lines
inner join order_sku_products using (sku_no)
group by order_key, product_no;
create temp table multi_orders as
select
    order_key,
    any_value(shop_no) as shop_no,
    min(delivered) as delivered,
    case when count(*) = 1 then any_value(product_no) end as product_no
from multi_products
group by order_key;

-- events of orders
create temp table events as
with orders as (
    select
        e.order_key,
        case when e.is_single then e.product_no else m.product_no end as only_product_no,
        case when e.is_single then e.delivered else m.delivered end as delivered
    from event_orders as e
    left join multi_orders as m on e.order_key = m.order_key and not e.is_single
),

attributed as (
    select
        e.order_key,
        e.shop_no,
        e.day,
        e.metric,
        e.category,
        e.is_counted,
        e.is_sellers_part,
        k.kind_no,
        k.product_kind_no,
        o.delivered,
        case
            when e.sku_id is null and e.product_id is null then o.only_product_no
            when s.product_key is not null then s.product_no
            else p.product_no
        end as product_no
    from ruled_events as e
    inner join orders as o on e.order_key = o.order_key
    inner join kinds as k
        on
            e.metric = k.metric
            and e.reason_code = k.reason_code
            and e.category = k.category
            and e.fault = k.fault
            and e.is_counted = k.is_counted
    left join skus as s on e.shop_id = s.shop_id and e.sku_id = s.sku_id
    left join products as p on e.shop_id = p.shop_id and e.product_id = p.product_key
)

select
    a.*,
    -- of the product within the order; null where the order has no such product delivered
    coalesce(
        m.delivered, case when e.is_single and e.product_no = a.product_no then e.delivered end
    ) as product_delivered
from attributed as a
inner join event_orders as e on a.order_key = e.order_key
left join multi_products as m on a.order_key = m.order_key and a.product_no = m.product_no;

-- deliveries of products
-- keyed by product and day in one number, the day in its low 16 bits
create temp table deliveries as
select k, count(*) as orders
from (
    select (p.product_no::bigint << 16) | o.delivered as k
    from order_keys as o
    inner join order_sku_products as p on o.sku_no = p.sku_no
    where o.sku_no = o.last_sku_no and o.delivered is not null
    union all
    select (product_no::bigint << 16) | delivered from multi_products where delivered is not null
)
group by k;

-- shop_metrics_daily
create temp table shop_days as
with firsts as (
    select
        order_key,
        shop_no,
        delivered,
        min(day) filter (where metric = 'nrr') as nrr_day,
        min(day) filter (where is_sellers_part) as seller_day,
        min(day) filter (where metric = 'nrr' and category = 'product') as product_day,
        min(day) filter (where metric = 'nrr' and category = 'service') as service_day,
        min(day) filter (where metric = 'sfrr') as sfrr_day
    from events
    where is_counted and delivered is not null
    group by order_key, shop_no, delivered
),

starts as (
    select p.shop_no, o.delivered as day, count(*) as d
    from order_keys as o
    inner join order_sku_products as p on o.sku_no = p.sku_no
    where o.sku_no = o.last_sku_no and o.delivered is not null
    group by p.shop_no, o.delivered
    union all
    select shop_no, delivered, count(*)
    from multi_orders
    where delivered is not null
    group by shop_no, delivered
),

changes as (
    select shop_no, day, d, 0 as n, 0 as l, 0 as p, 0 as v, 0 as s from starts
    union all
    select shop_no, day + getvariable('window_days'), -d, 0, 0, 0, 0, 0 from starts
    union all
    select shop_no, greatest(delivered, nrr_day), 0, 1, 0, 0, 0, 0
    from firsts
    where nrr_day < delivered + getvariable('window_days')
    union all
    select shop_no, greatest(delivered, seller_day), 0, 0, 1, 0, 0, 0
    from firsts
    where seller_day < delivered + getvariable('window_days')
    union all
    select shop_no, greatest(delivered, product_day), 0, 0, 0, 1, 0, 0
    from firsts
    where product_day < delivered + getvariable('window_days')
    union all
    select shop_no, greatest(delivered, service_day), 0, 0, 0, 0, 1, 0
    from firsts
    where service_day < delivered + getvariable('window_days')
    union all
    select shop_no, greatest(delivered, sfrr_day), 0, 0, 0, 0, 0, 1
    from firsts
    where sfrr_day < delivered + getvariable('window_days')
    union all
    select
        shop_no,
        delivered + getvariable('window_days'),
        0,
        -cast(nrr_day < delivered + getvariable('window_days') as integer),
        -cast(seller_day < delivered + getvariable('window_days') as integer),
        -cast(product_day < delivered + getvariable('window_days') as integer),
        -cast(service_day < delivered + getvariable('window_days') as integer),
        -cast(sfrr_day < delivered + getvariable('window_days') as integer)
    from firsts
),

daily as (
    select
        shop_no, day, sum(d) as d, sum(n) as n, sum(l) as l, sum(p) as p, sum(v) as v, sum(s) as s
    from changes
    group by shop_no, day
),

first_days as (
    select shop_no, min(day) as first_day from starts group by shop_no
),

days as (
    select shop_no, unnest(range(first_day, getvariable('as_of_day') + 1)) as day
    from first_days
),

counts as (
    select
        a.shop_no,
        a.day,
        coalesce(sum(c.d) over so_far, 0)::bigint as d,
        coalesce(sum(c.n) over so_far, 0)::bigint as n,
        coalesce(sum(c.l) over so_far, 0)::bigint as l,
        coalesce(sum(c.p) over so_far, 0)::bigint as p,
        coalesce(sum(c.v) over so_far, 0)::bigint as v,
        coalesce(sum(c.s) over so_far, 0)::bigint as s
    from days as a
    left join daily as c on a.shop_no = c.shop_no and a.day = c.day
    window so_far as (partition by a.shop_no order by a.day rows unbounded preceding)
),

states as (
    select
        c.*,
        h.shop_id,
        case
            when h.reviews_until is null then 'not_loaded'
            when c.day > least(h.orders_until, h.reviews_until) then 'stale'
            else 'ok'
        end as nrr_state,
        case
            when h.returns_until is null then 'not_loaded'
            when c.day > least(h.orders_until, h.returns_until) then 'stale'
            else 'ok'
        end as sfrr_state
    from counts as c
    inner join shops as h using (shop_no)
)

select * from states;
create table shop_metrics_daily as
select
    shop_id,
    date '1970-01-01' + cast(day as integer) as metric_date,
    d as delivered_orders,
    n as negative_review_orders,
    l as seller_negative_review_orders,
    p as product_negative_review_orders,
    v as service_negative_review_orders,
    s as seller_fault_return_orders,
    case when nrr_state = 'ok' and d > 0 then n::double / d end as nrr,
    case when nrr_state = 'ok' and d > 0 then l::double / d end as nrr_seller,
    case when nrr_state = 'ok' and d > 0 then p::double / d end as nrr_product,
    case when nrr_state = 'ok' and d > 0 then v::double / d end as nrr_service,
    case when sfrr_state = 'ok' and d > 0 then s::double / d end as sfrr,
    nrr_state,
    sfrr_state
from shop_days;

-- product_metrics_daily
create table product_metrics_daily as
with firsts as (
    select
        order_key,
        (product_no::bigint << 16) | product_delivered as k,
        min(greatest(day - product_delivered, 0)) filter (where metric = 'nrr') as nrr_after,
        min(greatest(day - product_delivered, 0)) filter (where metric = 'sfrr') as sfrr_after
    from events
    where is_counted and product_delivered is not null
    group by order_key, product_no, product_delivered
),

changes as (
    -- deliveries in the low 24 bits, then 20 bits of reviews, then requests: one sum for all three
    select k, orders as n from deliveries
    union all
    select k + getvariable('window_days'), -orders from deliveries
    union all
    select k + nrr_after, 1 << 24 from firsts where nrr_after < getvariable('window_days')
    union all
    select k + getvariable('window_days'), -(1 << 24)
    from firsts
    where nrr_after < getvariable('window_days')
    union all
    select k + sfrr_after, 1::bigint << 44 from firsts where sfrr_after < getvariable('window_days')
    union all
    select k + getvariable('window_days'), -(1::bigint << 44)
    from firsts
    where sfrr_after < getvariable('window_days')
),

sorted as (
    select * from changes order by k
),

counts as (
    -- every product's changes add up to nothing, so one running sum serves all of them; of several
    -- changes on a day only the last lasts until a later one
    select
        k,
        lead(k) over () as next_k,
        sum(n) over (rows unbounded preceding)::bigint as n
    from sorted
),

days as (
    select
        unnest(range(k, least(next_k, (k >> 16 << 16) | (getvariable('as_of_day') + 1)))) as k,
        n
    from counts
    where n > 0 and k < next_k and k & 65535 <= getvariable('as_of_day')
),

unpacked as (
    select
        cast(k >> 16 as integer) as product_no,
        cast(k & 65535 as integer) as day,
        n & 16777215 as delivered_orders,
        (n >> 24) & 1048575 as negative_review_orders,
        n >> 44 as seller_fault_return_orders
    from days
)

select
    p.shop_id,
    p.product_key,
    date '1970-01-01' + c.day as metric_date,
    c.delivered_orders,
    c.negative_review_orders,
    c.seller_fault_return_orders,
    case when c.day <= p.nrr_until then c.negative_review_orders::double / c.delivered_orders end as nrr,
    case when c.day <= p.sfrr_until then c.seller_fault_return_orders::double / c.delivered_orders end
        as sfrr,
    p.product_name
from unpacked as c
inner join (
    select
        p.product_no,
        p.shop_id,
        p.product_key,
        p.product_name,
        case when h.reviews_until is not null then least(h.orders_until, h.reviews_until) end as nrr_until,
        case when h.returns_until is not null then least(h.orders_until, h.returns_until) end as sfrr_until
    from products as p
    inner join shops as h using (shop_no)
) as p using (product_no);

-- reason_metrics_daily
create table reason_metrics_daily as
with firsts as (
    select order_key, shop_no, kind_no, delivered, min(day) as day
    from events
    where delivered is not null
    group by order_key, shop_no, kind_no, delivered
    having min(day) < delivered + getvariable('window_days')
),

changes as (
    select (shop_no::bigint << 28) | (kind_no << 16) | greatest(delivered, day) as k, 1 as n
    from firsts
    union all
    select (shop_no::bigint << 28) | (kind_no << 16) | (delivered + getvariable('window_days')), -1
    from firsts
),

sorted as (
    select * from changes order by k
),

counts as (
    select
        k,
        lead(k) over () as next_k,
        sum(n) over (rows unbounded preceding)::bigint as n
    from sorted
),

days as (
    select
        unnest(range(k, least(next_k, (k >> 16 << 16) | (getvariable('as_of_day') + 1)))) as k,
        n
    from counts
    where n > 0 and k < next_k and k & 65535 <= getvariable('as_of_day')
),

ranked as (
    select
        cast(d.k >> 28 as integer) as shop_no,
        d.k & 65535 as day,
        k.*,
        d.n,
        row_number() over (
            partition by (d.k >> 28 << 20) | ((d.k & 65535) << 2) | k.rank_group
            order by k.reason_no - d.n * 4096
        ) as rank
    from days as d
    inner join kinds as k on (d.k >> 16) & 4095 = k.kind_no
)

select
    s.shop_id,
    date '1970-01-01' + cast(r.day as integer) as metric_date,
    r.metric,
    r.reason_code,
    r.category,
    r.fault,
    r.is_counted,
    r.n as orders,
    s.d as delivered_orders,
    case
        when case r.metric when 'nrr' then s.nrr_state else s.sfrr_state end = 'ok' and s.d > 0
            then r.n::double / s.d
    end as rate,
    case
        when r.is_counted then r.n::double / case r.metric when 'nrr' then s.n else s.s end
    end as share,
    case when r.is_counted then r.rank end as rank
from ranked as r
inner join shop_days as s on r.shop_no = s.shop_no and r.day = s.day;

-- product_reason_metrics_daily
create table product_reason_metrics_daily as
with firsts as (
    select order_key, product_no, product_kind_no, product_delivered as delivered, min(day) as day
    from events
    where product_delivered is not null
    group by order_key, product_no, product_kind_no, product_delivered
    having min(day) < product_delivered + getvariable('window_days')
),

changes as (
    select (product_no::bigint << 28) | (product_kind_no << 16) | greatest(delivered, day) as k, 1 as n
    from firsts
    union all
    select
        (product_no::bigint << 28)
        | (product_kind_no << 16)
        | (delivered + getvariable('window_days')),
        -1
    from firsts
),

sorted as (
    select * from changes order by k
),

counts as (
    select
        k,
        lead(k) over () as next_k,
        sum(n) over (rows unbounded preceding)::bigint as n
    from sorted
),

days as (
    select
        unnest(range(k, least(next_k, (k >> 16 << 16) | (getvariable('as_of_day') + 1)))) as k,
        n
    from counts
    where n > 0 and k < next_k and k & 65535 <= getvariable('as_of_day')
)

select
    p.shop_id,
    p.product_key,
    date '1970-01-01' + cast(d.k & 65535 as integer) as metric_date,
    k.metric,
    k.reason_code,
    k.is_counted,
    d.n as orders
from days as d
inner join products as p on cast(d.k >> 28 as integer) = p.product_no
inner join (
    select distinct product_kind_no, metric, reason_code, is_counted from kinds
) as k on (d.k >> 16) & 4095 = k.product_kind_no;
