"""The program; see the package."""

import os
import sys

# Not as a part of prominence_hpc, whose other modules cost too much.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.exit(__import__("launcher.program").program.main(sys.argv[1]))
