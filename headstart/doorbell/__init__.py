"""The doorbell between the API and the workers: a Celery message that says "look at the table". Losing it costs time alone."""
