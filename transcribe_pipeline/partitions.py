"""One uploaded object = one partition. The rules from object key to owner, file name and partition key.

The partition key is readable in the UI, safe as a path, stable and unique: a slug of the file name plus a hash of
the whole object key. The real name is data in the ledger and is never used as a path, an argument or a key.
"""

import hashlib
import re

import dagster as dg
from slugify import slugify

media_files = dg.DynamicPartitionsDefinition(name="media_files")

_SLUG_CHARACTERS = 48
_HASH_CHARACTERS = 12

PARTITION_KEY = re.compile(r"[a-z0-9-]+-[0-9a-f]{12}")
"""What every partition key looks like, and little else does."""


def partition_key(object_key: str) -> str:
    """'uploads/ann/Board Meeting.mp3' -> 'board-meeting-mp3-<12 hex digits>'; only [a-z0-9-], at most 61 characters."""
    name = object_key.rsplit("/", 1)[-1]
    # Whatever slugify makes of exotic scripts, only [a-z0-9-] leaves this function.
    slug = slugify(name, max_length=_SLUG_CHARACTERS, regex_pattern=r"[^a-z0-9-]+") or "file"
    # surrogatepass: an object store may hand out keys that are not valid Unicode; they are still one file each.
    digest = hashlib.sha256(object_key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug}-{digest[:_HASH_CHARACTERS]}"
