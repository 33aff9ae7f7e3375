"""Staging, intermediate and marts: the dbt project."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from dagster_project.defs.resources import WRITER_POOL, DataDirectory, dbt_project


class Translator(DagsterDbtTranslator):  # type: ignore[misc]
    """Groups are the layers: the folders of the models."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The folder of a model; seeds are settings."""
        if dbt_resource_props["resource_type"] == "seed":
            return "settings"
        return str(dbt_resource_props["fqn"][1])


@dbt_assets(  # type: ignore[untyped-decorator]
    manifest=dbt_project.manifest_path,
    project=dbt_project,
    dagster_dbt_translator=Translator(),
    pool=WRITER_POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, data: DataDirectory
) -> Iterator[Any]:
    """Build the models and run their data tests; unit tests belong to development."""
    os.environ["FEEDBACK_WAREHOUSE"] = str(data.paths.warehouse)
    yield from dbt.cli(
        ["build", "--exclude-resource-type", "unit_test"],
        context=context,
        target_path=data.paths.dbt / "target",
    ).stream()
