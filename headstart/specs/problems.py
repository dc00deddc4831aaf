"""Every error's shape on the wire: RFC 9457 problem details with our code, hint and field errors."""

from __future__ import annotations

from pydantic import Field

from headstart.specs.fields import View


class FieldError(View):
    pointer: str | None = Field(description="JSON pointer (RFC 6901) to the field.", examples=["/tasks/0/inputs/text"])
    row: int | None = Field(description="Data row, counted from 1.", examples=[17])
    message: str = Field(description="What is wrong there.", examples=["no column 'txt'"])


class Problem(View):
    type: str = Field(description="A page about this code.", examples=["/docs/errors#column_not_found"])
    title: str = Field(description="The code in words.", examples=["Column not found"])
    status: int = Field(description="The HTTP status.", examples=[422])
    code: str = Field(description="Stable; programs branch on it.", examples=["column_not_found"])
    detail: str = Field(description="What is wrong.", examples=["The dataset has no column 'txt'."])
    hint: str | None = Field(description="What would work.", examples=["Columns are: review, label."])
    instance: str = Field(description="The path that was asked.", examples=["/v1/jobs"])
    request_id: str = Field(description="Also in the answer's `X-Request-ID` and in the logs.", examples=["req_01h455vb4pex5vsknk084sn02q"])
    errors: list[FieldError] = Field(description="Empty when no field or row is at fault.")


class Failure(View):
    """Why a dataset, backbone or job failed."""

    code: str = Field(description="Stable; programs branch on it.", examples=["ragged_row"])
    message: str = Field(description="What happened.", examples=["Row 17 has 3 fields; the header has 2."])
    hint: str | None = Field(description="What would work.", examples=["Quote fields that contain commas."])
