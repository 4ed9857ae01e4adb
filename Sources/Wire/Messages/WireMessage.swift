package import NIOCore

/// A record that a frame can carry.
package protocol WireMessage: WireRecord {
    static var type: MessageType { get }
    static var name: String { get }
    /// Writes a whole frame of it.
    func encode(_ header: FrameHeader, _ attached: FrameExtension?, into buffer: inout ByteBuffer)
    /// Reads one out of a frame's payload.
    static func decode(_ payload: ByteBuffer) throws(WireError) -> Self
}

extension WireMessage {
    package static var name: String { "\(Self.self)" }

    /// In one piece: the space is taken once and written without looking again.
    ///
    /// - Parameter header: its lengths and checksum are put in.
    package func encode(_ header: FrameHeader, _ attached: FrameExtension? = nil, into buffer: inout ByteBuffer) {
        let (front, own) = (attached?.fieldBytes ?? 0, fieldBytes)
        precondition(front <= FrameExtension.limit, "an extension of \(front) bytes")
        var header = header
        header.extensionBytes = front
        header.payloadBytes = front + own
        FrameEncoder.frame(header, into: &buffer) { place in
            attached?.write(to: place)
            write(to: place + front)
        }
    }

    /// Whether it fits a frame; what does not is refused before it is sent.
    package func checkSize(_ attached: FrameExtension? = nil) throws(CallError) {
        let (front, own) = (attached?.fieldBytes ?? 0, fieldBytes)
        guard front <= FrameExtension.limit else {
            throw CallError(.tooLarge, "trace, session and key have \(front) bytes; at most \(FrameExtension.limit) are sent")
        }
        guard front + own <= Self.type.payloadLimit else {
            throw CallError(.tooLarge, "\(Self.type) has \(front + own) bytes; at most \(Self.type.payloadLimit) are sent")
        }
    }

    /// A frame of it, alone.
    package func frame(id: UInt64 = 0, flags: FrameFlags = [], attached: FrameExtension? = nil) -> ByteBuffer {
        var buffer = ByteBuffer()
        encode(FrameHeader(type: Self.type, flags: flags, id: id), attached, into: &buffer)
        return buffer
    }
}

/// A message that is answered with one of another type.
package protocol WireCall: WireMessage {
    associatedtype Reply: WireMessage
    /// Whether doing it twice does no more than doing it once: only then may a client try again by itself.
    static var isIdempotent: Bool { get }
}

extension WireCall {
    package static var isIdempotent: Bool { false }
}

/// Every message of the protocol.
package enum WireMessages {
    /// What is known of one kind.
    package struct Kind: Sendable {
        package let type: MessageType
        package let name: String
        private let blank: @Sendable () -> [FieldLines.Line]
        /// Shows a payload field by field.
        package let show: @Sendable (ByteBuffer) throws(WireError) -> [FieldLines.Line]

        init(
            type: MessageType, name: String, blank: @escaping @Sendable () -> [FieldLines.Line],
            show: @escaping @Sendable (ByteBuffer) throws(WireError) -> [FieldLines.Line]
        ) {
            self.type = type
            self.name = name
            self.blank = blank
            self.show = show
        }

        /// The fields, as they are in a message that holds nothing. Not made with the kind: some of them ask this table for names.
        package var fields: [FieldLines.Line] { blank() }
    }

    private static func kind<M: WireMessage>(_ type: M.Type) -> Kind {
        Kind(type: M.type, name: snakeCase(M.name), blank: { lines(M()) }) { payload throws(WireError) in lines(try M.decode(payload)) }
    }

    private static func lines(_ message: some WireMessage) -> [FieldLines.Line] {
        var (copy, lines) = (message, FieldLines())
        try? copy.visit(&lines)
        return lines.lines
    }

    /// `RequestVote` is `request_vote` where metrics and spans name it.
    private static func snakeCase(_ name: String) -> String {
        var text = ""
        for character in name {
            if character.isUppercase, !text.isEmpty { text += "_" }
            text += character.lowercased()
        }
        return text
    }

    package static let all: [Kind] = [
        kind(RequestVote.self), kind(RequestVoteReply.self), kind(AppendEntries.self), kind(AppendEntriesReply.self),
        kind(InstallSnapshot.self), kind(InstallSnapshotReply.self), kind(PreVote.self), kind(PreVoteReply.self), kind(TimeoutNow.self),
        kind(ReadIndex.self), kind(ReadIndexReply.self), kind(Propose.self), kind(ProposeReply.self), kind(ChangeMembers.self),
        kind(HistoryRead.self), kind(HistoryReadReply.self),
        kind(Ping.self), kind(Ack.self), kind(PingRequest.self), kind(MembershipUpdate.self), kind(Nack.self), kind(PushPull.self),
        kind(TaskAssignment.self), kind(TaskReport.self), kind(TaskStatus.self), kind(TaskCancel.self), kind(TaskLog.self),
        kind(LeaseRenew.self), kind(Refusal.self), kind(WorkerAttach.self), kind(LeaseTerms.self), kind(TaskResults.self),
        kind(ClientSubmit.self), kind(ClientResponse.self), kind(ClientQuery.self),
        kind(ErrorReply.self), kind(Cancel.self), kind(StreamChunk.self), kind(Credit.self), kind(Forward.self),
        kind(ForwardMessages.self), kind(ForwardMessagesReply.self), kind(Hello.self),
    ]
}
