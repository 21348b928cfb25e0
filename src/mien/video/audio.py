"""The sound of a video file, carried over into the file that is written from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.video.containers import Clock, import_av, open_media

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

_MAX_STUMBLES: Final = 10
_PRIMING_S: Final = 0.1
"""Sound that a decoder needs before the first that is heard; encoders begin about as early."""


@dataclass
class _Track:
    """One audio stream and where it goes: copied, or encoded anew where there are a decoder and a resampler.

    before is ticks of the stream's time base that lie before the new file's beginning; has_begun whether a packet came
    that is heard.
    """

    output: AudioStream
    clock: Clock
    time_base: Fraction
    before: int
    decoder: AudioCodecContext | None = None
    resampler: AudioResampler | None = None
    has_begun: bool = False


class Soundtrack:
    """The audio streams of a file, packet for packet, read by a separate demuxer just as far as is wanted.

    So no sound has to be kept in memory. A stream whose codec the new container does not take is encoded anew; one that
    cannot be, is left out. `problems` reports both, a line each.
    """

    def __init__(
        self,
        path: Path,
        output: OutputContainer,
        codecs: Sequence[str],
        *,
        begin_s: float,
        is_cut: bool = False,
        length_s: float | None = None,
    ) -> None:
        """Add the streams of the file at path to output.

        codecs    encoders for what cannot be copied, the best first
        begin_s   where the new file begins, on the old file's clock
        is_cut    whether sound before that is left out; else it is carried over: encoders begin a little early
        length_s  seconds of sound that are wanted at most
        """
        self.problems: list[str] = []
        self._name, self._output, self._is_cut, self._length_s = str(path), output, is_cut, length_s
        self._av = import_av()
        self._input: InputContainer = open_media(path)
        self._tracks: dict[int, _Track] = {}
        self._hides_trimmed = output.format.name in ("mp4", "mov")
        # Since FFmpeg 9 what an edit list trims is also the stream's padding, which Matroska and decoders would cut off
        # once more, though it is not given to them.
        try:
            self._unedited = open_media(path, edited=False)
        except BaseException:
            self._input.close()
            raise
        try:
            for stream, unedited in zip(self._input.streams.audio, self._unedited.streams.audio, strict=True):
                if stream.codec_context is not None and stream.time_base is not None:
                    self._add(stream, unedited, codecs, round(begin_s / stream.time_base))
            if is_cut:
                with suppress(self._av.error.FFmpegError):  # else the packets before are read and left out
                    self._input.seek(int((begin_s - 1) * 1_000_000))
            self._packets = self._timed()
            self._next = next(self._packets, None)
        except BaseException:
            self.close()
            raise

    def _add(self, stream: AudioStream, unedited: AudioStream, codecs: Sequence[str], before: int) -> None:
        assert stream.time_base is not None
        codec, rate = stream.codec_context.name, stream.codec_context.sample_rate
        if rate == 0:  # FFmpeg found no rate in it
            self.problems.append(f"{self._name}: its sound ({codec}) was left out: it is damaged or scrambled")
            return
        period = 1024 / rate / stream.time_base  # only where packets have no time
        clock = Clock(round(1 / stream.time_base), round(period))
        template = stream if self._hides_trimmed else unedited
        if self._is_taken(template):
            copied = self._output.add_stream_from_template(template)
            if stream.language:
                copied.metadata["language"] = stream.language
            self._tracks[stream.index] = _Track(copied, clock, stream.time_base, before)
            return
        for encoder in codecs:
            with suppress(ValueError, self._av.error.FFmpegError):
                encoded, resampler = self._encoder(stream, encoder)
                decoder = unedited.codec_context
                self._tracks[stream.index] = _Track(encoded, clock, stream.time_base, before, decoder, resampler)
                self.problems.append(f"{self._name}: its sound ({codec}) was encoded anew as {encoder}")
                return
        self.problems.append(f"{self._name}: its sound ({codec}) was left out: this container cannot hold it")

    def _is_taken(self, stream: AudioStream) -> bool:
        """Whether the new container can hold such sound. Some muxers accept it, and refuse it in the end."""
        form = self._output.format.name
        if form == "mp4" and stream.codec_context.name.startswith("pcm_"):  # allowed, and hardly played
            return False
        try:
            with self._av.open(BytesIO(), "w", format=form) as trial:
                trial.add_stream_from_template(stream)
                trial.start_encoding()
        except (ValueError, self._av.error.FFmpegError):
            return False
        return True

    def _encoder(self, stream: AudioStream, codec: str) -> tuple[AudioStream, AudioResampler]:
        rate = 48_000 if codec == "libopus" else stream.codec_context.sample_rate
        layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        encoded: AudioStream = self._output.add_stream(codec, rate=rate)  # type: ignore[assignment]
        encoded.codec_context.layout = layout
        encoded.codec_context.open()
        resampler: Any = self._av.AudioResampler(
            encoded.codec_context.format, layout, rate, encoded.codec_context.frame_size or None
        )
        return encoded, resampler

    def advance(self, until_s: float | None) -> None:
        """Write the sound up to until_s seconds of the new file, or all that is left."""
        while self._next is not None and (until_s is None or self._next[1] < until_s):
            packet = self._next[0]
            track = self._tracks[packet.stream.index]
            if track.decoder is None or track.resampler is None:
                packet.stream = track.output
                self._output.mux(packet)
            else:
                self._encode(track.output, track.decoder, track.resampler, packet)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write what encoders still hold, and close the file that was read."""
        for track in self._tracks.values():
            if track.resampler is not None:
                for frame in track.resampler.resample(None):
                    self._output.mux(track.output.encode(frame))
                self._output.mux(track.output.encode(None))
        self.close()

    def close(self) -> None:
        """Close the file that was read; no more sound comes."""
        self._next, self._packets = None, iter(())
        self._input.close()
        self._unedited.close()

    def _encode(
        self,
        output: AudioStream,
        decoder: AudioCodecContext,
        resampler: AudioResampler,
        packet: Packet[AudioStream],
    ) -> None:
        with suppress(self._av.error.InvalidDataError):  # a damaged packet is a short silence
            for frame in decoder.decode(packet):
                for part in resampler.resample(frame):
                    self._output.mux(output.encode(part))

    def _timed(self) -> Iterator[tuple[Packet[AudioStream], float]]:
        """The packets of the wanted range, on the new file's clock, and when each is heard there."""
        open_ended = set(self._tracks)
        for packet in self._demuxed():
            index = packet.stream.index
            track = self._tracks[index]
            if packet.is_discard and not self._primes(packet, track):
                continue
            track.has_begun |= not packet.is_discard
            ticks = track.clock.rising(packet.pts if packet.dts is None else packet.dts) - track.before
            time_s = float(ticks * track.time_base)
            if self._length_s is not None and time_s >= self._length_s:
                open_ended.discard(index)
                if not open_ended:
                    return
            elif index in open_ended and not (self._is_cut and time_s < 0):
                packet.dts = packet.pts = ticks
                yield packet, time_s

    def _primes(self, packet: Packet[AudioStream], track: _Track) -> bool:
        """Whether a packet that an edit list trims is wanted all the same, though nobody hears it: the last ones before
        the first sound, by a decoder here, or in a file that can say so too.
        """
        if track.has_begun or packet.pts is None:
            return False
        can_hide = track.resampler is not None or self._hides_trimmed
        return can_hide and -_PRIMING_S <= float((packet.pts - track.before) * track.time_base) < 0

    def _demuxed(self) -> Iterator[Packet[AudioStream]]:
        """The packets of all tracks, as they lie in the file, past whatever is damaged."""
        streams = [self._input.streams[index] for index in self._tracks]
        stumbles = 0
        while streams and stumbles < _MAX_STUMBLES:
            try:
                for packet in self._input.demux(streams):
                    stumbles = 0
                    if packet.size:  # the last one of each stream is empty
                        yield packet  # type: ignore[misc]
                return
            except self._av.error.FFmpegError:
                stumbles += 1
