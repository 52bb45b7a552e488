"""Listing a store, whatever names people gave their files: one stream of entries in key order for every kind of store.

obstore lists every store, but one name that it cannot parse (a control character, an empty or '..' part, bytes that
are not UTF-8) ends its whole listing with an error: any uploader could stop intake for everybody, and macOS' own
'Icon\\r' does. So a folder is walked here and S3 is asked through boto3, and such names become entries that are not
`readable`. For Google and Azure obstore's listing is used as it is.

Keys come in the order of their UTF-8 bytes, which is what lets a listing resume after a key. S3, Google and Azure list
that way (S3's directory buckets do not: they are not supported), and the folder walk sorts.
"""

import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import obstore
from obstore.store import ObjectStore as ObstoreStore

_PAGE = 1_000
"""Keys per request; S3's maximum."""
_UNPARSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|(^|/)(\.{0,2}/|\.{1,2}$)")
"""What obstore refuses in a key: control characters, and parts that are empty, '.' or '..'. Surrogates stand for
bytes that are not UTF-8."""
_STAGING = re.compile(r"#\d+$")
"""obstore's own names for files being written in a folder; it reads no file that is called so."""

_LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class Entry(NamedTuple):
    key: str
    etag: str
    size_bytes: int
    modified_at: datetime
    readable: bool
    """False: a link, a special file, or a name that obstore cannot read back."""


class OldVersion(NamedTuple):
    """What a bucket with versioning keeps of an object that was deleted or replaced."""

    key: str
    version_id: str
    size_bytes: int


class UnfinishedWrite(NamedTuple):
    """What a writer that died has left: a multipart upload of S3 that nobody completed, or a folder's staging file."""

    key: str
    upload_id: str
    """Empty for staging files."""
    size_bytes: int
    started_at: datetime


def is_staging(key: str) -> bool:
    """Is this one of the names that obstore gives to files that it is writing?"""
    return bool(_STAGING.search(key))


def is_parsable(key: str) -> bool:
    """Can obstore address this key?"""
    return not _UNPARSABLE.search(key)


def list_folder(root: Path, prefix: str, after: str | None) -> Iterator[Entry]:
    """Every file under `root/prefix` whose key is greater than `after`.

    Links are never followed, so nothing outside the store is listed. Files and folders that vanish meanwhile are left
    out; a folder that cannot be entered is one unreadable entry. Memory: the names of the folders on the way down.
    """
    pending = [f"{prefix}/"]
    while pending:
        key = pending.pop()
        if not _lies_beyond(key, after):
            continue
        try:
            if key.endswith("/"):
                pending.extend(reversed(_children(root, key)))
            else:
                yield _file_entry(root, key)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            yield Entry(key, "", 0, datetime.now(UTC), readable=False)


def _lies_beyond(key: str, after: str | None) -> bool:
    """Is this key greater than `after`, or is it a folder ('a/b/') that may hold such keys?"""
    return after is None or key > after or (key.endswith("/") and after.startswith(key))


def _children(root: Path, folder: str) -> list[str]:
    """Keys of what lies in a folder, in order. A folder's own key sorts with its slash, as its files' keys do:
    'a-b.wav' < 'a/b.wav'."""
    with os.scandir(root / folder) as entries:
        return sorted(f"{folder}{e.name}{'/' if e.is_dir(follow_symlinks=False) else ''}" for e in entries)


def _file_entry(root: Path, key: str) -> Entry:
    status = (root / key).lstat()
    # The form of obstore's etag for folders: what it compares on a conditional read. Of a link this describes the
    # link itself, so a file swapped for a link after it was listed fails that comparison.
    etag = f'"{status.st_ino:x}-{max(0, status.st_mtime_ns // 1000):x}-{status.st_size:x}"'
    # File systems hold dates that datetime does not.
    modified_at = datetime.fromtimestamp(min(max(0, status.st_mtime), _LAST_SECOND), UTC)
    readable = stat.S_ISREG(status.st_mode) and is_parsable(key) and not is_staging(key)
    return Entry(key, etag, status.st_size, modified_at, readable)


def list_s3(client: Any, bucket: str, root: str, prefix: str, after: str | None) -> Iterator[Entry]:
    """Every object under `s3://bucket/root/prefix` whose key is greater than `after`; keys are relative to `root`.
    The empty objects that consoles create to show a folder ('holiday/') are left out.

    :raises botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: after `client`'s own retries.
    """
    base = f"{root}/" if root else ""
    start = {} if after is None else {"StartAfter": base + after}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{base}{prefix}/", **start)
    for page in pages:
        for item in page.get("Contents", ()):
            key = item["Key"].removeprefix(base)
            if not key.endswith("/"):
                yield Entry(key, item["ETag"], item["Size"], item["LastModified"].astimezone(UTC), is_parsable(key))


def list_s3_versions(client: Any, bucket: str, root: str, prefix: str) -> Iterator[OldVersion]:
    """Every version under `s3://bucket/root/prefix*` that is not the present one, and every mark of a deletion.

    None where the bucket has no versioning, or the server does not know it.

    :raises botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: after `client`'s own retries.
    """
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    base = f"{root}/" if root else ""
    try:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{base}{prefix}"):
            for item in page.get("Versions", ()):
                if not item["IsLatest"]:
                    yield OldVersion(item["Key"].removeprefix(base), item["VersionId"], item["Size"])
            for item in page.get("DeleteMarkers", ()):
                yield OldVersion(item["Key"].removeprefix(base), item["VersionId"], 0)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 405, 501):
            raise


def list_s3_unfinished(client: Any, bucket: str, root: str, prefix: str) -> Iterator[UnfinishedWrite]:
    """Every multipart upload under `s3://bucket/root/prefix` that was neither completed nor aborted.

    :raises botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: after `client`'s own retries.
    """
    base = f"{root}/" if root else ""
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=f"{base}{prefix}/"):
        for item in page.get("Uploads", ()):
            parts = client.get_paginator("list_parts").paginate(
                Bucket=bucket, Key=item["Key"], UploadId=item["UploadId"]
            )
            size = sum(part["Size"] for parts_page in parts for part in parts_page.get("Parts", ()))
            key = item["Key"].removeprefix(base)
            yield UnfinishedWrite(key, item["UploadId"], size, item["Initiated"].astimezone(UTC))


def list_obstore(store: ObstoreStore, prefix: str, after: str | None) -> Iterator[Entry]:
    """Every object under `prefix` whose key is greater than `after`, as obstore lists it."""
    for page in obstore.list(store, prefix, offset=after, chunk_size=_PAGE):
        for item in page:
            yield Entry(item["path"], item["e_tag"] or "", item["size"], item["last_modified"], readable=True)
