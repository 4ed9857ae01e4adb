import NIOCore
import Primitives

@testable import Wire

/// One message of every kind with all that it can hold, the same for ever: the golden frames are made of them.
enum Samples {
    /// What came of reading a payload.
    struct Reading: Sendable {
        /// The payload, written again.
        let again: [UInt8]
        /// Elements of all its lists, those within elements too.
        let elements: Int
        /// Whether it holds what the sample holds.
        let isTheSample: Bool
    }

    struct Sample: Sendable {
        let name: String
        let type: MessageType
        let frame: ByteBuffer
        /// The message's fields, without the frame's extension.
        let payload: [UInt8]
        /// The payload's bytes as `FieldSizer` counts them, and as `FieldWriter` wrote them.
        let sized: Int
        let written: Int
        let read: @Sendable (ByteBuffer) throws(WireError) -> Reading
    }

    static let id: UInt64 = 0x0102_0304_0506_0708
    static let millisecondsLeft: UInt32 = 1500

    /// In the order of `WireMessages.all`.
    static let all: [Sample] = votes + replication + proposals + gossip + tasks + clients + calls

    /// A record's fields alone.
    static func encoded(_ record: some WireRecord) -> [UInt8] {
        let count = record.fieldBytes
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
            if let base = buffer.baseAddress { record.write(to: UnsafeMutableRawPointer(base)) }
            written = count
        }
    }

    static let attached = FrameExtension(trace: trace, session: 0x1122_3344_5566_7788, sequence: 9, idempotencyKey: "order-17")

    // MARK: Parts

    private static let trace = TraceContext(
        traceHigh: 0x4BF9_2F35_77B3_4DA6, traceLow: 0xA3CE_929D_0E0E_4736, span: 0x00F0_67AA_0BA9_02B7, isSampled: true,
        state: "congo=t61rcWkgMzE")
    private static let run = RunID(high: 0x018F_3B1E_7C2A_7000, low: 0x8000_0123_4567_89AB)
    private static let fence = Fence(term: Term(3), assignment: 42)
    private static let time = ClusterTime(milliseconds: 0x018F_3B1E_7C2A)
    private static let space = (try? Namespace("acme")) ?? .default
    private static let value: Value = [
        "url": "https://example.org/é", "count": 3, "ratio": 0.5, "list": [1, nil, true, -7, []], "big": .uint(UInt64.max), "map": [:],
    ]
    private static let news = [
        newsOf("node-1", .alive), newsOf("node-2", .suspect), newsOf("node-3", .dead), newsOf("node-4", .left),
    ]

    /// As gossip has it.
    private static let rumours: [MemberNews] = {
        var facts = MemberFacts()
        (facts.version, facts.gossip, facts.rpc) = (3, "node-1.example.org:7946", "node-1.example.org:9000")
        (facts.http, facts.roles, facts.labels) = ("http://node-1.example.org:8080", ["coordinator", "worker"], ["zone=north"])
        (facts.slots, facts.lowest, facts.highest) = (8, WireVersion(major: 1, minor: 0), WireVersion(major: 1, minor: 0))
        (facts.featureLevel, facts.software) = (4, "distric 0.1.0")
        var alive = MemberNews(node: node("node-1"), epoch: 1_760_000_000_000, incarnation: 3, state: .alive)
        alive.metadata = facts
        var dead = MemberNews(node: node("node-3"), epoch: 1_760_000_000_001, incarnation: 1, state: .dead)
        dead.accuser = node("node-2")
        return [alive, dead]
    }()

    private static func node(_ text: String) -> NodeID { (try? NodeID(text)) ?? .unnamed }

    private static func newsOf(_ name: String, _ state: MemberState) -> MemberNews {
        MemberNews(
            node: node(name), epoch: 7, incarnation: 2, state: state, address: "\(name).example.org:7400",
            facts: ["role=coordinator", "calls=\(name):7401"], version: WireVersion(major: 1, minor: 0))
    }

    private static func sample<M: WireMessage>(
        _ type: M.Type, flags: FrameFlags = [], attached: FrameExtension? = nil, _ fill: (inout M) -> Void
    ) -> Sample {
        var message = M()
        fill(&message)
        let whole = message
        var buffer = ByteBuffer()
        whole.encode(FrameHeader(type: M.type, flags: flags, id: id, millisecondsLeft: millisecondsLeft), attached, into: &buffer)
        return Sample(
            name: M.type.description, type: M.type, frame: buffer, payload: encoded(whole), sized: sized(whole), written: written(whole)
        ) { payload throws(WireError) in
            let found = try M.decode(payload)
            var counter = ElementCounter()
            counter.count(found)
            return Reading(again: encoded(found), elements: counter.elements, isTheSample: found == whole)
        }
    }

    private static func sized(_ record: some WireRecord) -> Int {
        var (copy, sizer) = (record, FieldSizer())
        try? copy.visit(&sizer)
        return sizer.bytes
    }

    private static func written(_ record: some WireRecord) -> Int {
        var copy = record
        let space = UnsafeMutableRawPointer.allocate(byteCount: 2 * record.fieldBytes + 1024, alignment: 16)
        defer { space.deallocate() }
        var writer = FieldWriter(space)
        try? copy.visit(&writer)
        return space.distance(to: writer.place)
    }

    // MARK: Consensus

    private static let votes: [Sample] = [
        sample(RequestVote.self) { message in
            message.group = 1
            message.term = Term(5)
            message.candidate = node("node-1")
            message.lastIndex = LogIndex(100)
            message.lastTerm = Term(4)
            message.isTransfer = true
        },
        sample(RequestVoteReply.self, flags: [.response]) { message in
            message.group = 1
            message.term = Term(5)
            message.voter = node("node-2")
            message.isGranted = true
        },
    ]

    private static let replication: [Sample] = [
        sample(AppendEntries.self) { message in
            message.group = 1
            message.term = Term(5)
            message.leader = node("node-1")
            message.previousIndex = LogIndex(99)
            message.previousTerm = Term(4)
            message.commitIndex = LogIndex(98)
            message.entries = [
                LogEntry(index: LogIndex(100), term: Term(5), kind: .leaderStart, payload: []),
                LogEntry(index: LogIndex(101), term: Term(5), kind: .commands, payload: [0, 1, 2, 255]),
            ]
            message.round = 17
            message.trusts = 0x0102_0304_0506_0708
        },
        sample(AppendEntriesReply.self, flags: [.response]) { message in
            message.group = 1
            message.term = Term(5)
            message.follower = node("node-2")
            message.isSuccess = true
            message.matchIndex = LogIndex(101)
            message.conflictIndex = LogIndex(90)
            message.conflictTerm = Term(3)
            message.round = 17
            message.rejectedIndex = LogIndex(99)
            message.recovery = 0x0102_0304_0506_0708
        },
        sample(InstallSnapshot.self) { message in
            message.group = 1
            message.term = Term(5)
            message.leader = node("node-1")
            message.lastIndex = LogIndex(80)
            message.lastTerm = Term(3)
            message.totalBytes = 1 << 33
            message.checksum = 0xE306_9283
            message.chunk = 2
            message.offset = 1 << 21
            message.data = Array(0..<40)
            message.voters = [node("node-1"), node("node-2"), node("node-3")]
            message.learners = [node("node-4")]
            message.outgoing = [node("node-1"), node("node-4")]
            message.target = [node("node-2")]
            message.chain = 0x1122_3344_5566_7788
            message.round = 17
        },
        sample(InstallSnapshotReply.self, flags: [.response]) { message in
            message.group = 1
            message.term = Term(5)
            message.follower = node("node-2")
            message.nextChunk = 3
            message.isInstalled = true
            message.lastIndex = LogIndex(80)
            message.round = 17
        },
        sample(PreVote.self) { message in
            message.group = 1
            message.term = Term(6)
            message.candidate = node("node-3")
            message.lastIndex = LogIndex(100)
            message.lastTerm = Term(4)
        },
        sample(PreVoteReply.self, flags: [.response]) { message in
            message.group = 1
            message.term = Term(5)
            message.asked = Term(6)
            message.voter = node("node-2")
            message.isGranted = true
        },
        sample(TimeoutNow.self, flags: [.urgent, .oneWay]) { message in
            message.group = 1
            message.term = Term(5)
            message.leader = node("node-1")
        },
    ]

    private static let proposals: [Sample] = [
        sample(ReadIndex.self) { message in
            message.group = 1
            message.requester = node("node-2")
            message.read = 0x0102_0304_0506_0708
            message.term = Term(5)
        },
        sample(ReadIndexReply.self, flags: [.response]) { message in
            message.group = 1
            message.term = Term(5)
            message.index = LogIndex(101)
            message.read = 0x0102_0304_0506_0708
            message.isRefused = true
            message.responder = node("node-1")
        },
        sample(Propose.self, flags: [.retry], attached: attached) { message in
            message.group = 1
            message.payloads = [[1, 2, 3], [], Array("text".utf8)]
        },
        sample(ProposeReply.self, flags: [.response]) { message in
            message.group = 1
            message.term = Term(5)
            message.first = LogIndex(102)
            message.outcomes = [[0], [1, 1]]
        },
        sample(ChangeMembers.self) { message in
            message.group = 1
            message.voters = [node("node-1"), node("node-2"), node("node-5")]
            message.learners = [node("node-6")]
            message.basedOn = LogIndex(70)
        },
        sample(HistoryRead.self) { message in
            message.group = 1
            message.after = LogIndex(70)
            message.through = LogIndex(9000)
            message.notBefore = time
            message.limitBytes = 16 << 20
        },
        sample(HistoryReadReply.self, flags: [.response]) { message in
            message.group = 1
            message.reached = LogIndex(4000)
            message.records = 51_000
            message.unreadableBytes = 1024
            message.oldest = LogIndex(12)
            message.lacks = true
        },
    ]

    // MARK: Membership

    private static let gossip: [Sample] = [
        sample(Ping.self) { message in
            message.sequence = 11
            message.from = node("node-1")
            message.target = node("node-2")
            message.news = news + rumours
            message.padding = [9, 8, 7]
            (message.epoch, message.incarnation) = (1_760_000_000_000, 3)
            (message.targetEpoch, message.known) = (1_760_000_000_002, 4)
        },
        sample(Ack.self, flags: [.response]) { message in
            message.sequence = 11
            message.from = node("node-2")
            message.incarnation = 4
            message.news = news + rumours
            message.padding = [9, 8, 7]
            message.time = time
            (message.epoch, message.isBehind) = (1_760_000_000_002, true)
        },
        sample(PingRequest.self) { message in
            message.sequence = 12
            message.from = node("node-1")
            message.target = node("node-3")
            message.address = "node-3.example.org:7400"
            message.news = news + rumours
            (message.epoch, message.targetEpoch) = (1_760_000_000_000, 1_760_000_000_001)
        },
        sample(MembershipUpdate.self, flags: [.oneWay]) { message in
            message.from = node("node-1")
            message.news = news + rumours
            message.epoch = 1_760_000_000_000
        },
        sample(Nack.self, flags: [.response]) { message in
            message.sequence = 12
            message.from = node("node-4")
            message.epoch = 1_760_000_000_003
        },
        sample(PushPull.self) { message in
            message.from = node("node-5")
            message.members = news + rumours
            message.isJoin = true
            message.epoch = 1_760_000_000_004
            message.sealed = [0xD1, 1, 2, 3]
        },
    ]

    // MARK: Tasks

    private static let tasks: [Sample] = [
        sample(TaskAssignment.self) { message in
            message.run = run
            message.task = "charge"
            message.namespace = space
            message.kind = "http"
            message.attempt = 2
            message.fence = fence
            message.key = "018f3b1e/charge"
            message.input = value
            message.timeout = .milliseconds(30_250)
            message.journalsStart = true
            message.trace = trace
            message.continuesAlone = true
            message.lostAfterMilliseconds = 60_000
        },
        sample(TaskReport.self) { message in
            message.run = run
            message.task = "charge"
            message.attempt = 2
            message.fence = fence
            message.outcome = .failed(TaskError(type: "http_status", message: "the door is shut", status: 503))
            message.startedAt = time
            message.endedAt = time.advanced(by: .milliseconds(812))
        },
        sample(TaskStatus.self, flags: [.response]) { message in
            message.run = run
            message.task = "charge"
            message.fence = fence
            message.isAccepted = true
            message.progress = 0.75
            message.note = "three of four"
            message.code = "stale"
        },
        sample(TaskCancel.self) { message in
            message.run = run
            message.task = "charge"
            message.fence = fence
            message.reason = "the run was cancelled"
        },
        sample(TaskLog.self) { message in
            message.run = run
            message.task = "charge"
            message.attempt = 2
            message.offset = 4096
            message.data = Array("one line\n".utf8)
            message.isLast = true
        },
        sample(LeaseRenew.self) { message in
            message.worker = node("worker-1")
            message.epoch = 3
            message.fences = [fence, Fence(term: Term(3), assignment: 43)]
            message.freeSlots = 6
            message.load = 1.25
            message.leaseMilliseconds = 10_000
            message.isCordoned = true
            (message.drainLeftMilliseconds, message.drainFinished, message.drainGivenBack) = (60_000, 2, 1)
            (message.wallMilliseconds, message.isLeaving) = (1_700_000_000_000, true)
        },
        sample(Refusal.self, flags: [.response]) { message in
            message.run = run
            message.task = "charge"
            message.fence = fence
            message.code = "no_slots"
            message.message = "all 8 are taken"
            message.freeSlots = 1
        },
        sample(WorkerAttach.self) { message in
            message.worker = node("worker-1")
            message.epoch = 3
            message.slots = 8
            message.light = 1024
            message.kinds = ["exec@1", "http@1", "transform@1"]
            message.labels = ["zone=north"]
            message.running = [fence]
            message.isCordoned = true
        },
        sample(LeaseTerms.self, flags: [.oneWay]) { message in
            message.leaseMilliseconds = 10_000
            message.isComplete = true
            message.held = [HeldTask(run: run, task: "charge", attempt: 2, fence: fence)]
            message.coordinators = ["10.0.0.1:9000", "10.0.0.2:9000"]
            message.coordinatorURLs = ["http://10.0.0.1:8080"]
            message.isCordoned = false
            message.drainMilliseconds = 60_000
            message.term = 12
        },
        sample(TaskResults.self) { message in
            message.worker = node("worker-1")
            message.epoch = 3
            var report = TaskReport()
            (report.run, report.task, report.attempt, report.fence) = (run, "charge", 2, fence)
            (report.outcome, report.startedAt, report.endedAt) = (.succeeded(value), time, time.advanced(by: .milliseconds(5)))
            message.results = [report]
            var status = TaskStatus()
            (status.run, status.task, status.fence, status.code) = (run, "charge", fence, "stale")
            message.statuses = [status]
        },
    ]

    // MARK: Clients and calls

    private static let clients: [Sample] = [
        sample(ClientSubmit.self) { message in
            message.namespace = space
            message.contentType = "application/msgpack"
            message.messages = [[0x80], [0x81, 0xA1, 0x61, 0x01]]
        },
        sample(ClientResponse.self, flags: [.response]) { message in
            var result = SubmitResult()
            result.status = 202
            result.messageID = "m-1"
            result.catalogVersion = 12
            result.matched = ["orders/new", "orders/all"]
            result.runs = [run, RunID(high: run.high, low: run.low + 1)]
            result.isDuplicate = true
            result.code = "accepted"
            result.detail = "durable"
            message.results = [result, SubmitResult()]
            message.contentType = "application/json"
            message.body = Array("{}".utf8)
            message.appliedIndex = LogIndex(101)
        },
        sample(ClientQuery.self) { message in
            message.path = "runs/018f3b1e-7c2a-7000-8000-0123456789ab"
            message.namespace = space
        },
    ]

    private static let calls: [Sample] = [
        sample(ErrorReply.self, flags: [.response, .error]) { message in
            message.code = .notLeader
            message.message = "node-1 leads"
            message.isRetryable = true
            message.retryAfterMilliseconds = 250
            message.leader = node("node-1")
            message.leaderAddress = "node-1.example.org:7401"
        },
        sample(Cancel.self, flags: [.oneWay]) { message in message.reason = "nobody waits" },
        sample(StreamChunk.self, flags: [.response, .more]) { message in
            message.sequence = 4
            message.data = Array("piece".utf8)
        },
        sample(Credit.self, flags: [.oneWay]) { message in message.bytes = 1 << 18 },
        sample(Forward.self) { message in
            message.origin = node("node-2")
            message.hops = 1
            message.call = .propose
            message.payload = [1, 2, 3, 4]
        },
        sample(ForwardMessages.self) { message in
            message.group = 1
            message.answered = 7
            message.entry = [1, 0, 1, 2, 3]
            message.traces = [ForwardedTrace(place: 3, trace: trace), ForwardedTrace()]
        },
        sample(ForwardMessagesReply.self, flags: [.response]) { message in
            message.group = 1
            message.results = [
                ForwardResult(.accepted, runs: [run], isDuplicate: true), ForwardResult(.rematch, catalogVersion: 12),
                ForwardResult(.full, detail: "100000 runs are open"),
            ]
        },
        sample(Hello.self, flags: [.urgent]) { message in
            message.lowest = WireVersion(major: 1, minor: 0)
            message.highest = WireVersion(major: 1, minor: 3)
            message.node = node("node-1")
            message.cluster = UUIDv7(high: 0x018F_0000_0000_7000, low: 0x8000_0000_0000_0001)
            message.roles = ["coordinator", "worker"]
            message.capabilities = ["streams"]
            message.featureLevel = 4
            message.software = "distric 1.0.0"
            message.epoch = 7
            message.address = "10.0.0.1:9000"
            message.http = "http://10.0.0.1:8080"
            message.folder = UUIDv7(high: 0x018F_0000_0000_7000, low: 0x8000_0000_0000_0002)
            message.expects = 3
            message.clusterEpoch = 2
        },
    ]
}

/// Counts the elements of a record's lists, and of the records within it.
struct ElementCounter: FieldCoder {
    private(set) var elements = 0

    mutating func count(_ record: some WireRecord) {
        var copy = record
        try? copy.visit(&self)
    }

    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) { descend(value) }
    mutating func later<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) { descend(value) }
    mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V?) { if let value { descend(value) } }
    mutating func list<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ values: inout [V]) {
        elements += values.count
        for value in values { descend(value) }
    }

    private mutating func descend(_ value: some FieldValue) {
        if let record = value as? any WireRecord { count(record) }
    }
}
