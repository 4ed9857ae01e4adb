#!/usr/bin/env python3
"""A small client of DistriC's binary protocol, written from distric-protocol(7) alone.

    calls.py [--raw FILE] ADDRESS ping [COUNT]
    calls.py [--raw FILE] ADDRESS submit [--namespace NS]    JSON messages on stdin, one a line
    calls.py [--raw FILE] ADDRESS query PATH                 such as cluster/status

ADDRESS is host:port, or unix:PATH for the socket in a node's data folder.  --raw keeps every byte that the node sent, for
`distric wire decode`.  An Error from the node is written to stderr as `code: message`, and the exit status is 1; it is 69
when the node cannot be reached, and 76 when it breaks the protocol.  It makes one call at a time, has no TLS, and never
makes a call again.  It needs Python 3.8, and nothing else.
"""
import argparse
import json
import socket
import struct
import sys
import time
import uuid

# The types of fields by their numbers, and the flags of a frame.
U8, U16, U32, U64, I64, DOUBLE, BOOL, STRING, BYTES, LIST, _, MESSAGE = range(1, 13)
NUMBERS = {U8: ">B", U16: ">H", U32: ">I", U64: ">Q", I64: ">q", DOUBLE: ">d"}
RESERVED, IS_RESPONSE, IS_ERROR, MORE = 0x03, 0x10, 0x20, 0x80

# A message is a table: tag to name, type, and whether it is required.  A type is a number from above, [type] for a list,
# or another table for a message within the message.  What this client has no use for is left out: it is skipped.
HELLO = {1: ("lowest_version", U16, True), 2: ("highest_version", U16, True), 3: ("node", STRING, False),
         7: ("feature_level", U16, True), 8: ("software", STRING, True)}
PING = {1: ("sequence", U64, True), 2: ("from", STRING, True)}
ACK = {1: ("sequence", U64, True), 2: ("from", STRING, True), 3: ("incarnation", U32, True), 6: ("time", U64, False)}
SUBMIT = {1: ("namespace", STRING, False), 2: ("content_type", STRING, True), 3: ("messages", [BYTES], False)}
RESULT = {1: ("status", U16, True), 2: ("message_id", STRING, False), 3: ("catalog_version", U64, False),
          4: ("matched", [STRING], False), 5: ("runs", [BYTES], False), 6: ("is_duplicate", BOOL, False),
          7: ("code", STRING, False), 8: ("detail", STRING, False)}
RESPONSE = {1: ("results", [RESULT], False), 2: ("content_type", STRING, False), 3: ("body", BYTES, False)}
QUERY = {1: ("path", STRING, True)}
ERROR = {1: ("code", U16, True), 2: ("message", STRING, True), 3: ("is_retryable", BOOL, True)}
MESSAGES = {0x4F01: HELLO, 0x2001: PING, 0x2002: ACK, 0x4001: SUBMIT, 0x4002: RESPONSE, 0x4003: QUERY}
CAPS = {0x4F01: 16 << 10, 0x2002: 16 << 10, 0x4002: 16 << 20}  # 64 KiB for the other messages that may come
CODES = """no_code internal unimplemented invalid too_large deadline_exceeded cancelled busy unavailable not_leader
    not_found denied unsupported_version wrong_cluster too_many_connections protocol_violation draining""".split()  # from 1 on
CRC_TABLE = list(range(256))  # what CRC-32C makes of each byte, by eight steps
for _ in range(8):
    CRC_TABLE = [(crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1 for crc in CRC_TABLE]


class BadBytes(ValueError):
    """The node sent what the protocol does not allow."""


class ErrorAnswer(Exception):
    """The node answered with an Error, or ended the connection with one."""


def crc32c(data):
    """The checksum of a frame; of b"123456789" it is 0xE3069283."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def encode_value(kind, value):
    """The number of a type, and the bytes of a value of it; as far as this client sends them."""
    if isinstance(kind, list):
        elements = [encode_value(kind[0], element) for element in value]
        row = b"".join(struct.pack(">I", len(data)) + data for _, data in elements)
        return LIST, struct.pack(">BI", elements[0][0], len(elements)) + row
    return kind, struct.pack(NUMBERS[kind], value) if kind in NUMBERS else value.encode() if kind == STRING else value


def encode(table, values):
    """A row of fields.  What is None, and a list without elements, is left out."""
    row = b""
    for tag, (name, kind, _) in table.items():
        if values.get(name) not in (None, []):
            number, data = encode_value(kind, values[name])
            row += struct.pack(">HBI", tag, number, len(data)) + data
    return row


def take(data, at):
    """What stands at `at` after its length, a u32; and where it ends."""
    end = at + 4 + int.from_bytes(data[at:at + 4], "big")
    if end > len(data):
        raise BadBytes("a length goes past the end")
    return data[at + 4:end], end


def decode_value(kind, number, data):
    """A value that was sent as the type `number`, where the table says `kind`."""
    if number != (MESSAGE if isinstance(kind, dict) else LIST if isinstance(kind, list) else kind):
        raise BadBytes(f"a value has the type {number}")
    if isinstance(kind, dict):
        return decode(kind, data)
    if isinstance(kind, list):
        if len(data) < 5:
            raise BadBytes("a list is cut short")
        (element, count), values, at = struct.unpack_from(">BI", data), [], 5
        for _ in range(count):
            value, at = take(data, at)
            values.append(decode_value(kind[0], element, value))
        if at != len(data):
            raise BadBytes("something follows the last element of a list")
        return values
    if kind in NUMBERS:
        if len(data) != struct.calcsize(NUMBERS[kind]):
            raise BadBytes(f"a number has {len(data)} bytes")
        return struct.unpack(NUMBERS[kind], data)[0]
    if kind == BOOL and data not in (b"\0", b"\1"):
        raise BadBytes("a bool is neither 0 nor 1")
    return data == b"\1" if kind == BOOL else data.decode() if kind == STRING else data


def decode(table, data):
    """The fields of a message by their names.  A tag that the table has not is skipped."""
    values, seen, at = {}, set(), 0
    while at < len(data):
        value, end = take(data, at + 3)
        (tag, number), at = struct.unpack_from(">HB", data, at), end
        if tag in seen or len(seen) == 64:
            raise BadBytes(f"the tag {tag} comes twice, or there are more than 64 fields")
        seen.add(tag)
        if tag in table:
            name, kind, _ = table[tag]
            values[name] = decode_value(kind, number, value)
    for name, _, is_required in table.values():
        if is_required and name not in values:
            raise BadBytes(f"the field {name} is missing")
    return values


class Connection:
    """A connection to a node, after both have said hello."""

    def __init__(self, address, raw=None, seconds=10):
        self.raw, self.seconds, self.last_id = raw, seconds, 0  # the hello has the id 0, calls have others
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address[len("unix:"):])
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host.strip("[]"), port), seconds)
        hello = {"lowest_version": 0x0100, "highest_version": 0x0100, "feature_level": 0, "software": "calls.py/1"}
        self.send(0x4F01, hello, 0, 0)
        self.hello = self.answer(0, 0x4F01, time.monotonic() + 5)
        if not self.hello["lowest_version"] <= 0x0100 <= self.hello["highest_version"]:
            raise BadBytes("the node does not speak 1.0")

    def send(self, number, values, call, milliseconds):
        """Sends one frame, without flags and without an extension."""
        payload = encode(MESSAGES[number], values)
        header = struct.pack(">4sHHHHIQI", b"DIST", 0x0100, number, 0, 0, len(payload), call, milliseconds)
        self.socket.sendall(header + struct.pack(">I", crc32c(header + bytes(4) + payload)) + payload)

    def read(self, count, deadline):
        """Reads so many bytes, and keeps them in the raw file."""
        data = b""
        while len(data) < count:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self.socket.recv(min(count - len(data), 1 << 16))
            if not piece:
                raise ConnectionError("the node closed the connection")
            if self.raw:
                self.raw.write(piece)
            data += piece
        return data

    def receive(self, deadline):
        """The next frame: number of the message, flags, id, and the bytes of its fields."""
        header = self.read(32, deadline)
        magic, version, number, flags, extension, length, call, _, checksum = struct.unpack(">4sHHHHIQII", header)
        if magic != b"DIST" or version >> 8 != 1:
            raise BadBytes(f"no frame of version 1: {header[:6].hex(' ')}")
        if flags & RESERVED or extension > length or length > CAPS.get(number, 64 << 10):
            raise BadBytes(f"a header that is not allowed: {header.hex(' ')}")
        payload = self.read(length, deadline)
        if checksum != crc32c(header[:28] + bytes(4) + payload):
            raise BadBytes("the checksum is wrong")
        return number, flags, call, payload[extension:]

    def answer(self, call, expected, deadline):
        """Waits for the answer to a call.  Answers to others, which come late, are skipped."""
        while True:
            number, flags, answered, fields = self.receive(deadline)
            if flags & IS_ERROR and answered in (0, call):  # 0: an error of the connection
                error = decode(ERROR, fields)
                code = CODES[error["code"]] if 1 <= error["code"] < len(CODES) else "internal"
                raise ErrorAnswer(f"{code}: {error['message']}")
            if answered == call:
                if number != expected or not flags & IS_RESPONSE or flags & MORE:
                    raise BadBytes(f"the message {number:#06x} is no answer to this call")
                return decode(MESSAGES[expected], fields)

    def call(self, number, expected, values):
        """Makes a call, and returns the fields of its answer."""
        self.last_id += 1
        self.send(number, values, self.last_id, self.seconds * 1000)
        return self.answer(self.last_id, expected, time.monotonic() + self.seconds)

    def ping(self, sequence):
        """Sends a Ping; returns the Ack and how many milliseconds it took."""
        begin = time.monotonic()
        ack = self.call(0x2001, 0x2002, {"sequence": sequence, "from": "unnamed"})
        return ack, (time.monotonic() - begin) * 1000

    def submit(self, messages, namespace=None):
        """Submits messages, each the bytes of one JSON text; returns a result for each."""
        values = {"namespace": namespace, "content_type": "application/json", "messages": messages}
        results = self.call(0x4001, 0x4002, values).get("results", [])
        return [{**result, "runs": [str(uuid.UUID(bytes=run)) for run in result.get("runs", [])]} for result in results]

    def query(self, path):
        """The body that the HTTP API has for this path after /api/v1/."""
        return self.call(0x4003, 0x4002, {"path": path}).get("body", b"")


def main():
    """The command."""
    parser = argparse.ArgumentParser(description="Calls a DistriC node in its binary protocol.")
    parser.add_argument("--raw", metavar="FILE", help="keep what the node sends")
    parser.add_argument("address", help="host:port or unix:PATH")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ping").add_argument("count", type=int, nargs="?", default=1)
    commands.add_parser("submit", help="JSON messages on stdin, one a line").add_argument("--namespace")
    commands.add_parser("query").add_argument("path")
    options = parser.parse_args()
    try:
        connection = Connection(options.address, options.raw and open(options.raw, "wb", buffering=0))
        if options.command == "ping":
            for sequence in range(1, options.count + 1):
                ack, milliseconds = connection.ping(sequence)
                print(f"{sequence}: {ack['from']} in {milliseconds:.2f} ms")
        elif options.command == "submit":
            lines = [line.strip() for line in sys.stdin.buffer]
            for result in connection.submit([line for line in lines if line], options.namespace):
                print(json.dumps(result))
        else:
            print(connection.query(options.path).decode())
    except ErrorAnswer as error:
        sys.exit(str(error))  # on stderr, with the status 1
    except (OSError, ValueError) as error:  # a text that is not UTF-8 is a ValueError, as BadBytes is
        print(f"calls.py: {options.address}: {error}", file=sys.stderr)
        sys.exit(69 if isinstance(error, OSError) else 76)


if __name__ == "__main__":
    main()
