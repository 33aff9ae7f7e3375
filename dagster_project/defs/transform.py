"""Staging, intermediate and marts: the dbt project."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    dbt_assets,
)

from dagster_project.defs.resources import (
    WRITER_POOL,
    DataDirectory,
    dbt_project,
    tried_again_when_busy,
)
from dagster_project.lib.dbt_manifest import hand_on_parse
from dagster_project.lib.errors import ConfigurationError
from dagster_project.lib.increments import begin_models, settle_models
from dagster_project.lib.ledger import Ledger
from dagster_project.lib.warehouse import open_warehouse
from dagster_project.quality.containment import judge_without_withdrawn


class Translator(DagsterDbtTranslator):  # type: ignore[misc]
    """Groups are the layers: the folders of the models."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`raw_changed` shows the same rows as `raw`."""
        if dbt_resource_props.get("source_name") == "raw_changed":
            return dg.AssetKey(["raw", dbt_resource_props["name"]])
        key: dg.AssetKey = super().get_asset_key(dbt_resource_props)
        return key

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The folder of a model; seeds are settings."""
        if dbt_resource_props["resource_type"] == "seed":
            return "settings"
        return str(dbt_resource_props["fqn"][1])


@dbt_assets(  # type: ignore[untyped-decorator]
    manifest=dbt_project.manifest_path,
    project=dbt_project,
    dagster_dbt_translator=Translator(
        settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True)
    ),
    pool=WRITER_POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, data: DataDirectory
) -> Iterator[Any]:
    """Build the models and run their data tests; unit tests and exposures belong to development.

    Raises ConfigurationError when only some are asked for: an increment takes all of them to the
    same files.
    """
    if context.is_subset:
        raise ConfigurationError(
            "The models are built together: some alone would stand for other files than the rest. "
            "Materialize all of them."
        )
    os.environ["FEEDBACK_WAREHOUSE"] = str(data.paths.warehouse)
    with tried_again_when_busy():
        with Ledger.open(data.paths.ledger) as ledger:
            judge_without_withdrawn(
                data.paths, ledger, context.run_id, full_refresh=_is_full_refresh(context)
            )
        with open_warehouse(data.paths.warehouse) as warehouse:
            scope = begin_models(warehouse)
    target = data.paths.dbt / "target"
    hand_on_parse(target)
    yield from dbt.cli(
        ["build", "--exclude-resource-types", "unit_test", "exposure", *scope],
        context=context,
        target_path=target,
    ).stream()
    with open_warehouse(data.paths.warehouse) as warehouse:
        settle_models(warehouse)


def _is_full_refresh(context: dg.AssetExecutionContext) -> bool:
    """Whether the run was asked for one; models are built anew for other reasons too."""
    ops: Any = context.run.run_config.get("ops", {})
    return bool(ops.get("ingest", {}).get("config", {}).get("full_refresh"))
