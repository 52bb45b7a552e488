"""The object store: a folder, S3, Google or Azure behind one class, with conditional reads and errors from our list.

What belongs here: moving bytes, and the rule which objects are uploads. What does not: what the bytes mean, and which
sidecar belongs to which upload (`sidecars`).

Credentials, region and endpoint are obstore's own variables (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_REGION`, `AWS_ENDPOINT_URL`); other endpoints than Amazon's are addressed path-style.

obstore's threads do not survive a fork: a process forked after its parent used a store would wait for ever. Spawn.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

import dagster as dg
import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import LocalStore
from obstore.store import ObjectStore as ObstoreStore
from obstore.store import from_url as obstore_from_url

from transcribe_pipeline.artifacts import ListedUpload, Sidecar
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources import sidecars
from transcribe_pipeline.resources.listing import (
    Entry,
    OldVersion,
    UnfinishedWrite,
    is_parsable,
    is_staging,
    list_folder,
    list_obstore,
    list_s3,
    list_s3_unfinished,
    list_s3_versions,
)

if TYPE_CHECKING:
    from obstore import Bytes, GetOptions, ObjectMeta, SignCapableStore
    from obstore.store import ClientConfig, RetryConfig

_ENTRIES_PER_PAGE = 1_000
_RANGE_BYTES = 16 * 1024**2
"""Of one conditional read. A recording is read range by range, since obstore's stream of a local file never ends, and
eats all memory, if the file is truncated while it is read (0.12.1); and so every range has retries of its own."""
_PUT_CONCURRENCY = 4
"""Parts in flight of one multipart upload; with obstore's parts of 5 MiB, 20 MiB of memory."""

# A silent connection is dead after a minute; a slow one may take five for a part or range.
_CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=60),
    "timeout": timedelta(minutes=5),
}
# obstore retries 5xx, 429 and lost connections with jitter, and continues a cut body by range with If-Match. Six
# retries take about 11 s; an outage longer than that is left to the run's retry.
_RETRY: "RetryConfig" = {
    "max_retries": 6,
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=5), "base": 2},
    "retry_timeout": timedelta(minutes=3),
}
_DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOUD_SCHEMES = {"s3", "gs", "az"}
_MD5_ETAG = re.compile(r'"?[0-9a-f]{32}"?')


@dataclass(frozen=True)
class UploadPage:
    """Part of a listing, in key order."""

    uploads: list[ListedUpload]
    misplaced: int
    """Files directly under the prefix: without a folder they have no owner."""
    refused: int
    """Links, special files, and names that cannot be read back (control characters, invalid UTF-8, empty parts)."""
    orphans: int = 0
    """Sidecars that belong to no recording."""
    resume_after: str | None = None
    """To go on after this page: `after=page.resume_after`. None after the last one."""


@dataclass(frozen=True)
class Fetched:
    size_bytes: int
    sha256: str
    etag: str
    version: str | None


class ObjectStore:
    """Objects under one URL. Keys are '/'-separated and relative to it; no key leads outside.

    Every method raises `PipelineError` STORE_UNAVAILABLE (after retries) or STORE_DENIED, writing ones also DISK_FULL.
    """

    def __init__(self, url: str) -> None:
        """See `open_store`."""
        parts = urlsplit(url)
        self._url = url.rstrip("/")
        self._scheme = parts.scheme
        self._bucket, self._base = parts.netloc, parts.path.strip("/")
        self._root: Path | None = None
        self._is_plain_http = False
        if parts.scheme in ("", "file"):
            self._root = Path(unquote(parts.path) if parts.scheme else url).resolve()
            self._store: ObstoreStore = LocalStore(self._root, mkdir=True)
        else:
            # Naming an http:// endpoint is consent enough; obstore ignores AWS_ALLOW_HTTP once it is given options.
            self._is_plain_http = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
            options: ClientConfig = {**_CLIENT, "allow_http": self._is_plain_http}
            self._store = obstore_from_url(url, client_options=options, retry_config=_RETRY)

    # --- uploads ------------------------------------------------------------------------------------------------------

    def list_uploads(self, prefix: str, *, after: str | None = None) -> Iterator[UploadPage]:
        """What lies in `<prefix>/<owner>/...`, in pages of 1,000 in key order, from the first key greater than `after`.

        Hidden files (any part of the key beginning with '.') are left out, sidecars are told with their recordings. The
        last page may hold no uploads.
        """
        counts = _Counts()
        entries = sidecars.place(_candidates(self._list(prefix, after), prefix, counts), after)
        while batch := list(islice(entries, _ENTRIES_PER_PAGE)):
            uploads = [_upload(placed, prefix) for placed in batch if placed.role == "recording"]
            orphans = sum(placed.role == "orphan" for placed in batch)
            # Where no place is safe (thousands of files in the range of one recording), going on counts for more.
            safe = next((placed for placed in reversed(batch) if placed.is_safe), batch[-1])
            yield UploadPage(uploads, *counts.taken(), orphans, safe.entry.key)
        if any(left_out := counts.taken()):
            yield UploadPage([], *left_out)

    def find_upload(self, prefix: str, key: str) -> ListedUpload | None:
        """One upload as `list_uploads` gives it, sidecars included; None if there is none of that key.

        Costs a listing of the keys that begin almost like this one's stem.
        """
        after = sidecars.before_range(key)
        for placed in sidecars.place(_candidates(self._list(prefix, after), prefix, _Counts()), after):
            if placed.entry.key == key and placed.role == "recording":
                return _upload(placed, prefix)
            if placed.entry.key > key:
                break
        return None

    def beside(self, prefix: str, key: str) -> list[Entry]:
        """Every sidecar that belongs to the upload of that key and to no other upload, in force or not.

        Also where the upload itself has gone already.
        """
        after, end = sidecars.before_range(key), f"{sidecars.stem_of(key)}/"
        listed = takewhile(lambda entry: entry.key < end, _candidates(self._list(prefix, after), prefix, _Counts()))
        by_key = {entry.key: entry for entry in listed}
        by_key.setdefault(key, Entry(key, "", 0, datetime.now(UTC), readable=True))
        entries = sorted(by_key.values(), key=lambda entry: entry.key.encode("utf-8", "surrogatepass"))
        found: dict[str, Entry] = {}
        shared: set[str] = set()
        while True:
            # Those in force hide others, which come into force without them.
            rest = [entry for entry in entries if entry.key not in found and entry.key not in shared]
            placed = {each.entry.key: each.sidecars or () for each in sidecars.place(rest, after)}
            new = {entry.key: entry for entry in placed.get(key, ())}
            others = {entry.key for other, its in placed.items() if other != key for entry in its}
            if not new:
                return [entry for name, entry in sorted(found.items())]
            shared |= new.keys() & others
            found |= {name: entry for name, entry in new.items() if name not in others}

    def read_sidecar(self, sidecar: Sidecar, *, max_bytes: int) -> bytes:
        """Exactly the content that was listed; of a larger one, the first `max_bytes` + 1.

        :raises PipelineError: SOURCE_GONE, SOURCE_CHANGED.
        """
        with self._source_errors():
            size = obstore.head(self._store, sidecar.object_key)["size"]
            options: GetOptions = {"if_match": sidecar.etag}
            if size > max_bytes:
                options["range"] = (0, max_bytes + 1)
            return obstore.get(self._store, sidecar.object_key, options=options).bytes().to_bytes()

    def fetch(
        self,
        key: str,
        etag: str,
        destination: Path,
        *,
        max_bytes: int,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Fetched:
        """Copy exactly the content that was listed with `etag` to `destination`, in bounded memory.

        On any error nothing is left at `destination`.

        :param on_progress: called with (bytes received, bytes in all) after every 16 MiB.
        :raises PipelineError: SOURCE_GONE, SOURCE_CHANGED (replaced since it was listed, or while it was read),
            TOO_LARGE (more than `max_bytes`).
        """
        try:
            with _disk_errors(), destination.open("wb") as file:
                return self._copy_intact(key, etag, file, max_bytes, on_progress or (lambda received, total: None))
        except BaseException:
            destination.unlink(missing_ok=True)
            raise

    def _copy_intact(
        self, key: str, etag: str, file: BinaryIO, max_bytes: int, on_progress: Callable[[int, int], None]
    ) -> Fetched:
        """TLS lets no altered byte through. Without it the bytes are compared with the MD5 that most etags are.

        Of an encrypted bucket they are none: there, two readings that are equal must do.
        """
        fetched, md5 = self._copy(key, etag, file, max_bytes, on_progress)
        if not self._is_plain_http or not _MD5_ETAG.fullmatch(etag) or md5 == etag.strip('"'):
            return fetched
        file.seek(0)
        again, md5 = self._copy(key, etag, file, max_bytes, on_progress)
        if md5 != etag.strip('"') and again.sha256 != fetched.sha256:
            raise PipelineError(ErrorCode.STORE_UNAVAILABLE, "bytes were altered on their way, twice")
        return again

    def _copy(
        self, key: str, etag: str, file: BinaryIO, max_bytes: int, on_progress: Callable[[int, int], None]
    ) -> tuple[Fetched, str]:
        """What was copied, and its MD5 where it may be asked for."""
        meta = self._unchanged(key, etag)
        size = meta["size"]
        if size > max_bytes:
            raise PipelineError(ErrorCode.TOO_LARGE, f"{size:,} bytes; the limit is {max_bytes:,}")
        digest, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for start in range(0, size, _RANGE_BYTES):
            data = self._read(key, etag, start, min(start + _RANGE_BYTES, size))
            file.write(data)
            digest.update(data)
            if self._is_plain_http:
                md5.update(data)
            on_progress(start + len(data), size)
        # A folder has no snapshots: a file overwritten in place while its last range was read is noticed only here.
        self._unchanged(key, etag)
        return Fetched(size, digest.hexdigest(), etag, meta["version"]), md5.hexdigest()

    def _read(self, key: str, etag: str, start: int, end: int) -> "Bytes":
        with self._source_errors():
            try:
                data = obstore.get(self._store, key, options={"if_match": etag, "range": (start, end)}).bytes()
            except GenericError:
                # Also what obstore raises if an object is replaced while it continues a cut body.
                self._unchanged(key, etag)
                raise
        if len(data) != end - start:
            self._unchanged(key, etag)
            raise PipelineError(ErrorCode.STORE_UNAVAILABLE, f"{len(data):,} of {end - start:,} bytes received")
        return data

    def _unchanged(self, key: str, etag: str) -> "ObjectMeta":
        """:raises PipelineError: SOURCE_CHANGED, if the object is not the one listed with this etag."""
        with self._source_errors():
            meta = obstore.head(self._store, key)
        if meta["e_tag"] != etag:
            raise PipelineError(ErrorCode.SOURCE_CHANGED)
        return meta

    # --- our own objects ----------------------------------------------------------------------------------------------

    def put_bytes(self, key: str, data: bytes) -> None:
        """Write or replace an object; nobody ever sees a part of it."""
        with self._writing(len(data)):
            obstore.put(self._store, key, data)

    def create_bytes(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one of that key. Of several who try at once, one is told True."""
        with self._writing(len(data)):
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def put_file(self, key: str, path: Path) -> None:
        """Write or replace an object from a file (multipart above 5 MiB); nobody ever sees a part of it."""
        with self._writing(path.stat().st_size):
            obstore.put(self._store, key, path, max_concurrency=_PUT_CONCURRENCY)

    def get_bytes(self, key: str) -> bytes:
        """:raises FileNotFoundError: there is no such object."""
        with self._errors():
            return obstore.get(self._store, key).bytes().to_bytes()

    def get_file(self, key: str, destination: Path) -> None:
        """Copy one of our own objects to `destination`, in bounded memory.

        :raises FileNotFoundError: there is no such object.
        """
        with self._errors(), _disk_errors(), destination.open("wb") as file:
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=_RANGE_BYTES):
                file.write(chunk)

    def describe(self, key: str) -> tuple[int, str]:
        """Size in bytes and etag of an object.

        :raises FileNotFoundError: there is no such object.
        """
        with self._errors():
            meta = obstore.head(self._store, key)
        return meta["size"], meta["e_tag"] or ""

    def get_range(self, key: str, etag: str, start: int, end: int) -> bytes:
        """Bytes `start` to `end` - 1 of exactly the content that `describe` told of.

        :raises PipelineError: SOURCE_GONE, SOURCE_CHANGED.
        """
        return self._read(key, etag, start, end).to_bytes()

    def exists(self, key: str) -> bool:
        try:
            with self._errors():
                obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Delete an object if it exists."""
        with suppress(FileNotFoundError), self._errors():
            obstore.delete(self._store, key)

    def move(self, key: str, to: str, etag: str, *, replace: bool = False) -> bool:
        """Move exactly the content that was listed with `etag`; within the store, so no byte passes through here.

        False, and nothing moved, if the object is gone or another by now, or, unless `replace`, if there is one at
        `to`. May be repeated after having been interrupted; between copy and deletion a cloud has both.
        """
        try:
            if self.describe(key)[1] != etag or (not replace and self.exists(to)):
                return False
            if self._scheme == "s3":
                self._copy_s3(key, to, etag)
            else:
                with self._errors():
                    obstore.copy(self._store, key, to)
        except FileNotFoundError:
            return False
        except PipelineError as error:
            if error.code is ErrorCode.SOURCE_CHANGED:
                return False
            raise
        self.delete(key)
        return True

    def _copy_s3(self, key: str, to: str, etag: str) -> None:
        """boto3's copy is in parts where an object is above S3's 5 GB for one request; obstore's is not."""
        base = f"{self._base}/" if self._base else ""
        with _boto_object_errors():
            self._s3_client.copy(
                {"Bucket": self._bucket, "Key": base + key},
                self._bucket,
                base + to,
                ExtraArgs={"CopySourceIfMatch": etag},
            )

    def drop_empty_folders(self, prefix: str) -> None:
        """Folders in which nothing is left; clouds have none."""
        _require_folder(prefix)
        if self._root:
            for folder, _, _ in os.walk(self._root / prefix, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()

    def unfinished(self, prefix: str) -> Iterator[UnfinishedWrite]:
        """Writes under a folder that were begun and not ended, by people as by us: S3's multipart uploads, and what
        obstore leaves in a folder. Google and Azure end theirs by themselves."""
        _require_folder(prefix)
        if self._root:
            for entry in list_folder(self._root, prefix, None):
                if is_staging(entry.key):
                    yield UnfinishedWrite(entry.key, "", entry.size_bytes, entry.modified_at)
        elif self._scheme == "s3":
            with _boto_errors():
                yield from list_s3_unfinished(self._s3_client, self._bucket, self._base, prefix)

    def abandon(self, write: UnfinishedWrite) -> None:
        """End an unfinished write for good, if it has not ended meanwhile."""
        _require_folder(write.key)
        if self._root and is_staging(write.key):
            (self._root / write.key).unlink(missing_ok=True)
        elif self._scheme == "s3":
            base = f"{self._base}/" if self._base else ""
            with suppress(FileNotFoundError), _boto_object_errors():
                self._s3_client.abort_multipart_upload(
                    Bucket=self._bucket, Key=base + write.key, UploadId=write.upload_id
                )

    def delete_prefix(self, prefix: str) -> None:
        """Delete everything under a folder, and the folder.

        :raises ValueError: the prefix is empty (that would be the whole store) or leads outside.
        """
        _require_folder(prefix)
        if self._root:
            # rmtree rather than key by key: it takes empty folders and half-written files along, and follows no link.
            with self._errors(), suppress(FileNotFoundError):
                shutil.rmtree(self._root / prefix)
            return
        keys = self.list_keys(prefix)
        while batch := list(islice(keys, 1_000)):
            with self._errors():
                obstore.delete(self._store, batch)

    def old_versions(self, prefix: str) -> Iterator[OldVersion]:
        """What a bucket with versioning keeps of deleted and replaced objects whose keys begin so.

        Google and Azure are not asked: there it is the bucket's policy alone that ends old versions.
        """
        if self._scheme == "s3":
            with _boto_errors():
                yield from list_s3_versions(self._s3_client, self._bucket, self._base, prefix)

    def expunge(self, versions: Iterable[OldVersion]) -> None:
        """Delete these versions, which cannot be undone."""
        base = f"{self._base}/" if self._base else ""
        for version in versions:
            with _boto_errors():
                self._s3_client.delete_object(Bucket=self._bucket, Key=base + version.key, VersionId=version.version_id)

    def list_keys(self, prefix: str) -> Iterator[str]:
        """The readable keys under a folder, in order."""
        return (entry.key for entry in self._list(prefix, None) if entry.readable)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Everything under a folder with its size, in order, unreadable names included."""
        return self._list(prefix, None)

    def url(self, key: str) -> str:
        """Where a person finds this object: a path, or a URL such as s3://bucket/key."""
        return str(self._root / key) if self._root else f"{self._url}/{key}"

    def signed_url(self, key: str, valid: timedelta) -> str | None:
        """An address at which anybody who has it may read the object for so long; None where there are none (folders).

        A cloud may end it earlier, with the credentials that signed it.
        """
        if self._root:
            return None
        with self._errors():
            return obstore.sign(cast("SignCapableStore", self._store), "GET", key, valid)

    # --- how ----------------------------------------------------------------------------------------------------------

    def _list(self, prefix: str, after: str | None) -> Iterator[Entry]:
        _require_folder(prefix)
        if self._root:
            return list_folder(self._root, prefix, after)
        if self._scheme == "s3":
            return self._list_s3(prefix, after)
        return self._list_cloud(prefix, after)

    def _list_cloud(self, prefix: str, after: str | None) -> Iterator[Entry]:
        with self._errors():
            yield from list_obstore(self._store, prefix, after)

    def _list_s3(self, prefix: str, after: str | None) -> Iterator[Entry]:
        with _boto_errors():
            yield from list_s3(self._s3_client, self._bucket, self._base, prefix, after)

    @cached_property
    def _s3_client(self) -> Any:
        """boto3 lists; see `listing`. It reads the same variables as obstore, but for AWS_REGION."""
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        return boto3.session.Session(region_name=os.environ.get("AWS_REGION")).client(
            "s3",
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 6},
                s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else None,
            ),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors from our list instead of obstore's. A missing object stays a FileNotFoundError: only the caller knows
        what its absence means. So does a key that cannot exist ('../x'), for which obstore raises ValueError."""
        try:
            yield
        except PreconditionError as error:
            raise PipelineError(ErrorCode.SOURCE_CHANGED) from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise PipelineError(ErrorCode.STORE_DENIED) from error
        except BaseError as error:
            raise PipelineError(ErrorCode.STORE_UNAVAILABLE) from error
        except ValueError as error:
            raise FileNotFoundError("no object can have this key") from error

    @contextmanager
    def _source_errors(self) -> Iterator[None]:
        try:
            with self._errors():
                yield
        except FileNotFoundError as error:
            raise PipelineError(ErrorCode.SOURCE_GONE) from error

    @contextmanager
    def _writing(self, size_bytes: int) -> Iterator[None]:
        try:
            with self._errors():
                yield
        except PipelineError as error:
            # obstore has no error type for a full disk; but what fails to fit leaves its mark.
            if self._root and shutil.disk_usage(self._root).free < size_bytes:
                raise PipelineError(ErrorCode.DISK_FULL) from error
            raise


def open_store(url: str) -> ObjectStore:
    """The store at `s3://bucket/path`, `gs://...`, `az://...`, `file:///folder` or a folder (created if missing).

    No network is used yet.

    :raises PipelineError: CONFIGURATION, if the URL names no store.
    """
    parts = urlsplit(url)
    if parts.scheme not in _CLOUD_SCHEMES | {"", "file"}:
        raise PipelineError(ErrorCode.CONFIGURATION, "the store URL must be s3://, gs://, az://, file:// or a folder")
    if parts.scheme in _CLOUD_SCHEMES and not parts.netloc:
        raise PipelineError(ErrorCode.CONFIGURATION, "the store URL names no bucket")
    try:
        return ObjectStore(url)
    except (BaseError, OSError, ValueError) as error:
        raise PipelineError(ErrorCode.CONFIGURATION, "the store URL cannot be opened") from error


class ObjectStoreResource(dg.ConfigurableResource[ObjectStore]):
    """Gives assets the plain `ObjectStore`: they annotate `store: dg.ResourceParam[ObjectStore]`."""

    url: str

    def create_resource(self, context: dg.InitResourceContext) -> ObjectStore:
        return open_store(self.url)


@contextmanager
def _boto_errors() -> Iterator[None]:
    from botocore.exceptions import (  # type: ignore[import-untyped]
        BotoCoreError,
        ClientError,
        NoCredentialsError,
    )

    try:
        yield
    except NoCredentialsError as error:
        raise PipelineError(ErrorCode.STORE_DENIED, "no credentials found") from error
    except ClientError as error:
        denied = error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403)
        raise PipelineError(ErrorCode.STORE_DENIED if denied else ErrorCode.STORE_UNAVAILABLE) from error
    except BotoCoreError as error:
        raise PipelineError(ErrorCode.STORE_UNAVAILABLE) from error


@contextmanager
def _boto_object_errors() -> Iterator[None]:
    """The same for requests about one object, of whose absence and change only the caller knows the meaning."""
    try:
        with _boto_errors():
            yield
    except PipelineError as error:
        answer = getattr(error.__cause__, "response", {}).get("ResponseMetadata", {})
        match answer.get("HTTPStatusCode"):
            case 404:
                raise FileNotFoundError("no such object") from error
            case 412:
                raise PipelineError(ErrorCode.SOURCE_CHANGED) from error
        raise


def _require_folder(prefix: str) -> None:
    if not prefix or not is_parsable(prefix):
        raise ValueError(f"not a folder in the store: {prefix!r}")


@dataclass
class _Counts:
    """What a listing leaves out."""

    misplaced: int = 0
    refused: int = 0

    def taken(self) -> tuple[int, int]:
        """Misplaced and refused entries since this was last asked."""
        counts = self.misplaced, self.refused
        self.misplaced = self.refused = 0
        return counts


def _candidates(entries: Iterable[Entry], prefix: str, counts: _Counts) -> Iterator[Entry]:
    for entry in entries:
        parts = entry.key.removeprefix(f"{prefix}/").split("/")
        if any(part.startswith(".") for part in parts):
            continue
        if not entry.readable:
            counts.refused += 1
        elif len(parts) == 1:
            counts.misplaced += 1
        else:
            yield entry


def _upload(placed: sidecars.Placed, prefix: str) -> ListedUpload:
    entry, beside = placed.entry, placed.sidecars
    owner, _, path = entry.key.removeprefix(f"{prefix}/").partition("/")
    return ListedUpload(
        object_key=entry.key,
        owner=owner,
        file_name=path.rpartition("/")[2],
        partition_key=partition_key(entry.key),
        etag=entry.etag,
        size_bytes=entry.size_bytes,
        modified_at=entry.modified_at,
        sidecars=beside and tuple(Sidecar(object_key=each.key, etag=each.etag) for each in beside),
        sidecars_modified_at=max(each.modified_at for each in beside) if beside else None,
    )


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL_ERRNOS:
            raise PipelineError(ErrorCode.DISK_FULL) from error
        raise
