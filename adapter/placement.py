"""Which site a job goes to: ``policies.placement`` over the sites of the configuration.

No scheduler is asked. Requirements must hold; preferences order what is left: sites as listed, then
regions as listed, then the default site, then the order of the configuration.
"""

from collections.abc import Callable, Iterator, Mapping

from prominence_hpc.adapter.config.load import BACKEND_NAMES, Config
from prominence_hpc.adapter.spec.job import Job, Placement
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import Problem, SpecError

__all__ = ["choose_site", "satisfies"]

Refuse = Callable[[SiteSettings], None]

_PATH = "policies.placement"


def choose_site(config: Config, job: Job, site: str | None, refuse: Refuse) -> SiteSettings:
    """The site for ``job``, which can honour all of it; ``site`` is the user's choice by a flag.

    ``refuse`` raises SpecError where a site cannot honour it.

    Where several would do, one that cannot honour the job is passed over. SpecError where there is
    none, or where the description names sites or regions that there are not.
    """
    placement = job.policies.placement
    if placement is None or placement == Placement():
        chosen = config.site(site)
        refuse(chosen)
        return chosen
    known = _known_sites(config, placement, site)
    _refuse_unknown(placement, known)
    candidates = [item for item in known.values() if satisfies(item, placement)]
    if not candidates:
        raise SpecError([_nowhere(placement)])
    if site is not None:
        candidates = [item for item in candidates if item.name == site]
        if not candidates:
            message = f"excludes the site {site}, which --site names"
            raise SpecError([Problem(f"{_PATH}.requirements", message)])
    candidates.sort(key=lambda item: _rank(item, placement, config.default_site))
    return _first_that_can(candidates, refuse)


def _known_sites(
    config: Config, placement: Placement, site: str | None
) -> Mapping[str, SiteSettings]:
    """The configured sites, in their order; and backends that are named as sites, as they may be."""
    named = [config.default_site, site, *placement.required_sites, *placement.preferred_sites]
    also: dict[str, SiteSettings] = {
        name: config.site(name) for name in named if name in BACKEND_NAMES
    }
    return {**config.sites, **also}


def _refuse_unknown(placement: Placement, known: Mapping[str, SiteSettings]) -> None:
    regions = {item.region: None for item in known.values() if item.region is not None}
    sites = sorted({*known, *BACKEND_NAMES})
    problems = [
        *_unknown("requirements.sites", "site", placement.required_sites, sites),
        *_unknown("requirements.regions", "region", placement.required_regions, list(regions)),
        *_unknown("preferences.sites", "site", placement.preferred_sites, sites),
        *_unknown("preferences.regions", "region", placement.preferred_regions, list(regions)),
    ]
    if problems:
        raise SpecError(problems)


def _unknown(key: str, what: str, names: tuple[str, ...], known: list[str]) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            there_are = f"there are {', '.join(known)}" if known else f"no site has a {what}"
            yield Problem(f"{_PATH}.{key}", f"there is no {what} {name!r} here; {there_are}")


def satisfies(site: SiteSettings, placement: Placement) -> bool:
    """Whether a site is among those that the placement requires."""
    sites, regions = placement.required_sites, placement.required_regions
    return (not sites or site.name in sites) and (not regions or site.region in regions)


def _nowhere(placement: Placement) -> Problem:
    sites, regions = ", ".join(placement.required_sites), ", ".join(placement.required_regions)
    message = f"none of the sites {sites} is in the regions {regions}"
    return Problem(f"{_PATH}.requirements", message)


def _rank(site: SiteSettings, placement: Placement, default: str) -> tuple[int, int, bool]:
    """The smaller, the better; sites of one rank keep the configuration's order."""
    sites, regions = placement.preferred_sites, placement.preferred_regions
    return (
        sites.index(site.name) if site.name in sites else len(sites),
        regions.index(site.region) if site.region in regions else len(regions),
        site.name != default,
    )


def _first_that_can(candidates: list[SiteSettings], refuse: Refuse) -> SiteSettings:
    refusal: SpecError | None = None
    for site in candidates:
        try:
            refuse(site)
        except SpecError as error:
            refusal = refusal or error
        else:
            return site
    assert refusal is not None
    raise refusal
