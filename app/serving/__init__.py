"""Prediction: its own routes; the only part of the service that reaches the engine, and only once it has started."""
