"""`python -m tests.site.mpi_image`: makes the image if need be and prints its file."""

import sys

from tests.site import engine
from tests.site.errors import SiteError
from tests.site.handle import Site
from tests.site.mpi_image import recipe
from tests.site.tutorial_image import sif


def main() -> int:
    try:
        print(recipe.ensure(Site() if not sif.program() and engine.find() else None))
    except SiteError as error:
        print(error.log, f"MPI image: {error}", sep="\n", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
