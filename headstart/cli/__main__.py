"""`python -m headstart.cli`: the command line without the installed script."""

from headstart.cli import main

main()
