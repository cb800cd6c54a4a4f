"""``policies.placement`` over the sites of a configuration: what must hold, what comes first."""

from typing import Any

import pytest

from prominence_hpc.adapter.config.load import Config
from prominence_hpc.adapter.placement import choose_site
from prominence_hpc.adapter.spec.decode import decode_job
from prominence_hpc.adapter.spec.honoured import refuse_unsupported
from prominence_hpc.adapter.storage.base import StorageSettings
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import ConfigError, Problem, SpecError

SITES = [
    SiteSettings(name="campus", backend="slurm", region="north"),
    SiteSettings(name="pool", backend="htcondor", region="south"),
    SiteSettings(name="old", backend="slurm", region="south"),
    SiteSettings(name="laptop", backend="local"),
]
CONFIG = Config(
    default_site="old",
    sites={site.name: site for site in SITES},
    storage=StorageSettings(),
    user="me",
    origins={},
)


def chosen(placement: dict[str, Any] | None, site: str | None = None, **fields: Any) -> str:
    policies = {} if placement is None else {"policies": {"placement": placement}}
    document = {"tasks": [{"image": "a.sif"}], "resources": {"memory": 1}, **policies, **fields}
    job = decode_job(document)

    def refuse(at: SiteSettings) -> None:
        refuse_unsupported(job, backend=at.backend)

    return choose_site(CONFIG, job, site, refuse).name


def must(sites: list[str] | None = None, regions: list[str] | None = None) -> dict[str, Any]:
    return {"requirements": {"sites": sites or [], "regions": regions or []}}


def should(sites: list[str] | None = None, regions: list[str] | None = None) -> dict[str, Any]:
    return {"preferences": {"sites": sites or [], "regions": regions or []}}


@pytest.mark.parametrize(
    ("placement", "site"),
    [
        (None, "old"),
        (must(), "old"),
        (must(sites=["pool"]), "pool"),
        (must(regions=["north"]), "campus"),
        (must(regions=["south"]), "old"),  # the default, though it is not the first
        (must(sites=["campus", "pool"]), "campus"),  # the configuration's order
        (must(sites=["pool", "campus"], regions=["south"]), "pool"),
        (should(sites=["laptop", "campus"]), "laptop"),
        (should(regions=["north"]), "campus"),
        (should(sites=["pool"], regions=["north"]), "pool"),  # a site says more than a region
        ({**must(regions=["south"]), **should(sites=["campus", "pool"])}, "pool"),
        ({**must(sites=["campus", "laptop"]), **should(regions=["south"])}, "campus"),
        (must(sites=["local"]), "local"),  # a backend's name is a site, configured or not
    ],
)
def test_choice(placement: dict[str, Any] | None, site: str) -> None:
    assert chosen(placement) == site


def test_the_flag_wins_over_preferences_and_must_meet_requirements() -> None:
    assert chosen(should(sites=["campus"]), site="laptop") == "laptop"
    assert chosen(must(regions=["south"]), site="pool") == "pool"
    with pytest.raises(SpecError, match="excludes the site laptop, which --site names"):
        chosen(must(regions=["south"]), site="laptop")
    with pytest.raises(ConfigError, match="mars"):
        chosen(None, site="mars")


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        (
            must(sites=["mars"]),
            "requirements.sites: there is no site 'mars' here; there are campus",
        ),
        (should(sites=["mars"]), "preferences.sites: there is no site 'mars'"),
        (must(regions=["west"]), "there is no region 'west' here; there are north, south"),
        (should(regions=["west"]), "preferences.regions: there is no region 'west'"),
        (must(sites=["pool"], regions=["north"]), "none of the sites pool is in the regions north"),
    ],
)
def test_what_cannot_be_is_refused_with_what_there_is(
    placement: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecError, match=words):
        chosen(placement)


def test_a_site_that_cannot_honour_the_job_is_passed_over() -> None:
    """Where no site can, the refusal is that of the one that would have been chosen."""
    job = decode_job(
        {
            "tasks": [{"image": "a.sif"}],
            "resources": {"memory": 1},
            "policies": {"placement": should(sites=["laptop", "campus"])},
        }
    )
    asked: list[str] = []

    def refuse(at: SiteSettings) -> None:
        asked.append(at.name)
        if at.name in ("laptop", "old") or "pool" in asked:
            raise SpecError([Problem("resources.nodes", f"not at {at.name}")])

    assert choose_site(CONFIG, job, None, refuse).name == "campus"
    assert asked == ["laptop", "campus"]
    asked.append("pool")
    with pytest.raises(SpecError, match="not at laptop"):
        choose_site(CONFIG, job, None, refuse)
