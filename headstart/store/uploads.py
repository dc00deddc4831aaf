"""Resumable uploads: who announced what, until when it is kept, and which dataset it has become. The bytes are in the blob store."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from headstart.errors import BadInput, Conflict, Fault, Overloaded, not_found
from headstart.specs import uploads as specs
from headstart.specs.ids import new_id
from headstart.store.pages import page
from headstart.store.tables import Upload
from headstart.store.workspaces import hold_workspace

FOLDER = "uploads"


def folder_key(upload_id: str) -> str:
    return f"{FOLDER}/{upload_id}"


def file_key(upload_id: str) -> str:
    """Blob of what has arrived so far."""
    return f"{FOLDER}/{upload_id}/file"


def new_upload_id() -> str:
    return new_id("upl")


def create_upload(
    session: Session,
    *,
    upload_id: str,
    workspace_id: str,
    size_bytes: int,
    about: str,
    max_open: int,
    max_open_bytes: int,
    expires_at: datetime,
    now: datetime,
) -> Upload:
    """Announce a file.

    Args:
        about: `Upload-Metadata`, checked.
        max_open: uploads that the workspace may have open.
        max_open_bytes: what they may declare together.

    Raises:
        Overloaded: `too_many_uploads`.
    """
    hold_workspace(session, workspace_id)  # one at a time counts
    is_open = _open(workspace_id, now).with_only_columns(func.count(), func.coalesce(func.sum(Upload.bytes), 0))
    count, declared = session.execute(is_open).one()
    if count >= max_open or declared + size_bytes > max_open_bytes:
        message = f"{count} uploads are open, of {declared:,} bytes; the workspace may have {max_open:,}, of {max_open_bytes:,} bytes."
        raise Overloaded("too_many_uploads", message, "Finish them, or DELETE those that GET /v1/uploads lists and nobody needs.")
    row = Upload(
        id=upload_id,
        workspace_id=workspace_id,
        bytes=size_bytes,
        received_bytes=0,
        about=about,
        dataset_id=None,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row


def _kept(workspace_id: str, now: datetime) -> Select[Upload]:
    return select(Upload).where(Upload.workspace_id == workspace_id, Upload.expires_at > now)


def _open(workspace_id: str, now: datetime) -> Select[Upload]:
    return _kept(workspace_id, now).where(Upload.dataset_id.is_(None))


def find_upload(session: Session, workspace_id: str, upload_id: str, *, now: datetime) -> Upload | None:
    return session.scalars(_kept(workspace_id, now).where(Upload.id == upload_id)).first()


def get_upload(session: Session, workspace_id: str, upload_id: str, *, now: datetime) -> Upload:
    """One that has not expired, whether or not it has become a dataset."""
    upload = find_upload(session, workspace_id, upload_id, now=now)
    if upload is None:
        raise not_found("upload")
    return upload


def list_uploads(session: Session, workspace_id: str, *, limit: int, after: str | None, now: datetime) -> tuple[list[Upload], str | None]:
    """Those that have not become a dataset."""
    return page(session, _open(workspace_id, now), Upload.id, limit=limit, after=after)


def note_received(session: Session, upload_id: str, received_bytes: int, *, expires_at: datetime) -> bool:
    """Remember how much is there; whether the upload is still known."""
    changed = update(Upload).where(Upload.id == upload_id).values(received_bytes=received_bytes, expires_at=expires_at)
    count: int = session.execute(changed).rowcount  # type: ignore[attr-defined] # an UPDATE gives a CursorResult
    return count == 1


def hold_upload(session: Session, workspace_id: str, upload_id: str, *, pointer: str, now: datetime) -> Upload:
    """The upload that a body names and that a dataset is to be made of in this transaction; nobody else uses it meanwhile.

    Raises:
        BadInput: `upload_not_found`.
        Conflict: it has become one before.
    """
    found = _kept(workspace_id, now).where(Upload.id == upload_id).with_for_update().execution_options(populate_existing=True)
    upload = session.scalars(found).first()
    if upload is None:
        fault = Fault(pointer, "no such upload")
        raise BadInput(
            "upload_not_found", "There is no such upload.", "It may have expired; GET /v1/uploads lists those that are.", (fault,)
        )
    if upload.dataset_id is not None:
        raise Conflict("state_conflict", f"The upload has become dataset {upload.dataset_id} already.", "Upload the file again.")
    return upload


def use_upload(session: Session, upload: Upload, dataset_id: str) -> None:
    """Write down what a held upload has become; the dataset is a row already."""
    upload.dataset_id, upload.received_bytes = dataset_id, upload.bytes
    session.flush()


def delete_upload(session: Session, workspace_id: str, upload_id: str, *, now: datetime) -> None:
    """Forget it; its file goes when the transaction has committed."""
    session.delete(get_upload(session, workspace_id, upload_id, now=now))
    session.flush()


def expired_uploads(session: Session, *, now: datetime) -> list[str]:
    return list(session.scalars(select(Upload.id).where(Upload.expires_at <= now).order_by(Upload.expires_at).limit(1000)))


def forget_expired(session: Session, upload_id: str, *, now: datetime) -> bool:
    """Whether it is gone now, which it is not when bytes came meanwhile."""
    gone = delete(Upload).where(Upload.id == upload_id, Upload.expires_at <= now)
    count: int = session.execute(gone).rowcount  # type: ignore[attr-defined] # a DELETE gives a CursorResult
    return count == 1


def known_uploads(session: Session, upload_ids: list[str]) -> set[str]:
    """Those of the ids that are rows."""
    return set(session.scalars(select(Upload.id).where(Upload.id.in_(upload_ids))))


def view(upload: Upload, received_bytes: int | None = None) -> specs.Upload:
    """As people see it.

    Args:
        received_bytes: what the file itself tells; None: what was last acknowledged.
    """
    return specs.Upload(
        object="upload",
        id=upload.id,
        bytes=upload.bytes,
        received_bytes=upload.received_bytes if received_bytes is None else received_bytes,
        metadata=specs.texts_of(upload.about),
        dataset=upload.dataset_id,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )
