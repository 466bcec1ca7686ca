"""`python -m twofold.run`."""

from .launch import main

main()
