"""Framing: packets over a socket, numbered, bounded in bytes and time, with back-pressure.

A connection is never read past the packet that is asked for next: what follows a wish for TLS
stays in the kernel until the handshake takes it.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import cast

from anabranch.kernel import limits
from anabranch.mysql import packets
from anabranch.mysql.errors import out_of_order, packet_too_large

_HEAD_BYTES = 4
_READ_BYTES = 64 * limits.KIB
_QUIT = bytes((packets.Command.QUIT,))


class ConnectionGoneError(Exception):
    """The client closed, or was given up: nobody is left to be answered."""


class Stream(asyncio.BufferedProtocol):
    """One connection's packets. `sequence` is the number of the next packet, either way."""

    def __init__(self, accept: "Callable[[Stream], None]") -> None:
        self._accept = accept
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_READ_BYTES)
        self._head = bytearray()
        self._packet = bytearray()
        self._is_head = True
        self._ready: tuple[int, bytes] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._is_writable = True
        self._is_lost = False
        self._discards = False
        self._discarded = 0
        self.sequence = 0
        self.takes_quit = True
        """Whether a lone byte 1 says that the client leaves; not while it sends a file."""
        self.on_lost: Callable[[], None] | None = None
        """Called once when the client is gone, whatever the connection is doing."""

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's transport, as every loop gives it; uvloop's are of no common class.
        transport = cast(asyncio.Transport, transport)
        is_first = self._transport is None
        self._transport = transport
        transport.set_write_buffer_limits(limits.MYSQL_SEND_BUFFER_BYTES)
        if is_first:
            self._accept(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        wanted = (_HEAD_BYTES if self._is_head else self._length()) - len(self._filling())
        if self._discards:
            wanted = _READ_BYTES
        return memoryview(self._buffer)[: max(1, min(wanted, _READ_BYTES))]

    def buffer_updated(self, nbytes: int) -> None:
        if self._discards:
            self._discarded += nbytes
            if self._discarded > limits.DRAIN_BYTES_MAX:
                self._lose()
            return
        filling = self._filling()
        filling += memoryview(self._buffer)[:nbytes]
        if self._is_head:
            if len(self._head) < _HEAD_BYTES:
                return
            self._is_head = False
        if len(self._packet) < self._length():
            self._wake_reader()
            return
        self._ready = (self._head[3], bytes(self._packet))
        self._head, self._packet, self._is_head = bytearray(), bytearray(), True
        assert self._transport is not None
        self._transport.pause_reading()
        if self._reader is None and self.takes_quit and self._ready[1] == _QUIT:
            self._lose()  # a client that leaves while its statement runs
        self._wake_reader()

    def eof_received(self) -> bool:
        self._lose()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose()

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _filling(self) -> bytearray:
        return self._head if self._is_head else self._packet

    def _length(self) -> int:
        return int.from_bytes(self._head[:3], "little")

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _lose(self) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._wake_reader()
        self.resume_writing()
        if self.on_lost is not None:
            self.on_lost()

    # What the connection calls

    @property
    def is_lost(self) -> bool:
        """Tell whether the client is gone."""
        return self._is_lost

    @property
    def peer(self) -> str:
        """Return the client's address; empty when it is gone or has none."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if isinstance(name, tuple) and name else ""

    @property
    def is_encrypted(self) -> bool:
        """Tell whether TLS was begun."""
        assert self._transport is not None
        return self._transport.get_extra_info("ssl_object") is not None

    async def read(self, bytes_max: int, *, idle_s: float) -> bytes:
        """Return the next payload, joined from its packets.

        Waits `idle_s` for its first byte. Raises ConnectionGoneError, and LinkError when a
        packet has a wrong number or the payload is longer than `bytes_max`.
        """
        payload = b""
        while True:
            part = await self._read_part(bytes_max - len(payload), idle_s)
            payload = payload + part if payload else part
            if len(part) < packets.PACKET_PAYLOAD_MAX:
                return payload
            idle_s = limits.MYSQL_BODY_S

    async def read_command(self, bytes_max: int, *, idle_s: float) -> bytes:
        """Return the next command's payload; commands begin a new count of packets."""
        self.sequence = 0
        return await self.read(bytes_max, idle_s=idle_s)

    async def _read_part(self, bytes_max: int, idle_s: float) -> bytes:
        is_judged = False
        deadline = self._loop.time() + idle_s
        while self._ready is None:
            if self._is_lost:
                raise ConnectionGoneError
            if not self._is_head and not is_judged:
                # A packet that is not taken anyway is refused before its bytes are kept.
                self._judge(self._head[3], self._length(), bytes_max)
                is_judged = True
                deadline = self._loop.time() + limits.MYSQL_BODY_S
            await self._wait_for_bytes(deadline)
        number, payload = self._ready
        self._ready = None
        self._resume()
        if not is_judged:
            self._judge(number, len(payload), bytes_max)
        return payload

    def _judge(self, number: int, length: int, bytes_max: int) -> None:
        expected, self.sequence = self.sequence, (number + 1) & 0xFF
        if number != expected:
            raise out_of_order()
        if length > bytes_max:
            raise packet_too_large()

    async def _wait_for_bytes(self, deadline: float) -> None:
        self._reader = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._lose)
        try:
            await self._reader
        finally:
            timer.cancel()
            self._reader = None

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def write(self, payload: bytes) -> None:
        """Send a payload as one or more packets."""
        data, self.sequence = packets.frame(payload, self.sequence)
        self.write_framed(data, self.sequence)

    def write_framed(self, data: bytes, sequence: int) -> None:
        """Send packets that have their heads; `sequence` is the number after the last."""
        self.sequence = sequence
        if self._transport is not None and not self._is_lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent; raise ConnectionGoneError."""
        if not self._is_writable and not self._is_lost:
            self._writer = self._loop.create_future()
            timer = self._loop.call_later(limits.MYSQL_WRITE_S, self.abort)
            try:
                await self._writer
            finally:
                timer.cancel()
                self._writer = None
        if self._is_lost:
            raise ConnectionGoneError

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on under TLS; raise ConnectionGoneError when its handshake fails."""
        assert self._transport is not None
        if self._is_lost:
            raise ConnectionGoneError
        try:
            transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=limits.MYSQL_LOGIN_S,
            )
        except (OSError, ssl.SSLError) as error:
            self.abort()
            raise ConnectionGoneError from error
        if transport is None:
            raise ConnectionGoneError
        self._transport = transport
        transport.set_write_buffer_limits(limits.MYSQL_SEND_BUFFER_BYTES)

    async def refuse(self) -> None:
        """Close after an error: drop what still comes, bounded, so that the client reads it."""
        if self._transport is None or self._is_lost:
            return
        self._discards = True
        self._ready = None
        self._resume()
        if self._transport.can_write_eof():
            with contextlib.suppress(OSError):
                self._transport.write_eof()
        else:
            self._transport.close()
        await self._wait_until_lost(self._loop.time() + limits.DRAIN_S)
        self.close()

    async def _wait_until_lost(self, deadline: float) -> None:
        while not self._is_lost:
            await self._wait_for_bytes(deadline)

    def close(self) -> None:
        """Close when what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._lose()
        if self._transport is not None:
            self._transport.abort()
