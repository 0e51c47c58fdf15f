"""Held ports: ours, free of connections, refused to others."""

import socket

import pytest

from anabranch.edge.listening import Port, listen
from anabranch.kernel.errors import InvalidInput, Unavailable
from anabranch.ports import HeldPort, resolve_host

HOST = "127.0.0.1"


async def _nothing(*_: object) -> None:
    return None


def test_zero_takes_a_free_port_that_workers_bind_beside() -> None:
    held = HeldPort(HOST, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, held.number), timeout=5)
    workers = [listen(Port(_nothing, HOST, held.number)) for _ in range(2)]
    socket.create_connection((HOST, held.number), timeout=5).close()
    for worker in workers:
        worker.close()
    held.close()


def test_a_held_port_is_refused_to_another_server() -> None:
    held = HeldPort(HOST, 0)
    with pytest.raises(Unavailable, match=str(held.number)):
        HeldPort(HOST, held.number)
    held.close()
    HeldPort(HOST, held.number).close()


def test_a_port_with_a_listener_is_refused_also_one_that_shares() -> None:
    held = HeldPort(HOST, 0)
    listener = listen(Port(_nothing, HOST, held.number))
    held.close()
    with pytest.raises(Unavailable):
        HeldPort(HOST, held.number)
    listener.close()


def test_a_port_in_time_wait_can_be_had_again() -> None:
    held = HeldPort(HOST, 0)
    listener = listen(Port(_nothing, HOST, held.number))
    client = socket.create_connection((HOST, held.number), timeout=5)
    listener.setblocking(True)
    accepted, _ = listener.accept()
    # Who closes first keeps the TIME_WAIT: the server's side.
    accepted.close()
    assert client.recv(1) == b""
    client.close()
    listener.close()
    held.close()
    HeldPort(HOST, held.number).close()


def test_hosts_become_addresses() -> None:
    assert resolve_host("127.0.0.1") == "127.0.0.1"
    assert resolve_host("localhost") in ("127.0.0.1", "::1")
    with pytest.raises(InvalidInput):
        resolve_host("no such host")
