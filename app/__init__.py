"""The HTTP service: control and prediction behind one door."""
