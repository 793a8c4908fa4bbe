"""A client of gRPC that is written by hand, frame by frame: what no library of gRPC lets a test say. Plain HTTP/2 (RFC 9113)."""

import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
MAX_CONCURRENT_STREAMS = 3


def _literal(name, value):
    """A header field that is neither indexed nor compressed, of RFC 7541."""
    return b"".join([b"\0", *(bytes([len(text)]) + text.encode() for text in (name, value))])


class Http2:
    """One connection. `acknowledge`: says that it took the server's settings, as every honest client does."""

    def __init__(self, address, acknowledge=True):
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._authority, self._heard, self._last = address, b"", -1
        self.settings = {}
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self._frame(SETTINGS, 0, 0, b""))
        while not self.settings:
            kind, flags, _, payload = self.read()
            if kind == SETTINGS and not flags & ACK:
                self.settings = dict(struct.unpack(">HI", payload[at:at + 6]) for at in range(0, len(payload), 6))
        if acknowledge:
            self._socket.sendall(self._frame(SETTINGS, ACK, 0, b""))

    @staticmethod
    def _frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def call(self, method, message):
        """Begins a call and sends its one message; its stream's number."""
        self._last += 2
        fields = {":method": "POST", ":scheme": "http", ":path": f"/{method}", ":authority": self._authority,
                  "content-type": "application/grpc", "te": "trailers"}
        self._socket.sendall(self._frame(HEADERS, END_HEADERS, self._last, b"".join(_literal(*field) for field in fields.items())) +
                             self._frame(DATA, END_STREAM, self._last, struct.pack(">BI", 0, len(message)) + message))
        return self._last

    def cancel(self, stream):
        self._socket.sendall(self._frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    def _take(self, size):
        while len(self._heard) < size:
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            self._heard += piece
        taken, self._heard = self._heard[:size], self._heard[size:]
        return taken

    def read(self):
        """The next frame: kind, flags, stream, payload. ConnectionError: there will be none. Pings are answered on the way."""
        while True:
            head = self._take(9)
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            payload = self._take(struct.unpack(">I", b"\0" + head[:3])[0])
            if kind != PING or flags & ACK:
                return kind, flags, stream, payload
            self._socket.sendall(self._frame(PING, ACK, 0, payload))

    def close(self):
        self._socket.close()
