"""What a link gives, beside what it is said to give: `serve` in one namespace, `measure ADDRESS` in the other."""

import socket
import statistics
import sys
import threading
import time

PORT = 40177
BYTES = 64 << 20  # of a stream
ROUNDS = 200  # of one byte there and back


def receive(stream: socket.socket, count: int) -> None:
    buffer = bytearray(1 << 20)
    while count > 0:
        got = stream.recv_into(buffer, min(count, len(buffer)))
        if got == 0:
            raise EOFError("the other end has gone")
        count -= got


def send(stream: socket.socket, count: int) -> None:
    buffer = bytes(1 << 20)
    while count > 0:
        stream.sendall(buffer[: min(count, len(buffer))])
        count -= len(buffer)


def both(stream: socket.socket) -> None:
    sending = threading.Thread(target=send, args=(stream, BYTES))
    sending.start()
    receive(stream, BYTES)
    sending.join()


def serve() -> None:
    with socket.create_server(("0.0.0.0", PORT)) as server:
        stream, _ = server.accept()
        with stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(ROUNDS):
                receive(stream, 1)
                stream.sendall(b"x")
            receive(stream, BYTES)
            stream.sendall(b"x")
            both(stream)


def connect(address: str) -> socket.socket:
    for attempt in range(50):
        try:
            return socket.create_connection((address, PORT))
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nobody answers at {address}")


def measure(address: str) -> None:
    with connect(address) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trips = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            stream.sendall(b"x")
            receive(stream, 1)
            trips.append(time.perf_counter() - start)
        start = time.perf_counter()
        send(stream, BYTES)
        receive(stream, 1)
        one_way = time.perf_counter() - start
        start = time.perf_counter()
        both(stream)
        both_ways = time.perf_counter() - start
    print(f"link: {1e3 * statistics.median(trips):.3f} ms there and back; TCP's payload {8e-9 * BYTES / one_way:.3f} Gbit/s one way, "
          f"{8e-9 * BYTES / both_ways:.3f} each way when both send")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        measure(sys.argv[2])
