"""Every error code with what it means: the page behind a problem's `type`."""

from __future__ import annotations

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "malformed_json": "The body is not readable: not JSON in UTF-8, or not a complete multipart body.",
    "unauthenticated": "There is no API key, or it is wrong, expired or revoked. Send `Authorization: Bearer hs_…`.",
    "scope_missing": "The key is right, and its scopes do not cover this request. The message names the scope that is needed.",
    "not_found": "There is nothing here, or it belongs to another workspace; the two are not told apart.",
    "method_not_allowed": "The address exists, but not for this method; the `Allow` header lists those that it takes.",
    "state_conflict": "What was asked does not fit the present state.",
    "dataset_not_ready": "A dataset or backbone is still being read by a worker. Wait as `Retry-After` says and try again.",
    "in_use": "It cannot be deleted while an unfinished job or an alias needs it.",
    "idempotency_running": "The first request with this Idempotency-Key is still being answered.",
    "too_large": "The body is larger than the settings allow.",
    "too_many_inputs": "One predict request takes no more inputs than this. Send them in several requests.",
    "media_type": "The body has another Content-Type, charset or Content-Encoding than this route takes.",
    "headers_too_large": "The request's headers are larger than 64 KiB together.",
    "invalid_field": "A field has a value that it cannot have; `errors` points to it and `hint` says what works.",
    "unknown_field": "The body has a key that this route does not know; `hint` names the closest that it does.",
    "column_not_found": "The dataset has no such column; `hint` lists its columns.",
    "layer_not_found": "The backbone has no such layer; `hint` lists the closest.",
    "dataset_not_found": "The body names a dataset that is not there.",
    "backbone_not_found": "The body names a backbone that is not there; `hint` lists those that are.",
    "workspace_not_found": "The body names a workspace that is not there.",
    "no_parameters_matched": "A pattern matches no parameter of the backbone.",
    "too_few_classes": "The target column has fewer than two classes.",
    "class_too_small": "A class has too few rows to be split into train, validation and test.",
    "idempotency_mismatch": "The Idempotency-Key came before, with another body.",
    "rate_limited": "Too many requests with wrong keys from one address.",
    "overloaded": "The queue before this backbone is full. Try again as `Retry-After` says.",
    "unavailable": "A part of the installation does not answer: the database, the disk or the engine.",
    "no_rows": "The file holds no data rows.",
    "not_utf8": "The file is not text in UTF-8.",
    "ragged_row": "A row has another number of fields than the header.",
    "parquet_corrupt": "A Parquet file is damaged, cut off, encrypted, or no Parquet at all.",
    "decoded_too_large": "A compressed file unpacks to more than the service takes.",
    "unsupported_type": "A column has a type that has no text, such as bytes; the message names it.",
    "out_of_memory": "The work needs more memory than there is.",
    "disk_full": "The disk is full.",
    "diverged": "The loss became infinite or not a number.",
    "bad_data": "Stored or sent data cannot be used; the message says which.",
    "worker_lost": "Each attempt's worker disappeared before it had finished.",
    "timed_out": "The job ran longer than its `max_seconds`.",
    "internal": "A fault of ours. Its incident id is in the message and in the service's log.",
}


def title_of(code: str) -> str:
    """The code in words: `column_not_found` is `Column not found`."""
    return code.replace("_", " ").capitalize()
