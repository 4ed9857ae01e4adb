import Glibc
import NIOCore
import Primitives
import Synchronization
import Wire

@testable import Transport

/// What a raw socket could not do.
struct RawFailure: Error {
    let what: String
}

private func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}

private let addressBytes = socklen_t(MemoryLayout<sockaddr_in>.size)

/// One end of a TCP connection that says what it is told to, frames or not. It never waits in the kernel: that would hold a thread that the
/// other side's tasks need.
final class RawPeer: Sendable {
    private struct State {
        var decoder = FrameDecoder()
        var isAtEnd = false
        var isShut = false
    }

    private enum Received {
        case bytes([UInt8])
        case nothing, end
    }

    private let descriptor: Int32
    private let state = Mutex(State())

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Connects to a port of this machine.
    init(to address: PeerAddress) throws {
        guard case .tcp(_, let port) = address else { throw RawFailure(what: "\(address) is no port") }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var place = loopback(port)
        let code = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, addressBytes) }
        }
        guard descriptor >= 0, code == 0 else { throw RawFailure(what: "connect: \(errno)") }
        self.descriptor = descriptor
    }

    deinit { shut() }

    /// Closes the socket.
    func shut() {
        let isFirst = state.withLock { state in
            defer { state.isShut = true }
            return !state.isShut
        }
        if isFirst { _ = close(descriptor) }
    }

    // MARK: Sending

    /// Hands over what the kernel takes now, and says how much that is; nil when the connection is over.
    func push(_ bytes: ArraySlice<UInt8>) -> Int? {
        let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
        guard count < 0 else { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    /// Sends all of it, or as much as the other side takes within ten seconds; false when it does not take it all.
    @discardableResult
    func send(_ bytes: [UInt8]) async -> Bool {
        var rest = bytes[...]
        var isOver = false
        let isSent = await eventually {
            while !rest.isEmpty, !isOver {
                guard let count = push(rest) else {
                    isOver = true
                    break
                }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
        return isSent && !isOver
    }

    @discardableResult
    func send(_ frame: ByteBuffer) async -> Bool { await send(Array(frame.readableBytesView)) }

    // MARK: Receiving

    /// Whether something has come that was not read yet.
    var hasBytes: Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK)) > 0
    }

    private func receive() -> Received {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
        if count > 0 { return .bytes(Array(chunk.prefix(count))) }
        if count < 0, errno == EAGAIN || errno == EINTR { return .nothing }
        return .end
    }

    /// The next frame; nil when the connection ends, or none comes in time.
    func frame(_ limit: Duration = .seconds(10)) async -> Frame? {
        var found: Frame?
        _ = await eventually(limit) {
            while true {
                let (frame, isAtEnd) = state.withLock { state -> (Frame?, Bool) in
                    let next = try? state.decoder.next()
                    return (next, state.isAtEnd)
                }
                if let frame {
                    found = frame
                    return true
                }
                if isAtEnd { return true }
                switch receive() {
                case .bytes(let bytes): state.withLock { $0.decoder.append(ByteBuffer(bytes: bytes)) }
                case .end: state.withLock { $0.isAtEnd = true }
                case .nothing: return false
                }
            }
        }
        return found
    }

    /// Throws away what comes; whether the other side closes in time.
    func isClosed(_ limit: Duration = .seconds(10)) async -> Bool {
        await eventually(limit) {
            while true {
                if state.withLock({ $0.isAtEnd }) { return true }
                switch receive() {
                case .bytes: break
                case .end: state.withLock { $0.isAtEnd = true }
                case .nothing: return false
                }
            }
        }
    }

    /// The error frame that comes next; nil when it is none.
    func error() async -> ErrorReply? {
        guard let frame = await frame(), frame.header.type == .error else { return nil }
        return try? ErrorReply.decode(frame.payload)
    }

    // MARK: Hello

    /// As a client: says hello and waits for the answer.
    func greet(_ own: Hello? = nil) async throws {
        let said = try own ?? hello("raw")
        await send(said.frame())
        guard let frame = await frame(), frame.header.type == .hello else { throw RawFailure(what: "no hello came back") }
    }

    /// As a server: waits for the hello and answers it.
    func welcome(_ own: Hello? = nil) async throws {
        guard let frame = await frame(), frame.header.type == .hello else { throw RawFailure(what: "no hello came") }
        let said = try own ?? hello("raw")
        await send(said.frame(id: frame.header.id, flags: .response))
    }
}

/// A port of this machine whose connections are given away as they come.
final class RawServer: Sendable {
    let address: PeerAddress
    private let descriptor: Int32
    private let isStopped = Atomic(false)

    init() throws {
        let descriptor = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var place = loopback(0)
        var length = addressBytes
        let code = withUnsafeMutablePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, addressBytes) | getsockname(descriptor, $0, &length)
            }
        }
        guard descriptor >= 0, code == 0, listen(descriptor, 64) == 0 else { throw RawFailure(what: "listen: \(errno)") }
        self.descriptor = descriptor
        address = .tcp(host: "127.0.0.1", port: Int(UInt16(bigEndian: place.sin_port)))
    }

    deinit { stop() }

    /// From now on connects are refused.
    func stop() {
        if !isStopped.exchange(true, ordering: .sequentiallyConsistent) { _ = close(descriptor) }
    }

    func next() async throws -> RawPeer {
        var found: RawPeer?
        _ = await eventually {
            let connection = accept(descriptor, nil, nil)
            guard connection >= 0 else { return false }
            found = RawPeer(descriptor: connection)
            return true
        }
        guard let found else { throw RawFailure(what: "nobody came") }
        return found
    }

    /// A port where nobody listens.
    static func closedPort() throws -> PeerAddress {
        let server = try RawServer()
        server.stop()
        return server.address
    }
}

/// Sends datagrams that are what they are told to be.
final class RawDatagrams: Sendable {
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw RawFailure(what: "socket: \(errno)") }
    }

    deinit { _ = close(descriptor) }

    @discardableResult
    func send(_ bytes: [UInt8], to port: Int) -> Bool {
        var place = loopback(port)
        let count = bytes.withUnsafeBytes { data in
            withUnsafeMutablePointer(to: &place) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(descriptor, data.baseAddress, data.count, Int32(MSG_NOSIGNAL), $0, addressBytes)
                }
            }
        }
        return count == bytes.count
    }
}

/// The beginning of a small file, as those of /proc are.
private func beginning(of path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { _ = close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(file, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
}

/// Bytes of this process that are in memory.
func residentBytes() -> Int {
    let words = beginning(of: "/proc/self/statm").split(separator: " ")
    guard words.count > 1, let pages = Int(words[1]) else { return 0 }
    return pages * Int(getpagesize())
}
