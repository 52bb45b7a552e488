"""The files that people download, kept in step with the transcript version that is current in the ledger.

Whoever makes another version current publishes afterwards: the asset `subtitles` after a run, `transcribe promote`
after a person's decision. They may do so at the same moment; whoever writes last looks last, so what stays is current.
"""

from collections.abc import Callable

from sqlalchemy import Engine

from transcribe_pipeline.artifacts import ExportFile, Subtitles
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.formats import FORMATS, result_keys, write_all
from transcribe_pipeline.ledger import files, transcripts, voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.resources.object_store import ObjectStore


def publish(
    ledger: Engine,
    store: ObjectStore,
    results_prefix: str,
    partition_key: str,
    *,
    before_write: Callable[[], None] = lambda: None,
) -> Subtitles:
    """Write the current version's files, with the names that its speakers were last given.

    :param before_write: raises if the caller may no longer write.
    :raises PipelineError: FILE_UNKNOWN; ARTIFACT_MISSING, if the file has no transcript.
    """
    while True:
        file = files.get(ledger, partition_key)
        if file.current_transcript_id is None:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
        published = _write(ledger, store, results_prefix, file, file.current_transcript_id, before_write)
        if files.get(ledger, partition_key).current_transcript_id == published.transcript_id:
            return published


def _write(
    ledger: Engine,
    store: ObjectStore,
    results_prefix: str,
    file: FileView,
    transcript_id: str,
    before_write: Callable[[], None],
) -> Subtitles:
    names = voices.last_said(ledger, file.owner, transcript_id).names
    rendered = write_all(transcripts.load(ledger, transcript_id), file_name=file.file_name, names=names)
    keys = result_keys(results_prefix, file.owner, file.partition_key)
    before_write()
    written = []
    for name, content in rendered.items():
        store.put_bytes(keys[name], content)
        words = len(FORMATS[name].read_words(content.decode()))
        written.append(ExportFile(format=name, object_key=keys[name], size_bytes=len(content), words=words))
    return Subtitles(transcript_id=transcript_id, files=tuple(written))
