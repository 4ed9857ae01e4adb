import Primitives
import Wire

/// What is frozen as bytes, in commands and in a snapshot's head.
extension FreezeChange {
    func encode(into writer: inout TLVWriter) {
        writer.string(1, part.rawValue)
        writer.bool(2, isFrozen)
        writer.string(3, reason)
    }

    init(_ field: TLVField) throws(WireError) {
        var reader = try field.message()
        var (part, isFrozen, reason): (Freeze.Part?, Bool?, String) = (nil, nil, "")
        while let item = try reader.next() {
            switch item.tag {
            case 1: part = try item.word(.parts)
            case 2: isFrozen = try item.bool()
            case 3: reason = try item.string()
            default: throw item.unknown
            }
        }
        self.init(
            try part.required(1, of: "freeze"), isFrozen: try isFrozen.required(2, of: "freeze"), reason: reason)
    }
}

extension TLVWriter {
    mutating func stop(_ tag: UInt16, _ stop: Freeze.Stop?) {
        guard let stop else { return }
        message(tag) { writer in
            writer.time(1, stop.since)
            writer.string(2, stop.reason)
        }
    }
}

extension TLVField {
    func stop() throws(WireError) -> Freeze.Stop {
        var reader = try message()
        var stop = Freeze.Stop(since: .zero, reason: "")
        while let item = try reader.next() {
            switch item.tag {
            case 1: stop.since = try item.time()
            case 2: stop.reason = try item.string()
            default: throw item.unknown
            }
        }
        return stop
    }
}
