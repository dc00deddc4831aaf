"""Backbones as the engine sees them: taken in, judged, read into an anatomy, and loaded. Nothing of a folder is ever run."""
