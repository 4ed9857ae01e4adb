import CThreadSlot
import Primitives

/// One line of JSON in memory that is lent to it: on the stack while it fits, else on the heap.
struct LineBuffer: ~Copyable {
    /// Longer texts are cut off, and say so.
    static let textLimit = 64 << 10

    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var isOwned = false
    private(set) var count = 0

    /// - Parameter memory: stays valid as long as the buffer.
    init(_ memory: UnsafeMutableBufferPointer<UInt8>) {
        precondition(memory.count > 0, "no memory")
        base = memory.baseAddress ?? .allocate(capacity: 1)
        capacity = memory.count
    }

    deinit { if isOwned { base.deallocate() } }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inline(__always)
    private mutating func reserve(_ more: Int) { if count + more > capacity { grow(more) } }

    @inline(never)
    private mutating func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        grown.update(from: base, count: count)
        if isOwned { base.deallocate() }
        (base, capacity, isOwned) = (grown, larger, true)
    }

    @inline(__always)
    mutating func raw(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount)
        (base + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    @inline(__always)
    mutating func raw(_ byte: UInt8) {
        reserve(1)
        base[count] = byte
        count += 1
    }

    mutating func raw(_ bytes: [UInt8]) { bytes.withUnsafeBufferPointer { raw($0) } }

    private mutating func raw(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let from = bytes.baseAddress else { return }
        reserve(bytes.count)
        (base + count).update(from: from, count: bytes.count)
        count += bytes.count
    }

    mutating func write(_ number: Int64) {
        if number < 0 { raw(UInt8(ascii: "-")) }
        write(number.magnitude)
    }

    mutating func write(_ number: UInt64) {
        reserve(20)
        var digits = 1
        var limit: UInt64 = 10
        while number >= limit {
            digits += 1
            guard digits < 20 else { break }
            limit &*= 10
        }
        var rest = number
        var place = count + digits
        count = place
        // Two at a time: a division is what takes the time.
        while rest >= 100 {
            let pair = UInt32(truncatingIfNeeded: rest % 100)
            rest /= 100
            place -= 2
            base[place] = UInt8(truncatingIfNeeded: pair / 10) + 0x30
            base[place + 1] = UInt8(truncatingIfNeeded: pair % 10) + 0x30
        }
        if rest >= 10 {
            base[place - 2] = UInt8(truncatingIfNeeded: rest / 10) + 0x30
            base[place - 1] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
        } else {
            base[place - 1] = UInt8(truncatingIfNeeded: rest) + 0x30
        }
    }

    /// What JSON cannot say (NaN, infinity) is null.
    mutating func write(_ number: Double) {
        guard number.isFinite else { return raw("null") }
        var text = number.description
        text.withUTF8 { raw($0) }
    }

    /// A string in quotes (RFC 8259 section 7), DEL escaped too.
    mutating func write(_ text: String) {
        raw(0x22)
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable { escape($0) }
        if isDone == nil {
            var copy = text
            copy.withUTF8 { escape($0) }
        }
        raw(0x22)
    }

    mutating func write(_ text: StaticString) {
        raw(0x22)
        escape(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        raw(0x22)
    }

    private mutating func escape(_ whole: UnsafeBufferPointer<UInt8>) {
        var text = whole
        if whole.count > Self.textLimit {
            // Not within a character.
            var end = Self.textLimit
            while end > 0, whole[end] & 0xC0 == 0x80 { end -= 1 }
            text = UnsafeBufferPointer(rebasing: whole[..<end])
        }
        var start = 0
        while let place = Self.firstSpecial(text, from: start) {
            raw(UnsafeBufferPointer(rebasing: text[start..<place]))
            writeEscape(text[place])
            start = place + 1
        }
        raw(UnsafeBufferPointer(rebasing: text[start...]))
        if text.count < whole.count {
            raw("... (")
            write(Int64(whole.count - text.count))
            raw(" bytes cut off)")
        }
    }

    /// Where the next byte is that must be escaped: eight are looked at at a time while none of them is.
    private static func firstSpecial(_ text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        let (ones, highs): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        /// High bits where a byte of `word` is below `limit` (which is at most 128) or, with exclusive or before, equal to one.
        func below(_ word: UInt64, _ limit: UInt64) -> UInt64 { (word &- ones &* limit) & ~word & highs }
        var place = start
        let raw = UnsafeRawBufferPointer(text)
        while place + 8 <= text.count {
            let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            let found =
                below(word, 0x20) | below(word ^ (ones &* 0x22), 1) | below(word ^ (ones &* 0x5C), 1) | below(word ^ (ones &* 0x7F), 1)
            // The lowest of them is one; those above it may come of what was carried.
            guard found == 0 else { return place + found.trailingZeroBitCount / 8 }
            place += 8
        }
        while place < text.count {
            let byte = text[place]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F { return place }
            place += 1
        }
        return nil
    }

    private mutating func writeEscape(_ byte: UInt8) {
        switch byte {
        case 0x22: raw("\\\"")
        case 0x5C: raw("\\\\")
        case 0x0A: raw("\\n")
        case 0x0D: raw("\\r")
        case 0x09: raw("\\t")
        default:
            raw("\\u00")
            raw(hexCharacter(byte >> 4))
            raw(hexCharacter(byte & 0xF))
        }
    }

    /// Sixteen hexadecimal digits.
    mutating func writeHexadecimal(_ number: UInt64) {
        for shift in stride(from: 60, through: 0, by: -4) { raw(hexCharacter(UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 0xF)) }
    }

    /// RFC 3339 with milliseconds, in quotes. What a second's lines share is made once.
    mutating func write(_ time: ClusterTime) {
        reserve(26)
        let cache = distric_second()
        let second = time.milliseconds / 1000
        let text = base + count + 1
        if cache.pointee.second == second, second > 0 {
            withUnsafePointer(to: &cache.pointee.text) { UnsafeMutableRawPointer(text).copyMemory(from: $0, byteCount: 24) }
            let rest = UInt32(truncatingIfNeeded: time.milliseconds % 1000)
            text[20] = UInt8(truncatingIfNeeded: rest / 100) + 0x30
            text[21] = UInt8(truncatingIfNeeded: rest / 10 % 10) + 0x30
            text[22] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
        } else {
            time.writeRFC3339(to: text)
            cache.pointee.second = second
            withUnsafeMutablePointer(to: &cache.pointee.text) { UnsafeMutableRawPointer($0).copyMemory(from: text, byteCount: 24) }
        }
        (base[count], base[count + 25]) = (0x22, 0x22)
        count += 26
    }

    /// `,"key":`
    @inline(__always)
    mutating func member(_ key: StaticString) {
        let length = key.utf8CodeUnitCount
        let name = UnsafeBufferPointer(start: key.utf8Start, count: length)
        guard Self.firstSpecial(name, from: 0) == nil else {
            raw(UInt8(ascii: ","))
            write(key)
            return raw(UInt8(ascii: ":"))
        }
        reserve(length + 4)
        let place = base + count
        (place[0], place[1]) = (UInt8(ascii: ","), 0x22)
        (place + 2).update(from: key.utf8Start, count: length)
        (place[length + 2], place[length + 3]) = (0x22, UInt8(ascii: ":"))
        count += length + 4
    }
}
