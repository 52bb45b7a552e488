"""From the ids that a statement cites to what was said there."""

from collections.abc import Sequence

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment


def cited(segments: Sequence[int], transcript: Transcript) -> list[TranscriptSegment]:
    """Those segments that there are: a wrong citation must not cost people the page or the index that it stands in."""
    return [transcript.segments[number] for number in segments if 0 <= number < len(transcript.segments)]
