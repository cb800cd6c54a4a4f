"""The command line: click commands that parse, call one function of the adapter, and print."""

import gc

# A command is short: looking for garbage among modules that were just imported is a tenth of its
# time. Long ones (wait, downloads) still collect, less often.
gc.set_threshold(100_000)
