import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Primitives
import Wire

/// The handler of a connection that this node opens.
protocol DialedConnection: ChannelHandler, Sendable {
    /// Done when both sides have said hello, or when that cannot be any more.
    var ready: EventLoopPromise<Self> { get }
    /// Ends it if the other side has not said hello.
    func giveUp(_ error: CallError)
}

/// An address that this node connects to: how, who may answer there, and what to say of what goes wrong.
struct Dial: Sendable {
    let address: PeerAddress
    let hello: any HelloSource
    let tls: TLSSource?
    /// For the connect, and again for the hello that has to come back.
    let timeout: Duration

    // MARK: Connecting

    /// Connects and shakes hands; the future fails with a `CallError`.
    ///
    /// - Parameter connection: makes the handler. A name may have several addresses, and each is tried on a channel of its own.
    func connect<C: DialedConnection>(on loop: any EventLoop, _ connection: @escaping @Sendable () -> C) -> EventLoopFuture<C> {
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(timeout.nanoseconds))
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if isEncrypted, let tls {
                        try pipeline.addHandler(try NIOSSLClientHandler(context: tls.client, serverHostname: nil))
                    }
                    try pipeline.addHandler(connection())
                }
            }
        let connected: EventLoopFuture<any Channel> =
            switch address {
            case .tcp(let host, let port):
                bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        return connected.flatMapErrorThrowing { error in
            throw CallError(.unavailable, "cannot connect to \(address): \(Self.words(error))")
        }.flatMap { channel in
            guard let connection = try? channel.pipeline.syncOperations.handler(type: C.self) else {
                return loop.makeFailedFuture(CallError(.unavailable, "\(address) closed the connection"))
            }
            let timer = loop.scheduleTask(in: .nanoseconds(timeout.nanoseconds)) {
                connection.giveUp(CallError(.unavailable, "\(address) did not say hello within \(timeout.milliseconds) ms"))
            }
            connection.ready.futureResult.whenComplete { _ in timer.cancel() }
            return connection.ready.futureResult
        }
    }

    /// A socket in the file system needs no certificates.
    private var isEncrypted: Bool {
        switch address {
        case .tcp: tls != nil
        case .unix: false
        }
    }

    /// Who answered, if it may.
    func peer(answering frame: Frame, _ identity: PeerIdentity?) throws(CallError) -> Peer {
        let theirs: Hello
        do throws(WireError) { theirs = try Hello.decode(frame.payload) } catch {
            throw CallError(.protocolViolation, "\(address) sent a hello that cannot be read: \(error)")
        }
        let found: Peer
        do throws(CallError) { found = try Handshake(own: hello.current).accept(theirs) } catch {
            var named = error
            named.message = "\(address): \(error.message)"
            throw named
        }
        try PeerIdentity.check(identity, theirs, isDemanded: isEncrypted)
        return found
    }

    // MARK: Words

    /// Of an error that came in a frame.
    func error(in frame: Frame) throws(CallError) -> CallError {
        guard let reply = try? ErrorReply.decode(frame.payload) else {
            throw CallError(.protocolViolation, "\(address) sent an error that cannot be read", isUncertain: true)
        }
        var error = CallError(reply)
        if error.code == .wrongCluster { error.message = "\(address): \(error.message)" }
        return error
    }

    func error(_ error: WireError) -> CallError {
        // A record of TLS that warns: 0x15, then the version 0x03.
        if case .notAFrame(let magic) = error, magic >> 16 == 0x1503 {
            return CallError(.denied, "\(address) wants TLS, and a certificate")
        }
        return CallError(.protocolViolation, "\(address) does not speak this protocol: \(error)", isUncertain: true)
    }

    /// Of an error of the channel.
    ///
    /// - Parameter isUncertain: whether calls may have been made on it.
    func error(_ error: any Error, isUncertain: Bool) -> CallError {
        if let words = TLSSource.words(error) {
            return CallError(.denied, "TLS with \(address) failed: \(words)", isUncertain: isUncertain)
        }
        return CallError(.unavailable, "the connection to \(address) broke: \(Self.words(error))", isUncertain: isUncertain)
    }

    var closed: CallError { CallError(.unavailable, "\(address) closed the connection", isUncertain: true) }

    private static func words(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { words($0.error) } ?? "no such host"
        case let error as IOError: error.errnoCode == ECONNREFUSED ? "connection refused" : String(cString: strerror(error.errnoCode))
        case is ChannelError: "no answer in time"
        case is SocketAddressError, is SocketAddressError.FailedToParseIPByteBuffer: "no such host"
        default: "\(error)"
        }
    }
}
