"""What the jobs of a part read: uploaded objects and web addresses, also those with parameters in their names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix

from prominence_hpc.adapter.create import find_sources, source_of
from prominence_hpc.adapter.image_checks import refuse_other_checksums
from prominence_hpc.adapter.objects import object_key
from prominence_hpc.adapter.sources import URL_SCHEMES, Source, image_kind, uploaded_names
from prominence_hpc.adapter.spec.factories import parameter_names
from prominence_hpc.adapter.spec.substitution import mentions, replace
from prominence_hpc.adapter.workflows.parts import Part
from prominence_hpc.adapter.workspace import Workspace

__all__ = ["Inputs", "check_addresses", "find_inputs"]

# Of more objects than these storage is asked by lists, a thousand a request, and not for each one's checksum.
_ASKED_SINGLY = 200
# Of a sweep over more addresses, the first ones stand for all.
_ADDRESSES = 50


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where a part's objects are. ``swept``: names with parameters in them, as described."""

    sources: Mapping[str, Source] = field(default_factory=dict)  # by the names in the description
    swept: frozenset[str] = frozenset()
    objects: Mapping[str, Source] = field(default_factory=dict)  # by names with values put in


def find_inputs(workspace: Workspace, parts: Sequence[Part]) -> list[Inputs]:
    """One look at storage for all parts; NotFoundError names everything that is missing."""
    fixed = {name: None for part in parts for name in names_of(part)[0]}
    values = {name: None for part in parts for name in written_names(part)}
    known = find_all(workspace, [*fixed, *values])
    found = []
    for part in parts:
        names, swept = names_of(part)
        sources = {name: known[name] for name in names}
        refuse_other_checksums(part.job, sources)
        objects = {name: known[name] for name in written_names(part)}
        found.append(Inputs(sources=sources, swept=frozenset(swept), objects=objects))
    return found


def names_of(part: Part) -> tuple[list[str], list[str]]:
    """Names of uploaded objects without, and with parameters in them."""
    images = {task.image for task in part.job.tasks if image_kind(task.image) is None}
    names = uploaded_names(part.job)
    swept = [name for name in names if name not in images and is_swept(name, part)]
    return [name for name in names if name not in swept], swept


def is_swept(text: str, part: Part) -> bool:
    return part.factory is not None and mentions(text, parameter_names(part.factory))


def written_names(part: Part) -> list[str]:
    """Every name that parameters make of the part's objects, each once."""
    return written(part, names_of(part)[1])


def written(part: Part, texts: Sequence[str], most: int | None = None) -> list[str]:
    found: dict[str, None] = {}
    if texts:
        for copy in range(part.size if most is None else min(part.size, most)):
            values = part.parameters(copy)
            found.update((replace(text, values), None) for text in texts)
    return list(found)


def find_all(workspace: Workspace, names: Sequence[str]) -> dict[str, Source]:
    """As :func:`.find_sources`; of very many objects by lists of what there is."""
    found: dict[str, Source] = {}
    if len(names) > _ASKED_SINGLY:
        keys = {object_key(workspace.config.user, name): name for name in names}
        prefix = commonprefix(list(keys))  # noqa: RUF071
        for info in workspace.storage.list_objects(prefix):
            if info.key in keys:
                found[keys[info.key]] = source_of(workspace, info)
    return found | find_sources(workspace, [name for name in names if name not in found])


def check_addresses(parts: Iterable[Part]) -> None:
    """NotFoundError names web addresses at which there is nothing; of a sweep's, the first are asked."""
    addresses: dict[str, None] = {}
    for part in parts:
        images = [task.image for task in part.job.tasks if image_kind(task.image) == "url"]
        urls = [item.url for item in part.job.artifacts if item.url.startswith(URL_SCHEMES)]
        swept = [url for url in urls if is_swept(url, part)]
        addresses.update(dict.fromkeys(images))
        addresses.update((url, None) for url in urls if url not in swept)
        addresses.update(dict.fromkeys(written(part, swept, _ADDRESSES)))
    if addresses:
        from prominence_hpc.adapter.web_check import refuse_missing  # few jobs name a URL

        refuse_missing(list(addresses)[: 2 * _ADDRESSES])
