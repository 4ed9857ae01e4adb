import NIOCore
import Primitives
import Testing

@testable import Wire

/// Records are fields in any order; what is unknown is skipped, what is malformed is refused with its place (FieldReader.swift).
struct FieldsTests {
    /// Two fields that must be there, a list, and one that may be left out.
    private struct Plain: WireRecord {
        var number: UInt32 = 0
        var text = ""
        var names: [String] = []
        var note: UInt16?

        mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
            try coder.field(1, "number", &number)
            try coder.field(2, "text", &text)
            try coder.list(3, "names", &names)
            try coder.field(4, "note", &note)
        }
    }

    /// What `Plain` may become.
    private struct Grown: WireRecord {
        var number: UInt32 = 0
        var text = ""
        var names: [String] = []
        var note: UInt16?
        var weight: UInt16 = 7

        mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
            try coder.field(1, "number", &number)
            try coder.field(2, "text", &text)
            try coder.list(3, "names", &names)
            try coder.field(4, "note", &note)
            try coder.later(5, "weight", &weight)
        }
    }

    private struct Holder: WireRecord {
        var plain = Plain()
        var more: [Plain] = []

        mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
            try coder.field(1, "plain", &plain)
            try coder.list(2, "more", &more)
        }
    }

    /// Messages within messages, as deep as one likes.
    private indirect enum Nest: WireRecord {
        case empty
        case around(Nest)

        init() { self = .empty }

        init(depth: Int) { self = depth == 0 ? .empty : .around(Nest(depth: depth - 1)) }

        mutating func visit(_ coder: inout some FieldCoder) throws(WireError) {
            var inner: Nest?
            if case .around(let nest) = self { inner = nest }
            try coder.field(1, "inner", &inner)
            if let inner { self = .around(inner) }
        }
    }

    /// The same through lists.
    private struct Tree: WireRecord {
        var children: [Tree] = []

        static func deep(_ depth: Int) -> Tree { Tree(children: depth == 0 ? [] : [deep(depth - 1)]) }

        mutating func visit(_ coder: inout some FieldCoder) throws(WireError) { try coder.list(1, "children", &children) }
    }

    private func read<R: WireRecord>(_ type: R.Type, _ input: [UInt8]) throws(WireError) -> R { try R.decode(ByteBuffer(bytes: input)) }

    private func failure<R: WireRecord>(_ type: R.Type, _ input: [UInt8]) -> WireError? {
        do throws(WireError) {
            _ = try read(type, input)
            return nil
        } catch {
            return error
        }
    }

    private func failure<R: WireRecord>(_ type: R.Type, _ hex: String) -> WireError? { failure(type, bytes(hex: hex)) }

    /// 5 and "a": 19 bytes.
    private let required = "0001 03 00000004 00000005  0002 08 00000001 61"
    private let unknown = bytes(hex: "003f 0c 00000003 010203  00c8 63 00000000  00c8 03 00000001 01")

    // MARK: Writing and reading

    @Test func `the bytes of a record are these for ever`() throws {
        let record = Plain(number: 5, text: "a", names: ["x", "", "yz"], note: 9)
        let written = Samples.encoded(record)
        let names = "0003 0a 00000014 08 00000003 00000001 78 00000000 00000002 797a"
        #expect(written == bytes(hex: required + names + "0004 02 00000002 0009"))
        let again = try read(Plain.self, written)
        #expect(again == record)
        let least = Samples.encoded(Plain(number: 5, text: "a"))
        #expect(least == bytes(hex: required))
    }

    @Test func `every sample reads back, and takes what was counted for it`() throws {
        for sample in Samples.all {
            #expect(sample.sized == sample.written, "\(sample.name)")
            #expect(sample.sized == sample.payload.count, "\(sample.name)")
            let reading = try sample.read(ByteBuffer(bytes: sample.payload))
            #expect(reading.isTheSample, "\(sample.name)")
            #expect(reading.again == sample.payload, "\(sample.name)")
        }
    }

    @Test func `every sample sets all that its message can hold`() throws {
        for (sample, kind) in zip(Samples.all, WireMessages.all) {
            let lines = try kind.show(ByteBuffer(bytes: sample.payload))
            let unset = lines.filter { $0.value == nil }.map(\.name)
            #expect(unset.isEmpty, "\(sample.name)")
            #expect(lines.map(\.tag) == kind.fields.map(\.tag), "\(sample.name)")
        }
    }

    @Test func `every field has a tag of its own from 1 to 63, and a name of its own`() {
        for kind in WireMessages.all {
            let tags = kind.fields.map(\.tag)
            #expect(Set(tags).count == tags.count, "\(kind.name)")
            #expect(tags.allSatisfy { (1...63).contains($0) }, "\(kind.name)")
            #expect(Set(kind.fields.map(\.name)).count == tags.count, "\(kind.name)")
        }
    }

    @Test func `fields may come in any order`() throws {
        let turned = try read(Plain.self, bytes(hex: "0004 02 00000002 0009 0002 08 00000001 61 0001 03 00000004 00000005"))
        #expect(turned == Plain(number: 5, text: "a", note: 9))
    }

    // MARK: Versions

    @Test func `an old reader skips what a new writer added`() throws {
        for sample in Samples.all {
            let after = try sample.read(ByteBuffer(bytes: sample.payload + unknown))
            let before = try sample.read(ByteBuffer(bytes: unknown + sample.payload))
            #expect(after.isTheSample, "\(sample.name)")
            #expect(before.isTheSample, "\(sample.name)")
        }
        let grown = Grown(number: 5, text: "a", names: ["x"], note: 9, weight: 70)
        let plain = try read(Plain.self, Samples.encoded(grown))
        #expect(plain == Plain(number: 5, text: "a", names: ["x"], note: 9))
    }

    @Test func `a new reader keeps its own where an old writer said nothing`() throws {
        let plain = Plain(number: 5, text: "a", names: ["x"], note: 9)
        let grown = try read(Grown.self, Samples.encoded(plain))
        #expect(grown == Grown(number: 5, text: "a", names: ["x"], note: 9, weight: 7))
        let own = Grown(number: 1, text: "b", weight: 70)
        let again = try read(Grown.self, Samples.encoded(own))
        #expect(again == own)
    }

    // MARK: Refusals

    @Test func `a missing field is named`() {
        let text = failure(Plain.self, "0001 03 00000004 00000005")
        #expect(text == WireError.missingField(tag: 2, of: "text"))
        let number = failure(Plain.self, "0002 08 00000001 61")
        #expect(number == WireError.missingField(tag: 1, of: "number"))
        let empty = failure(Plain.self, "")
        #expect(empty == WireError.missingField(tag: 1, of: "number"))
        let none = failure(Cancel.self, "")
        #expect(none == nil)
    }

    @Test func `a field that comes twice is refused, known or not`() {
        let known = failure(Plain.self, required + "0001 03 00000004 00000006")
        #expect(known == WireError.duplicateField(tag: 1, at: 19))
        let strange = failure(Plain.self, "003f 01 00000001 01 003f 01 00000001 01" + required)
        #expect(strange == WireError.duplicateField(tag: 63, at: 8))
        let high = failure(Plain.self, "0040 01 00000001 01 0040 01 00000001 01" + required)
        #expect(high == nil)
    }

    @Test func `a field of another type is refused`() {
        let wide = failure(Plain.self, "0001 04 00000008 0000000000000005")
        #expect(wide == WireError.wrongType(tag: 1, expected: .u32, found: 4, at: 7))
        let second = failure(Plain.self, "0001 03 00000004 00000005 0002 63 00000001 61")
        #expect(second == WireError.wrongType(tag: 2, expected: .string, found: 0x63, at: 18))
        let list = failure(Plain.self, "0003 08 00000001 61")
        #expect(list == WireError.wrongType(tag: 3, expected: .list, found: 8, at: 7))
    }

    @Test func `a field cut anywhere is refused`() {
        let whole = bytes(hex: required)
        for count in 1..<whole.count where count != 11 {
            let error = failure(Plain.self, Array(whole.prefix(count)))
            let start = count < 11 ? 0 : 11
            let expected: WireError =
                count - start < 7 ? .truncated(at: start) : .badLength(tag: start == 0 ? 1 : 2, length: start == 0 ? 4 : 1, at: start)
            #expect(error == expected, "\(count) bytes")
        }
    }

    @Test func `a length beyond the end is refused, however large`() {
        let largest = failure(Plain.self, "0001 03 ffffffff 00")
        #expect(largest == WireError.badLength(tag: 1, length: 0xFFFF_FFFF, at: 0))
        let strange = failure(Plain.self, required + "00c8 09 00000002 00")
        #expect(strange == WireError.badLength(tag: 200, length: 2, at: 19))
        let width = failure(Plain.self, "0001 03 00000003 000005")
        #expect(width == WireError.badLength(tag: 1, length: 3, at: 7))
    }

    @Test func `64 fields are read, one more is refused`() {
        func with(_ extra: Int) -> [UInt8] {
            bytes(hex: required) + [[UInt8]](repeating: bytes(hex: "00c8 09 00000000"), count: extra).joined()
        }
        let most = failure(Plain.self, with(62))
        #expect(most == nil)
        let more = failure(Plain.self, with(63))
        #expect(more == WireError.tooManyFields(limit: 64, at: 19 + 62 * 7))
    }

    @Test func `messages may nest 8 deep and no deeper`() throws {
        let deepest = try read(Nest.self, Samples.encoded(Nest(depth: 8)))
        #expect(deepest == Nest(depth: 8))
        let error = failure(Nest.self, Samples.encoded(Nest(depth: 9)))
        // At the value that is too deep, as TLVReader has it.
        #expect(error == WireError.tooDeep(limit: 8, at: 63))
        let lists = try read(Tree.self, Samples.encoded(Tree.deep(8)))
        #expect(lists == Tree.deep(8))
        let deeper = failure(Tree.self, Samples.encoded(Tree.deep(9)))
        guard case .tooDeep(8, _)? = deeper else {
            Issue.record("\(String(describing: deeper))")
            return
        }
        let far = failure(Nest.self, Samples.encoded(Nest(depth: 200)))
        #expect(far != nil)
    }

    @Test func `a list whose count cannot be there is refused`() {
        let two = failure(Plain.self, "0003 0a 00000009 08 00000002 00000000")
        #expect(two == WireError.badValue(tag: 3, reason: "2 elements cannot be there", at: 7))
        let all = failure(Plain.self, "0003 0a 00000005 08 ffffffff")
        #expect(all == WireError.badValue(tag: 3, reason: "4294967295 elements cannot be there", at: 7))
        let short = failure(Plain.self, "0003 0a 00000004 08 000000")
        #expect(short == WireError.badLength(tag: 3, length: 4, at: 7))
    }

    @Test func `a list with more or less than its elements is refused`() {
        let more = failure(Plain.self, "0003 0a 0000000b 08 00000001 00000001 61 62")
        #expect(more == WireError.badValue(tag: 3, reason: "1 bytes after the last element", at: 7))
        let long = failure(Plain.self, "0003 0a 0000000a 08 00000001 00000005 61")
        #expect(long == WireError.badLength(tag: 3, length: 5, at: 16))
        let cut = failure(Plain.self, "0003 0a 0000000d 08 00000002 00000002 6161 0000")
        #expect(cut == WireError.truncated(at: 18))
    }

    @Test func `an element of another type, or that is none, is refused`() {
        let type = failure(Plain.self, "0003 0a 0000000a 09 00000001 00000001 61")
        #expect(type == WireError.wrongType(tag: 3, expected: .string, found: 9, at: 7))
        let text = failure(Plain.self, "0003 0a 0000000f 08 00000002 00000001 61 00000001 ff")
        #expect(text == WireError.badText(tag: 3, at: 21))
    }

    @Test func `an empty list and none are the same`() throws {
        let empty = try read(Plain.self, bytes(hex: required + "0003 0a 00000005 08 00000000"))
        #expect(empty == Plain(number: 5, text: "a"))
    }

    @Test func `what is wrong within a record has its place from the start of the payload`() {
        let inner = failure(Holder.self, "0001 0c 00000013" + "0001 03 00000004 00000005 0002 08 00000001 ff")
        #expect(inner == WireError.badText(tag: 2, at: 7 + 18))
        let plain = "0001 0c 00000013 " + required
        let listed = failure(Holder.self, plain + "0002 0a 0000001c 0c 00000001 00000013" + "0001 03 00000004 00000005 0002 08 00000001 ff")
        #expect(listed == WireError.badText(tag: 2, at: 26 + 7 + 5 + 4 + 18))
        let head = failure(Holder.self, plain + "0002 0a 0000000f 0c 00000001 00000006 000103000000")
        #expect(head == WireError.truncated(at: 26 + 7 + 5 + 4))
    }

    @Test func `a value that its type cannot have is refused`() {
        let zeros = String(repeating: "00", count: 25)
        let refused: [(WireError?, UInt16, String)] = [
            (failure(RequestVote.self, "0006 07 00000001 02"), 6, "a boolean that is neither 0 nor 1"),
            (failure(Hello.self, "0004 09 00000001 00"), 4, "an id of 1 bytes"),
            (failure(TaskStatus.self, "0003 09 00000001 00"), 3, "a fence of 1 bytes"),
            (failure(MemberNews.self, "0004 01 00000001 09"), 4, "member state 9 is unknown to this program"),
            (failure(LogEntry.self, "0003 01 00000001 09"), 3, "entry kind 9 is unknown to this program"),
            (failure(FrameExtension.self, "0001 09 00000001 00"), 1, "a trace of 1 bytes"),
            (failure(FrameExtension.self, "0001 09 00000019" + zeros), 1, "a trace with ids of zeros"),
            (failure(TaskAssignment.self, "0008 09 00000001 c1"), 8, "\(MessagePack.Failure.unsupported(byte: 0xC1, at: 0))"),
        ]
        for (error, tag, reason) in refused { #expect(error == WireError.badValue(tag: tag, reason: reason, at: 7)) }
        let outcome = failure(TaskReport.self, "0005 0c 00000008 0001 01 00000001 09")
        #expect(outcome == WireError.badValue(tag: 1, reason: "outcome 9 is unknown to this program", at: 14))
        let names = [failure(RequestVote.self, "0003 08 00000001 41"), failure(RequestVote.self, "0003 08 00000000")]
        for error in names {
            guard case .badValue(let tag, _, let at)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(tag == 3)
            #expect(at == 7)
        }
        let text = failure(Plain.self, "0002 08 00000001 ff")
        #expect(text == WireError.badText(tag: 2, at: 7))
    }

    @Test func `every outcome of an attempt reads back`() throws {
        let error = TaskError(type: "signal", message: "killed", status: -9)
        let outcomes: [AttemptOutcome] = [
            .succeeded(["x": [1, nil]]), .succeeded(.null), .failed(error), .failed(TaskError(type: "", message: "")), .timedOut(error),
            .cancelled, .lost, .neverStarted,
        ]
        for outcome in outcomes {
            var report = TaskReport()
            report.outcome = outcome
            let again = try read(TaskReport.self, Samples.encoded(report))
            #expect(again == report)
        }
    }

    @Test func `a time limit and an attempt that a frame cannot say are clamped`() throws {
        var assignment = TaskAssignment()
        assignment.timeout = .seconds(-5)
        assignment.attempt = -1
        let least = try read(TaskAssignment.self, Samples.encoded(assignment))
        #expect(least.timeout == .zero)
        #expect(least.attempt == 0)
        assignment.timeout = .seconds(Int64.max)
        assignment.attempt = Int.max
        let most = try read(TaskAssignment.self, Samples.encoded(assignment))
        #expect(most.timeout == .milliseconds(Int64.max))
        #expect(most.attempt == Int(UInt32.max))
    }
}
