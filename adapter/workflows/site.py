"""The one site that all jobs of a workflow go to, and what it does not put up with."""

from collections.abc import Sequence

from prominence_hpc.adapter.config.load import Config
from prominence_hpc.adapter.create import refuse_at
from prominence_hpc.adapter.placement import choose_site, satisfies
from prominence_hpc.adapter.spec.workflow import Workflow
from prominence_hpc.adapter.workflows.parts import Part
from prominence_hpc.backends.settings import SiteSettings
from prominence_hpc.errors import Problem, SpecError

__all__ = ["choose_site_of"]


def choose_site_of(
    config: Config, workflow: Workflow, parts: Sequence[Part], site: str | None
) -> SiteSettings:
    """A site that can honour every job; as :func:`.choose_site`, by the first placement that is given."""
    placed = [part.job for part in parts if part.job.policies.placement is not None]
    leading = placed[0] if placed else parts[0].job
    return choose_site(config, leading, site, lambda at: refuse_parts(workflow, parts, at))


def refuse_parts(workflow: Workflow, parts: Sequence[Part], settings: SiteSettings) -> None:
    """SpecError with everything in the workflow that cannot be honoured at a site."""
    numbers = {job.name: number for number, job in enumerate(workflow.jobs)}
    problems: list[Problem] = []
    for part in parts:
        path = f"jobs[{numbers[part.name]}]"
        try:
            refuse_at(part.job, settings)
        except SpecError as error:
            problems += [Problem(f"{path}.{item.path}", item.message) for item in error.problems]
        placement = part.job.policies.placement
        if placement is not None and not satisfies(settings, placement):
            message = (
                f"excludes the site {settings.name}, to which the rest goes: the jobs of a workflow "
                "run on one site"
            )
            problems.append(Problem(f"{path}.policies.placement.requirements", message))
    problems += too_many(workflow, parts, settings)
    if workflow.notifications:
        message = "e-mails are sent at the end of jobs alone; give notifications to the last job"
        problems.append(Problem("notifications", message))
    if problems:
        raise SpecError(problems)


def too_many(workflow: Workflow, parts: Sequence[Part], settings: SiteSettings) -> list[Problem]:
    """The factories that make more jobs than the site takes, or all of them together."""
    limit = settings.largest_workflow
    total = sum(part.size for part in parts)
    if total <= limit:
        return []
    takes = f"the site {settings.name} takes {limit:,} in one workflow (largest_workflow)"
    problems = []
    for number, factory in enumerate(workflow.factories):
        made = sum(part.size for part in parts if part.factory == factory)
        if made > limit:
            problems.append(Problem(f"factories[{number}]", f"makes {made:,} jobs; {takes}"))
    return problems or [Problem("factories", f"make {total:,} jobs together; {takes}")]
