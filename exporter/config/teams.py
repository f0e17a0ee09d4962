"""Who owns a project, as the configuration says it."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Teams:
    """Teams and the projects of each, in the order of the file.

    A project is named by its slug, by its numeric id, or by a shell-style pattern for slugs.
    """

    projects: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def owner(self, slug: str, project_id: int) -> str | None:
        """Return the first team that has the project, None where no team has it."""
        owners = (
            team
            for team, named in self.projects
            if any(_names(written, slug, project_id) for written in named)
        )
        return next(owners, None)


def is_pattern(written: str) -> bool:
    """Tell whether ``written`` stands for any number of projects, rather than for one."""
    return any(character in written for character in "*?[")


def _names(written: str, slug: str, project_id: int) -> bool:
    if is_pattern(written):
        return fnmatchcase(slug, written)
    return written in (slug, str(project_id))
