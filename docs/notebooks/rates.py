"""One shop's rate: how it moved, by what, for which reasons, what comes: `make notebook`."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="One shop's rate")


@app.cell
def _():
    import altair as alt
    import marimo as mo

    from dagster_project.lib.database import connect
    from dagster_project.lib.paths import DataDir
    from dagster_project.lib.publications import current
    from dagster_project.lib.questions import window_days

    version = current(DataDir.default())
    mo.stop(version is None, mo.md("Nothing is published yet: `feedback run`."))
    # one version for as long as the notebook is open, whatever is published meanwhile
    marts = connect(version.folder / "marts.duckdb", read_only=True)

    def ask(query, **values):
        """The answer to a query, its `$names` bound to values, as a Polars frame."""
        return marts.sql(query, params=values).pl()

    def rate_by_day(frame, day, rate, title):
        """A chart of a rate over days that has no mark yet."""
        axis = alt.Axis(format=".1%")
        return alt.Chart(frame).encode(
            x=alt.X(f"{day}:T", title=None), y=alt.Y(f"{rate}:Q", title=title, axis=axis)
        )

    days = window_days(marts)
    return alt, ask, days, mo, rate_by_day, version


@app.cell
def _(ask, mo, version):
    shops = ask("select distinct shop_id from shop_metrics_daily order by all")["shop_id"].to_list()
    worst = ask(
        "select shop_id from metric_status_daily where target is not null and not higher_is_better "
        "order by metric_date desc, rate / target desc nulls last, shop_id limit 1"
    )["shop_id"].to_list()
    shop = mo.ui.dropdown(shops, value=(worst or shops)[0], label="Shop")
    metric = mo.ui.dropdown(["nrr", "sfrr"], value="nrr", label="Rate")
    mo.vstack(
        [
            mo.md(f"# One shop's rate\n\nPublication {version.publication_id}."),
            mo.hstack([shop, metric], justify="start"),
        ]
    )
    return metric, shop


@app.cell
def _(ask, metric, mo, rate_by_day, shop):
    rates = ask(
        "select metric_date, orders, delivered_orders, rate, rate_low, rate_high "
        "from metric_status_daily where shop_id = $shop and metric = $metric order by metric_date",
        shop=shop.value,
        metric=metric.value,
    )
    over_time = rate_by_day(rates, "metric_date", "rate_low", metric.value)
    mo.vstack(
        [
            mo.md(
                "## How did it move?\n\nThe band is the 95 % interval: what chance alone may make "
                "of so many orders. A move within it needs no cause."
            ),
            over_time.mark_area(opacity=0.2).encode(y2="rate_high:Q")
            + over_time.mark_line().encode(
                y="rate:Q", tooltip=["metric_date:T", "orders:Q", "delivered_orders:Q"]
            ),
        ]
    )
    return (rates,)


@app.cell
def _(ask, days, metric, mo, shop):
    products = ask(
        """
        with product_days as (
            select
                product_key, product_name, metric_date, delivered_orders,
                case $metric when 'nrr' then negative_review_orders
                    else seller_fault_return_orders end as orders
            from product_metrics_daily
            where shop_id = $shop
        ),

        last_day as (
            select max(metric_date) as metric_date from shop_metrics_daily where shop_id = $shop
        )

        select
            n.product_key, n.product_name, n.delivered_orders, n.orders,
            n.orders - coalesce(b.orders, 0) as change
        from product_days as n
        inner join last_day as l on n.metric_date = l.metric_date
        left join product_days as b
            on n.product_key = b.product_key and b.metric_date = l.metric_date - $days
        order by n.orders desc, n.product_key
        """,
        shop=shop.value,
        metric=metric.value,
        days=days,
    )
    mo.vstack(
        [
            mo.md(
                f"## Which products?\n\nBeside the window that ended {days} days earlier: the two "
                "share no order. Products do not add up to the shop: an order may hold several."
            ),
            products,
        ]
    )
    return (products,)


@app.cell
def _(alt, ask, metric, mo, shop):
    reasons = ask(
        "select reason_code, orders, rate from reason_metrics_daily "
        "where shop_id = $shop and metric = $metric and is_counted and metric_date = "
        "(select max(metric_date) from shop_metrics_daily where shop_id = $shop) order by rank",
        shop=shop.value,
        metric=metric.value,
    )
    mo.vstack(
        [
            mo.md("## For which reasons?"),
            alt.Chart(reasons)
            .mark_bar()
            .encode(x=alt.X("orders:Q"), y=alt.Y("reason_code:N", sort="-x", title=None)),
        ]
    )
    return (reasons,)


@app.cell
def _(ask, days, metric, mo, rate_by_day, shop):
    ahead = ask(
        "select forecast_date, expected_rate, rate_if_nothing_new from shop_forecast "
        "where shop_id = $shop and metric = $metric order by horizon_days",
        shop=shop.value,
        metric=metric.value,
    )
    to_come = rate_by_day(ahead, "forecast_date", "expected_rate", metric.value)
    mo.vstack(
        [
            mo.md(
                "## What comes?\n\nAs it went so far (line), and if nothing new happens (dashed): "
                f"known negative orders leave the window {days} days after delivery."
            ),
            to_come.mark_line()
            + to_come.mark_line(strokeDash=[4, 4]).encode(y="rate_if_nothing_new:Q"),
        ]
    )
    return (ahead,)


if __name__ == "__main__":
    app.run()
