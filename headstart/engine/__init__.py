"""The engine: backbones, boundary, feature cache, heads, artifacts and predictor. torch; no SQL, no HTTP, no Celery."""
