"""Headstart: transfer learning as a service. `headstart.client` is what a program imports."""

__version__ = "0.1.0"
