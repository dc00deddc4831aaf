"""The feature cache, as workers last told of it: what is in it, and how often it served."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.specs.fields import Moment, View


class CacheKey(View):
    """Features that are alike in everything but their rows."""

    object: Literal["cache_key"]
    id: str = Field(description="Digest of all that these features depend on.", examples=["9f86d081884c7d65…"])
    workspace: str = Field(examples=["ws_01h455vb4pex5vsknk084sn02q"])
    backbone: str | None = Field(description="A backbone of the workspace with these weights, by name.", examples=["minilm-l6"])
    backbone_sha256: str
    boundary: str = Field(examples=["encoder.layer.5"])
    pooling: str | None = Field(description="null: one vector for each token.", examples=["mean"])
    dtype: str = Field(description="What the backbone ran in.", examples=["bfloat16"])
    storage: str = Field(description="What the features are kept in.", examples=["float32"])
    rows: int = Field(examples=[10000])
    bytes: int = Field(examples=[15843210])
    last_used_at: Moment


class MachineCache(View):
    """The cache of one machine. Rows are counted since its worker started."""

    id: str = Field(examples=["cache_01h455vb4pex5vsknk084sn02q"])
    host: str = Field(description="What the machine calls itself.", examples=["worker-1"])
    bytes: int = Field(description="On disk, of the workspaces that this key may see.")
    budget_bytes: int
    key_count: int
    rows_computed: int
    rows_reused: int
    hit_rate: float | None = Field(description="Share of the rows that were there already; null before the first.", examples=[0.98])
    keys: list[CacheKey] = Field(description="Those used last, at most 1,000.")
    started_at: Moment
    updated_at: Moment | None = Field(description="When its worker told this; null for all but admins of the first workspace.")


class Cache(View):
    """All machines together, and each."""

    object: Literal["cache"]
    bytes: int
    budget_bytes: int
    key_count: int
    rows_computed: int
    rows_reused: int
    hit_rate: float | None
    machines: list[MachineCache]
