"""Azure Blob Storage and S3 through obstore: one request an object, made when absent.

A put is confirmed by 200 or 201 with an ETag. S3 checks a SHA-256 that travels along; for Azure, TLS guards the way.
Where a name is taken, hashes are compared if the key may read; a write-only key is refused that, and then the name
vouches, which has the hash of the content in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from typing import Any

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.stores.access import Access, AccessFile
from cardan.runtime.uplink.stores.answers import error_of, says_exists, says_timeout, status_and_code
from cardan.runtime.uplink.stores.blocks import AzureBlocks, BlockLog
from cardan.runtime.uplink.stores.location import Location
from cardan.runtime.uplink.stores.store import SHA256_KEY, Gate, Outcome, SealedObject, StoreError, open_gate

CONNECT_TIMEOUT = "20s"
PUT_TIMEOUT = "300s"
"""An object of 4 MiB is through within it on a link of 112 kbit/s; set `block_from_bytes` lower for slower ones."""
PUT_OVERHEAD_BYTES = 1000
"""About what the heads of a request and of its answer take."""


class CloudStore:
    """One container or bucket.

    options: what obstore knows beside the place (`client_id`, `tenant_id`, `role_arn`, ...), and no secret.
    blocks: what is kept of blocks that were sent; needed for a key that may not ask the store for them.
    """

    def __init__(self, location: Location, access: AccessFile, options: dict[str, str], blocks: BlockLog) -> None:
        self.url = location.url
        self._location = location
        self._access = access
        self._options = options
        self._block_log = blocks
        self._built: Access | None = None
        _library()

    def put(self, item: SealedObject, gate: Gate = open_gate) -> Outcome:
        try:
            return self._put(item, gate)
        except StoreError as error:
            if error.kind != "access":
                raise
            before = self._built
            if self._read_access() == before:
                raise self._with_end(error) from error
            return self._put(item, gate)

    def _put(self, item: SealedObject, gate: Gate) -> Outcome:
        self._build()
        if item.in_blocks and self._blocks is not None:
            return self._blocks.put(item, gate)
        return self._put_whole(item, gate)

    def _put_whole(self, item: SealedObject, gate: Gate) -> Outcome:
        obstore = _library()
        gate(len(item.data) + PUT_OVERHEAD_BYTES)
        attributes = {"Content-Type": item.content_type, SHA256_KEY: item.sha256}
        try:
            answer = obstore.put(self._store, item.name, item.data, mode="create", attributes=attributes)
        except (obstore.exceptions.BaseError, OSError) as error:
            if says_exists(*status_and_code(str(error))):
                return self._compared(item)
            raise self._error_of(error) from error
        self._check_tag(item, answer["e_tag"] or "")
        return Outcome.MADE

    def _check_tag(self, item: SealedObject, tag: str) -> None:
        """S3 answers with the MD5 of what it holds, unless it encrypts with a key of its own (then it is no MD5)."""
        digest = md5(item.data, usedforsecurity=False).hexdigest()
        plain = tag.strip('"')
        is_md5 = len(plain) == len(digest) and self._location.kind == "s3" and not self._options.get("sse_kms_key_id")
        if is_md5 and plain != digest:
            raise StoreError(f"the store {self.url} holds other bytes of {item.name} than it was given", kind="busy")

    def _compared(self, item: SealedObject) -> Outcome:
        """Whether the object that has the name is ours, without reading it back."""
        obstore = _library()
        try:
            found = obstore.get(self._store, item.name)
        except (obstore.exceptions.PermissionDeniedError, obstore.exceptions.UnauthenticatedError):
            return Outcome.UNSEEN
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._error_of(error) from error
        return Outcome.SAME if item.is_hash(found.attributes.get(SHA256_KEY)) else Outcome.OTHER

    def names(self) -> Iterator[str]:
        obstore = _library()
        self._build()
        try:
            for page in obstore.list(self._store):
                yield from (found["path"] for found in page)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._error_of(error, reading=True) from error

    def read(self, name: str) -> bytes:
        obstore = _library()
        self._build()
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._error_of(error, reading=True) from error

    def _error_of(self, error: Exception, *, reading: bool = False) -> StoreError:
        text = str(error)
        status, code = status_and_code(text)
        return error_of(self.url, status, code, timed_out=says_timeout(text), reading=reading)

    def _with_end(self, error: StoreError) -> StoreError:
        ends = self._built.ends if self._built is not None else ""
        if not ends:
            return error
        hint = f"{error.hint}; this SAS says that it ends at {ends}"
        return StoreError(error.message, kind=error.kind, status=error.status, hint=hint)

    # ------------------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        """Open the store anew when its key was renewed."""
        access = self._read_access()
        if access == self._built:
            return
        self._store = self._open(access)
        self._blocks: AzureBlocks | None = None
        if self._location.kind == "azure" and access.sas:
            self._blocks = AzureBlocks(self._location, access.sas, self._block_log)
        self._built = access

    def _read_access(self) -> Access:
        try:
            return self._access.read()
        except ConfigError as error:
            raise StoreError(error.message, kind="access", hint=error.hint) from error

    def _open(self, access: Access) -> Any:
        obstore, place = _library(), self._location
        settings: dict[str, Any] = {**self._options, **access.settings, **place.options}
        if place.endpoint:
            settings["endpoint"] = place.endpoint
        common: dict[str, Any] = {
            "prefix": place.prefix or None,
            "client_options": {
                "allow_http": place.is_plain_http,
                "connect_timeout": CONNECT_TIMEOUT,
                "timeout": PUT_TIMEOUT,
            },
            "retry_config": {"max_retries": 0},  # when to try again is decided in one place, and not here
        }
        try:
            if place.kind == "azure":
                settings["account_name"] = place.account
                return obstore.store.AzureStore(place.container, config=settings, **common)
            settings.setdefault("checksum_algorithm", "SHA256")
            return obstore.store.S3Store(place.container, config=settings, **common)
        except (obstore.exceptions.BaseError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise StoreError(f"the store {self.url} cannot be opened: {reason}", kind="refused") from error


def _library() -> Any:
    """obstore, on first use. ConfigError when it is not installed."""
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise ConfigError("cloud stores need obstore", hint="pip install 'cardan[cloud]'") from error
    return obstore
