"""Listens on `protocol,address,port` words and sends back what it gets. Prints `ready` once it listens."""

from __future__ import annotations

import selectors
import socket
import sys


def open_socket(word: str) -> socket.socket:
    """Return the listening socket that a word names."""
    protocol, address, port = word.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, int(port)))
    if protocol == "TCP":
        made.listen()
    return made


def serve(ready: socket.socket, selector: selectors.DefaultSelector) -> None:
    """Do what one readable socket asks for."""
    if ready.type == socket.SOCK_DGRAM:
        data, sender = ready.recvfrom(2048)
        ready.sendto(data, sender)
    elif ready.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        selector.register(ready.accept()[0], selectors.EVENT_READ)
    elif data := ready.recv(2048):
        ready.sendall(data)
    else:
        selector.unregister(ready)
        ready.close()


def main(words: list[str]) -> None:
    """Echo until killed."""
    with selectors.DefaultSelector() as selector:
        for word in words:
            selector.register(open_socket(word), selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                try:
                    serve(key.fileobj, selector)  # type: ignore[arg-type]  # we register sockets only
                except OSError:
                    continue


if __name__ == "__main__":
    main(sys.argv[1:])
