"""Text to a validated workflow: every key of a workflow description, and all problems at once."""

import math
from collections.abc import Mapping
from typing import Any

from prominence_hpc.adapter.spec import texts
from prominence_hpc.adapter.spec.decode import PLACEMENT, placement_from, read_job
from prominence_hpc.adapter.spec.factories import sweep_parameter
from prominence_hpc.adapter.spec.fields import (
    Field,
    Table,
    boolean,
    choice,
    list_of,
    mapping_of,
    read_keys,
    record,
    text,
    whole_number,
)
from prominence_hpc.adapter.spec.job import Notification
from prominence_hpc.adapter.spec.place import INVALID, Place, shown
from prominence_hpc.adapter.spec.workflow import (
    ParameterSweep,
    Repeat,
    SweepParameter,
    Workflow,
    WorkflowPolicies,
    Zip,
    ZipParameter,
)
from prominence_hpc.adapter.spec.workflow_rules import check_workflow
from prominence_hpc.errors import SpecError

__all__ = ["decode_workflow"]

MOST_JOBS = 1_000_000  # of one factory: what no scheduler takes at once


def decode_workflow(document: object) -> Workflow:
    """The workflow that ``document`` (JSON data) describes; the caller leaves ``document`` as it is.

    Raises SpecError with every problem in it, those of its jobs included. No other exception.
    """
    place = Place()
    values = read_keys(document, place, WORKFLOW, OF_ONE_JOB)
    if values is not INVALID:
        check_workflow(values, place)
    if place.problems or not isinstance(document, dict):
        raise SpecError(place.problems)
    return Workflow(**values, document=document)


def real_number(value: object, place: Place) -> Any:
    """Any finite number; the answer keeps the type that the user wrote."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return place.note(f"must be a number, not {shown(value)}")
    if not math.isfinite(value) or abs(value) > MOST:
        return place.note(f"must be a number between -{MOST:g} and {MOST:g}, not {shown(value)}")
    return value


def sweep_reader(value: object, place: Place) -> Any:
    """One parameter of a sweep: its numbers belong together."""
    values = read_keys(value, place, SWEEP_PARAMETER, {})
    if values is INVALID or not values.keys() >= {"name", "start", "end"}:
        return INVALID
    if not isinstance(value, dict) or ("step" in value) == ("number" in value):
        return place.note("give either step or number")
    if "step" not in values and "number" not in values:
        return INVALID
    if values.get("step") == 0:
        return place.key("step").note("must not be 0")
    return checked_sweep(sweep_parameter(**values), values, place)


def checked_sweep(found: SweepParameter, values: Mapping[str, Any], place: Place) -> Any:
    between = f"from {values['start']} to {values['end']}"
    if found.count == 0:
        return place.note(f"is empty: no step of {values['step']} leads {between}")
    if found.count > MOST_JOBS:
        return place.note(f"has {found.count:,} values; at most {MOST_JOBS:,} are possible")
    if found.count > 1 and found.step == 0:
        return place.note(f"has {found.count} values, and there is but one {between}")
    return found


def factory_reader(value: object, place: Place) -> Any:
    """A factory of the kind that its ``type`` names."""
    kind = value.get("type") if isinstance(value, dict) else None
    table = FACTORIES.get(kind) if isinstance(kind, str) else None
    if table is None:
        read_keys(value, place, ANY_FACTORY, {})  # notes what is wrong with the type
        return INVALID
    build = BUILDERS[str(kind)]
    values = read_keys(value, place, {"type": ANY_FACTORY["type"], **table}, {})
    required = {field.attribute for field in table.values()}
    if values is INVALID or not values.keys() >= required:
        return INVALID
    if any(INVALID in item for item in values.values() if isinstance(item, tuple)):
        return INVALID
    return build(**{name: item for name, item in values.items() if name != "type"})


MOST = 1e15
NAME = text(texts.not_empty)
NAMES = list_of(NAME, minimum=1)
PARAMETER_NAME = text(texts.environment_name)
VALUE = texts.environment_value

SWEEP_PARAMETER: Table = {
    "name": Field("name", PARAMETER_NAME, required=True),
    "start": Field("start", real_number, required=True),
    "end": Field("end", real_number, required=True),
    "step": Field("step", real_number),
    "number": Field("number", whole_number(1, MOST_JOBS)),
}
ZIP_PARAMETER: Table = {
    "name": Field("name", PARAMETER_NAME, required=True),
    "values": Field("values", list_of(VALUE, minimum=1), required=True),
}
COMMON: Table = {
    "name": Field("name", text(texts.not_empty, texts.job_name), required=True),
    "jobs": Field("jobs", NAMES, required=True),
}
ANY_FACTORY: Table = {
    "type": Field("type", choice("parameterSweep", "zip", "repeat"), required=True),
    **COMMON,
    "parameters": Field("parameters", lambda value, _: value),
    "number": Field("number", lambda value, _: value),
}


def zip_reader(value: object, place: Place) -> Any:
    found = record(ZIP_PARAMETER, ZipParameter)(value, place)
    return INVALID if found is INVALID or INVALID in found.values else found


FACTORIES: Mapping[str, Table] = {
    "parameterSweep": {
        **COMMON,
        "parameters": Field("parameters", list_of(sweep_reader, minimum=1), required=True),
    },
    "zip": {
        **COMMON,
        "parameters": Field("parameters", list_of(zip_reader, minimum=1), required=True),
    },
    "repeat": {**COMMON, "number": Field("number", whole_number(1, MOST_JOBS), required=True)},
}
BUILDERS: Mapping[str, Any] = {"parameterSweep": ParameterSweep, "zip": Zip, "repeat": Repeat}

POLICIES: Table = {
    "maximumRetries": Field("maximum_retries", whole_number(1, 10)),
    "maximumReruns": Field("maximum_reruns", whole_number(1, 10)),
    "leaveInQueue": Field("leave_in_queue", boolean),
    "placement": Field("placement", record(PLACEMENT, placement_from)),
}
NOTIFICATION: Table = {
    "event": Field("event", choice("workflowFinished"), required=True),
    "type": Field("type", choice("email"), required=True),
}

WORKFLOW: Table = {
    "name": Field("name", text(texts.job_name)),
    "labels": Field("labels", mapping_of(texts.label_key, text(texts.label_value))),
    "jobs": Field("jobs", list_of(read_job, minimum=1), required=True),
    "dependencies": Field("dependencies", mapping_of(texts.not_empty, NAMES)),
    "factories": Field("factories", list_of(factory_reader)),
    "policies": Field("policies", record(POLICIES, WorkflowPolicies)),
    "notifications": Field("notifications", list_of(record(NOTIFICATION, Notification))),
}
OF_ONE_JOB = dict.fromkeys(
    (
        *("tasks", "resources", "inputs", "artifacts", "outputFiles", "outputDirs", "storage"),
        *("parameters", "type"),
    ),
    "one of the jobs, in the list jobs",
)
