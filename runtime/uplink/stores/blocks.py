"""Large objects to Azure in blocks, so that a cut link costs one block and not the object.

The number of a block and the hash of the object are its id, so that what was sent by a process that was killed is
known to the next one: by the store where the key may ask it, else by a note on this disk.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.stores.answers import error_of, says_exists
from cardan.runtime.uplink.stores.location import Location
from cardan.runtime.uplink.stores.store import SHA256_KEY, Gate, Outcome, SealedObject, StoreError

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

BLOCK_BYTES = 256 << 10
BLOCK_OVERHEAD_BYTES = 1000
CONNECT_TIMEOUT_S = 20
READ_TIMEOUT_S = 60
"""For one block: one is through within it on a link of 35 kbit/s."""


class BlockLog:
    """Which blocks of an object were sent, in a small file each. Not synced: a lost line is a block sent twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sent(self, sha256: str) -> set[int]:
        """Numbers of the blocks of an object."""
        try:
            lines = self._path(sha256).read_text().split("\n")[:-1]
        except (OSError, UnicodeDecodeError):
            return set()
        return {int(line) for line in lines if line.isdecimal()}

    def add(self, sha256: str, number: int) -> None:
        """One more block was sent."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(sha256).open("a") as file:
            file.write(f"{number}\n")

    def forget(self, sha256: str) -> None:
        """The object is at the store, or its blocks are there no longer."""
        self._path(sha256).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256[:32]}.blocks"


class AzureBlocks:
    """Puts objects block by block. sas: a shared access signature, without a question mark."""

    def __init__(self, location: Location, sas: str, log: BlockLog) -> None:
        azure = _library()
        self._url = location.url
        self._prefix = f"{location.prefix}/" if location.prefix else ""
        self._log = log
        self._container = azure.ContainerClient.from_container_url(
            f"{location.endpoint}/{location.container}?{sas}",
            retry_total=0,
            connection_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
        )

    def put(self, item: SealedObject, gate: Gate) -> Outcome:
        """As Store.put; what was sent before is not sent again."""
        blob = self._container.get_blob_client(self._prefix + item.name)
        numbers = range((len(item.data) + BLOCK_BYTES - 1) // BLOCK_BYTES)
        try:
            there = self._there(blob, item)
            for number in numbers:
                if number not in there:
                    self._send(blob, item, number, gate)
            outcome = self._commit(blob, item, numbers)
        except _azure_error() as error:
            raise self._error_of(error) from error
        self._log.forget(item.sha256)
        return outcome

    def _there(self, blob: BlobClient, item: SealedObject) -> set[int]:
        """Numbers of the blocks that the store has, as far as we are told."""
        try:
            _, uncommitted = blob.get_block_list("uncommitted")
        except _azure_error() as error:
            status = getattr(error, "status_code", None)
            if status == 404:
                return set()
            if status in (401, 403):
                return self._log.sent(item.sha256)
            raise
        except (AttributeError, ValueError) as error:  # what the library makes of an answer that is none of Azure's
            raise error_of(self._url, 200, None) from error
        sizes = {block.id: block.size for block in uncommitted}
        count = (len(item.data) + BLOCK_BYTES - 1) // BLOCK_BYTES
        return {n for n in range(count) if sizes.get(block_id(item, n)) == len(piece(item, n))}

    def _send(self, blob: BlobClient, item: SealedObject, number: int, gate: Gate) -> None:
        data = bytes(piece(item, number))
        gate(len(data) + BLOCK_OVERHEAD_BYTES)
        blob.stage_block(block_id(item, number), data, len(data), validate_content=True)
        self._log.add(item.sha256, number)

    def _commit(self, blob: BlobClient, item: SealedObject, numbers: range) -> Outcome:
        azure = _library()
        try:
            answer = blob.commit_block_list(
                [azure.BlobBlock(block_id(item, number)) for number in numbers],
                match_condition=_if_missing(),
                metadata={SHA256_KEY: item.sha256},
                content_settings=azure.ContentSettings(content_type=item.content_type),
            )
        except _azure_error() as error:
            if says_exists(getattr(error, "status_code", None), _code_of(error)):
                return self._compared(blob, item)
            if _code_of(error) == "InvalidBlockList":
                self._log.forget(item.sha256)
                raise StoreError(
                    f"the store {self._url} has forgotten blocks of {item.name}; they are sent again", kind="busy"
                ) from error
            raise
        if not answer.get("etag"):
            raise error_of(self._url, 200, None)
        return Outcome.MADE

    def _compared(self, blob: BlobClient, item: SealedObject) -> Outcome:
        try:
            found = blob.get_blob_properties()
        except _azure_error() as error:
            if getattr(error, "status_code", None) in (401, 403):
                return Outcome.UNSEEN
            raise
        return Outcome.SAME if item.is_hash((found.metadata or {}).get(SHA256_KEY)) else Outcome.OTHER

    def _error_of(self, error: Exception) -> StoreError:
        timed_out = "timed out" in str(error) or "TimeoutError" in type(error).__name__
        return error_of(self._url, getattr(error, "status_code", None), _code_of(error), timed_out=timed_out)


def block_id(item: SealedObject, number: int) -> str:
    """Id of a block: all of one length, as the service wants it."""
    return b64encode(f"{item.sha256[:16]}-{number:07d}".encode()).decode()


def piece(item: SealedObject, number: int) -> memoryview:
    """The bytes of a block."""
    return memoryview(item.data)[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]


def _code_of(error: Exception) -> str | None:
    code = getattr(error, "error_code", None)
    return getattr(code, "value", code)


def _library() -> Any:
    """azure.storage.blob, on first use. ConfigError when it is not installed."""
    try:
        import azure.storage.blob
    except ImportError as error:
        raise ConfigError(
            "large objects to Azure need azure-storage-blob", hint="pip install 'cardan[cloud]'"
        ) from error
    return azure.storage.blob


def _azure_error() -> type[Exception]:
    from azure.core.exceptions import AzureError

    return AzureError


def _if_missing() -> Any:
    from azure.core import MatchConditions

    return MatchConditions.IfMissing
