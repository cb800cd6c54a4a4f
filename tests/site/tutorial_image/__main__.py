"""`python -m tests.site.tutorial_image`: makes the image if need be and prints its two files."""

import sys

from tests.site import engine
from tests.site.errors import SiteError
from tests.site.handle import Site
from tests.site.tutorial_image import cache, sif


def main() -> int:
    try:
        files = cache.ensure(Site() if not sif.program() and engine.find() else None)
    except SiteError as error:
        print(error.log, f"tutorial image: {error}", sep="\n", file=sys.stderr)
        return error.exit_code
    print(files.archive, files.sif, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
